from __future__ import annotations

import pytest

from paintdiff.errors import RequestError
from paintdiff.requests import MAX_IMAGES, MAX_PROMPT_CHARACTERS, MAX_SEED, TextToImage

SETTLED = TextToImage(
    prompt="a house",
    width=128,
    height=96,
    num_inference_steps=20,
    guidance_scale=4.0,
    sampler="DDIM",
    seed=7,
)


def test_a_request_survives_json() -> None:
    assert TextToImage.model_validate_json(SETTLED.model_dump_json()) == SETTLED


def test_a_settled_request_has_a_sampling() -> None:
    sampling = SETTLED.sampling()
    assert (sampling.size.width, sampling.size.height) == (128, 96)
    assert (sampling.num_inference_steps, sampling.guidance_scale) == (20, 4.0)
    assert (sampling.sampler, sampling.seed) == ("DDIM", 7)


@pytest.mark.parametrize(
    "field", ["width", "height", "num_inference_steps", "guidance_scale", "sampler", "seed"]
)
def test_an_open_field_makes_it_unsettled(field: str) -> None:
    with pytest.raises(RequestError, match="settled"):
        SETTLED.model_copy(update={field: None}).sampling()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 31),
        ("height", 4097),
        ("width", "wide"),
        ("num_inference_steps", 0),
        ("guidance_scale", float("nan")),
        ("guidance_scale", float("inf")),
        ("guidance_scale", -0.1),
        ("seed", -1),
        ("seed", MAX_SEED + 1),
        ("num_images", 0),
        ("num_images", MAX_IMAGES + 1),
        ("prompt", "x" * (MAX_PROMPT_CHARACTERS + 1)),
        ("prompt", None),
        ("model", ""),
        ("version", 2),
        ("colour", "red"),
    ],
)
def test_a_bad_value_is_a_request_error_that_names_its_field(field: str, value: object) -> None:
    with pytest.raises(RequestError) as caught:
        TextToImage.parsed({"prompt": "a house", field: value})
    assert caught.value.field == field


def test_a_request_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        SETTLED.seed = 8  # type: ignore[misc]

from __future__ import annotations

import pytest

from paintdiff.errors import RequestError
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import ControlInput
from paintdiff.jobs.requests import (
    MAX_IMAGES,
    MAX_PROMPT_CHARACTERS,
    MAX_SEED,
    ImageToImage,
    Inpaint,
    TextToImage,
    parse_request,
)

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
    with pytest.raises(RequestError, match="has open values"):
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
        TextToImage.parse({"prompt": "a house", field: value})
    assert caught.value.field == field


def test_a_request_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        SETTLED.seed = 8  # type: ignore[misc]


REFERENCE = {"sha256": "ab" * 32}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"prompt": "x"}, TextToImage),
        ({"prompt": "x", "kind": "text_to_image"}, TextToImage),
        ({"prompt": "x", "kind": "image_to_image", "image": REFERENCE}, ImageToImage),
        ({"prompt": "x", "kind": "inpaint", "image": REFERENCE, "mask": REFERENCE}, Inpaint),
    ],
)
def test_the_kind_decides(values: dict[str, object], kind: type) -> None:
    request = parse_request(values)
    assert type(request) is kind
    assert parse_request(request.model_dump(mode="json")) == request


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "magic"}, "kind"),
        ({"kind": 3}, "kind"),
        ({"kind": "inpaint"}, "image"),
        ({"kind": "inpaint", "image": {"data": "§"}}, "image"),
        ({"kind": "inpaint", "image": REFERENCE, "outpaint": {"left": -1}}, "outpaint.left"),
        ({"kind": "inpaint", "image": REFERENCE, "outpaint": {"left": 9999}}, "outpaint.left"),
        ({"kind": "inpaint", "image": REFERENCE, "mask_blur_px": -1}, "mask_blur_px"),
        ({"kind": "inpaint", "image": REFERENCE, "masked_content": "magic"}, "masked_content"),
        ({"kind": "inpaint", "image": REFERENCE, "loopback": 2}, "loopback"),
        ({"kind": "image_to_image", "image": REFERENCE, "strength": 1.1}, "strength"),
        ({"kind": "image_to_image", "image": REFERENCE, "strength": float("nan")}, "strength"),
        ({"kind": "image_to_image", "image": REFERENCE, "background": "red"}, "background"),
        ({"kind": "image_to_image", "image": REFERENCE, "resize_mode": "melt"}, "resize_mode"),
        ({"kind": "image_to_image", "image": REFERENCE, "loopback": 17}, "loopback"),
        ({"variation_strength": 1.5}, "variation_strength"),
        ({"variation_seed": -1}, "variation_seed"),
        ({"image": REFERENCE}, "image"),
        ({"controls": [{}]}, "controls.0.image"),
        ({"controls": [{"image": REFERENCE}] * 5}, "controls"),
        ({"controls": [{"image": REFERENCE}, {"image": 3}]}, "controls.1.image"),
        ({"controls": [{"image": REFERENCE, "preprocessor": ""}]}, "controls.0.preprocessor"),
        ({"controls": [{"image": REFERENCE, "controlnet": ""}]}, "controls.0.controlnet"),
        (
            {"controls": [{"image": REFERENCE, "conditioning_scale": 2.1}]},
            "controls.0.conditioning_scale",
        ),
        ({"controls": [{"image": REFERENCE, "guidance_start": -1}]}, "controls.0.guidance_start"),
        ({"controls": [{"image": REFERENCE, "guidance_start": 1.0}]}, "controls.0.guidance_end"),
        ({"controls": [{"image": REFERENCE, "guidance_end": 0.0}]}, "controls.0.guidance_end"),
        (
            {"controls": [{"image": REFERENCE, "guidance_start": 0.6, "guidance_end": 0.5}]},
            "controls.0.guidance_end",
        ),
        ({"controls": [{"image": REFERENCE, "resize_mode": "melt"}]}, "controls.0.resize_mode"),
        ({"controls": [{"image": REFERENCE, "strength": 1}]}, "controls.0.strength"),
    ],
)
def test_a_bad_value_of_any_kind_names_its_field(values: dict[str, object], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request({"prompt": "x", **values})
    assert caught.value.field == field


def test_alone_adds_to_the_seed_or_to_the_variation_seed() -> None:
    batch = SETTLED.model_copy(update={"num_images": 3})
    alone = batch.for_image(2)
    assert (alone.seed, alone.variation_seed, alone.num_images) == (9, None, 1)
    varied = batch.model_copy(update={"variation_seed": 5, "variation_strength": 0.1}).for_image(2)
    assert (varied.seed, varied.variation_seed, varied.num_images) == (7, 7, 1)
    with pytest.raises(RequestError, match="has open values"):
        batch.model_copy(update={"variation_strength": 0.1}).for_image(0)


def test_without_image_data_only_references_are_left() -> None:
    image = InputImage(data=b"abc")
    request = Inpaint(prompt="x", image=image, mask=InputImage(data=b"def"))
    bare = request.without_image_data()
    assert bare.image == image.reference()
    assert bare.mask is not None
    assert bare.mask.data is None
    assert request.image.data == b"abc"
    assert SETTLED.without_image_data() == SETTLED


def test_without_image_data_controls_have_references_too() -> None:
    control = ControlInput(image=InputImage(data=b"abc"), preprocessor="canny")
    request = TextToImage(prompt="x", controls=(control,))
    bare = request.without_image_data()
    assert bare.controls[0].image == control.image.reference()
    assert bare.controls[0].preprocessor == "canny"
    assert request.controls[0].image.data == b"abc"
    assert TextToImage.model_validate_json(request.model_dump_json()) == request


def test_each_pass_of_a_loopback_has_its_strength() -> None:
    image = InputImage(data=b"abc")
    request = ImageToImage(
        prompt="x", image=image, strength=0.5, loopback=3, loopback_strength_factor=2.0
    )
    assert request.strengths() == (0.5, 1.0, 1.0)
    assert ImageToImage(prompt="x", image=image, strength=0.5).strengths() == (0.5,)

from __future__ import annotations

import pytest

from paintdiff.errors import RequestError, SizeError, UnknownNameError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.requests import MAX_SEED, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.tasks.resolve.sampling import (
    resolve_sampler,
    resolve_seed,
    resolve_size,
    resolve_steps,
)
from paintdiff.tasks.text_to_image import resolve


@pytest.fixture(scope="module")
def row() -> ModelRow:
    return Catalog.default().find(ModelRow, "mini")


def test_sizes_are_filled_rounded_and_checked(row: ModelRow) -> None:
    assert resolve_size(None, None, row) == (Size(128, 128), ())
    assert resolve_size(64, None, row) == (Size(64, 128), ())
    size, warnings = resolve_size(100, 99, row)
    assert size == Size(104, 96)
    assert "100x99 became 104x96" in warnings[0]
    for width, height in ((16, 128), (5000, 128), (4096, 4096)):
        with pytest.raises(SizeError) as caught:
            resolve_size(width, height, row)
        assert caught.value.field == "width"


def test_a_preset_with_too_many_steps_gives_way_a_person_is_asked(row: ModelRow) -> None:
    general = row.model_copy(
        update={
            "quality": {"high": row.figures("high").model_copy(update={"num_inference_steps": 100})}
        }
    )
    steps, warnings = resolve_steps(None, "high", "LCM", general)
    assert steps == 50
    assert "at most 50" in warnings[0]
    with pytest.raises(RequestError, match="at most 50 steps, not 100") as caught:
        resolve_steps(100, "high", "LCM", general)
    assert caught.value.field == "num_inference_steps"
    assert resolve_steps(100, "high", "DDIM", general) == (100, ())


def test_seeds_are_drawn_and_leave_room_for_the_batch(row: ModelRow) -> None:
    drawn = {resolve_seed(None, 64) for _ in range(50)}
    assert len(drawn) == 50
    assert all(0 <= seed <= MAX_SEED - 63 for seed in drawn)
    assert resolve_seed(MAX_SEED, 1) == MAX_SEED
    with pytest.raises(RequestError, match=str(MAX_SEED)):
        resolve_seed(MAX_SEED, 2)


def test_samplers_are_found_or_refused(row: ModelRow) -> None:
    assert resolve_sampler(None, row) == row.sampler
    assert resolve_sampler("heun", row) == "Heun"
    with pytest.raises(UnknownNameError):
        resolve_sampler("magic", row)


def test_what_was_given_stays(row: ModelRow) -> None:
    request = TextToImage(
        prompt="x",
        width=64,
        height=72,
        num_inference_steps=5,
        guidance_scale=0.0,
        sampler="Heun",
        seed=0,
    )
    settled, warnings = resolve(request, row)
    assert settled == request
    assert warnings == ()


def test_a_settled_request_settles_to_itself(row: ModelRow) -> None:
    settled, _ = resolve(TextToImage(prompt="x", width=100), row)
    assert resolve(settled, row) == (settled, ())


def test_a_negative_prompt_without_guidance_is_told(row: ModelRow) -> None:
    request = TextToImage(prompt="x", negative_prompt="fog", guidance_scale=1.0)
    _, warnings = resolve(request, row)
    assert "no effect" in warnings[0]
    assert resolve(request.model_copy(update={"guidance_scale": 1.1}), row)[1] == ()
    assert resolve(request.model_copy(update={"negative_prompt": " "}), row)[1] == ()

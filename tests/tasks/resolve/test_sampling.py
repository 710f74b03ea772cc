from __future__ import annotations

import pytest

from paintdiff.errors import RequestError, SizeError, UnknownNameError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.requests import MAX_SEED, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.resolve.sampling import (
    resolve_sampler,
    resolve_seed,
    resolve_size,
    resolve_steps,
)
from paintdiff.tasks.text_to_image import resolve as resolve_painting
from tests.tasks.contexts import resolve_context


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.default()


@pytest.fixture(scope="module")
def row(catalog: Catalog) -> ModelRow:
    return catalog.find(ModelRow, "mini")


@pytest.fixture
def context(catalog: Catalog) -> ResolveContext:
    return resolve_context(catalog)


def resolve(
    request: TextToImage, catalog: Catalog, row: ModelRow | None = None
) -> tuple[TextToImage, list[str]]:
    context = resolve_context(catalog, row)
    return resolve_painting(request, context), context.warnings


def test_sizes_are_filled_rounded_and_checked(context: ResolveContext) -> None:
    assert resolve_size(None, None, context) == Size(128, 128)
    assert resolve_size(64, None, context) == Size(64, 128)
    assert context.warnings == []
    assert resolve_size(100, 99, context) == Size(104, 96)
    (warning,) = context.warnings
    assert "100x99 became 104x96" in warning
    for width, height in ((16, 128), (5000, 128), (4096, 4096)):
        with pytest.raises(SizeError) as caught:
            resolve_size(width, height, context)
        assert caught.value.field == "width"


def test_a_preset_with_too_many_steps_gives_way_a_person_is_asked(
    row: ModelRow, catalog: Catalog
) -> None:
    general = row.model_copy(
        update={
            "quality": {"high": row.figures("high").model_copy(update={"num_inference_steps": 100})}
        }
    )
    assert resolve_steps(None, "high", "LCM", general) == 50
    request = TextToImage(prompt="x", quality="high", sampler="LCM")
    resolved, warnings = resolve(request, catalog, general)
    assert resolved.num_inference_steps == 50
    assert warnings == ["LCM takes at most 50 steps, so 50 were used instead of 100."]
    with pytest.raises(RequestError, match="at most 50 steps, not 100") as caught:
        resolve_steps(100, "high", "LCM", general)
    assert caught.value.field == "num_inference_steps"
    assert resolve_steps(100, "high", "DDIM", general) == 100


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


def test_what_was_given_stays(catalog: Catalog) -> None:
    request = TextToImage(
        prompt="x",
        width=64,
        height=72,
        num_inference_steps=5,
        guidance_scale=0.0,
        sampler="Heun",
        seed=0,
    )
    resolved, warnings = resolve(request, catalog)
    assert resolved == request
    assert warnings == []


def test_a_resolved_request_resolves_to_itself(catalog: Catalog) -> None:
    resolved, _ = resolve(TextToImage(prompt="x", width=100), catalog)
    assert resolve(resolved, catalog) == (resolved, [])


def test_a_negative_prompt_without_guidance_is_told(catalog: Catalog) -> None:
    request = TextToImage(prompt="x", negative_prompt="fog", guidance_scale=1.0)
    _, warnings = resolve(request, catalog)
    assert "no effect" in warnings[0]
    assert resolve(request.model_copy(update={"guidance_scale": 1.1}), catalog)[1] == []
    assert resolve(request.model_copy(update={"negative_prompt": " "}), catalog)[1] == []

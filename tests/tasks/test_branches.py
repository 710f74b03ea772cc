"""Branches: the first part of a run is the original's, the rest has other settings."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import RequestError
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.jobs.events import Picture, Progress
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Branch, HiresFix
from paintdiff.jobs.requests import ImageToImage, Painting, Request, TextToImage
from tests.job_helpers import pixels

REQUEST = TextToImage(
    prompt="a red house",
    negative_prompt="fog",
    width=64,
    height=64,
    num_inference_steps=6,
    seed=7,
    guidance_scale=4.0,
    sampler="Euler a",
)


def paint(engine: Engine, request: Request) -> tuple[Picture, list[bytes]]:
    """Return the picture, and what was predicted at each step."""
    frames: dict[int, Image.Image] = {}

    def record(progress: Progress) -> None:
        if progress.preview is not None:
            frames[progress.step] = progress.preview

    picture = engine.submit(request, on_step=record).result().pictures[0]
    return picture, [frames[step].tobytes() for step in sorted(frames)]


def with_branch(request: Painting = REQUEST, **changes: Any) -> Painting:
    branch = Branch.model_validate({"after_step": 3, **changes})
    return request.model_copy(update={"branches": (branch,)})


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a blue boat"},
        {"prompt": "a (blue:1.4) boat on a lake"},
        {"prompt": "word " * 100},
        {"negative_prompt": "rain"},
        {"guidance_scale": 9.0},
        {"seed": 8},
        {"prompt": "a blue boat", "guidance_scale": 2.0, "seed": 9},
    ],
)
def test_the_first_steps_are_the_originals_and_the_rest_is_not(
    tiny_engine: Engine, changes: dict[str, Any]
) -> None:
    original, before = paint(tiny_engine, REQUEST)
    picture, frames = paint(tiny_engine, with_branch(**changes))
    assert frames[:3] == before[:3]
    # The seed's noise is added after step 4 is predicted.
    assert all(a != b for a, b in zip(frames[4:], before[4:], strict=True))
    assert pixels(picture) != pixels(original)
    assert pixels(paint(tiny_engine, picture.request)[0]) == pixels(picture)


@pytest.mark.parametrize(
    "prompt", ["a (red:1.2) house", "a [red:green:0.4] house", "a house AND sky"]
)
def test_prompts_in_the_language_can_be_continued(tiny_engine: Engine, prompt: str) -> None:
    request = REQUEST.model_copy(update={"prompt": prompt})
    _, before = paint(tiny_engine, request)
    other = "a boat AND night" if "AND" in prompt else "a [boat:ship:5]"
    _, frames = paint(tiny_engine, with_branch(request, prompt=other))
    assert frames[:3] == before[:3]
    assert frames[3:] != before[3:]


@pytest.mark.parametrize("sampler", ["DDIM", "DPM++ 2M Karras", "Heun", "UniPC"])
def test_samplers_with_a_memory_go_on(tiny_engine: Engine, sampler: str) -> None:
    request = REQUEST.model_copy(update={"sampler": sampler})
    _, before = paint(tiny_engine, request)
    _, frames = paint(tiny_engine, with_branch(request, prompt="a boat", guidance_scale=6))
    assert frames[:3] == before[:3]
    assert frames[3:] != before[3:]


def test_a_branch_that_changes_nothing_is_the_original(tiny_engine: Engine) -> None:
    original, _ = paint(tiny_engine, REQUEST)
    same = with_branch(prompt=REQUEST.prompt, negative_prompt="fog", guidance_scale=4.0)
    assert pixels(paint(tiny_engine, same)[0]) == pixels(original)


def test_branches_follow_each_other(tiny_engine: Engine) -> None:
    first = Branch(after_step=2, prompt="a boat")
    second = Branch(after_step=4, guidance_scale=8)
    _, one = paint(tiny_engine, REQUEST.model_copy(update={"branches": (first,)}))
    _, both = paint(tiny_engine, REQUEST.model_copy(update={"branches": (first, second)}))
    assert both[:4] == one[:4]
    assert both[4:] != one[4:]


def test_a_run_from_a_picture_and_a_hires_fix_can_be_continued(tiny_engine: Engine) -> None:
    image = InputImage.from_image(tiny_engine.generate(REQUEST).pictures[0].image)
    from_picture = ImageToImage(
        **REQUEST.model_dump(exclude={"kind", "hires"}), image=image, strength=0.7
    )
    _, before = paint(tiny_engine, from_picture)
    _, frames = paint(tiny_engine, with_branch(from_picture, prompt="a boat"))
    assert len(frames) == 4
    assert frames[:3] == before[:3]
    assert frames[3] != before[3]
    hires = HiresFix(scale=2, upscaler="latent", strength=0.5)
    large = REQUEST.model_copy(update={"hires": hires})
    _, before = paint(tiny_engine, large)
    _, frames = paint(tiny_engine, with_branch(large, prompt="a boat"))
    assert frames[:3] == before[:3]
    assert all(a != b for a, b in zip(frames[3:], before[3:], strict=True))


def test_saved_settings_have_the_branches(tiny_engine: Engine, saving_engine: Engine) -> None:
    picture = saving_engine.generate(with_branch(prompt="a blue boat", seed=5)).pictures[0]
    assert picture.path is not None
    request = read_request(picture.path)
    assert request == picture.request
    assert pixels(tiny_engine.generate(request).pictures[0]) == pixels(picture)


@pytest.mark.parametrize(
    ("request_", "field", "match"),
    [
        (with_branch(after_step=6), "branches.0.after_step", "after step 1 to 5, not 6"),
        (with_branch(REQUEST.model_copy(update={"num_inference_steps": 1})), None, "too few steps"),
        (with_branch(guidance_scale=1.0), "branches.0.guidance_scale", "same side of 1"),
        (with_branch(prompt="a AND b"), "branches.0.prompt", "as many parts"),
        (with_branch(prompt="a <lora:x:1>"), "branches.0.prompt", "LoRAs"),
        (
            with_branch(REQUEST.model_copy(update={"prompt_syntax": "plain"}), prompt="a boat"),
            "branches.0.prompt",
            "plain text",
        ),
        (
            REQUEST.model_copy(
                update={"branches": (Branch(after_step=3, seed=1), Branch(after_step=3, seed=2))}
            ),
            "branches.1.after_step",
            "after step 4 to 5, not 3",
        ),
    ],
)
def test_what_cannot_be_continued_is_refused(
    tiny_engine: Engine, request_: Painting, field: str | None, match: str
) -> None:
    with pytest.raises(RequestError, match=match) as caught:
        tiny_engine.submit(request_)
    if field is not None:
        assert caught.value.field == field


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_a_template_is_used_as_it_is_which_is_said(tiny_engine: Engine, field: str) -> None:
    finished = tiny_engine.generate(with_branch(**{field: "a {red|blue} house"}))
    assert any("braces and wildcards are read as words" in each for each in finished.warnings)
    finished = tiny_engine.generate(with_branch(**{field: "a blue house"}))
    assert not any("braces" in each for each in finished.warnings)


def test_a_seed_without_effect_is_said(tiny_engine: Engine) -> None:
    request = REQUEST.model_copy(update={"sampler": "DDIM"})
    finished = tiny_engine.generate(with_branch(request, seed=1))
    assert any("DDIM adds no noise" in each for each in finished.warnings)

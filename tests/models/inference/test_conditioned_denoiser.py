"""Prompts that change during a run, and several at once, with everything else that a run has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from paintdiff.imaging.geometry import Box, Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.conditioning.prompt_plan import PromptReading, PromptTiming
from paintdiff.models.inference.denoising_run import Control, Denoising, Repainting, Source
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.samplers import SAMPLERS
from paintdiff.models.registry.speed_profiles import EXACT
from tests.tiny_families import save_tiny_family

RUN = Denoising(
    **{"prompt": "a red house", "negative_prompt": "snow", "size": Size(64, 64)},
    **{"num_inference_steps": 6, "guidance_scale": 5.0, "sampler": "DDIM", "seed": 3},
    reading=PromptReading("a1111"),
)
CHANGING = "[a red house:a blue boat:0.5]"


def paint(leased: LeasedPipeline, run: Denoising, prompt: str | None = None) -> torch.Tensor:
    changed = run if prompt is None else replace(run, prompt=prompt)
    return leased.denoise(changed, lambda _step, _preview: None)


@contextmanager
def record_words(leased: LeasedPipeline) -> Iterator[list[torch.Tensor]]:
    """Record the text embeddings of each call of the UNet."""
    seen: list[torch.Tensor] = []

    def hook(_module: Any, _args: Any, settings: dict[str, Any]) -> None:
        seen.append(settings["encoder_hidden_states"].clone())

    handle = leased.pipeline.unet.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def name_texts(seen: list[torch.Tensor]) -> str:
    """Return a letter for each embedding of the half with the prompt, the same for equal ones."""
    known: list[torch.Tensor] = []
    letters = ""
    for words in seen:
        half = words.chunk(2)[1]
        place = next((at for at, one in enumerate(known) if torch.equal(one, half)), len(known))
        if place == len(known):
            known.append(half)
        letters += "abcdef"[place]
    return letters


@pytest.fixture
def leased(tiny_manager: ModelManager) -> Iterator[LeasedPipeline]:
    with tiny_manager.lease("mini") as made:
        yield made


DIFFUSION_SAMPLERS = [name for name, each in SAMPLERS.items() if each.kind == "diffusion"]


@pytest.mark.parametrize("sampler", DIFFUSION_SAMPLERS)
def test_every_sampler_changes_at_the_step(sampler: str, leased: LeasedPipeline) -> None:
    run = replace(RUN, sampler=sampler)
    with record_words(leased) as seen:
        paint(leased, run, "[a red house:a blue boat:2]")
    letters = name_texts(seen)
    assert set(letters) == {"a", "b"} and letters == "".join(sorted(letters))
    # Samplers that call the model twice per step do so within it: the last step has one call.
    calls = {6: 2, 11: 4, 7: 3}[len(letters)]
    assert letters.count("a") == calls


def test_options_alternate_step_by_step(leased: LeasedPipeline) -> None:
    with record_words(leased) as seen:
        paint(leased, RUN, "[a cat|a dog|snow]")
    assert name_texts(seen) == "abcabc"


def test_texts_without_a_change_paint_what_the_text_paints(leased: LeasedPipeline) -> None:
    plain = paint(leased, RUN)
    assert torch.equal(plain, paint(leased, RUN, "[a red house:a boat:99]"))
    assert torch.equal(plain, paint(leased, RUN, "[a red house|a red house]"))
    changed = paint(leased, RUN, CHANGING)
    assert not torch.equal(plain, changed)
    negative = replace(RUN, negative_prompt="[snow:sea:0.5]")
    assert not torch.equal(plain, paint(leased, negative))


def test_and_composes_weighted_predictions(leased: LeasedPipeline) -> None:
    run = replace(RUN, num_inference_steps=1)
    plain = {text: paint(leased, run, text) for text in ("a cat", "a dog")}
    without = paint(leased, replace(run, prompt="snow", negative_prompt="snow"))
    both = paint(leased, run, "a cat AND a dog :0.5")
    # One DDIM step from noise to picture is linear in the prediction.
    expected = plain["a cat"] + 0.5 * (plain["a dog"] - without)
    torch.testing.assert_close(both, expected, atol=1e-4, rtol=1e-4)
    one = paint(leased, run, "a cat AND a dog :0")
    torch.testing.assert_close(one, plain["a cat"], atol=1e-5, rtol=1e-5)
    alike = paint(leased, run, "a cat :0.4 AND a cat :0.6")
    torch.testing.assert_close(alike, plain["a cat"], atol=1e-5, rtol=1e-5)


def test_and_without_guidance_is_the_weighted_mean(leased: LeasedPipeline) -> None:
    run = replace(RUN, num_inference_steps=1, guidance_scale=1.0)
    cat, dog, both = (paint(leased, run, text) for text in ("a cat", "a dog", "a cat AND a dog :3"))
    torch.testing.assert_close(both, (cat + 3 * dog) / 4, atol=1e-4, rtol=1e-4)


def test_a_second_pass_and_a_run_from_a_picture_count_their_own_steps(
    leased: LeasedPipeline,
) -> None:
    source = Source(Image.new("RGB", (64, 64), "#804020"), 0.5)
    run = replace(RUN, num_inference_steps=8, source=source)
    again = leased.for_task("image_to_image")
    with record_words(leased) as seen:
        paint(again, run, CHANGING)
    assert name_texts(seen) == "aabb"
    second = replace(run, timing=PromptTiming(steps_before=10))
    for prompt, letters in (
        ("[a cat:a dog:1.5]", "aabb"),
        ("[a cat:a dog:11]", "abbb"),
        ("[a cat:a dog:0.5]", "aaaa"),
    ):
        with record_words(leased) as seen:
            paint(again, second, prompt)
        assert name_texts(seen) == letters


def test_windows_controls_and_inpainting_see_the_texts_of_each_step(
    tiny_manager: ModelManager,
) -> None:
    windows = (Box(0, 0, 64, 64), Box(32, 0, 96, 64))
    control = Control("mini-sketch", Image.effect_noise((96, 64), 60).convert("RGB"))
    mask = Image.new("L", (96, 64), 0)
    mask.paste(255, (16, 16, 64, 48))
    picture = Image.effect_noise((96, 64), 60).convert("RGB")
    wide = replace(RUN, size=Size(96, 64))
    runs = {
        "text_to_image": replace(wide, windows=windows, controls=(control,)),
        "inpaint": replace(
            wide, source=Source(picture, 1.0, Repainting(mask)), controls=(control,)
        ),
    }
    for task, run in runs.items():
        with tiny_manager.lease("mini", task, controlnets=("mini-sketch",)) as leased:
            with record_words(leased) as seen:
                changed = paint(leased, run, CHANGING)
            first, last = (paint(leased, run, text) for text in ("a red house", "a blue boat"))
            assert not torch.equal(changed, first) and not torch.equal(changed, last)
            times = len(run.windows) or 1
            assert name_texts(seen) == "aaa" + "b" * 3 if times == 1 else "a" * 6 + "b" * 6
            both = paint(leased, run, "a red house AND a red house :0")
            torch.testing.assert_close(both, first, atol=1e-4, rtol=1e-4)


TURBO = EXACT.model_copy(update={"feature_interval": 3, "guidance_end": 0.7})


def test_cached_features_are_of_the_text_that_is_read(tiny_manager: ModelManager) -> None:
    run = replace(RUN, num_inference_steps=9)
    with tiny_manager.lease("mini", profile=TURBO) as leased:
        assert leased.profile.feature_interval == 3
        plain = paint(leased, run)
        assert torch.equal(plain, paint(leased, run, "[a red house:a boat:99]"))
        with tiny_manager.lease("mini") as exact:
            end = replace(run, guidance_scale=1.0)
            # Where each step has another text, no features can be reused.
            alternating = paint(leased, end, "[a cat|a dog]")
            assert torch.equal(alternating, paint(exact, end, "[a cat|a dog]"))
        both = paint(leased, run, "a red house AND a boat :0")
        torch.testing.assert_close(both, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["sdxl", "sd3"])
def test_other_families_change_and_compose_too(family: str, tmp_path: Path) -> None:
    save_tiny_family(family, tmp_path / family)
    catalog = Catalog.default().with_source(str(tmp_path / family))
    run = replace(RUN, sampler=catalog.rows(ModelRow)[-1].sampler, num_inference_steps=3)
    with ModelManager(catalog, device="cpu").lease(family) as leased:
        first, last = (paint(leased, run, text) for text in ("a red house", "a blue boat"))
        changed = paint(leased, run, CHANGING)
        assert not torch.equal(changed, first) and not torch.equal(changed, last)
        assert torch.equal(paint(leased, run, "[a red house:a boat:99]"), first)
        both = paint(leased, run, "a red house AND a blue boat :0")
        torch.testing.assert_close(both, first, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(paint(leased, run, "a red house AND a blue boat"), first)

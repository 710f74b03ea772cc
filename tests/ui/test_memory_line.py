"""The line below Generate that says whether a picture fits into memory."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from paintdiff.imaging.geometry import Size
from paintdiff.models.memory.planner import Forecast
from paintdiff.models.memory.plans import Plan, Planned
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.painting.painting_tab import PaintingTab, TabInputs
from paintdiff.ui.tabs.control import ControlInputs
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.inpaint import InpaintInputs
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from tests.loops import inside_a_loop
from tests.ui.fake_engine import FakeEngine
from tests.ui.test_tabs import opened, studio_of

GIB = 2**30


def page_of(studio: PaintingTab) -> dict[Any, Any]:
    return {each: each.value for each in studio.asked() if hasattr(each, "value")}


def _with_blocks(kind: Any, parts: PageContext) -> tuple[PaintingTab, gr.Blocks]:
    with gr.Blocks() as blocks:
        return PaintingTab.built(parts, kind(parts)), blocks


def forecast(plan: Plan | None, needed: float) -> Forecast:
    planned = None if plan is None else Planned(plan, 0, int(needed * GIB))
    return Forecast(planned, int(needed * GIB), 8 * GIB)


@pytest.mark.parametrize(
    "foretold, words, warns",
    [
        (forecast(Plan(), 1.1), "", False),
        (forecast(Plan(), 0.1), "", False),
        (forecast(Plan(vae_tile_px=512), 3), "3.0 of 8.0 GiB, decoded in tiles of 512.", False),
        (
            forecast(Plan("models"), 5.1),
            "Fits: about 5.1 of 8.0 GiB, weights offloaded to RAM.",
            True,
        ),
        (forecast(Plan(part=0.5), 5.1), "half the size", True),
        (forecast(None, 9), "Won&#x27;t fit: needs about 9.0 GiB, but only 8.0 GiB is free", True),
    ],
)
def test_it_says_what_it_takes_to_fit_a_picture_into_memory(
    foretold: Forecast, words: str, warns: bool, parts: PageContext, engine: FakeEngine
) -> None:
    studio = studio_of(TextToImageInputs, parts)
    size_of = studio.ingredients.sizing(studio.form).size
    page = page_of(studio) | {studio.form.width: 256, studio.form.height: 192}
    assert studio.memory_words(page, size_of) == "", "nobody knows"
    engine.forecasts[Size(256, 192)] = foretold
    said = studio.memory_words(page, size_of)
    assert words in said if words else said == ""
    assert ("note warning" in said) == warns
    assert engine.foreseen[-1] == ("mini", Size(256, 192), None)


def test_it_knows_of_a_second_pass(parts: PageContext, engine: FakeEngine) -> None:
    studio = studio_of(TextToImageInputs, parts)
    own = studio.ingredients.inputs()
    page = page_of(studio) | {own["hires_on"]: True, own["hires_scale"]: 2}
    studio.memory_words(page, studio.ingredients.sizing(studio.form).size)
    assert engine.foreseen == [("mini", Size(128, 128), Size(256, 256))]


@pytest.mark.parametrize(
    "kind, size",
    [
        (TextToImageInputs, Size(128, 128)),
        (ImageToImageInputs, Size(160, 104)),
        (InpaintInputs, Size(160, 104)),
        (ControlInputs, Size(128, 128)),
    ],
)
def test_it_follows_model_and_size_and_is_told_with_the_size(
    kind: type[TabInputs], size: Size, parts: PageContext, engine: FakeEngine
) -> None:
    studio, blocks = inside_a_loop(lambda: _with_blocks(kind, parts))
    (function,) = [each for each in blocks.fns.values() if studio.fits in each.outputs]
    form, triggers = studio.form, {target[0] for target in function.targets}
    followed = (form.model, form.width, form.height) if kind.sized else (form.model,)
    assert {each._id for each in followed} <= triggers  # pyright: ignore[reportPrivateUsage]

    drawn = {canvas: opened(parts) for canvas in studio.canvases()}
    shown = {each: drawn.get(each, each.value) for each in function.inputs}
    function.fn(shown)
    assert engine.foreseen == [("mini", size, None)]


def test_without_a_picture_nothing_is_said(parts: PageContext, engine: FakeEngine) -> None:
    studio = studio_of(ImageToImageInputs, parts)
    page = page_of(studio)
    page = {each: None if each in studio.canvases() else value for each, value in page.items()}
    assert studio.memory_words(page, studio.ingredients.sizing(studio.form).size) == ""
    assert engine.foreseen == []

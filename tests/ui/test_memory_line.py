"""The line below Generate that says whether a picture fits into memory."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from paintdiff.imaging.geometry import Size
from paintdiff.models.memory.planner import Forecast
from paintdiff.models.memory.plans import Plan, Planned
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.painting.painting_tab import PaintingTab
from paintdiff.ui.painting.tab_inputs import TabInputs
from paintdiff.ui.tabs.control import ControlInputs
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.inpaint import InpaintInputs
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from tests.loops import inside_a_loop
from tests.ui.fake_engine import FakeEngine
from tests.ui.test_tabs import opened, tab_of

GIB = 2**30


def page_of(tab: PaintingTab) -> dict[Any, Any]:
    return {each: each.value for each in tab.request_inputs() if hasattr(each, "value")}


def _with_blocks(kind: Any, context: PageContext) -> tuple[PaintingTab, gr.Blocks]:
    with gr.Blocks() as blocks:
        return PaintingTab.build(context, kind(context)), blocks


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
    foretold: Forecast, words: str, warns: bool, context: PageContext, engine: FakeEngine
) -> None:
    tab = tab_of(TextToImageInputs, context)
    size_of = tab.tab_inputs.sizing(tab.form).size
    page = page_of(tab) | {tab.form.width: 256, tab.form.height: 192}
    assert tab.describe_memory(page, size_of) == "", "nobody knows"
    engine.forecasts[Size(256, 192)] = foretold
    said = tab.describe_memory(page, size_of)
    assert words in said if words else said == ""
    assert ("note warning" in said) == warns
    assert engine.foreseen[-1] == ("mini", Size(256, 192), None)


def test_it_knows_of_a_second_pass(context: PageContext, engine: FakeEngine) -> None:
    tab = tab_of(TextToImageInputs, context)
    own = tab.tab_inputs.inputs()
    page = page_of(tab) | {own["hires_on"]: True, own["hires_scale"]: 2}
    tab.describe_memory(page, tab.tab_inputs.sizing(tab.form).size)
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
    kind: type[TabInputs], size: Size, context: PageContext, engine: FakeEngine
) -> None:
    tab, blocks = inside_a_loop(lambda: _with_blocks(kind, context))
    (function,) = [each for each in blocks.fns.values() if tab.fits in each.outputs]
    form, triggers = tab.form, {target[0] for target in function.targets}
    followed = (form.model, form.width, form.height) if kind.sized else (form.model,)
    assert {each._id for each in followed} <= triggers  # pyright: ignore[reportPrivateUsage]

    drawn = {canvas: opened(context) for canvas in tab.canvases()}
    shown = {each: drawn.get(each, each.value) for each in function.inputs}
    function.fn(shown)
    assert engine.foreseen == [("mini", size, None)]


def test_without_a_picture_nothing_is_said(context: PageContext, engine: FakeEngine) -> None:
    tab = tab_of(ImageToImageInputs, context)
    page = page_of(tab)
    page = {each: None if each in tab.canvases() else value for each, value in page.items()}
    assert tab.describe_memory(page, tab.tab_inputs.sizing(tab.form).size) == ""
    assert engine.foreseen == []

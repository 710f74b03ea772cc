"""Grids from the page: the drawer, the count before the start, and the stage that fills."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from paintdiff.errors import MemoryBudgetError
from paintdiff.jobs.events import CellDone, Finished, Picture, Progress
from paintdiff.jobs.requests import Grid, TextToImage
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.painting.painting_tab import PaintingTab
from paintdiff.ui.run import job_view
from paintdiff.ui.settings import grid_drawer
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from tests.loops import inside_a_loop
from tests.ui.fake_engine import WORDS, FakeEngine, FakeJob
from tests.ui.painting.test_painting_tab import values


@pytest.fixture
def tab(context: PageContext) -> PaintingTab:
    def build() -> PaintingTab:
        with gr.Blocks():
            return PaintingTab.build(context, TextToImageInputs(context))

    return inside_a_loop(build)


AXES = {
    "grid_kind": "axes",
    "grid_x": "num_inference_steps",
    "grid_x_values": "1-4",
    "grid_y": "prompt_replace",
    "grid_y_values": "cat, dog, <b>fox",
}


def started(tab: PaintingTab, engine: FakeEngine, **changed: Any) -> FakeJob:
    updates = tab.start(values(tab, **changed))
    return engine.jobs[updates[tab.run_panel.job]]


def said(tab: PaintingTab, field: str, **changed: Any) -> str:
    """What stands beside a field after Generate."""
    updates = tab.start(values(tab, **changed))
    return updates[tab.notes[field]]


def test_the_axes_make_a_grid(tab: PaintingTab, engine: FakeEngine) -> None:
    request = started(tab, engine, **AXES).request
    assert isinstance(request, Grid)
    assert request.base.prompt == "a cat"
    assert request.x.values == ("1-4",)
    assert request.y is not None
    assert request.y.values == ("cat", "dog", "<b>fox")


def test_a_grid_that_is_off_changes_nothing(tab: PaintingTab, engine: FakeEngine) -> None:
    request = started(tab, engine, **{**AXES, "grid_kind": "off"}).request
    assert isinstance(request, TextToImage)


def test_a_matrix_and_lines(tab: PaintingTab, engine: FakeEngine) -> None:
    matrix = started(tab, engine, grid_kind="matrix", prompt="a cat|in snow|at night").request
    assert isinstance(matrix, Grid)
    assert matrix.base.prompt == "a cat"
    lines = started(tab, engine, grid_kind="lines", grid_lines="a\nb --steps 3", prompt="").request
    assert isinstance(lines, Grid)
    assert lines.x.values == ("a", "b --steps 3")


@pytest.mark.parametrize(
    ("field", "changed", "words"),
    [
        ("x", {"grid_kind": "axes"}, "Choose a setting"),
        ("x", {**AXES, "grid_x_values": "1-900"}, "at most 500 values"),
        ("prompt", {"grid_kind": "matrix"}, "A prompt matrix needs"),
        ("grid.lines", {"grid_kind": "lines"}, "at least one prompt"),
        ("num_images", {**AXES, "num_images": 2}, "Each cell"),
    ],
)
def test_mistakes_stand_beside_their_field(
    tab: PaintingTab, field: str, changed: dict[str, Any], words: str
) -> None:
    assert words in said(tab, field, **changed)


def test_count_and_time_are_shown_before_the_start(tab: PaintingTab) -> None:
    shown = tab.describe_grid(values(tab, **AXES))
    assert "12 pictures, about 12 s." in shown[tab.grid.forecast]
    assert tab.describe_grid(values(tab)) == {tab.grid.forecast: ""}


def test_nothing_is_asked_for_each_key(tab: PaintingTab) -> None:
    names = {event.event_name for event in tab.grid.events()}
    assert "input" not in names
    boxes = [box for _, box in tab.grid._axes.values()]  # pyright: ignore[reportPrivateUsage]
    assert all(box.change not in tab.grid.events() for box in boxes)


def test_names_are_filled_into_an_empty_box(tab: PaintingTab) -> None:
    offer = tab.grid._offer_values  # pyright: ignore[reportPrivateUsage]
    assert offer("quality", "", "mini").value == "Draft, Balanced, High"
    assert "DDIM" in str(offer("sampler", "", "mini").value)
    assert offer("quality", "high", "mini").value is None
    assert "1-10 (+3)" in str(offer("seed", "", "mini").placeholder)


def test_it_survives_a_reload_and_comes_back_from_a_sheet(tab: PaintingTab) -> None:
    memory = BrowserState(settings={**AXES, "grid_z": "gone", "grid_lines": 7})
    restored = tab.grid.restore(memory)
    field, box = tab.grid._axes["x"]  # pyright: ignore[reportPrivateUsage]
    assert (restored[field], restored[box]) == ("num_inference_steps", "1-4")
    assert restored[tab.grid._axes["z"][0]] == grid_drawer.NOTHING  # pyright: ignore[reportPrivateUsage]
    grid = Grid.parse(
        {
            "base": {"prompt": "a cat", "kind": "text_to_image"},
            "x": {"field": "prompt_replace", "values": ["cat", 'a "b", c', ""]},
        }
    )
    filled = tab.fill(grid)
    assert filled[tab.prompt] == "a cat"
    assert filled[field] == "prompt_replace"
    again = Grid.parse({"base": grid.base, "x": {"field": "prompt_replace", "values": filled[box]}})
    assert again.x == grid.x
    assert tab.fill(grid.base)[tab.grid.kind] == "off"


def test_the_stage_fills_cell_by_cell(tab: PaintingTab, engine: FakeEngine) -> None:
    job = started(tab, engine, **AXES)
    base = replace(Picture(Image.new("RGB", (8, 8)), job.cells[0].request), cell=0)
    job.finished = (base,)
    error = MemoryBudgetError("No <memory>.")
    job.cells_done = (CellDone(0, base), CellDone(1, error=error))
    job.latest = Progress(2, 4, 2, 12, preview=Image.new("RGB", (8, 8)))
    stage = job_view.build_view(job, job.latest, WORDS).stage or ""  # type: ignore[arg-type]
    assert stage.count("cell done") == 1
    assert stage.count("cell failed") == 1
    assert stage.count("cell current") == 1
    assert stage.count("cell waiting") == 9
    assert "No &lt;memory&gt;." in stage
    assert "&lt;b&gt;fox" in stage
    assert "<b>fox" not in stage


def test_the_end_offers_the_sheet(tab: PaintingTab, engine: FakeEngine) -> None:
    job = started(tab, engine, **AXES)
    cell = replace(Picture(Image.new("RGB", (8, 8)), job.cells[0].request), cell=0)
    sheet = Picture(Image.new("RGB", (80, 80)), job.request)
    job.latest = Finished((cell, sheet), (), 3.0, 2.0)
    view = job_view.build_view(job, job.latest, WORDS)  # type: ignore[arg-type]
    assert f"pictures/{job.id}/1.png?download=1" in (view.stage or "")
    assert view.state == "finished"


def test_a_large_grid_is_drawn_again_only_when_a_cell_is_done(
    tab: PaintingTab, engine: FakeEngine
) -> None:
    job = started(tab, engine, **{**AXES, "grid_x_values": "1-40"})
    job.latest = Progress(2, 4, 2, 120, preview=Image.new("RGB", (8, 8)))
    assert job_view.build_view(job, job.latest, WORDS, staged=False).stage is None  # type: ignore[arg-type]
    assert "<img" not in (job_view.build_view(job, job.latest, WORDS).stage or "")  # type: ignore[arg-type]


def test_a_time_budget_leaves_what_it_chooses_open(tab: PaintingTab, engine: FakeEngine) -> None:
    request = tab.request(values(tab, time_budget_seconds=10))
    assert isinstance(request, TextToImage)
    assert request.time_budget_seconds == 10
    assert (request.num_inference_steps, request.profile, request.width) == (None, None, None)
    assert "more than 0" in said(tab, "time_budget_seconds", time_budget_seconds=-1)

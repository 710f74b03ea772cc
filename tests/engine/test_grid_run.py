"""Grids: cell by cell through the code of single pictures, then a sheet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paintdiff.engine import grid_run
from paintdiff.engine.engine import Engine
from paintdiff.engine.worker import Run
from paintdiff.errors import MemoryBudgetError, RequestError
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.gallery.records.store import PictureQuery
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.jobs.events import (
    Cancelled,
    CellDone,
    Failed,
    Finished,
    Loading,
    Picture,
    Progress,
    Queued,
)
from paintdiff.jobs.grid_cells import Cell
from paintdiff.jobs.request_parts import Axis
from paintdiff.jobs.requests import Grid, TextToImage
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.tasks.resolve.grid import order_cells
from tests.job_helpers import pixels, story, until

HOUSE = TextToImage(prompt="a red house", seed=7, num_inference_steps=2)
GRID = Grid(
    base=HOUSE,
    x=Axis(field="steps", values=("1", "3")),
    y=Axis(field="prompt_replace", values=("red", "blue")),
)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path / "out")
    yield opened
    opened.close()


def cells_of(finished: Finished | Cancelled) -> list[Picture]:
    return [picture for picture in finished.pictures if picture.cell is not None]


def painting(picture: Picture) -> TextToImage:
    assert isinstance(picture.request, TextToImage)
    return picture.request


def break_cells(monkeypatch: pytest.MonkeyPatch, broken: set[int | None]) -> None:
    """Let memory run out in some cells, at the place where a pipeline is leased."""
    paint = Run._paint_with_plan  # pyright: ignore[reportPrivateUsage]

    def failing(self: Run, *arguments: Any) -> None:
        if self._job.cell in broken:  # pyright: ignore[reportPrivateUsage]
            raise MemoryBudgetError("No memory for this one.", 1)
        paint(self, *arguments)

    monkeypatch.setattr(Run, "_paint_with_plan", failing)


def test_each_cell_is_the_single_picture_to_the_last_bit(mini_engine: Engine) -> None:
    finished = mini_engine.generate(GRID)
    cells = cells_of(finished)
    assert sorted(each.cell for each in cells if each.cell is not None) == [0, 1, 2, 3]
    for picture in cells:
        request = painting(picture)
        assert request.num_images == 1
        single = mini_engine.generate(request).pictures[0]
        assert pixels(single) == pixels(picture)
    by_cell = {each.cell: painting(each) for each in cells}
    assert by_cell[1].num_inference_steps == 3
    assert by_cell[2].prompt == "a blue house"


def test_the_sheet_is_the_last_picture(tiny_engine: Engine) -> None:
    finished = tiny_engine.generate(GRID)
    sheet = finished.pictures[-1]
    assert isinstance(sheet.request, Grid)
    assert sheet.cell is None
    assert sheet.size.width > 2 * 128
    assert sheet.size.height > 2 * 128
    first = next(each for each in finished.pictures if each.cell == 0)
    raw = sheet.image.tobytes()
    assert raw.find(first.image.crop((0, 0, 128, 1)).tobytes()) > 0


def test_a_grid_tells_its_story(tiny_engine: Engine) -> None:
    told = story(tiny_engine, GRID)
    assert isinstance(told[0], Queued)
    done = [event for event in told if isinstance(event, CellDone)]
    assert [event.cell for event in done] == [0, 1, 2, 3]
    assert all(event.picture is not None for event in done)
    steps = [event for event in told if isinstance(event, Progress)]
    assert {(event.image_index, event.num_images) for event in steps} == {
        (index, 4) for index in range(4)
    }
    assert steps[-1].seconds_left is not None
    assert isinstance(told[-1], Finished)


def test_a_late_watcher_sees_each_cell_and_no_more(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(GRID)
    job.result(120)
    kept = [type(event) for event in job.events()]
    assert kept.count(CellDone) == 4
    assert kept.count(Progress) + kept.count(Loading) == 0
    assert len(job.cells_done) == 4


def test_the_seed_that_is_left_open_is_the_same_in_all_cells(tiny_engine: Engine) -> None:
    grid = GRID.model_copy(update={"base": HOUSE.model_copy(update={"seed": None})})
    job = tiny_engine.submit(grid)
    job.result(120)
    assert isinstance(job.request, Grid)
    assert job.request.base.seed is not None
    assert {painting(each).seed for each in job.pictures if each.cell is not None} == {
        job.request.base.seed
    }
    random = tiny_engine.submit(Grid(base=HOUSE, x=Axis(field="seed", values=("-1", "-1"))))
    assert isinstance(random.request, Grid)
    assert len({*random.request.x.values} - {"-1"}) == 2


@pytest.mark.parametrize(
    ("axes", "field", "words"),
    [
        ({"x": ("sampler", "DDIM, nonsense")}, "x", "Sampler, value 'nonsense'"),
        ({"x": ("seed", "1"), "y": ("model", "mini, gone")}, "y", "Model, value 'gone'"),
        ({"x": ("steps", "1-3"), "y": ("size", "64x64, 64x9000")}, "y", "Size, value '64x9000'"),
        ({"x": ("prompt_line", "a house\na cat --sampler_name Foo")}, "x", "Line 2"),
        ({"x": ("quality", "balanced, awful")}, "x", "Quality, value 'awful'"),
        ({"x": ("profile", "exact, awful")}, "x", "Speed, value 'awful'"),
        ({"x": ("lora", "gone")}, "x", "LoRA, value 'gone'"),
    ],
)
def test_all_values_are_checked_before_the_first_is_painted(
    tiny_engine: Engine, axes: dict[str, tuple[str, str]], field: str, words: str
) -> None:
    parts = {name: {"field": setting, "values": values} for name, (setting, values) in axes.items()}
    with pytest.raises(RequestError) as caught:
        tiny_engine.submit(Grid.parse({"base": HOUSE, **parts}))
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_cell_that_fails_costs_only_itself(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_cells(monkeypatch, {1})
    job = tiny_engine.submit(GRID)
    finished = job.result(120)
    assert sorted(each.cell for each in cells_of(finished) if each.cell is not None) == [0, 2, 3]
    assert isinstance(finished.pictures[-1].request, Grid)
    assert "One picture of 4 couldn't be painted" in finished.warnings[-1]
    failed = [done for done in job.cells_done if done.error is not None]
    assert [(done.cell, str(done.error)) for done in failed] == [(1, "No memory for this one.")]


def test_a_grid_fails_only_if_every_cell_does(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_cells(monkeypatch, {0, 1, 2, 3})
    job = tiny_engine.submit(GRID)
    with pytest.raises(MemoryBudgetError):
        job.result(120)
    assert isinstance(job.latest, Failed)
    tiny_engine.generate(HOUSE)  # and the engine goes on


def test_cancelling_keeps_what_is_finished_and_makes_a_sheet_of_it(tiny_engine: Engine) -> None:
    steps = Axis(field="steps", values=("1", "998", "998"))
    job = tiny_engine.submit(Grid(base=HOUSE, x=steps))
    until(job, CellDone)
    job.cancel()
    for _event in job.events(120):
        pass
    assert isinstance(job.latest, Cancelled)
    assert [each.cell for each in job.latest.pictures] == [0, None]


def test_a_grid_in_the_gallery(
    tiny_manager: ModelManager, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = PictureFolder(gallery.folder)
    with Engine(tiny_manager, store=folder, recorder=Recorder(gallery, folder)) as engine:
        finished = engine.generate(GRID)
        sheet = finished.pictures[-1]
        record = gallery.store.get(sheet.id)
        assert (record.kind, record.prompt, record.seed) == ("grid", "a red house", 7)
        children = gallery.store.children(sheet.id)
        assert {(child.kind, child.relation) for child in children} == {("text_to_image", "grid")}
        assert len(children) == 4
        assert gallery.store.count(PictureQuery(kind="text_to_image")) == 4
        again = gallery.load_request(record)
        assert again == finished.pictures[-1].request
        assert sheet.path is not None
        assert read_request(sheet.path) == again
        one = finished.pictures[1]
        assert one.path is not None
        assert read_request(one.path) == one.request


def test_pictures_beyond_the_limit_are_kept_reduced_once_saved(
    tiny_manager: ModelManager, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid_run, "KEPT_BYTES", 100_000)
    monkeypatch.setattr(grid_run, "_REDUCED_SIDE_PX", 16)
    with Engine(tiny_manager, store=PictureFolder(gallery.folder)) as engine:
        cells = cells_of(engine.generate(GRID))
    assert [each.is_reduced for each in cells] == [False, False, True, True]
    assert {each.size.width for each in cells} == {128}


def test_models_are_switched_least() -> None:
    requests = [
        HOUSE.model_copy(update={"model": model, "vae": vae})
        for vae in (None, "other")
        for model in ("a", "b", "c")
    ]
    cells = [Cell(index, (), request) for index, request in enumerate(requests)]
    ordered = [(each.request.model, each.request.vae) for each in order_cells(cells)]
    assert [model for model, _ in ordered] == ["a", "a", "b", "b", "c", "c"]
    assert ordered[:2] == [("a", None), ("a", "other")]

"""Enlarging a picture: its events, how it ends, and its memory."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paintdiff.engine.engine import Engine
from paintdiff.errors import (
    JobCancelledError,
    ModelLoadError,
    PaintError,
    StorageError,
)
from paintdiff.imaging import rasters
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.rasters import Raster
from paintdiff.jobs import events
from paintdiff.jobs.events import (
    MAX_IMAGE_PIXELS,
    REDUCED_SIDE_PX,
    Cancelled,
    Loading,
    Picture,
    Progress,
)
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.loaders import UPSCALER
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.upscaling.upscaler import LoadedUpscaler
from paintdiff.tasks import upscaling
from paintdiff.tasks.steps import Step
from paintdiff.tasks.upscale import enlarge
from paintdiff.tasks.upscaling import Extras, upscale_raster
from tests.gallery.test_png import written
from tests.tasks.pictures import difference, finished, photo
from tests.tasks.upscaling import (
    COLOUR,
    failing_at,
    gate_at,
    only,
    repeated,
    saved_pixels,
    sixteen,
    upscale,
)

# What is told


def test_each_tile_is_told_with_a_preview(
    tiny_manager: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscaling, "_PREVIEW_SECONDS", 0)
    steps: list[Step] = []
    sources = (photo(0, 100, 70), photo(1, 600, 20))
    with tiny_manager.lease_weights(UPSCALER, "double") as upscaler:
        request = upscale(*sources, tile_px=50)
        made = [one.raster.size for one in enlarge(request, upscaler, steps.append)]
    assert made == [Size(200, 140), Size(1200, 40)]
    for index, total in ((0, 4), (1, 12)):
        told = [step for step in steps if step.image_index == index]
        assert [step.step for step in told] == list(range(total + 1))
        assert {(step.stage, step.total_steps) for step in told} == {("upscaling", total)}
        assert told[0].preview is None
        previews = [step.preview for step in told[1:] if step.preview is not None]
        assert len(previews) == total
        assert {image.mode for image in previews} == {"RGB"}
        assert {max(image.size) for image in previews} == {(200, 256)[index]}
        brightness = [np.asarray(image, float).mean() for image in previews]
        assert all(after > before for before, after in pairwise(brightness))
        last = previews[-1].resize(sources[index].size)
        assert difference(last, sources[index]) < 30


def test_previews_are_not_made_more_often_than_they_can_be_seen(
    tiny_manager: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscaling, "_PREVIEW_SECONDS", 1000)
    steps: list[Step] = []
    with tiny_manager.lease_weights(UPSCALER, "double") as upscaler:
        list(enlarge(upscale(photo(), tile_px=32), upscaler, steps.append))
    assert len(steps) > 5
    assert [step.preview is not None for step in steps] == [False] * (len(steps) - 1) + [True]


def test_the_job_says_what_happens_and_how_long_it_takes(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Progress | Loading] = []
    with Engine(ModelManager(tiny_catalog, device="cpu")) as engine:
        gate = gate_at(monkeypatch, 3)
        job = engine.submit(upscale(photo(), photo(1), tile_px=50))
        gate.reached.wait(20)
        assert isinstance(job.latest, Progress)
        told.append(job.latest)
        gate.open.set()
        job.result(120)
        told += [event for event in job.events() if isinstance(event, Loading)]
    progress, loading = told[0], told[-1]
    assert isinstance(progress, Progress)
    assert isinstance(loading, Loading)
    assert (progress.stage, progress.step, progress.total_steps) == ("upscaling", 2, 6)
    assert (progress.image_index, progress.num_images) == (0, 2)
    assert progress.seconds_left is not None
    assert progress.seconds_left > 0
    assert loading.model == "double"


# Cancelling and failing


@pytest.fixture
def made_rasters(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Raster]]:
    """All that are made while enlarging."""
    made: list[weakref.ref[Raster]] = []

    class Noted(Raster):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(weakref.ref(self))

    monkeypatch.setattr(upscaling, "Raster", Noted)
    return made


def _held(made: list[weakref.ref[Raster]]) -> list[bool]:
    """Which of them hold memory, or a file."""
    found = [each() for each in made]
    return [raster is not None and raster.close.alive for raster in found]


def test_it_is_cancelled_within_a_tile_and_what_is_finished_is_kept(
    saving_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    made_rasters: list[weakref.ref[Raster]],
) -> None:
    gate = gate_at(monkeypatch, 8)  # the second of the second picture
    job = saving_engine.submit(upscale(photo(0), photo(1), photo(2), tile_px=50))
    assert gate.reached.wait(20)
    assert _held(made_rasters) == [False, True]
    job.cancel()
    gate.open.set()
    with pytest.raises(JobCancelledError):
        job.result(120)
    assert gate.calls == 8, "not one tile more"
    ended = job.latest
    assert isinstance(ended, Cancelled)
    (picture,) = ended.pictures
    assert saved_pixels(picture).shape == (192, 224, 3)
    gc.collect()
    assert _held(made_rasters) == [False, False], "its memory is free again"


def test_a_failure_is_told_and_frees_its_memory(
    saving_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    made_rasters: list[weakref.ref[Raster]],
    tmp_path: Path,
) -> None:
    failing_at(monkeypatch, 8, ModelLoadError("something broke"))
    job = saving_engine.submit(upscale(photo(0), photo(1), tile_px=50))
    with pytest.raises(PaintError, match="something broke"):
        job.result(120)
    assert len(list((tmp_path / "out").glob("20*/*.png"))) == 1, "the first is there"
    gc.collect()
    assert _held(made_rasters) == [False, False]
    assert only(saving_engine, upscale(photo(), scale=1)).size == Size(112, 96), "it goes on"


# Large pictures


def test_a_large_picture_is_shown_reduced_and_saved_whole(
    saving_engine: Engine, tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_IMAGE_PIXELS == REDUCED_SIDE_PX**2 == 2048**2
    monkeypatch.setattr(events, "MAX_IMAGE_PIXELS", 256**2)  # a smaller one is quicker
    monkeypatch.setattr(events, "REDUCED_SIDE_PX", 256)
    monkeypatch.setattr(LoadedUpscaler, "enlarge", repeated)
    source = photo(0, 66, 63)
    request = upscale(source, scale=4, upscaler="mini-upscaler")
    picture = only(saving_engine, request)
    assert picture.size == Size(264, 252)
    assert picture.is_reduced
    assert max(picture.image.size) == 256
    assert picture.raster is None
    whole = saved_pixels(picture)
    assert whole.shape == (252, 264, 3)
    assert np.abs(whole[::4, ::4].astype(int) - np.asarray(source)).max() <= 1
    assert difference(picture.image.resize(source.size), source) < 10
    kept = only(tiny_engine, request)
    assert kept.raster is not None, "nobody has saved it"
    assert np.array_equal(np.concatenate(list(kept.raster.rows())), whole)


class _Full:
    def save(self, picture: Picture) -> Path:
        raise StorageError("the disk is full")


def test_a_picture_that_cannot_be_saved_is_not_lost(tiny_manager: ModelManager) -> None:
    data = written(Raster.of(sixteen(COLOUR)))
    with Engine(tiny_manager, store=_Full()) as engine:
        done = finished(engine, upscale(data))
    (picture,) = done.pictures
    assert done.warnings == ("The picture was not saved: the disk is full",)
    assert picture.raster is not None
    assert picture.raster.complete
    assert picture.raster.bits == 16


def test_memory_does_not_grow_with_the_height(
    tiny_manager: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rasters, "_IN_MEMORY_BYTES", 2**20)
    monkeypatch.setattr(LoadedUpscaler, "enlarge", repeated)
    peaks: list[int] = []
    with tiny_manager.lease_weights(UPSCALER, "mini-upscaler") as upscaler:
        for height in (300, 2400):
            source = np.zeros((height, 96, 3), np.uint8)
            target = Size(96 * 4, height * 4)
            gc.collect()
            tracemalloc.start()
            made = upscale_raster(
                source, target, upscaler, lambda _step: None, 0, Extras(tile_px=64)
            )
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert made.raster.complete
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 2400 * 4 * 96 * 4 * 3, "less than the result alone would take"

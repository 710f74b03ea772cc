"""Run a grid: each cell as the run of a single picture, then the sheet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from paintdiff.engine import messages
from paintdiff.engine.picture_output import PictureOutput, describe_survived
from paintdiff.engine.progress import GridEstimate
from paintdiff.engine.worker import Run, make_failed_event
from paintdiff.errors import JobCancelledError, PaintError
from paintdiff.imaging.geometry import fit_within
from paintdiff.imaging.images import decode_image
from paintdiff.imaging.rasters import Raster
from paintdiff.imaging.sheets import MAX_SHEET_PIXELS, Sheet, SheetLabels, compose_sheet
from paintdiff.jobs.events import (
    Cancelled,
    CellDone,
    Event,
    Failed,
    Finished,
    Loading,
    Picture,
    Progress,
)
from paintdiff.jobs.grid_cells import Cell, list_labels
from paintdiff.jobs.job import Job
from paintdiff.jobs.requests import Grid, Painting

KEPT_BYTES = 256 * 2**20
"""How much the pictures of a grid may keep in memory in full; of further ones that were saved, a
reduced copy is kept.
"""
_REDUCED_SIDE_PX = 256
MAX_WARNINGS = 20
"""With so many warnings, those of further cells are left out."""

MakeRun = Callable[["CellJob"], Run]
"""Makes the run of a cell."""


class CellJob:
    """The job of one cell: a RunningJob that reports to its grid's."""

    def __init__(self, grid_job: Job, cell: Cell, place: int, estimate: GridEstimate) -> None:
        self.whole = grid_job
        self._place, self._estimate = place, estimate
        self.id = f"{grid_job.id}/{cell.index}"
        self.request: Painting = cell.request
        self.owner = grid_job.owner
        self.saves, self.sees_all, self.varied = grid_job.saves, grid_job.sees_all, grid_job.varied
        self.on_step = grid_job.on_step
        self.cell: int | None = cell.index
        self.pictures: tuple[Picture, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the grid's warnings."""
        return self.whole.warnings

    def emit(self, event: Event) -> None:
        """Add an event to the grid's, as a part of the whole."""
        if isinstance(event, Progress):
            event = replace(
                event,
                image_index=self._place,
                num_images=len(self.whole.cells),
                seconds_left=self._estimate.seconds_left(event),
            )
        if isinstance(event, (Loading, Progress)):
            self.whole.emit(event)

    def add_picture(self, picture: Picture) -> None:
        """Add a finished picture; the grid gets it when the cell has ended."""
        self.pictures += (picture,)

    def warn(self, sentences: tuple[str, ...]) -> None:
        """Add warnings that the grid doesn't have yet."""
        known = self.whole.warnings
        fresh = tuple(each for each in dict.fromkeys(sentences) if each not in known)
        if fresh and len(known) < MAX_WARNINGS:
            self.whole.warn(fresh)

    def raise_if_cancelled(self) -> None:
        """Raise JobCancelledError if the grid was cancelled."""
        self.whole.raise_if_cancelled()


class GridRun:
    """The run of a grid's job. A cell that fails costs only itself."""

    def __init__(self, job: Job, make_run: MakeRun, output: PictureOutput) -> None:
        self._job, self._make_run, self._output = job, make_run, output
        self._estimate = GridEstimate([cell.request for cell in job.cells])
        self._small: dict[int, Image.Image] = {}
        self._failures: dict[int, Exception] = {}
        self._kept_bytes = 0
        self._steps_per_second = 0.0

    @property
    def steps_per_second(self) -> float:
        """Steps per second of the last cell's denoising; 0.0 before the first is denoised."""
        return self._steps_per_second

    def execute(self) -> Event:
        """Paint all cells and the sheet; return the event that ends the job."""
        began = time.perf_counter()
        if any(isinstance(each.request, Grid) for each in self._job.pictures):
            return self._finish(began)  # an earlier process made the sheet, too
        try:
            for place, cell in enumerate(self._job.cells):
                self._job.raise_if_cancelled()
                if not self._take_up(cell):
                    self._paint(cell, place)
        except JobCancelledError:
            if self._small and not self._job.suspended:
                self._add_sheet()
            return Cancelled(self._job.pictures)
        if not self._small:
            return Failed(next(iter(self._failures.values())))
        if self._failures:
            count = len(self._failures)
            self._job.warn((messages.cells_failed(count, len(self._job.cells)),))
        self._add_sheet()
        return self._finish(began)

    def _finish(self, began: float) -> Finished:
        job, seconds = self._job, time.perf_counter() - began
        return Finished(job.pictures, job.warnings, seconds, self._steps_per_second)

    def _take_up(self, cell: Cell) -> bool:
        """Take a cell's picture from an earlier process; return whether there is one."""
        found = next((each for each in self._job.pictures if each.cell == cell.index), None)
        if found is None or found.path is None:
            return False
        self._estimate.skip_cell()
        try:
            self._small[cell.index] = self._reduce(decode_image(found.path))
        except PaintError as error:  # the picture is there, only the sheet lacks it
            self._failures[cell.index] = error
        self._job.emit(CellDone(cell.index, found))
        return True

    def _paint(self, cell: Cell, place: int) -> None:
        """Paint a cell.

        Raises:
            JobCancelledError: The job was cancelled, and the cell has no picture.
        """
        part = CellJob(self._job, cell, place, self._estimate)
        self._estimate.begin_cell()
        try:
            run = self._make_run(part)
            end = run.execute()
            self._steps_per_second = run.steps_per_second or self._steps_per_second
        except BaseException as error:
            end = make_failed_event(part, error)
        self._estimate.end_cell()
        if isinstance(end, Failed):
            self._failures[cell.index] = end.error
            self._job.emit(CellDone(cell.index, error=end.error))
        for picture in part.pictures:
            self._keep(cell, picture)
        if isinstance(end, Cancelled):
            raise JobCancelledError(messages.CELL_CANCELLED)

    def _keep(self, cell: Cell, picture: Picture) -> None:
        self._small[cell.index] = self._reduce(picture.image)
        self._kept_bytes += picture.held_bytes
        if picture.path is not None and self._kept_bytes > KEPT_BYTES:
            size = fit_within(picture.size, _REDUCED_SIDE_PX)
            image = picture.image.resize((size.width, size.height))
            self._kept_bytes += size.area * len(image.getbands()) - picture.held_bytes
            picture = replace(picture, image=image, whole_size=picture.size)
        self._job.add_picture(picture)
        self._job.emit(CellDone(cell.index, picture))

    def _reduce(self, image: Image.Image) -> Image.Image:
        """Return a picture that is no larger than it can be on the sheet."""
        side = int((MAX_SHEET_PIXELS / len(self._job.cells)) ** 0.5)
        if image.width * image.height <= side * side:
            return image
        small = image.copy()
        small.thumbnail((2 * side, 2 * side))
        return small

    def _add_sheet(self) -> None:
        """Add the sheet of the cells that are done. The cells aren't lost if it can't be made."""
        grid = self._job.request
        assert isinstance(grid, Grid)
        try:
            sheet = self._compose(grid)
            raster = Raster.of(np.asarray(sheet.image))
            picture = self._output.keep(
                self._job, Picture.of_raster(raster, grid, notes=sheet.notes)
            )
        except Exception as error:
            self._job.warn((describe_survived(messages.NO_SHEET, error),))
            return
        self._job.add_picture(picture)

    def _compose(self, grid: Grid) -> Sheet:
        labels = SheetLabels(*list_labels(grid))
        failures = {
            number: str(error) if isinstance(error, PaintError) else messages.PICTURE_FAILED
            for number, error in self._failures.items()
        }
        return compose_sheet(self._small, labels, failures)

"""Where finished pictures go. A picture that can't be saved isn't lost: its job gets a warning."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from paintdiff.engine import messages
from paintdiff.error_reports import report_unexpected
from paintdiff.errors import PaintError
from paintdiff.jobs.events import Picture
from paintdiff.jobs.job import RunningJob
from paintdiff.jobs.provenance import Provenance
from paintdiff.jobs.requests import Painting, Request
from paintdiff.models.loading.library_errors import as_memory_error

logger = logging.getLogger(__name__)


class PictureStore(Protocol):
    """A place where finished pictures are saved."""

    def save(self, picture: Picture) -> Path:
        """Save a picture and return its path. Raises StorageError."""
        ...


class PictureRecorder(Protocol):
    """A listener that hears of each picture before anybody else."""

    def record(self, job: RunningJob, picture: Picture) -> Picture:
        """Return the picture, with what the recorder adds. `path` is None if it wasn't saved."""
        ...


class PictureFinder(Protocol):
    """A place where earlier pictures are looked up."""

    def find(self, request: Request, provenance: Provenance, owner: str) -> Picture | None:
        """Return the saved picture that painting the request would give, None if there is none."""
        ...


@dataclass(frozen=True)
class PictureOutput:
    """A store that saves each finished picture, and a recorder that hears of it next.

    `finder` finds those that needn't be painted again.
    """

    store: PictureStore | None = None
    recorder: PictureRecorder | None = None
    finder: PictureFinder | None = None

    def find_earlier(
        self, job: RunningJob, request: Painting, provenance: Provenance
    ) -> tuple[Picture, ...]:
        """Return a request's pictures if all of them were painted before, () otherwise."""
        if self.finder is None or not job.saves:
            return ()
        found = [
            self.finder.find(request.for_image(index), provenance, job.owner)
            for index in range(request.num_images)
        ]
        pictures = tuple(each for each in found if each is not None)
        return pictures if len(pictures) == len(found) else ()

    def keep(self, job: RunningJob, picture: Picture) -> Picture:
        """Save and record a picture; return it with what they add. Whatever fails, warn the job.

        Nothing happens if the job's pictures aren't to be saved.
        """
        if not job.saves:
            return picture
        return self._record(job, self._save(job, picture))

    def _save(self, job: RunningJob, picture: Picture) -> Picture:
        if self.store is None:
            return picture
        try:
            path = self.store.save(picture)
        except BaseException as error:
            job.warn((describe_survived(messages.NOT_SAVED, error),))
            return picture
        if picture.raster is not None:
            picture.raster.close()
        return replace(picture, path=path, raster=None)

    def _record(self, job: RunningJob, picture: Picture) -> Picture:
        if self.recorder is None:
            return picture
        try:
            return self.recorder.record(job, picture)
        except BaseException as error:
            job.warn((describe_survived(messages.NOT_RECORDED, error),))
            return picture


def describe_survived(what: str, error: BaseException) -> str:
    """Log an error that the job survives, and return a sentence about it to show."""
    known = error if isinstance(error, PaintError) else as_memory_error(error)
    if known is None:
        return str(report_unexpected(logger, what, error))
    logger.warning("%s: %s", what, known, exc_info=error)
    return f"{what}: {known}"

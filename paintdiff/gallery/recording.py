"""Records each finished picture before anybody hears of it.

The order is: the file is complete and on the disk under its final name (`PictureFolder`), then the
record is committed, then the page hears of the picture. A process killed in between leaves a file
without a record, which the next start adopts.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from weakref import ReferenceType, ref

from PIL import Image

from paintdiff.errors import (
    GalleryError,
    PaintError,
    PictureNotFoundError,
    PictureRecordedError,
    StorageError,
)
from paintdiff.gallery import messages
from paintdiff.gallery.describing import (
    changed_hashes,
    record_of_picture,
    used_hashes,
    with_parent,
)
from paintdiff.gallery.files.picture_files import read_picture_file
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.record import JobPart, Record
from paintdiff.jobs.events import Picture
from paintdiff.jobs.job import Job, RunningJob
from paintdiff.jobs.requests import Grid, Request

logger = logging.getLogger(__name__)

MAX_HELD_BYTES = 512 * 2**20
"""How much unsaved pictures may keep in memory."""


@dataclass
class _Pending:
    """A picture that isn't recorded yet; it isn't saved either while its `path` is None.

    `index` is its place among the job's pictures. `scope` is whose pictures its owner may see, None
    for everybody's; `varied` is the id of the one that it is a variation of. `cells` are the ids of
    a sheet's pictures. `part` is its place in a durable job.
    """

    picture: Picture
    created_at: datetime
    owner: str
    job: ReferenceType[Job]
    index: int
    scope: str | None
    varied: str
    cells: tuple[str, ...] = ()
    part: JobPart | None = None
    done: bool = False
    refused: PaintError | None = None

    @property
    def held_bytes(self) -> int:
        inputs = self.picture.request.input_images()
        return self.picture.held_bytes + sum(len(each.data or b"") for each in inputs)


@dataclass(frozen=True)
class Waiting:
    """How many pictures aren't `saved` or aren't `recorded` yet, and the `reason` for it."""

    unsaved: int
    unrecorded: int
    reason: str


class Recorder:
    """Adds finished pictures to a gallery. Threads may share it.

    A picture that can't be saved or recorded now is kept, saved pictures without their pixels, and
    tried again: before the next picture, and by `retry`.
    """

    def __init__(
        self,
        gallery: Gallery,
        folder: PictureFolder,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._gallery = gallery
        self._folder = folder
        self._now = now
        self._lock = threading.Lock()
        self._pending: deque[_Pending] = deque()
        self._problem = ""

    @property
    def pending(self) -> tuple[Picture, ...]:
        """Return the pictures that aren't recorded yet, the oldest first."""
        return tuple(each.picture for each in tuple(self._pending))

    def waiting(self, owner: str | None = None) -> Waiting:
        """Return how many pictures (of an owner) wait to be saved or recorded, and why."""
        found = [each for each in tuple(self._pending) if owner is None or each.owner == owner]
        unsaved = sum(each.picture.path is None for each in found)
        return Waiting(unsaved, len(found) - unsaved, self._problem if found else "")

    def record(self, job: RunningJob, picture: Picture) -> Picture:
        """Record a picture that was saved, or couldn't be; return it with its id in the gallery.

        If it can't be recorded the job gets a warning, and the picture is kept for `retry`.
        """
        is_sheet = isinstance(picture.request, Grid)
        entry = _Pending(
            picture,
            self._now(),
            job.owner,
            job=ref(job.whole),
            index=len(job.whole.pictures),
            scope=None if job.sees_all else job.owner,
            varied=job.varied,
            cells=tuple(each.id for each in job.pictures if each.id) if is_sheet else (),
            part=_find_part(job) if job.whole.durable else None,
        )
        with self._lock:
            self._pending.append(entry)
            error = self._work_off(newest=entry)
            if entry.done:
                if entry.refused is not None:
                    job.warn((messages.not_in_gallery(entry.refused),))
                return replace(picture, path=entry.picture.path, id=entry.picture.id)
            kept = self._keep_within_limit()
        path = entry.picture.path
        if path is not None:
            job.warn((messages.not_in_gallery_yet(error),))
        elif kept:
            job.warn((messages.KEPT_IN_MEMORY,))
        else:
            job.warn((messages.NO_ROOM_FOR_UNSAVED,))
        return replace(picture, path=path)

    def retry(self) -> tuple[Picture, ...]:
        """Save and record the pictures that are still kept, and return those that were.

        Raises:
            StorageError: The next one can't be saved. It is still kept.
            GalleryError: The next one can't be recorded. It is still kept.
        """
        with self._lock:
            waiting = list(self._pending)
            error = self._work_off()
        if error is not None:
            raise error
        return tuple(each.picture for each in waiting if each.refused is None)

    def _work_off(self, newest: _Pending | None = None) -> StorageError | GalleryError | None:
        """Record what is pending, in order, up to the first failure, which is returned.

        The jobs of all but the newest have the pictures already, and get them again with their ids.
        """
        while self._pending:
            entry = self._pending[0]
            try:
                entry.picture = self._save_and_record(entry)
            except (StorageError, GalleryError) as error:
                self._problem = str(error)
                return error
            except PaintError as error:  # it can never be recorded: the others go on
                logger.warning("a picture can't be recorded: %s", error)
                entry.refused = error
            entry.done = True
            self._pending.popleft()
            job = entry.job()
            if job is not None and entry is not newest:
                _tell(job, entry)
        return None

    def _save_and_record(self, entry: _Pending) -> Picture:
        picture = entry.picture
        if picture.path is None:
            path = self._folder.save(picture)
            picture = entry.picture = replace(picture, path=path, raster=None)
        assert picture.path is not None
        try:
            return replace(picture, id=self._add(entry, picture.path))
        except PictureRecordedError:  # adopted meanwhile
            found = self._gallery.store.find_by_file(self._gallery.name_of(picture.path))
            return picture if found is None else replace(picture, id=found.id)

    def _add(self, entry: _Pending, path: Path) -> str:
        name = self._gallery.name_of(path)
        facts = read_picture_file(path)
        record = record_of_picture(entry.picture, name, facts, entry.created_at, entry.owner)
        store, request = self._gallery.store, entry.picture.request
        parent = self._find_parent(entry)
        if parent is not None:
            varied = parent.id == entry.varied
            record = with_parent(record, request, parent, varied=varied)
        id = store.add(record, lambda: self._restore_inputs(request), entry.part).id
        if entry.cells:
            store.adopt_cells(id, entry.cells)
        return id

    def _find_parent(self, entry: _Pending) -> Record | None:
        """Return the picture that this one was made from: first the one that it changes."""
        store = self._gallery.store
        if entry.varied:
            with suppress(PictureNotFoundError):  # it has been erased meanwhile
                return store.get(entry.varied)
        request = entry.picture.request
        for hashes in (changed_hashes(request), used_hashes(request)):
            found = store.find_by_sha256(hashes, entry.scope) if hashes else None
            if found is not None:
                return found
        return None

    def _restore_inputs(self, request: Request) -> None:
        try:
            self._gallery.inputs.keep(request.input_images())
        except OSError as error:
            raise StorageError(messages.input_not_written(error.strerror)) from error

    def _keep_within_limit(self) -> bool:
        """Return whether the newest picture can be kept; forget it if not.

        Of a saved one the pixels aren't needed. If it is forgotten, the next start adopts its file.
        """
        newest = self._pending[-1]
        if newest.picture.path is not None:
            newest.picture = _without_pixels(newest.picture)
        if sum(each.held_bytes for each in self._pending) <= MAX_HELD_BYTES:
            return True
        self._pending.pop()
        return False


def _find_part(job: RunningJob) -> JobPart:
    return JobPart(job.whole.id, len(job.whole.pictures), job.cell)


def _tell(job: Job, entry: _Pending) -> None:
    """Give a job's picture its path and its id."""
    known = job.pictures
    if entry.index < len(known):
        saved = entry.picture
        told = replace(known[entry.index], path=saved.path, id=saved.id, raster=None)
        job.replace_picture(entry.index, told)


def _without_pixels(picture: Picture) -> Picture:
    pixel = Image.new("RGB", (1, 1))
    return replace(picture, image=pixel, raster=None, whole_size=picture.size)

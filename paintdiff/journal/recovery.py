"""Finds the pictures of a job whose process died after saving them, before recording them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from paintdiff.errors import PictureNotFoundError, PictureRecordedError, RequestError
from paintdiff.gallery.adoption import describe_file, list_day_files
from paintdiff.gallery.describing import with_parent
from paintdiff.gallery.files.picture_files import PictureFile, read_picture_file
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.record import JobPart, Record
from paintdiff.jobs.job import Job
from paintdiff.jobs.requests import Grid, Request

logger = logging.getLogger(__name__)

_CLOCKS_DIFFER = timedelta(seconds=10)
"""How much earlier than ours a file server's clock may be."""


def recover(gallery: Gallery, job: Job, since: datetime) -> list[tuple[Record, int | None]]:
    """Record files that are pictures of a job and have no record; return them with their cells.

    Only files since the job was begun count, whose settings are exactly those of a picture that it
    lacks.
    """
    found: list[tuple[Record, int | None]] = []
    wanted = dict(_list_missing(job))
    for file, facts in _list_orphans(gallery, since - _CLOCKS_DIFFER):
        request = None if facts.settings is None else facts.settings.request
        place = next((each for each, one in wanted.items() if one == request), None)
        if place is None:
            continue
        cell = place if job.cells and place < len(job.cells) else None
        part = JobPart(job.id, len(job.pictures) + len(found), cell)
        record = _describe(gallery, job, file, facts)
        with suppress(PictureRecordedError):  # another process was faster
            found.append((gallery.store.add(record, part=part), cell))
            del wanted[place]
    return found


def _list_missing(job: Job) -> Iterator[tuple[int, Request]]:
    """Yield the requests of the pictures that a job lacks, by index; a grid's sheet comes last."""
    request = job.request
    if isinstance(request, Grid):
        done = {each.cell for each in job.pictures}
        for cell in job.cells:
            if cell.index not in done:
                yield cell.index, cell.request.without_image_data()
        yield len(job.cells), request.without_image_data()
        return
    for index in range(len(job.pictures), request.num_images):
        yield index, request.for_image(index).without_image_data()


def _list_orphans(gallery: Gallery, since: datetime) -> Iterator[tuple[str, PictureFile]]:
    """Yield the files without a record that are newer than a moment, the oldest first."""
    found: list[tuple[str, PictureFile]] = []
    for files in list_day_files(gallery.folder):
        recent = [each for each in files if _is_since(gallery, each, since)]
        for file in gallery.store.find_unrecorded(recent):
            try:
                found.append((file, read_picture_file(gallery.path_of(file))))
            except RequestError as error:
                logger.warning("%s isn't a picture of a job: %s", file, error)
    yield from sorted(found, key=lambda each: each[1].modified_at)


def _is_since(gallery: Gallery, file: str, since: datetime) -> bool:
    try:
        return gallery.path_of(file).stat().st_mtime >= since.timestamp()
    except OSError:
        return False


def _describe(gallery: Gallery, job: Job, file: str, facts: PictureFile) -> Record:
    record = describe_file(gallery, file, facts, job.owner)
    if job.varied and facts.settings is not None:
        with suppress(PictureNotFoundError):  # it has been erased meanwhile
            parent = gallery.store.get(job.varied)
            record = with_parent(record, facts.settings.request, parent, varied=True)
    return replace(record, owner=job.owner)

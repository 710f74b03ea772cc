"""Adopts orphans: files in the dated folders that have no record, such as after kill -9."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from paintdiff.errors import InputMissingError, PictureRecordedError, RequestError
from paintdiff.gallery.describing import (
    changed_hashes,
    record_of_file,
    used_hashes,
    with_parent,
)
from paintdiff.gallery.files.picture_files import SUFFIXES, PictureFile, read_picture_file
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.record import Record

logger = logging.getLogger(__name__)

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def adopt_orphans(gallery: Gallery, before: datetime | None = None) -> int:
    """Record every readable picture in the dated folders that has no record; return how many.

    With `before` only files that are older: a newer one's own process may be about to record it.
    Pictures that were erased are removed from the disk first and don't return. Files that can't be
    read are logged and stay.

    Raises:
        GalleryError: The database can't be used.
    """
    finish_removals(gallery)
    adopted = _adopt(gallery, before)
    collect_inputs(gallery)
    return adopted


def _adopt(gallery: Gallery, before: datetime | None) -> int:
    adopted = 0
    for files in list_day_files(gallery.folder):
        orphans = gallery.store.find_unrecorded(files)
        for file in sorted(orphans, key=lambda file: _find_time(gallery.path_of(file))):
            try:
                facts = read_picture_file(gallery.path_of(file))
                if before is not None and facts.modified_at >= before:
                    continue
                gallery.store.add(describe_file(gallery, file, facts))
            except PictureRecordedError:
                continue  # another process was faster
            except RequestError as error:
                logger.warning("%s isn't in the gallery: %s", file, error)
            else:
                adopted += 1
    return adopted


def _find_time(path: Path) -> int:
    """Return when a file was changed last, so that pictures come after their parents."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def describe_file(gallery: Gallery, file: str, facts: PictureFile, owner: str = "") -> Record:
    """Make the record of a picture file, with its parent if that is in the gallery."""
    record = record_of_file(file, facts, owner)
    if facts.settings is None or not record.inputs:
        return record
    request = facts.settings.request
    with suppress(InputMissingError, RequestError):  # its inputs say what they were made from
        request = gallery.load_request(record)
    for hashes in (changed_hashes(request), used_hashes(request)):
        parent = gallery.store.find_by_sha256(hashes, owner or None) if hashes else None
        if parent is not None:
            return with_parent(record, request, parent)
    return record


def list_day_files(folder: Path) -> Iterator[list[str]]:
    """Yield the names of the picture files in each dated folder, as records have them."""
    for day in _scan(folder):
        if _DAY.fullmatch(day.name) and day.is_dir(follow_symlinks=False):
            yield [
                f"{day.name}/{each.name}"
                for each in _scan(Path(day.path))
                if is_picture_name(each.name) and each.is_file(follow_symlinks=False)
            ]


def is_picture_name(name: str) -> bool:
    """Return whether a file's name is that of a picture: not hidden, and UTF-8 text."""
    suffix = os.path.splitext(name)[1].lower()
    return not name.startswith(".") and suffix in SUFFIXES and name.isprintable()


def finish_removals(gallery: Gallery) -> None:
    """Remove the files of erased pictures from the disk. What can't be removed now stays listed.

    Raises:
        GalleryError: The database can't be used.
    """
    gone: list[str] = []
    for file in gallery.store.removals():
        try:
            gallery.thumbnails.forget(file)
            gallery.path_of(file).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s can't be removed: %s", file, error.strerror)
        else:
            gone.append(file)
    gallery.store.confirm_removals(gone)


def empty_bin(gallery: Gallery, owner: str | None = None, before: datetime | None = None) -> int:
    """Erase the pictures in the bin (of an owner, deleted before a moment) with their files.

    Returns how many.

    Raises:
        GalleryError: The database can't be used.
    """
    erased = gallery.store.empty_bin(owner, before)
    finish_removals(gallery)
    collect_inputs(gallery)
    return erased


def collect_inputs(gallery: Gallery) -> None:
    """Remove input images that no record has. Orphaned pictures should be adopted before.

    Raises:
        GalleryError: The database can't be used.
    """
    paths = dict(gallery.inputs.list())

    def remove(sha256: str) -> None:
        try:
            paths[sha256].unlink(missing_ok=True)
        except OSError as error:
            logger.warning("an unused input image can't be removed: %s", error.strerror)

    gallery.store.forget_inputs(list(paths), remove)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda each: each.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        logger.warning("can't look for pictures in %s: %s", folder.name, error.strerror)
        return []

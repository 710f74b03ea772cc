"""Compares files and records, and repairs what can be repaired without loss."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paintdiff.errors import RequestError
from paintdiff.gallery import messages
from paintdiff.gallery.adoption import adopt_orphans, list_day_files
from paintdiff.gallery.files.picture_files import read_picture_file
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import Record
from paintdiff.system.atomic_files import remove_stale_parts
from paintdiff.system.regular_files import open_file

_HASH_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Mismatch:
    """A place where files and records don't agree.

    `where` is a file's name, a record's id and file, or "database".
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def find_mismatches(gallery: Gallery, *, thorough: bool = False) -> Iterator[Mismatch]:
    """Yield every mismatch between the files and the records, those in the bin included.

    `thorough` also reads each file and compares its hash.

    Raises:
        GalleryError: The database can't be used.
    """
    for line in gallery.database.check():
        yield Mismatch("database", line)
    used = gallery.store.job_inputs()
    for record in _all_records(gallery):
        used.update(record.inputs)
        yield from _check_record(gallery, record, thorough)
    for files in list_day_files(gallery.folder):
        for file in gallery.store.find_unrecorded(files):
            yield Mismatch(file, messages.WITHOUT_RECORD)
    for file in gallery.store.removals():
        if gallery.path_of(file).exists():
            yield Mismatch(file, messages.ERASED_BUT_THERE)
    for sha256, path in gallery.inputs.list():
        name = gallery.name_of(path)
        if sha256 not in used:
            yield Mismatch(name, messages.NEEDED_BY_NO_RECORD)
        elif thorough and _hash(path) != sha256:
            yield Mismatch(name, messages.INPUT_CHANGED)


def _hash(path: Path) -> str:
    """Return a file's SHA-256, "" if it can't be read."""
    digest = hashlib.sha256()
    try:
        with open_file(path) as file:
            while chunk := file.read(_HASH_CHUNK_BYTES):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()


def repair(gallery: Gallery) -> int:
    """Record orphans, remove what was erased, unused input images and unfinished files.

    Returns how many pictures were recorded. Records without a file stay: the file may be on a disk
    that is missing now.

    Raises:
        GalleryError: The database can't be used.
    """
    remove_stale_parts(gallery.folder, depth=2)
    return adopt_orphans(gallery)


def _all_records(gallery: Gallery) -> Iterator[Record]:
    for in_bin in (False, True):
        yield from gallery.store.records(PictureQuery(bin=in_bin, oldest_first=True))


def _check_record(gallery: Gallery, record: Record, thorough: bool) -> Iterator[Mismatch]:
    path, name = gallery.path_of(record.file), f"{record.id} ({record.file})"
    try:
        size_bytes = path.stat().st_size
    except OSError:
        yield Mismatch(name, messages.FILE_MISSING)
        return
    if record.file_bytes and size_bytes != record.file_bytes:
        yield Mismatch(name, messages.other_length(size_bytes, record.file_bytes))
    elif thorough:
        try:
            facts = read_picture_file(path)
        except RequestError as error:
            yield Mismatch(name, str(error))
        else:
            if record.file_sha256 not in ("", facts.sha256):
                yield Mismatch(name, messages.FILE_CHANGED)
    if record.thumbnail is not None and not gallery.path_of(record.thumbnail).is_file():
        yield Mismatch(name, messages.THUMBNAIL_MISSING)
    for sha256 in record.inputs:
        if record.seconds is not None and gallery.inputs.find(sha256) is None:
            yield Mismatch(name, messages.input_image_missing(sha256[:12]))

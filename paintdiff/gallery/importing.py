"""Imports folders of pictures, ours or another program's, with every setting they carry.

An import can be interrupted and run again: what is in the gallery already is skipped.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from paintdiff.errors import PictureRecordedError, RequestError, StorageError
from paintdiff.gallery import messages
from paintdiff.gallery.adoption import describe_file, is_picture_name
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.picture_files import PictureFile, read_picture_file
from paintdiff.system.atomic_files import new_file
from paintdiff.system.regular_files import open_file

_COPY_BYTES = 2**20


@dataclass
class ImportReport:
    """The outcome of an import. The lists have a path and a sentence, or names, for each file.

    `present` counts files that were in the gallery already, `failed` those that can't be imported,
    `unmapped` the settings that have no counterpart here.
    """

    imported: int = 0
    present: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]])
    unmapped: list[tuple[Path, tuple[str, ...]]] = field(
        default_factory=list[tuple[Path, tuple[str, ...]]]
    )


def import_folder(
    gallery: Gallery,
    folder: Path,
    *,
    copy: bool = False,
    owner: str = "",
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ImportReport:
    """Import all pictures in a folder and its subfolders: PNG, JPEG and WebP.

    They stay where they are, or with `copy` are copied to the gallery's dated folders. Links to
    folders aren't followed. `on_progress` gets the number of files done and of all.

    Raises:
        RequestError: The folder doesn't exist.
        GalleryError: The database can't be used. What was imported before stays.
        StorageError: A file can't be copied. What was imported before stays.
    """
    if not folder.is_dir():
        raise RequestError(messages.no_such_folder(folder), field="folder")
    paths, report = list(_find_pictures(gallery, folder)), ImportReport()
    for done, path in enumerate(paths, 1):
        try:
            _import_file(gallery, path, copy, owner, report)
        except PictureRecordedError:
            report.present += 1
        except RequestError as error:
            report.failed.append((path, str(error)))
        on_progress(done, len(paths))
    return report


def _find_pictures(gallery: Gallery, folder: Path) -> Iterator[Path]:
    """Yield the pictures of a folder in order; not the gallery's own, which it adopts itself."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            each
            for each in folders
            if not each.startswith(".") and Path(place, each).absolute() != gallery.folder
        )
        yield from (Path(place, name) for name in sorted(names) if is_picture_name(name))


def _import_file(
    gallery: Gallery, path: Path, copy: bool, owner: str, report: ImportReport
) -> None:
    store, name = gallery.store, gallery.name_of(path)
    if store.find_by_file(name) is not None:
        report.present += 1
        return
    facts = read_picture_file(path)
    if store.find_by_sha256([facts.sha256]) is not None:
        report.present += 1
        return
    if copy:
        name = _copy(gallery, path, facts)
    store.add(describe_file(gallery, name, facts, owner))
    report.imported += 1
    if facts.reason:
        report.unmapped.append((path, (facts.reason,)))
    elif facts.settings is not None and facts.settings.left_open:
        report.unmapped.append((path, facts.settings.left_open))


def _copy(gallery: Gallery, path: Path, facts: PictureFile) -> str:
    """Copy a file to the folder of its day, with its time; return its name there."""
    day = f"{facts.modified_at.astimezone():%Y-%m-%d}"
    stem, suffix = f"{day}/{path.stem[:100]}-{facts.sha256[:12]}", path.suffix.lower()
    file = f"{stem}{suffix}"
    if not gallery.store.find_unrecorded([file]):  # it is about to be removed, for one
        file = f"{stem}-{secrets.token_hex(3)}{suffix}"
    try:
        with (
            suppress(FileExistsError),  # copied before an interruption
            new_file(gallery.path_of(file), overwrite=False) as target,
            open_file(path) as source,
        ):
            while chunk := source.read(_COPY_BYTES):
                target.write(chunk)
            target.flush()
            time = facts.modified_at.timestamp()
            os.utime(target.name, (time, time))
    except OSError as error:
        raise StorageError(messages.not_copied(path, error.strerror)) from error
    return file

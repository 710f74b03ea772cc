"""Imports folders of pictures, ours or another program's, with every setting they carry.

An import can be interrupted and run again: what is in the gallery already is skipped.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from paintdiff.errors import PictureRecordedError, RequestError, StorageError
from paintdiff.gallery import messages
from paintdiff.gallery.adoption import describe_file
from paintdiff.gallery.files.picture_files import PictureFile, read_picture_file
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.importing.folders import find_picture_files
from paintdiff.system.atomic_files import new_file
from paintdiff.system.regular_files import open_file

_COPY_BYTES = 2**20

Outcome = Literal["imported", "moved", "present"]


@dataclass
class ImportReport:
    """The outcome of an import. The lists have a path and a sentence, or names, for each file.

    `present` counts files that were in the gallery already, `moved` those of them that were renamed
    or moved since, `failed` has what can't be imported, `unmapped` the settings that have no
    counterpart here.
    """

    imported: int = 0
    moved: int = 0
    present: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]])
    unmapped: list[tuple[Path, tuple[str, ...]]] = field(
        default_factory=list[tuple[Path, tuple[str, ...]]]
    )

    def add(self, outcome: Outcome, path: Path, facts: PictureFile | None) -> None:
        """Count a file, and note the settings that were left out."""
        setattr(self, outcome, getattr(self, outcome) + 1)
        if outcome != "imported" or facts is None:
            return
        if facts.reason:
            self.unmapped.append((path, (facts.reason,)))
        elif facts.settings is not None and facts.settings.left_open:
            self.unmapped.append((path, facts.settings.left_open))


def import_folder(
    gallery: Gallery,
    folder: Path,
    *,
    copy: bool = False,
    owner: str = "",
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ImportReport:
    """Import all pictures in a folder and its subfolders: PNG, JPEG and WebP.

    They stay where they are, or with `copy` are copied to the gallery's dated folders. Links
    aren't followed. A picture of the gallery that was renamed or moved keeps its record.
    `on_progress` gets the number of files done and of all.

    Raises:
        RequestError: The folder doesn't exist.
        GalleryError: The database can't be used. What was imported before stays.
        StorageError: A file can't be copied. What was imported before stays.
    """
    if not folder.is_dir():
        raise RequestError(messages.no_such_folder(folder), field="folder")
    files, report = list(find_picture_files(folder, gallery.folder)), ImportReport()
    for done, found in enumerate(files, 1):
        if found.reason:
            report.failed.append((found.path, found.reason))
        else:
            try:
                _import_found(gallery, found.path, copy, owner, report)
            except RequestError as error:
                report.failed.append((found.path, str(error)))
        on_progress(done, len(files))
    return report


def _import_found(
    gallery: Gallery, path: Path, copy: bool, owner: str, report: ImportReport
) -> None:
    if gallery.store.find_by_file(gallery.name_of(path)) is not None:
        report.present += 1
        return
    facts = read_picture_file(path)
    outcome, _ = import_file(gallery, path, facts, copy=copy, owner=owner)
    report.add(outcome, path, facts)


def import_file(
    gallery: Gallery, path: Path, facts: PictureFile, *, copy: bool = False, owner: str = ""
) -> tuple[Outcome, str]:
    """Import a file that was read; return what came of it, and its name in its record.

    Raises:
        RequestError: A value is outside its limits.
        GalleryError: The database can't be used.
        StorageError: It can't be copied.
    """
    store = gallery.store
    same = store.find_by_sha256([facts.sha256])
    if same is not None and os.path.exists(gallery.path_of(same.file)):
        return "present", same.file
    name = _copy(gallery, path, facts) if copy else gallery.name_of(path)
    try:
        if same is not None:
            store.move(same.id, name)
            return "moved", name
        store.add(describe_file(gallery, name, facts, owner))
    except PictureRecordedError:  # another process was faster
        return "present", name
    return "imported", name


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

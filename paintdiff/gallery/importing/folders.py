"""Finds the pictures in folders of other programs, which nobody has checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paintdiff.gallery import messages
from paintdiff.gallery.files.picture_files import SUFFIXES
from paintdiff.gallery.records.record import to_storable
from paintdiff.system.regular_files import explain_not_a_file

MAX_DEPTH = 64
"""How many folders deep pictures are looked for."""


@dataclass(frozen=True)
class FoundFile:
    """A file with the name of a picture, or a folder that can't be read.

    `reason` says why it can't be imported, "" if it may be; its content isn't known. `file_bytes`
    and `modified_ns` change when it is written.
    """

    path: Path
    file_bytes: int = 0
    modified_ns: int = 0
    reason: str = ""


def find_picture_files(folder: Path, without: Path) -> Iterator[FoundFile]:
    """Yield the pictures in a folder and its subfolders, each folder's in alphabetical order.

    Links are never followed, except `folder` itself: one to a file elsewhere has a reason. Hidden
    files and folders are left out, and so is the folder `without`.
    """
    root, omitted = os.path.realpath(folder), _find_state(without)
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        entries = _list_entries(place)
        if isinstance(entries, str):
            yield FoundFile(place, reason=entries)
            continue
        inner: list[Path] = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_real_folder(entry):
                path = Path(entry.path)
                if omitted is None or not _is_same(path, omitted):
                    inner.append(path)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                found = _examine(entry, root)
                if found is not None:
                    yield found
        if depth >= MAX_DEPTH:
            yield from (FoundFile(e, reason=messages.folder_too_deep(MAX_DEPTH)) for e in inner)
        else:
            waiting += [(each, depth + 1) for each in reversed(inner)]


def _list_entries(place: Path) -> list[os.DirEntry[str]] | str:
    """Return what is in a folder in alphabetical order, or why its pictures can't be imported."""
    if to_storable(str(place)) != str(place):
        return messages.NAME_NOT_STORABLE
    try:
        with os.scandir(place) as listed:
            return sorted(listed, key=lambda each: each.name)
    except OSError as error:
        return messages.folder_unreadable(error.strerror)


def _is_real_folder(entry: os.DirEntry[str]) -> bool:
    try:
        is_junction = getattr(entry, "is_junction", None)  # Python 3.12, for Windows
        if is_junction is not None and is_junction():
            return False
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _find_state(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _is_same(path: Path, state: os.stat_result) -> bool:
    found = _find_state(path)
    return found is not None and os.path.samestat(found, state)


def _examine(entry: os.DirEntry[str], root: str) -> FoundFile | None:
    """Return a file and why it can't be imported; None for a link to a file that is found anyway.

    `root` is the folder that links may not lead out of.
    """
    path = Path(entry.path)
    if not entry.name.isprintable():  # bytes that aren't UTF-8, too
        return FoundFile(path, reason=messages.NAME_NOT_STORABLE)
    try:
        if entry.is_symlink():
            return _examine_link(path, root)
        state = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None  # it was removed or renamed meanwhile
    except OSError as error:
        return FoundFile(path, reason=messages.unreadable(path.name, error.strerror))
    return _describe(path, state)


def _describe(path: Path, state: os.stat_result) -> FoundFile:
    what = explain_not_a_file(state.st_mode)
    if what is not None:
        return FoundFile(path, reason=messages.not_a_file(what))
    return FoundFile(path, *find_change(state))


def find_change(state: os.stat_result) -> tuple[int, int]:
    """Return a file's bytes and its time in nanoseconds, as far as 63 bits hold it."""
    return state.st_size, state.st_mtime_ns % 2**63


def _examine_link(path: Path, root: str) -> FoundFile | None:
    try:
        target = os.path.realpath(path, strict=True)
        state = os.stat(target)
    except OSError:
        return FoundFile(path, reason=messages.BROKEN_LINK)
    real = Path(target)
    if not real.is_relative_to(root):
        return FoundFile(path, reason=messages.LINK_OUT_OF_FOLDER)
    is_hidden = any(part.startswith(".") for part in real.relative_to(root).parts)
    if real.suffix.lower() in SUFFIXES and not is_hidden:
        return None
    return _describe(path, state)

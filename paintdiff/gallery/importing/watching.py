"""Watches folders: pictures that appear there come into the gallery.

Folders are looked through again and again, instead of waiting for the system's notices: those don't
come from network drives, and whoever listens for them follows links. See
docs/decisions/watched-folders.md.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from paintdiff.errors import GalleryError, PaintError, RequestError, SettingsError, StorageError
from paintdiff.gallery import messages
from paintdiff.gallery.files.picture_files import PictureFile, read_picture_file
from paintdiff.gallery.files.thumbnails import encode_thumbnail
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.importing.folders import FoundFile, find_change, find_picture_files
from paintdiff.gallery.importing.import_folder import ImportReport, import_file
from paintdiff.gallery.records.watched_files import WatchedFile, WatchedFiles
from paintdiff.imaging.images import MAX_FILE_BYTES, MAX_PIXELS

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 2.0
"""How long a file must not change before it is read."""
MAX_FILES = 1_000_000
"""How many files of all folders are watched."""
_SHARE = 0.02
"""How much of the time may pass with looking through the folders."""
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 10.0, 3600.0
_AT_ONCE = 500
"""How many files are imported before new ones are looked for."""


@dataclass
class _Waiting:
    """A file that isn't imported yet: how it was seen last, and when it is read."""

    state: tuple[int, int]
    due: float
    retry_seconds: float = _FIRST_RETRY_SECONDS


class FolderWatcher:
    """Imports pictures that appear in folders and their subfolders. For one thread.

    They stay where they are, or with `copy` are copied. A file is read when it has not changed for
    SETTLE_SECONDS, and imported when all of it can be decoded. One that can't be imported is tried
    again, ever more rarely. A picture that is renamed keeps its record; one whose file disappears,
    too, because its disk may come back. A picture that was deleted from the gallery isn't imported
    again.

    `pause` is called before each file is read, so that the importing can wait for something more
    important.

    Raises:
        SettingsError: A folder lies in the gallery's own.
    """

    def __init__(
        self,
        gallery: Gallery,
        folders: Sequence[Path],
        *,
        copy: bool = False,
        pause: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for folder in folders:
            if Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(gallery.folder)):
                raise SettingsError(messages.own_folder_watched(folder))
        self._gallery = gallery
        self._folders = folders
        self._copy = copy
        self._pause = pause
        self._clock = clock
        self._done: dict[str, tuple[int, int]] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._refused: dict[str, str] = {}

    def run(self, ended: threading.Event, tell: Callable[[ImportReport], None]) -> None:
        """Look through the folders until `ended`; `tell` hears of each look that found something.

        While the gallery can't be used, all is tried again later, ever more rarely.
        """
        retry_seconds = _FIRST_RETRY_SECONDS
        while not ended.is_set():
            began, report = self._clock(), ImportReport()
            try:
                self.look(report, ended)
                retry_seconds = _FIRST_RETRY_SECONDS
                pause = (self._clock() - began) / _SHARE if not self._list_due() else 0.0
                pause = min(max(pause, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            except (GalleryError, StorageError) as error:
                logger.warning("%s", messages.watching_later(error))
                pause, retry_seconds = retry_seconds, min(2 * retry_seconds, _LAST_RETRY_SECONDS)
            if report != ImportReport(present=report.present):
                tell(report)
            ended.wait(pause)

    def look(self, report: ImportReport, ended: threading.Event | None = None) -> None:
        """Look through the folders once, and import what has settled; stop when `ended` is set.

        Files that can't be imported are reported once.

        Raises:
            GalleryError: The database can't be used. Nothing is forgotten.
            StorageError: A file can't be copied. Nothing is forgotten.
        """
        seen: set[str] = set()
        for files in _divide(self._find()):
            if ended is not None and ended.is_set():
                return
            seen.update(str(each.path) for each in files)
            self._note(files, report)
        for gone in self._waiting.keys() - seen:
            del self._waiting[gone]
        for gone in self._done.keys() - seen:
            del self._done[gone]
        for gone in self._refused.keys() - seen:
            del self._refused[gone]
        for path in self._list_due()[:_AT_ONCE]:
            self._pause()
            if ended is not None and ended.is_set():
                return
            self._try(path, report)

    def _find(self) -> Iterator[FoundFile]:
        own = self._gallery.folder
        files = chain.from_iterable(find_picture_files(each, own) for each in self._folders)
        yield from islice(files, MAX_FILES)
        more = next(files, None)
        if more is not None:
            yield FoundFile(more.path.parent, reason=messages.too_many_files(MAX_FILES))

    def _note(self, files: list[FoundFile], report: ImportReport) -> None:
        """Note how files are now; those that changed wait until they have settled."""
        fresh: list[FoundFile] = []
        for found in files:
            path, state = str(found.path), (found.file_bytes, found.modified_ns)
            waiting, done = self._waiting.get(path), self._done.get(path)
            if found.reason:
                self._refuse(path, found.reason, report)
            elif waiting is None and done is None:
                fresh.append(found)
            elif state != (done if waiting is None else waiting.state):
                self._wait(path, state)
        if fresh:
            self._sort_out(fresh)

    def _sort_out(self, files: list[FoundFile]) -> None:
        """Let files that are seen for the first time wait, unless the database knows them."""
        names = [self._gallery.name_of(each.path) for each in files]
        watched = WatchedFiles(self._gallery.database)
        noted, sizes = watched.find(names), watched.find_sizes(names)
        for name, found in zip(names, files, strict=True):
            path, state = str(found.path), (found.file_bytes, found.modified_ns)
            if noted.get(name) == state or sizes.get(name) == found.file_bytes:
                self._done[path] = state
            else:
                self._wait(path, state)

    def _wait(self, path: str, state: tuple[int, int]) -> None:
        self._done.pop(path, None)
        self._refused.pop(path, None)
        self._waiting[path] = _Waiting(state, self._clock() + SETTLE_SECONDS)

    def _refuse(self, path: str, reason: str, report: ImportReport) -> None:
        if self._refused.get(path) != reason:
            self._refused[path] = reason
            report.failed.append((Path(path), reason))

    def _list_due(self) -> list[str]:
        now = self._clock()
        return [path for path, each in self._waiting.items() if each.due <= now]

    def _try(self, path: str, report: ImportReport) -> None:
        """Import a file, or say why it can't be imported now."""
        waiting = self._waiting[path]
        try:
            state = self._import(Path(path), waiting.state, report)
        except (GalleryError, StorageError):
            raise
        except PaintError as error:
            if os.path.lexists(path):
                self._refuse(path, str(error), report)
            waiting.due = self._clock() + waiting.retry_seconds
            waiting.retry_seconds = min(2 * waiting.retry_seconds, _LAST_RETRY_SECONDS)
            return
        if state != waiting.state:  # it was written while it was read
            self._wait(path, state)
            return
        del self._waiting[path]
        self._refused.pop(path, None)
        self._done[path] = state

    def _import(
        self, path: Path, expected: tuple[int, int], report: ImportReport
    ) -> tuple[int, int]:
        """Import a file if it is still as expected; return how it is."""
        facts = read_picture_file(path)
        thumbnail = _decode(path, facts)
        state = _find_state(path)
        if state != expected:
            return state
        gallery, name = self._gallery, self._gallery.name_of(path)
        recorded, watched = gallery.store.find_by_file(name), WatchedFiles(gallery.database)
        if recorded is not None:
            if recorded.file_sha256 not in ("", facts.sha256):
                raise RequestError(messages.CHANGED_SINCE_IMPORTED)
            report.present += 1
            return state
        if watched.is_unwanted(facts.sha256):
            report.present, kept = report.present + 1, ""
        else:
            outcome, kept = import_file(gallery, path, facts, copy=self._copy)
            report.add(outcome, path, facts)
            if outcome != "present" and thumbnail:
                gallery.thumbnails.keep_ahead(kept, thumbnail)
        if kept != name:  # the record won't tell that the file is known
            watched.note(WatchedFile(name, *state, facts.sha256))
        return state


def _decode(path: Path, facts: PictureFile) -> bytes:
    """Return a file's thumbnail, which shows that all of it can be decoded.

    b"" for a PNG of ours that is larger than pictures from outside may be; its end is there.

    Raises:
        RequestError: It is damaged, or cut off.
    """
    if facts.file_bytes > MAX_FILE_BYTES or facts.size.area > MAX_PIXELS:
        return b""
    return encode_thumbnail(path)


def _find_state(path: Path) -> tuple[int, int]:
    """Return a file's bytes and its time.

    Raises:
        RequestError: It is gone, or can't be read.
    """
    try:
        return find_change(path.stat())
    except OSError as error:
        raise RequestError(messages.unreadable(path.name, error.strerror)) from error


def _divide(files: Iterator[FoundFile]) -> Iterator[list[FoundFile]]:
    while part := list(islice(files, _AT_ONCE)):
        yield part

"""The wildcards that can be used: those of the presets, and of people's folders."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import paintdiff.prompts.messages as messages
from paintdiff.config.presets import presets_folder, suggest_names
from paintdiff.errors import PromptFileError, RequestError
from paintdiff.prompts.prompt_files import Broken
from paintdiff.prompts.wildcards.lines import (
    STRUCTURED,
    SUFFIXES,
    Lines,
    read_structured_file,
    read_text_lines,
)
from paintdiff.prompts.wildcards.template import Option, parse_option
from paintdiff.system.links import leads_up

MAX_FILES = 20_000
MAX_FOLDER_DEPTH = 12
MAX_NAMES = 100_000
MAX_LINES_OF_SEVERAL = 200_000
MAX_STARS = 3
MAX_KEPT = 256


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a wildcard's lines are: a text file, or a list in a structured one."""

    path: Path
    lines: Lines | None = None


_Stamp = tuple[int, int]


class Wildcards:
    """Wildcards by name; case doesn't matter, and folders are part of a name ("animals/cats").

    Of several of one name the first folder's is used. Files are read when they are needed, and
    again after they have changed; `refresh` finds new ones. Threads may share it.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._places: dict[str, tuple[str, _Place]] = {}
        self._structured: dict[Path, tuple[_Stamp, Mapping[str, Lines] | PromptFileError]] = {}
        self._options: dict[str, tuple[_Stamp, tuple[Option, ...]]] = {}
        self._lock = threading.RLock()
        self.broken: tuple[Broken, ...] = ()

    @classmethod
    def default(cls) -> Wildcards:
        """Return those that ship with the app."""
        wildcards = cls([presets_folder() / "wildcards"])
        wildcards.refresh()
        return wildcards

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names, in order."""
        return tuple(sorted(name for name, _ in self._places.values()))

    def refresh(self) -> None:
        """Look for new, changed and deleted files."""
        places: dict[str, tuple[str, _Place]] = {}
        broken: list[Broken] = []
        with self._lock:
            for folder in self._folders:
                for path in _list_files(folder, broken):
                    for name, place in self._read_names(folder, path, broken):
                        if len(places) < MAX_NAMES:
                            places.setdefault(name.casefold(), (name, place))
            self._places, self.broken = places, tuple(broken)

    def find_lines(self, name: str) -> tuple[Option, ...] | None:
        """Return a wildcard's lines, parsed; None if there is no such wildcard.

        `*` in a name stands for anything within a folder's name, `**` for anything; several
        wildcards are joined.

        Raises:
            RequestError: Its file can't be read, or a line of it can't be parsed.
        """
        key = normalize_name(name)
        with self._lock:
            if "*" not in key:
                found = self._places.get(key)
                return None if found is None else self._read(*found)
            matching = _compile_pattern(key)
            several = [place for each, place in self._places.items() if matching.fullmatch(each)]
            options: list[Option] = []
            for place in several:
                options += self._read(*place)
                if len(options) > MAX_LINES_OF_SEVERAL:
                    raise RequestError(messages.too_many_lines(MAX_LINES_OF_SEVERAL))
            return tuple(options) or None

    def suggest(self, name: str) -> Sequence[str]:
        """Return names that are spelled like this one, the nearest first."""
        return suggest_names(name, self.names)

    def _read_names(
        self, folder: Path, path: Path, broken: list[Broken]
    ) -> Iterator[tuple[str, _Place]]:
        relative = path.relative_to(folder)
        if path.suffix.lower() not in STRUCTURED:
            yield relative.with_suffix("").as_posix(), _Place(path)
            return
        content = self._read_structured(path)
        if isinstance(content, PromptFileError):
            broken.append(Broken(path, str(content)))
            return
        for name, lines in content.items():
            yield (relative.parent / name).as_posix(), _Place(path, lines)

    def _read_structured(self, path: Path) -> Mapping[str, Lines] | PromptFileError:
        try:
            stamp = _stamp(path)
        except OSError as error:
            return PromptFileError(messages.cannot_read(error.strerror))
        known = self._structured.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            content: Mapping[str, Lines] | PromptFileError = read_structured_file(path)
        except PromptFileError as error:
            content = error
        self._structured[path] = (stamp, content)
        return content

    def _read(self, name: str, place: _Place) -> tuple[Option, ...]:
        try:
            stamp = _stamp(place.path)
            known = self._options.get(name)
            if known is not None and known[0] == stamp:
                return known[1]
            lines = read_text_lines(place.path) if place.lines is None else place.lines
            options = tuple(_parse_line(line, name) for line in lines)
        except OSError as error:
            raise RequestError(
                messages.wildcard_unreadable(name, messages.cannot_read(error.strerror))
            ) from error
        except PromptFileError as error:
            raise RequestError(messages.wildcard_unreadable(name, str(error))) from error
        if not any(option.weight for option in options):
            raise RequestError(messages.wildcard_unreadable(name, messages.NO_LINES))
        if len(self._options) >= MAX_KEPT:
            self._options.clear()
        self._options[name] = (stamp, options)
        return options


def normalize_name(name: str) -> str:
    """Return a wildcard's name as it is looked up."""
    return re.sub(r"[\\/]+", "/", name).strip("/ ").casefold()


def _parse_line(line: str, name: str) -> Option:
    try:
        return parse_option(line)
    except RequestError as error:
        raise RequestError(messages.wildcard_unreadable(name, str(error))) from error


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _list_files(folder: Path, broken: list[Broken]) -> list[Path]:
    """Return a folder's wildcard files in order; links that lead back to it end at the depth."""
    found: list[Path] = []
    waiting = [(folder, 0)]
    while waiting:
        current, depth = waiting.pop()
        try:
            with os.scandir(current) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if depth or folder.exists():
                broken.append(Broken(current, messages.cannot_read(error.strerror)))
            continue
        for entry in listed:
            path = Path(entry.path)
            if entry.name.startswith("."):
                continue
            if entry.is_dir() and not (entry.is_symlink() and leads_up(path)):
                if depth < MAX_FOLDER_DEPTH:
                    waiting.append((path, depth + 1))
                else:
                    broken.append(Broken(path, messages.folders_too_deep(MAX_FOLDER_DEPTH)))
            elif path.suffix.lower() in SUFFIXES and entry.is_file():
                found.append(path)
            if len(found) >= MAX_FILES:
                broken.append(Broken(folder, messages.too_many_files(MAX_FILES)))
                return found
    return found


def _compile_pattern(key: str) -> re.Pattern[str]:
    pieces = re.split(r"(\*+)", key)
    if len(pieces) // 2 > MAX_STARS:  # the time grows with that power
        raise RequestError(messages.too_many_stars(MAX_STARS))
    pattern = "".join(
        (".*" if len(piece) > 1 else "[^/]*") if piece.startswith("*") else re.escape(piece)
        for piece in pieces
    )
    return re.compile(pattern, re.DOTALL)

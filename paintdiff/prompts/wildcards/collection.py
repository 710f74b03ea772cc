"""The wildcards that can be used: those of the presets, and of people's folders."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
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
from paintdiff.system.links import is_system_folder, leads_up

MAX_FILES = 20_000
MAX_ENTRIES = 200_000
"""How many files of any kind are looked at in a folder and its subfolders; it takes a second."""
MAX_FOLDER_DEPTH = 12
MAX_NAMES = 100_000
MAX_LINES_OF_SEVERAL = 200_000
MAX_SIGNS = 500_000
"""How many signs of templates the lines read for one name may have: parsing takes 4 seconds."""
MAX_STARS = 3
_SIGNS = ("{", "|", "[", "<", "::", "__", "$")
MAX_KEPT = 256


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a wildcard's lines are: a text file, or a list in a structured one."""

    path: Path
    lines: Lines | None = None


_Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A wildcard's parsed lines, and how many signs of templates they have."""

    stamp: _Stamp
    options: tuple[Option, ...]
    signs: int


class Wildcards:
    """Wildcards by name; case doesn't matter, and folders are part of a name ("animals/cats").

    Of several of one name the first folder's is used. Files are read when they are needed, and
    again after they have changed; `refresh` finds new ones. Threads may share it.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(folders)
        self._places: dict[str, tuple[str, _Place]] = {}
        self._structured: dict[Path, tuple[_Stamp, Mapping[str, Lines] | PromptFileError]] = {}
        self._parsed: dict[str, _Parsed] = {}
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
                return None if found is None else self._read(*found).options
            matching = _compile_pattern(key)
            several = [place for each, place in self._places.items() if matching.fullmatch(each)]
            options, signs = list[Option](), 0
            for place in several:
                parsed = self._read(*place)
                options += parsed.options
                signs += parsed.signs
                if len(options) > MAX_LINES_OF_SEVERAL:
                    raise RequestError(messages.too_many_lines(MAX_LINES_OF_SEVERAL))
                if signs > MAX_SIGNS:
                    raise RequestError(messages.too_many_signs(MAX_SIGNS))
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

    def _read(self, name: str, place: _Place) -> _Parsed:
        try:
            stamp = _stamp(place.path)
            known = self._parsed.get(name)
            if known is not None and known.stamp == stamp:
                return known
            lines = read_text_lines(place.path) if place.lines is None else place.lines
            signs = sum(line.count(sign) for line in lines for sign in _SIGNS)
            if signs > MAX_SIGNS:
                raise PromptFileError(messages.too_many_signs(MAX_SIGNS))
            options = tuple(_parse_line(line, name) for line in lines)
        except OSError as error:
            raise RequestError(
                messages.wildcard_unreadable(name, messages.cannot_read(error.strerror))
            ) from error
        except PromptFileError as error:
            raise RequestError(messages.wildcard_unreadable(name, str(error))) from error
        if not any(option.weight for option in options):
            raise RequestError(messages.wildcard_unreadable(name, messages.NO_LINES))
        if len(self._parsed) >= MAX_KEPT:
            self._parsed.clear()
        parsed = self._parsed[name] = _Parsed(stamp, options, signs)
        return parsed


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
    waiting, left = [(folder, 0)], MAX_ENTRIES
    while waiting:
        current, depth = waiting.pop()
        try:
            with os.scandir(current) as entries:
                listed = sorted(islice(entries, left + 1), key=lambda entry: entry.name)
        except OSError as error:
            if depth or folder.exists():
                broken.append(Broken(current, messages.cannot_read(error.strerror)))
            continue
        left -= len(listed)
        if left < 0:
            broken.append(Broken(current, messages.too_many_files(MAX_ENTRIES)))
            return found
        inner, files = _sort_entries(listed, broken)
        if depth < MAX_FOLDER_DEPTH:
            waiting += [(path, depth + 1) for path in inner]
        else:
            deep = messages.folders_too_deep(MAX_FOLDER_DEPTH)
            broken += [Broken(path, deep) for path in inner]
        found += files
        if len(found) > MAX_FILES:
            broken.append(Broken(folder, messages.too_many_files(MAX_FILES)))
            return found[:MAX_FILES]
    return found


def _sort_entries(
    entries: Iterable[os.DirEntry[str]], broken: list[Broken]
) -> tuple[list[Path], list[Path]]:
    """Return the folders to look into, and the wildcard files."""
    folders, files = list[Path](), list[Path]()
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir() and not (entry.is_symlink() and _must_not_follow(path)):
                folders.append(path)
            elif path.suffix.lower() in SUFFIXES and entry.is_file():
                files.append(path)
        except OSError as error:  # a link that leads to itself
            broken.append(Broken(path, messages.cannot_read(error.strerror)))
    return folders, files


def _must_not_follow(link: Path) -> bool:
    return leads_up(link) or is_system_folder(link)


def _compile_pattern(key: str) -> re.Pattern[str]:
    pieces = re.split(r"(\*+)", key)
    if len(pieces) // 2 > MAX_STARS:  # the time grows with that power
        raise RequestError(messages.too_many_stars(MAX_STARS))
    pattern = "".join(
        (".*" if len(piece) > 1 else "[^/]*") if piece.startswith("*") else re.escape(piece)
        for piece in pieces
    )
    return re.compile(pattern, re.DOTALL)

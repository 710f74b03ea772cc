"""The names of what lies in models folders. A name that was given once means the same file for
good, whatever comes and goes, so that a name in a saved picture can be trusted. Importable without
torch.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from paintdiff.models.registry.base_rows import MAX_NAME, display_name, find_free_name
from paintdiff.system.atomic_files import new_file

FILE_NAME = "model-names.json"
MAX_FILE_BYTES = 64 * 2**20
_VERSION = 1

logger = logging.getLogger(__name__)

_Table = dict[str, dict[str, tuple[str, str]]]
_TABLE = TypeAdapter(_Table)


@dataclass(frozen=True)
class Named:
    """The names of all things of one sort that are there, by their paths, and where those lay that
    had a name and have gone.
    """

    names: Mapping[Path, str]
    gone: Mapping[str, Path]


class PermanentNames:
    """The names that were given to paths, by sort ("LoRA", "VAE" ...).

    A file is called what its name says, as long as it is the only one of that name. Of several each
    is called by its folders, too ("styles/ink"), but for one that had the short name before the
    others came. A name isn't given to another file when its own has gone; a file that was moved
    keeps it.

    `file` keeps them between two starts (None: they are forgotten with this object); if it can't be
    read or written that is logged. For one thread at a time.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._table: _Table | None = None
        self._changed = False

    def named(
        self,
        what: str,
        files: Mapping[Path, str],
        taken: Iterable[str] = (),
        roots: Sequence[Path] = (),
    ) -> Named:
        """A name for each of the files, whose fingerprints are given, too. `taken` are names that
        others have, `roots` the folders below which folders belong to a name.
        """
        table = self._known().setdefault(what, {})
        used = set(taken)
        names: dict[Path, str] = {}
        by_path = {path: name for name, (path, _fingerprint) in table.items()}
        for path, fingerprint in files.items():
            name = by_path.get(str(path))
            if name is not None and name not in used:
                names[path] = name
                self._give(what, name, path, fingerprint)
        used |= set(names.values())
        left = [path for path in files if path not in names]
        left = self._moved(what, files, left, names, used)
        used |= table.keys()
        titles = Counter(display_name(path).casefold() for path in files) if left else {}
        alone = {path for path in left if titles[display_name(path).casefold()] == 1}
        for path in left:
            name = display_name(path)
            if name in used or path not in alone:
                name = _by_folders(path, files, roots, used)
            names[path] = name
            used.add(name)
            self._give(what, name, path, files[path])
        here = {str(path) for path in names}
        gone = {name: Path(path) for name, (path, _) in table.items() if path not in here}
        return Named(names, gone)

    def _moved(
        self,
        what: str,
        files: Mapping[Path, str],
        left: list[Path],
        names: dict[Path, str],
        used: set[str],
    ) -> list[Path]:
        """Let files that lie elsewhere now keep their names. Returns those that are new."""
        new: list[Path] = []
        away = {
            (fingerprint, Path(path).name): name
            for name, (path, fingerprint) in self._known()[what].items()
            if name not in used and Path(path) not in files and not os.path.lexists(path)
        }
        for path in left:
            name = away.pop((files[path], path.name), None)
            if name is None:
                new.append(path)
            else:
                names[path] = name
                used.add(name)
                self._give(what, name, path, files[path])
        return new

    def _give(self, what: str, name: str, path: Path, fingerprint: str) -> None:
        table = self._known()[what]
        if table.get(name) != (str(path), fingerprint):
            table[name] = (str(path), fingerprint)
            self._changed = True

    def save(self) -> None:
        """Write the names, if there are new ones: all or nothing."""
        if self._file is None or not self._changed:
            return
        self._changed = False
        mine = self._known()
        table = _read(self._file)  # another process may have given names meanwhile
        for what, names in mine.items():
            table[what] = {**table.get(what, {}), **names}
        content = json.dumps({"version": _VERSION, "names": table})
        try:
            with new_file(self._file) as file:
                file.write(content.encode("utf-8"))
        except OSError as error:
            logger.warning("the names of models can't be kept in %s: %s", self._file, error)

    def _known(self) -> _Table:
        if self._table is None:
            self._table = {} if self._file is None else _read(self._file)
        return self._table


def _read(file: Path) -> _Table:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"it has more than {MAX_FILE_BYTES:,} bytes")
        content: Any = json.loads(file.read_bytes())
        if not isinstance(content, dict) or content.get("version") != _VERSION:
            raise ValueError("it is of another version")
        return _TABLE.validate_python(content.get("names"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        logger.warning("the names of models in %s can't be read: %s", file, error)
        return {}


def _by_folders(path: Path, files: Iterable[Path], roots: Sequence[Path], used: set[str]) -> str:
    """The name of a file with its folders in it: as few as tell it from the others."""
    title = display_name(path).casefold()
    others = [each for each in files if each != path and display_name(each).casefold() == title]
    shared = {spelling for each in others for spelling in _spellings(each, roots)}
    spelled = _spellings(path, roots)
    free = (each for each in spelled if each not in used and each not in shared)
    return next(free, None) or find_free_name(spelled[-1], used)


def _spellings(path: Path, roots: Sequence[Path]) -> list[str]:
    """A file with its folders, from those below its root on to those around that; each without and
    with its suffix.
    """
    inside = max(
        (root for root in map(_absolute, roots) if path.is_relative_to(root)),
        key=lambda root: len(root.parts),
        default=path.parent.parent,
    )
    above = min(len(inside.parts), len(path.parts) - 2)
    return [
        _printable("/".join((*path.parts[first:-1], last)))
        for first in range(above, 0, -1)
        for last in dict.fromkeys((display_name(path), path.name))
    ]


def _absolute(root: Path) -> Path:
    return root.expanduser().absolute()


def _printable(name: str) -> str:
    shown = "".join(each if each.isprintable() else " " for each in name)
    return " ".join(shown.split())[-MAX_NAME:].strip() or "unnamed"

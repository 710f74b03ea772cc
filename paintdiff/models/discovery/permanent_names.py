"""Assigns permanent names to what lies in models folders.

A name means the same file forever, whatever is added or removed, so a name saved with a picture can
be trusted. Importable without torch.
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

from paintdiff.models.discovery import messages
from paintdiff.models.registry.base_rows import MAX_NAME, find_free_name, get_display_name
from paintdiff.system.atomic_files import new_file

FILE_NAME = "model-names.json"
MAX_FILE_BYTES = 64 * 2**20
_VERSION = 1

logger = logging.getLogger(__name__)

_Table = dict[str, dict[str, tuple[str, str]]]
_TABLE = TypeAdapter(_Table)


@dataclass(frozen=True)
class AssignedNames:
    """The assigned names of one sort: `names` by path, and the former paths of missing files."""

    names: Mapping[Path, str]
    gone: Mapping[str, Path]


class PermanentNames:
    """The names assigned to paths, by sort ("LoRA", "VAE" ...).

    A file that is the only one of its name gets its own name. Of several, each gets a name that
    includes its folders ("styles/ink"), except one that had the short name before the others came.
    A deleted file's name isn't assigned to another file; a moved file keeps its name.

    `file` saves the names (None: in memory only); failed reads and writes are logged. Not
    thread-safe.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._table: _Table | None = None
        self._changed = False

    def assign(
        self,
        what: str,
        files: Mapping[Path, str],
        taken: Iterable[str] = (),
        roots: Sequence[Path] = (),
    ) -> AssignedNames:
        """Assign a name to each file. `files` maps paths to fingerprints.

        `taken` are names in use elsewhere; `roots` are the models folders, which never are a part
        of a name.
        """
        table = self._load().setdefault(what, {})
        used = set(taken)
        names: dict[Path, str] = {}
        by_path = {path: name for name, (path, _fingerprint) in table.items()}
        for path, fingerprint in files.items():
            name = by_path.get(str(path))
            if name is not None and name not in used:
                names[path] = name
                self._assign(what, name, path, fingerprint)
        used |= set(names.values())
        left = [path for path in files if path not in names]
        left = self._keep_moved(what, files, left, names, used)
        used |= table.keys()
        titles = Counter(get_display_name(path).casefold() for path in files) if left else {}
        alone = {path for path in left if titles[get_display_name(path).casefold()] == 1}
        for path in left:
            name = get_display_name(path)
            if name in used or path not in alone:
                name = _qualify_by_folders(path, files, roots, used)
            names[path] = name
            used.add(name)
            self._assign(what, name, path, files[path])
        here = {str(path) for path in names}
        gone = {name: Path(path) for name, (path, _) in table.items() if path not in here}
        return AssignedNames(names, gone)

    def _keep_moved(
        self,
        what: str,
        files: Mapping[Path, str],
        left: list[Path],
        names: dict[Path, str],
        used: set[str],
    ) -> list[Path]:
        """Let files that were moved keep their names. Return the new files."""
        new: list[Path] = []
        away = {
            (fingerprint, Path(path).name): name
            for name, (path, fingerprint) in self._load()[what].items()
            if name not in used and Path(path) not in files and not os.path.lexists(path)
        }
        for path in left:
            name = away.pop((files[path], path.name), None)
            if name is None:
                new.append(path)
            else:
                names[path] = name
                used.add(name)
                self._assign(what, name, path, files[path])
        return new

    def _assign(self, what: str, name: str, path: Path, fingerprint: str) -> None:
        table = self._load()[what]
        if table.get(name) != (str(path), fingerprint):
            table[name] = (str(path), fingerprint)
            self._changed = True

    def save(self) -> None:
        """Save new names atomically."""
        if self._file is None or not self._changed:
            return
        self._changed = False
        mine = self._load()
        table = _read_names(self._file)  # another process may have added names meanwhile
        for what, names in mine.items():
            table[what] = {**table.get(what, {}), **names}
        content = json.dumps({"version": _VERSION, "names": table})
        try:
            with new_file(self._file) as file:
                file.write(content.encode("utf-8"))
        except OSError as error:
            logger.warning("can't save the names of models in %s: %s", self._file, error)

    def _load(self) -> _Table:
        if self._table is None:
            self._table = {} if self._file is None else _read_names(self._file)
        return self._table


def _read_names(file: Path) -> _Table:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(messages.more_bytes_than(MAX_FILE_BYTES))
        content: Any = json.loads(file.read_bytes())
        if not isinstance(content, dict) or content.get("version") != _VERSION:
            raise ValueError(messages.OTHER_VERSION)
        return _TABLE.validate_python(content.get("names"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        logger.warning("can't read the names of models in %s: %s", file, error)
        return {}


def _qualify_by_folders(
    path: Path, files: Iterable[Path], roots: Sequence[Path], used: set[str]
) -> str:
    """Qualify a file's name with as few folders as make it unique."""
    title = get_display_name(path).casefold()
    others = [each for each in files if each != path and get_display_name(each).casefold() == title]
    shared = {spelling for each in others for spelling in _list_spellings(each, roots)}
    spelled = _list_spellings(path, roots)
    free = (each for each in spelled if each not in used and each not in shared)
    return next(free, None) or find_free_name(spelled[-1], used)


def _list_spellings(path: Path, roots: Sequence[Path]) -> list[str]:
    """List a file's possible names with more and more folders, each without and with its suffix.

    Folders below the root come first, then those above it.
    """
    inside = max(
        (root for root in map(_make_absolute, roots) if path.is_relative_to(root)),
        key=lambda root: len(root.parts),
        default=path.parent.parent,
    )
    above = min(len(inside.parts), len(path.parts) - 2)
    return [
        _make_printable("/".join((*path.parts[first:-1], last)))
        for first in range(above, 0, -1)
        for last in dict.fromkeys((get_display_name(path), path.name))
    ]


def _make_absolute(root: Path) -> Path:
    return root.expanduser().absolute()


def _make_printable(name: str) -> str:
    shown = "".join(each if each.isprintable() else " " for each in name)
    return " ".join(shown.split())[-MAX_NAME:].strip() or "unnamed"

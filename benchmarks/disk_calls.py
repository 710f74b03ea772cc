"""Watches a process's calls that change files, and works out what a loss of power would leave.

`disk_calls.c` is the part within the process; this one compiles it, reads its log, and replays it:
only what was flushed is sure to be on the disk. For Linux with a C compiler.
"""

from __future__ import annotations

import ctypes
import os
import random
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SKIP_FILES, SKIP_FOLDERS, TORN, STICKY, SOCKETS = 1, 2, 4, 8, 16
"""Flags: don't flush files, or folders; die in the middle of a write; fail for good; count what is
sent to a server and received, too."""
ACKNOWLEDGED, ERROR = "A", "E"
_SOURCE = Path(__file__).with_suffix(".c")
_ENTRY = struct.Struct("<QQIIc")
_SECTOR_BYTES = 512


def run_watched(module: str, arguments: Sequence[str]) -> int:
    """Run `python -m MODULE` with the library loaded; return its exit code.

    Raises:
        FileNotFoundError: There is no compiler `cc`.
    """
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "disk_calls.so"
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE)]
        subprocess.run([*command, "-ldl", "-lpthread"], check=True)
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, "LD_PRELOAD": str(library)},
            check=False,
        ).returncode


def is_watched() -> bool:
    """Return whether the library is loaded into this process."""
    return hasattr(ctypes.CDLL(None), "disk_watch")


class Watch:
    """The watch over this process's calls within a folder. `log` gets those that succeeded."""

    def __init__(self, root: Path, log: int) -> None:
        self._library, self._root, self._log = ctypes.CDLL(None), str(root).encode(), log

    def start(
        self, *, kill_before: int = 0, fail_from: int = 0, error: int = 0, flags: int = 0
    ) -> None:
        """Count from 1, and kill the process before a call, or let one fail with an errno."""
        self._library.disk_watch(self._root, self._log, kill_before, fail_from, error, flags)

    def mend(self) -> None:
        """Let nothing fail any more."""
        self._library.disk_mend()

    @property
    def count(self) -> int:
        """Return how many calls there were."""
        return self._library.disk_count()

    def note(self, kind: str, text: str) -> None:
        """Add an entry of our own to the log."""
        data = text.encode()
        os.write(self._log, _ENTRY.pack(0, 0, len(data), 0, kind.encode()) + data)


@dataclass(frozen=True)
class Call:
    """An entry of the log: a call's letter (see `disk_calls.c`), its file, and what it changed."""

    letter: str
    inode: int
    offset: int
    path: str
    data: bytes


def read_log(path: Path) -> list[Call]:
    """Read a log, up to an entry that the end of the process cut off."""
    content, place, found = path.read_bytes(), 0, list[Call]()
    while place + _ENTRY.size <= len(content):
        inode, offset, first, second, letter = _ENTRY.unpack_from(content, place)
        middle, end = place + _ENTRY.size + first, place + _ENTRY.size + first + second
        if end > len(content):
            break
        name = content[place + _ENTRY.size : middle].decode()
        found.append(Call(letter.decode(), inode, offset, name, content[middle:end]))
        place = end
    return found


@dataclass
class _File:
    """A file: what is on the disk for sure, and the writes since, `None` to cut it off."""

    flushed: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(
        default_factory=list[tuple[int, "bytes | None"]]
    )

    def content(self, pending: Sequence[tuple[int, bytes | None]]) -> bytes:
        found = bytearray(self.flushed)
        for offset, data in pending:
            if data is None:
                del found[offset:]
                continue
            found.extend(bytes(max(0, offset - len(found))))
            found[offset : offset + len(data)] = data
        return bytes(found)


@dataclass(frozen=True)
class _Naming:
    """A change of a folder: `path` becomes the name of `file`, a folder if None, or no name."""

    path: str
    file: _File | None = None
    gone: bool = False


class Disk:
    """A disk that keeps in its cache what isn't flushed, in any order, and loses it.

    The folder `root` is on it as a whole in the beginning.
    """

    def __init__(self, root: Path) -> None:
        self._names: dict[str, _File | None] = {}
        """Files whose names are on the disk; None is a folder."""
        self._files: dict[int, _File] = {}
        self._now: dict[str, _File | None] = {}
        self._pending: list[_Naming] = []
        for path in sorted(root.rglob("*")):
            file = None if path.is_dir() else _File(path.read_bytes())
            if file is not None:
                self._files[path.stat().st_ino] = file
            self._names[str(path)] = file
        self._now = dict(self._names)

    def replay(self, call: Call) -> None:
        """Do what a call did."""
        if call.letter in "CTWS":
            self._change_file(call)
        elif call.letter == "D":
            for each in [each for each in self._pending if _folder(each.path) == call.path]:
                _apply(self._names, each)
                self._pending.remove(each)
        elif call.letter == "U":
            self._rename(_Naming(call.path, gone=True))
        elif call.letter == "M":
            self._rename(_Naming(call.path))
        elif call.letter in "RL":
            target, file = call.data.decode(), self._now[call.path]
            if call.letter == "R" and target != call.path:
                self._rename(_Naming(call.path, gone=True))
            self._rename(_Naming(target, file))

    def _change_file(self, call: Call) -> None:
        if call.letter == "C":
            self._files[call.inode] = _File()
            self._rename(_Naming(call.path, self._files[call.inode]))
            return
        file = self._files[call.inode]
        if call.letter == "S":
            file.flushed, file.pending = file.content(file.pending), []
        else:
            file.pending.append((call.offset, call.data if call.letter == "W" else None))

    def _rename(self, naming: _Naming) -> None:
        _apply(self._now, naming)
        self._pending.append(naming)

    def write(self, target: Path, root: Path, kind: str, draw: random.Random) -> None:
        """Write what is left after a loss of power under `target`.

        `kind` is "flushed" (nothing else), "named" (all names, but only flushed content), "cached"
        (all content, but only flushed names) or "random" (a part of what wasn't flushed, the last
        write of each file torn).
        """
        names = dict(self._names)
        if kind == "named":
            for each in self._pending:
                _apply(names, each)
        elif kind == "random":
            for each in self._pending[: draw.randint(0, len(self._pending))]:
                _apply(names, each)
        for path, file in sorted(names.items()):
            place = target / Path(path).relative_to(root)
            if not place.parent.is_dir():
                continue  # its folder has no name
            if file is None:
                place.mkdir(exist_ok=True)
            else:
                place.write_bytes(file.content(_surviving(file, kind, draw)))


def _surviving(file: _File, kind: str, draw: random.Random) -> Sequence[tuple[int, bytes | None]]:
    if kind == "cached":
        return file.pending
    if kind != "random" or not file.pending:
        return ()
    kept = file.pending[: draw.randint(0, len(file.pending))]
    if kept and (last := kept[-1][1]) is not None:
        whole = draw.randint(0, len(last) // _SECTOR_BYTES) * _SECTOR_BYTES
        kept = [*kept[:-1], (kept[-1][0], last[:whole])]
    return kept


def _apply(names: dict[str, _File | None], naming: _Naming) -> None:
    if naming.gone:
        names.pop(naming.path, None)
    else:
        names[naming.path] = naming.file


def _folder(path: str) -> str:
    return os.path.dirname(path)

"""Opens untrusted files, which may be no files at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from paintdiff.system import messages

_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, messages.NAMED_PIPE),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def explain_not_a_file(mode: int) -> str | None:
    """Name what a mode is if not a regular file's ("a folder"); None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    return next((what for is_it, what in _KINDS if is_it(mode)), "no file")


def open_file(path: Path, *, buffering: int = -1) -> BinaryIO:
    """Open a regular file for reading bytes, without waiting for a named pipe or opening a device.

    Raises:
        OSError: The file can't be opened or isn't a regular file. `strerror` is fit for people.
    """
    _check(path, os.stat(path).st_mode)
    descriptor = os.open(path, os.O_RDONLY | _WITHOUT_WAITING | _BINARY)
    try:
        _check(path, os.fstat(descriptor).st_mode)  # the name may have been reused since
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb", buffering)


def _check(path: Path, mode: int) -> None:
    what = explain_not_a_file(mode)
    if what is not None:
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, messages.not_a_file(what), str(path))

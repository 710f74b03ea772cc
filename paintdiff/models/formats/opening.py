"""Opening files that strangers may have put there. Importable without torch."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def explain_not_a_file(mode: int) -> str | None:
    """Return what something is that isn't a regular file ("a folder"), None for one."""
    if stat.S_ISREG(mode):
        return None
    return next((what for is_it, what in _KINDS if is_it(mode)), "no file")


def open_file(path: Path, *, buffering: int = -1) -> BinaryIO:
    """Open a regular file to read its bytes.

    A named pipe isn't waited for, and a device isn't opened. Raises OSError, whose `strerror` says
    what is wrong, also if it is anything but a file.
    """
    _check(path, os.stat(path).st_mode)
    descriptor = os.open(path, os.O_RDONLY | _WITHOUT_WAITING | _BINARY)
    try:
        _check(path, os.fstat(descriptor).st_mode)  # another may have its name by now
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb", buffering)


def _check(path: Path, mode: int) -> None:
    what = explain_not_a_file(mode)
    if what is not None:
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, f"It is {what}, not a file", str(path))

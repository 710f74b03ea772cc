"""Marks of living processes: files that are locked for as long as their process lives."""

from __future__ import annotations

import errno
import logging
import re
import secrets
import sys
from pathlib import Path
from typing import BinaryIO

from paintdiff.system.atomic_files import make_folder

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9a-f]{16}")


class ProcessMark:
    """The mark of this process in a folder. It ends with the process, however that ends.

    `name` identifies it among the processes that share the folder.
    """

    def __init__(self, folder: Path) -> None:
        """Make the mark, and the folder.

        Raises:
            OSError: It can't be written.
        """
        make_folder(folder)
        self.name = secrets.token_hex(8)
        self._path = _path_of(folder, self.name)
        self._file = self._path.open("xb")
        try:
            _lock(self._file)
        except OSError as error:  # some file systems can't: then no other process can see it
            logger.debug("files can't be locked in %s: %s", folder, error)

    def remove(self) -> None:
        """Remove the mark before the process ends."""
        self._file.close()
        _remove(self._path)


def is_alive(folder: Path, name: str) -> bool:
    """Return whether the process of a mark in a folder lives. The mark of a dead one is removed."""
    if _NAME.fullmatch(name) is None:
        return False
    path = _path_of(folder, name)
    try:
        if sys.platform == "win32":
            path.unlink()  # fails while it is open
            return False
        with path.open("rb+") as file:  # POSIX locks need a file that may be written
            _lock(file)
    except FileNotFoundError:
        return False
    except OSError as error:
        if sys.platform == "win32" or error.errno in (errno.EACCES, errno.EAGAIN):
            return True
        logger.debug("files can't be locked in %s: %s", folder, error)
    _remove(path)
    return False


def _path_of(folder: Path, name: str) -> Path:
    return folder / f".{name}.process"


def _lock(file: BinaryIO) -> None:
    """Lock a file for this process, but not for the children that it forks.

    Raises:
        OSError: Another process has locked it (EACCES or EAGAIN), or files can't be locked.
    """
    if sys.platform != "win32":
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.debug("%s can't be removed: %s", path.name, error.strerror)

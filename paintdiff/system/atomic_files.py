"""Files that appear whole or not at all, and cleaning up after killed processes."""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import IO, BinaryIO

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

_PART = re.compile(r"\.[0-9a-f]{16}\.part")
_ABANDONED_SECONDS = 3600.0
"""After so long without a write nobody writes a file any more, where files can't be locked."""
_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
_FOLDER_PREFIX = "paintdiff-work-"
_LOCK_NAME = ".lock"


@contextmanager
def new_file(path: Path, *, overwrite: bool = True) -> Generator[BinaryIO]:
    """Open a file that gets the name `path` when the block ends without an error.

    By then its content, its name and its folder, which is made if necessary, are on the disk, even
    if the machine stops. After an error nothing of the file is left, but what it replaced may be
    gone.

    Raises:
        FileExistsError: The name is taken and `overwrite` is false.
        OSError: It can't be written.
    """
    make_folder(path.parent)
    part, file = _create_part(path.parent)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _publish(part, path, overwrite)
    except BaseException:
        with suppress(OSError):  # the earlier error says more
            part.unlink(missing_ok=True)
        raise
    try:
        part.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s is written, but not tidied up: %s", path.name, error)
    try:
        sync_folder(path.parent)
    except OSError:
        if not overwrite:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; then their names are on the disk.

    The name of an empty one may not be: another process, or one that was killed, has just made it.

    Raises:
        OSError: It can't be made.
    """
    try:
        with os.scandir(folder) as entries:
            if next(entries, None) is not None:
                return
    except PermissionError:
        return  # it is there
    except FileNotFoundError:
        if folder != folder.parent:
            make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _create_part(folder: Path) -> tuple[Path, BinaryIO]:
    """Create and lock an unfinished file, under a short name: the final one may be very long."""
    while True:
        part = folder / f".{secrets.token_hex(8)}.part"
        file = part.open("xb")
        try:
            _lock(file)
            if part.exists():
                return part, file
        except BlockingIOError:
            pass  # a start that tidies up has locked it first, and removes it
        except BaseException:
            file.close()
            part.unlink(missing_ok=True)
            raise
        file.close()


def remove_stale_parts(folder: Path, *, depth: int = 0) -> None:
    """Remove unfinished files in a folder, and in its subfolders down to `depth`.

    Files that another process is writing stay. Failures are logged.
    """
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("can't look for unfinished files in %s: %s", folder, error)
        return
    for entry in entries:
        if depth > 0 and entry.is_dir(follow_symlinks=False):
            remove_stale_parts(Path(entry.path), depth=depth - 1)
        elif _PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            _remove_stale(Path(entry.path))


@contextmanager
def temporary_folder() -> Generator[Path]:
    """Make a folder that is removed at the end, or at the next start if this process is killed."""
    with TemporaryDirectory(prefix=_FOLDER_PREFIX) as name:
        folder = Path(name)
        with (folder / _LOCK_NAME).open("xb") as lock:
            _lock(lock)
            yield folder


def remove_stale_folders() -> None:
    """Remove this user's temporary folders that killed processes left."""
    for folder in Path(gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        lock = folder / _LOCK_NAME
        try:
            if folder.is_symlink() or folder.stat().st_uid != _user() or not lock.is_file():
                continue
            with lock.open("rb") as file:
                _lock(file)
                shutil.rmtree(folder)
        except (BlockingIOError, FileNotFoundError):
            pass  # another process works in it, or has finished
        except OSError as error:
            logger.warning("a temporary folder can't be removed: %s", error)


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _remove_stale(part: Path) -> None:
    try:
        if sys.platform == "win32":
            part.unlink()  # fails while it is open
            return
        with part.open("rb") as file:
            if _lock(file) or time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
                part.unlink()
    except (BlockingIOError, FileNotFoundError):
        pass  # somebody is writing it, or has finished
    except OSError as error:
        logger.warning("an unfinished file can't be removed: %s", error)


def _lock(file: IO[bytes]) -> bool:
    """Lock a file for as long as it is open. Return whether the file system can.

    Raises:
        BlockingIOError: Another process has locked it.
    """
    if sys.platform == "win32":
        return True  # there an open file can't be removed anyway
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        logger.debug("files can't be locked here: %s", error)
        return False
    return True


def _publish(part: Path, path: Path, overwrite: bool) -> None:
    """Give the finished file its name in one step.

    Raises:
        FileExistsError: The name is taken.
    """
    if overwrite:
        part.replace(path)
        return
    try:
        os.link(part, path)  # unlike a rename it fails if the name is taken
    except FileExistsError:
        raise
    except OSError as error:  # exFAT, some network shares: each has its own error number
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        part.rename(path)


def sync_folder(folder: Path) -> None:
    """Flush a folder's names to the disk, where that is possible: not on Windows or some shares.

    Raises:
        OSError: It is possible, but failed.
    """
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return  # names may be made there, but not listed
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(handle)

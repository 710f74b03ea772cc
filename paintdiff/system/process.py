"""Supplies what a process may lack: standard streams, encoding, home directory, user name."""

from __future__ import annotations

import codecs
import getpass
import io
import os
import sys
import tempfile
from pathlib import Path

from paintdiff.system import messages

_LENIENT = "paintdiff-lenient"


def prepare_process() -> str:
    """Supply what this process lacks. Call it before anything is opened or imported.

    Returns a sentence for the log about where files are kept if the process has no home directory,
    else "".
    """
    _open_missing_streams()
    codecs.register_error(_LENIENT, _encode_leniently)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_LENIENT)
    return _find_home()


def _open_missing_streams() -> None:
    """Open missing streams (a closed one, pythonw) on the null device.

    Otherwise the next opened file would get their number, and what is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _encode_leniently(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write the bytes of undecodable file names unchanged, and escape other characters."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def _find_home() -> str:
    """Set HOME to a temporary folder of this user if there is no writable home.

    An example is a container with a user of its own (`docker run --user`).
    """
    if os.name != "posix":
        return ""
    user = os.getuid()
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"user-{user}"  # some libraries name their caches by it
    if _can_be_written(Path(os.path.expanduser("~"))):
        return ""
    folder = Path(tempfile.gettempdir()) / f"paintdiffusion-home-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if folder.is_symlink() or status.st_uid != user or status.st_mode & 0o022:
            raise PermissionError
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="paintdiffusion-home-"))
    os.environ["HOME"] = str(folder)
    return messages.no_writable_home(folder)


def _can_be_written(folder: Path) -> bool:
    if not folder.is_absolute():
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False

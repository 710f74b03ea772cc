"""The command `python -m paintdiff gallery watch FOLDER`: import pictures as they appear."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from paintdiff.cli import messages
from paintdiff.cli.flag_values import parse_path
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.importing.import_folder import ImportReport
from paintdiff.gallery.importing.watching import FolderWatcher

_POLL_SECONDS = 0.5


def add_watch_command(command: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    command.add_argument(
        "folders", type=parse_path, nargs="+", metavar="PICTURES", help=messages.WATCHED_HELP
    )
    command.add_argument("--copy", action="store_true", help=messages.COPY_HELP)


def watch(
    opened: Gallery, options: argparse.Namespace, tell: Callable[[ImportReport], None]
) -> int:
    """Run the command until it is interrupted. Returns the exit code.

    Raises:
        SettingsError: A folder lies in the gallery's own.
        GalleryError: The database can't be used at the start.
    """
    watcher = FolderWatcher(opened, options.folders, copy=options.copy)
    opened.store.removals()  # a gallery that can't be opened is refused at once
    ended = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(ended, tell), name="watch-folders")
    with _set_when_interrupted(ended):
        sys.stdout.write(messages.WATCHING + "\n")
        sys.stdout.flush()
        thread.start()
        while thread.is_alive():  # a wait without an end would keep signals from being handled
            thread.join(_POLL_SECONDS)
    return 0


@contextmanager
def _set_when_interrupted(ended: threading.Event) -> Generator[None]:
    """Set the event on Ctrl-C and when the process is told to end; a second Ctrl-C interrupts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()
        signal.signal(signal.SIGINT, usual[signal.SIGINT])

    usual = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)

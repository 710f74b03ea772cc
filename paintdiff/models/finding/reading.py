"""Reads headers of files from strangers in a process of its own (`reading_child`), so that
whatever one of them does costs that file alone. Importable without torch.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from paintdiff.models.files.limits import MAX_FILE_SECONDS, MAX_WASTED_SECONDS
from paintdiff.models.finding.known_file import Known, unreadable

KNOWN = TypeAdapter(Known)

_CHILD = Path(__file__).with_name("reading_child.py")
_MAX_ANSWER_BYTES = 2**20
_START_SECONDS = 60.0
_END_SECONDS = 5.0
_NEEDED_VARIABLES = ("SYSTEMROOT", "WINDIR")  # without them Windows starts no process

logger = logging.getLogger(__name__)


class FileReader:
    """A process that tells what files are; it is started when it is first asked, and again after a
    file that ended it. For one thread at a time; use it in a `with`, or `close` it.

    `wasted_seconds` is how long files took that turned out to be of no use.
    """

    def __init__(self, widths: Mapping[int, str], file_seconds: float = MAX_FILE_SECONDS) -> None:
        self._widths = widths
        self._file_seconds = file_seconds
        self._child: _Child | None = None
        self.wasted_seconds = 0.0

    @property
    def gives_up(self) -> bool:
        """Whether so much time was lost with files of no use that the others have to wait."""
        return self.wasted_seconds > MAX_WASTED_SECONDS

    def known(self, path: Path) -> Known:
        """Return what a file is. Never raises: what can't be read is of no use, and says why."""
        started = time.monotonic()
        known = self._answer(path)
        if not known.form:
            self.wasted_seconds += time.monotonic() - started
        return known

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _answer(self, path: Path) -> Known:
        try:
            if self._child is None:
                self._child = _Child(self._widths)
            answer = self._child.answer(path, self._file_seconds)
        except queue.Empty:
            self.close()
            return unreadable(f"reading it took longer than {self._file_seconds:g} seconds")
        except OSError as error:
            self.close()
            return unreadable(f"the process that reads files can't be used: {error}")
        if answer is None:
            status = self._child.end()
            self._child = None
            return unreadable(f"reading it ended the process that does so (status {status})")
        try:
            return KNOWN.validate_python(json.loads(answer))
        except (ValueError, ValidationError) as error:
            self.close()
            logger.warning("of %r the process that reads files said %r", str(path), error)
            return unreadable("the process that reads files gave no answer that can be understood")


class _Child:
    """One such process. Raises OSError if it can't be started."""

    def __init__(self, widths: Mapping[int, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(_CHILD), json.dumps(dict(widths))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _NEEDED_VARIABLES if name in os.environ},
            close_fds=True,
        )
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._seconds_to_start = _START_SECONDS
        stdout: Any = self._process.stdout
        threading.Thread(target=_pass_on, args=(stdout, self._answers), daemon=True).start()

    def answer(self, path: Path, seconds: float) -> bytes | None:
        """Return its answer, None if it has ended. Raises queue.Empty if it takes longer."""
        stdin: Any = self._process.stdin
        with suppress(BrokenPipeError):  # it has ended, which the answers say
            stdin.write(json.dumps(str(path)).encode("ascii") + b"\n")
            stdin.flush()
        answer = self._answers.get(timeout=seconds + self._seconds_to_start)
        self._seconds_to_start = 0.0
        return answer

    def end(self) -> int | None:
        """Kill it, and return its status. (One that waits for a disk may outlive this.)"""
        self._process.kill()
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_SECONDS)
        return None


def _pass_on(stream: IO[bytes], answers: queue.SimpleQueue[bytes | None]) -> None:
    with stream:
        while line := stream.readline(_MAX_ANSWER_BYTES):
            answers.put(line)
    answers.put(None)

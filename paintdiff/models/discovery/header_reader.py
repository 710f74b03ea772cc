"""Reads headers of untrusted files in a separate process (`header_worker`).

A hostile file can then only make itself unusable. Importable without torch.
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
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from paintdiff.models.discovery import messages
from paintdiff.models.discovery.inspection import InspectedFile, make_unreadable
from paintdiff.models.formats.limits import MAX_FILE_SECONDS, MAX_WASTED_SECONDS

KNOWN = TypeAdapter(InspectedFile)

_CHILD = Path(__file__).with_name("header_worker.py")
_MAX_ANSWER_BYTES = 2**20
_AHEAD_BYTES = 4 * 2**10
_START_SECONDS = 60.0
_END_SECONDS = 5.0
_NEEDED_VARIABLES = ("SYSTEMROOT", "WINDIR")  # Windows starts no process without them

logger = logging.getLogger(__name__)


class FileReader:
    """A process that inspects files, started on first use and restarted after a file that ended it.

    Not thread-safe. Use it in a `with` statement, or call `close`. `wasted_seconds` is the time
    spent on files that turned out to be unusable.
    """

    def __init__(self, widths: Mapping[int, str], file_seconds: float = MAX_FILE_SECONDS) -> None:
        self._widths = widths
        self._file_seconds = file_seconds
        self._child: _Child | None = None
        self._expected: deque[Path] = deque()
        self._asked: deque[Path] = deque()
        self.wasted_seconds = 0.0

    @property
    def gives_up(self) -> bool:
        """Return whether unusable files took so long that the rest is left for the next scan."""
        return self.wasted_seconds > MAX_WASTED_SECONDS

    def expect(self, paths: Iterable[Path]) -> None:
        """Announce the files to come, in this order, so that the process can read ahead."""
        self._expected = deque(paths)

    def inspect(self, path: Path) -> InspectedFile:
        """Return what a file is. Never raises: an unusable file's result says why."""
        started = time.monotonic()
        known = self._answer(path)
        if not known.form:
            self.wasted_seconds += time.monotonic() - started
        return known

    def close(self) -> None:
        """End the process and forget the announced files."""
        self._end()
        self._expected.clear()

    def _end(self) -> int | None:
        """End the process. The files it was sent ahead go to the next one."""
        status = None if self._child is None else self._child.end()
        self._child = None
        self._expected.extendleft(reversed(self._asked))
        self._asked.clear()
        return status

    def _ask(self, path: Path) -> _Child:
        """Send the process a file, and read ahead in the announced ones."""
        if self._asked and self._asked[0] != path:
            self._end()
        if self._child is None:
            self._child = _Child(self._widths)
        if not self._asked:
            if self._expected and self._expected[0] == path:
                self._expected.popleft()
            self._asked.append(path)
            self._child.ask(path)
        while self._expected and self._child.asked_bytes < _AHEAD_BYTES:
            self._asked.append(self._expected.popleft())
            self._child.ask(self._asked[-1])
        return self._child

    def _answer(self, path: Path) -> InspectedFile:
        try:
            answer = self._ask(path).answer(self._file_seconds)
            self._asked.popleft()
        except queue.Empty:
            self._asked.popleft()
            self._end()
            return make_unreadable(messages.reading_took_longer(self._file_seconds))
        except OSError as error:
            self._asked.clear()
            self._end()
            return make_unreadable(messages.no_reading_process(error))
        if answer is None:
            status = self._end()
            return make_unreadable(messages.reading_crashed(status))
        try:
            return KNOWN.validate_python(json.loads(answer))
        except (ValueError, ValidationError) as error:
            self._end()
            logger.warning("for %r the process that reads files answered %r", str(path), error)
            return make_unreadable(messages.INVALID_ANSWER)


class _Child:
    """One worker process. Raises OSError if it can't be started."""

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
        self._sizes: deque[int] = deque()
        stdout: Any = self._process.stdout
        threading.Thread(target=_pass_on, args=(stdout, self._answers), daemon=True).start()

    @property
    def asked_bytes(self) -> int:
        """The size of unanswered requests in bytes. A pipe holds only so many."""
        return sum(self._sizes)

    def ask(self, path: Path) -> None:
        """Request the inspection of a file."""
        stdin: Any = self._process.stdin
        line = json.dumps(str(path)).encode("ascii") + b"\n"
        self._sizes.append(len(line))
        with suppress(BrokenPipeError):  # it has ended; `answer` reports that
            stdin.write(line)
            stdin.flush()

    def answer(self, seconds: float) -> bytes | None:
        """Return the next answer, None if the process has ended.

        Raises:
            queue.Empty: There was no answer in time.
        """
        answer = self._answers.get(timeout=seconds + self._seconds_to_start)
        self._seconds_to_start = 0.0
        self._sizes.popleft()
        return answer

    def end(self) -> int | None:
        """Kill the process and return its exit status, None if it still waits for a disk."""
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

"""Watching a job: Ctrl-C, and what a log shows."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from paintdiff.cli.progress import watch_job
from paintdiff.errors import JobCancelledError
from paintdiff.jobs.events import Cancelled, Event, Loading, Queued


class Watched:
    """A job that is interrupted while somebody looks at it; `held` is one of its locks."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.held = threading.Lock()

    def events(self, _timeout: float) -> Iterator[Event]:
        yield Queued(0)
        self.held.acquire()  # an exception here would leave it so
        os.kill(os.getpid(), signal.SIGINT)
        assert self.cancelled.wait(10)
        self.held.release()
        yield Cancelled(())

    def cancel(self) -> None:
        self.cancelled.set()

    def result(self) -> Any:
        raise JobCancelledError("cancelled")


def test_ctrl_c_cancels_and_breaks_nothing_off() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    job: Any = Watched()
    try:
        with pytest.raises(JobCancelledError):
            watch_job(job, quiet=True)
        assert not job.held.locked()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_log_shows_each_message_once(capsys: pytest.CaptureFixture[str]) -> None:
    class Slow(Watched):
        def events(self, _timeout: float) -> Iterator[Event]:
            for _ in range(50):
                yield Loading("mini", "Loading mini")
            for _ in range(50):
                yield Loading("double", "Loading the upscaler")
            yield Cancelled(())

    job: Any = Slow()
    with pytest.raises(JobCancelledError):
        watch_job(job, quiet=False)
    log = capsys.readouterr().err
    assert log.count("Loading mini") == 1
    assert log.count("Loading the upscaler") == 1


def test_a_quiet_job_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Slow(Watched):
        def events(self, _timeout: float) -> Iterator[Event]:
            yield Loading("mini", "Loading mini")
            yield Cancelled(())

    job: Any = Slow()
    with pytest.raises(JobCancelledError):
        watch_job(job, quiet=True)
    assert capsys.readouterr().err == ""

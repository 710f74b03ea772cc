"""A job's progress on standard error."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, Protocol, TypeVar

from tqdm import tqdm

from paintdiff.cli import messages
from paintdiff.jobs.events import TERMINAL, Event, Loading, Progress

_POLL_SECONDS = 0.5
_DOING = {
    "denoising": messages.PAINTING,
    "decoding": messages.DECODING,
    "faces": messages.RESTORING_FACES,
    "upscaling": messages.UPSCALING,
}
_UNITS = {"faces": "face", "upscaling": "tile"}


_Result = TypeVar("_Result", covariant=True)


class WatchedJob(Protocol[_Result]):
    """A job of this machine's engine, or of a server's."""

    def events(self, timeout_seconds: float | None = None, /) -> Iterator[Event]:
        """Yield all events to the last; the latest one again after the timeout."""
        ...

    def cancel(self) -> None:
        """End the job."""
        ...

    def result(self) -> _Result:
        """Return what came of it, or raise its error."""
        ...


def watch_job(job: WatchedJob[_Result], *, quiet: bool, place: str = "") -> _Result:
    """Show the job's progress until it ends. Ctrl-C cancels it.

    `place` says which of several jobs it is, such as " 2 of 5".

    Raises:
        JobCancelledError: It was cancelled.
        PaintError: The job's own error.
    """
    with (
        _cancel_on_ctrl_c(job),
        tqdm(bar_format="{desc}", file=sys.stderr, disable=quiet, leave=False) as bar,
    ):
        for event in job.events(_POLL_SECONDS):
            _show(event, bar, place)
            if isinstance(event, TERMINAL):
                break
    return job.result()


@contextmanager
def _cancel_on_ctrl_c(job: WatchedJob[object]) -> Generator[None]:
    """Cancel the job on Ctrl-C while inside; a second Ctrl-C raises KeyboardInterrupt as usual.

    An exception could be raised while this thread holds a lock, which would never be released.
    """
    usual = signal.getsignal(signal.SIGINT)
    if not callable(usual) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def cancel(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, usual)
        threading.Thread(target=job.cancel, name="cancel", daemon=True).start()

    signal.signal(signal.SIGINT, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _show(event: Event, bar: tqdm[NoReturn], place: str) -> None:
    if isinstance(event, Loading):
        if bar.disable or bar.desc == event.message:  # a repetition would fill a log
            return
        bar.bar_format = "{desc}"  # nothing to count
        bar.set_description_str(event.message)
    elif isinstance(event, Progress):
        bar.bar_format = None
        bar.unit = _UNITS.get(event.stage, "step")
        bar.total = event.num_images * event.total_steps
        bar.set_description(_DOING.get(event.stage, event.stage) + place)
        along = event.together if event.stage in ("denoising", "decoding") else 1
        bar.update(event.image_index * event.total_steps + event.step * along - bar.n)

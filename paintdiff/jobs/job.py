"""A job: a request accepted by an engine, with its events."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from paintdiff.errors import JobCancelledError
from paintdiff.jobs import messages
from paintdiff.jobs.events import (
    TERMINAL,
    Cancelled,
    CellDone,
    Event,
    Failed,
    Finished,
    Loading,
    Picture,
    Progress,
    Queued,
)
from paintdiff.jobs.grid_cells import Cell
from paintdiff.jobs.requests import Request


@dataclass(frozen=True)
class JobKey:
    """An idempotency key: the client's text, and the digest of the request that it belongs to."""

    text: str
    digest: str


class RunningJob(Protocol):
    """A job as whoever runs it sees it: a Job, or a cell of a grid's."""

    @property
    def id(self) -> str:
        """Return the job's id."""
        ...

    @property
    def request(self) -> Request:
        """Return the resolved request to run."""
        ...

    @property
    def owner(self) -> str:
        """Return the owner of its pictures."""
        ...

    @property
    def cell(self) -> int | None:
        """Return its number among a grid's cells, None if it is none."""
        ...

    @property
    def whole(self) -> Job:
        """Return the job that gets its pictures: itself, or the grid's."""
        ...

    @property
    def sees_all(self) -> bool:
        """Return whether its owner may see everybody's pictures."""
        ...

    @property
    def varied(self) -> str:
        """Return the id of the picture that its pictures are variations of, "" without one."""
        ...

    @property
    def saves(self) -> bool:
        """Return whether its pictures are saved and recorded."""
        ...

    @property
    def on_step(self) -> Callable[[Progress], None] | None:
        """Return what gets every Progress event, None for nothing."""
        ...

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Return the finished pictures."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the warnings so far."""
        ...

    def emit(self, event: Event) -> None:
        """Add an event."""
        ...

    def add_picture(self, picture: Picture) -> None:
        """Add a finished picture."""
        ...

    def warn(self, sentences: tuple[str, ...]) -> None:
        """Add warnings."""
        ...

    def raise_if_cancelled(self) -> None:
        """Raise JobCancelledError if the job was cancelled."""
        ...


class Job:
    """One accepted request. All methods are thread-safe.

    `visitor` submitted it, "" if that doesn't matter; `owner` owns its pictures in the gallery, and
    with `sees_all` may see everybody's. `varied` is the gallery's id of the picture that these are
    variations of, "" if there is none. Whoever submits it has checked that the owner may see it.
    With `saves` off they are neither saved nor recorded. `on_step` gets every Progress event, none
    skipped, with previews at full quality; the worker calls it, and waits.
    `cells` are a grid's, in the order in which they are painted; the engine sets them.

    A `durable` job is in a journal, and outlives the process; its `id` then comes from there, and
    `starts` is how often painting it was begun, and ended with the process. `key` is the client's
    idempotency key. `on_cancel` is called in the canceller's thread when a waiting job was
    cancelled. A `suspended` job was interrupted by the end of the process: it isn't cancelled, but
    goes on after the next start.
    """

    cell = None

    def __init__(  # noqa: PLR0913 (what it knows besides its request)
        self,
        request: Request,
        warnings: tuple[str, ...] = (),
        visitor: str = "",
        owner: str = "",
        *,
        saves: bool = True,
        on_step: Callable[[Progress], None] | None = None,
        sees_all: bool = False,
        varied: str = "",
        id: str = "",
        durable: bool = False,
        key: JobKey | None = None,
        on_cancel: Callable[[Job], None] | None = None,
    ) -> None:
        self.id = id or secrets.token_urlsafe(16)
        self.request = request
        self.visitor = visitor
        self.owner = owner
        self.saves = saves
        self.on_step = on_step
        self.sees_all = sees_all
        self.varied = varied
        self.durable = durable
        self.key = key
        self.on_cancel = on_cancel
        self.starts = 0
        self.suspended = False
        self.cells: tuple[Cell, ...] = ()
        self._warnings = warnings
        self._changed = threading.Condition()
        self._cancel_asked = threading.Event()
        self._story: list[tuple[int, Event]] = []
        self._told = 0
        self._pictures: tuple[Picture, ...] = ()
        self._watchers: list[Callable[[], None]] = []

    @property
    def whole(self) -> Job:
        """Return the job itself: it isn't a part of another one."""
        return self

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Return the finished pictures, in order; they may appear before the job ends."""
        with self._changed:
            end = self._story[-1][1] if self._story else None
            return end.pictures if isinstance(end, (Finished, Cancelled)) else self._pictures

    @property
    def cells_done(self) -> tuple[CellDone, ...]:
        """Return the cells of a grid that are painted, or have failed."""
        with self._changed:
            return tuple(event for _, event in self._story if isinstance(event, CellDone))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return warnings for people. They may grow until the first step is done."""
        with self._changed:
            return self._warnings

    @property
    def latest(self) -> Event:
        """Return the latest event."""
        with self._changed:
            return self._story[-1][1]

    @property
    def done(self) -> bool:
        """Return whether the job has ended."""
        return isinstance(self.latest, TERMINAL)

    @cached_property
    def request_bytes(self) -> int:
        """Return about how many bytes its request takes: its input images, and its text."""
        images = {id(each.data): each.data for each in self.request.input_images()}
        text = self.request.without_image_data().model_dump_json()
        return len(text) + sum(len(each) for each in images.values() if each is not None)

    @property
    def held_bytes(self) -> int:
        """Return the bytes it holds once it is done: its input images and finished pictures."""
        pictures = self.pictures if self.done else ()
        requests = (self.request, *(picture.request for picture in pictures))
        data = {id(each.data): each.data for one in requests for each in one.input_images()}
        inputs = sum(len(each) for each in data.values() if each is not None)
        return inputs + sum(picture.held_bytes for picture in pictures)

    def events(self, timeout_seconds: float | None = None) -> Iterator[Event]:
        """Yield the past events, then the following ones, up to the one that ends the job.

        Of Queued and Progress events only the latest is kept, and nothing of a cell but its
        end, so a slow watcher skips some. If
        nothing happens within `timeout_seconds`, the latest event is yielded again.
        """
        seen = 0
        while True:
            with self._changed:
                fresh = self._changed.wait_for(lambda seen=seen: self._told > seen, timeout_seconds)
                news = (
                    [entry for entry in self._story if entry[0] > seen]
                    if fresh
                    else self._story[-1:]
                )
            for number, event in news:
                yield event
                if isinstance(event, TERMINAL):
                    return
                seen = max(seen, number)

    def list_events(self, after: int = 0) -> list[tuple[int, Event]]:
        """Return the events so far with a number above `after`, each with its number, in order.

        Numbers grow by one from event to event, from 1; of Queued and Progress events only the
        latest is kept, so some are missing.
        """
        with self._changed:
            return [entry for entry in self._story if entry[0] > after]

    @contextmanager
    def watch(self, on_event: Callable[[], None]) -> Generator[None]:
        """Call `on_event` after each event from now on, in the thread that adds it.

        It must return at once and raise nothing: the job waits for it.
        """
        with self._changed:
            self._watchers.append(on_event)
        try:
            yield
        finally:
            with self._changed:
                self._watchers.remove(on_event)

    def cancel(self) -> None:
        """End the job at its next step, or at once if it waits. Does nothing once it is done."""
        self._cancel_asked.set()
        with self._changed:
            waited = bool(self._story) and isinstance(self._story[-1][1], Queued)
            if waited:
                self._emit(Cancelled(self._pictures))
        if waited and self.on_cancel is not None:
            self.on_cancel(self)

    def result(self, timeout_seconds: float | None = None) -> Finished:
        """Wait for the end.

        Raises:
            JobCancelledError: The job was cancelled.
            TimeoutError: It didn't end in time.
            Exception: The job's own error.
        """
        with self._changed:
            if not self._changed.wait_for(
                lambda: bool(self._story) and isinstance(self._story[-1][1], TERMINAL),
                timeout_seconds,
            ):
                raise TimeoutError(messages.not_done(timeout_seconds))
            event = self._story[-1][1]
        if isinstance(event, Finished):
            return event
        if isinstance(event, Failed):
            raise event.error
        raise JobCancelledError(messages.CANCELLED)

    # The engine calls these

    def take_up(self, number: int, pictures: tuple[Picture, ...]) -> None:
        """Go on with a job of an earlier process, which has painted `pictures`.

        Its events get numbers above `number`, so that those who watched it then can go on, too.
        """
        with self._changed:
            self._told, self._pictures = number, pictures

    def suspend(self) -> None:
        """Interrupt the job at its next step, because the process ends."""
        self.suspended = True
        self._cancel_asked.set()

    def emit(self, event: Event) -> None:
        """Add an event. After a terminal event nothing is added."""
        with self._changed:
            self._emit(event)

    def _emit(self, event: Event) -> None:
        last = self._story[-1][1] if self._story else None
        if isinstance(last, TERMINAL):
            return
        if isinstance(event, (Queued, Progress)) and type(event) is type(last):
            self._story.pop()
        if isinstance(event, CellDone):  # what led to it would grow with each cell
            self._story = [
                each for each in self._story if not isinstance(each[1], (Loading, Progress))
            ]
        if isinstance(event, TERMINAL):  # previews aren't needed any more
            self._story = [(number, _without_preview(each)) for number, each in self._story]
        self._told += 1
        self._story.append((self._told, event))
        self._changed.notify_all()
        for on_event in self._watchers:
            on_event()

    def add_picture(self, picture: Picture) -> None:
        """Add a finished picture."""
        with self._changed:
            self._pictures += (picture,)

    def replace_picture(self, index: int, picture: Picture) -> None:
        """Replace a finished picture by itself with its path and id, once it is saved after all."""
        with self._changed:
            self._pictures = _with_item(self._pictures, index, picture)
            number, end = self._story[-1] if self._story else (0, None)
            if isinstance(end, (Finished, Cancelled)):
                end = replace(end, pictures=_with_item(end.pictures, index, picture))
                self._story[-1] = (number, end)

    def warn(self, sentences: tuple[str, ...]) -> None:
        """Add warnings."""
        with self._changed:
            self._warnings += sentences

    def raise_if_cancelled(self) -> None:
        """Raise JobCancelledError if the job was cancelled."""
        if self._cancel_asked.is_set():
            raise JobCancelledError(messages.CANCELLED)


def _without_preview(event: Event) -> Event:
    return replace(event, preview=None) if isinstance(event, Progress) else event


def _with_item(pictures: tuple[Picture, ...], index: int, picture: Picture) -> tuple[Picture, ...]:
    return tuple(picture if at == index else each for at, each in enumerate(pictures))

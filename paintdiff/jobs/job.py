"""A job: a request that an engine has taken, and the story of what happened to it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace

from paintdiff.errors import JobCancelledError
from paintdiff.jobs.events import (
    TERMINAL,
    Cancelled,
    Event,
    Failed,
    Finished,
    Picture,
    Progress,
    Queued,
)
from paintdiff.jobs.requests import Request


class Job:
    """One request on its way. All of it may be used from any thread.

    `visitor` is who asked for it, "" if that doesn't matter.
    """

    def __init__(self, request: Request, warnings: tuple[str, ...] = (), visitor: str = "") -> None:
        self.id = secrets.token_urlsafe(16)
        self.request = request
        self.visitor = visitor
        self._warnings = warnings
        self._changed = threading.Condition()
        self._cancel_asked = threading.Event()
        self._story: list[tuple[int, Event]] = []
        self._told = 0
        self._pictures: tuple[Picture, ...] = ()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures that are finished so far, in their order; they come before the job ends."""
        with self._changed:
            end = self._story[-1][1] if self._story else None
            return end.pictures if isinstance(end, (Finished, Cancelled)) else self._pictures

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for people. They may grow until the first step is done."""
        with self._changed:
            return self._warnings

    @property
    def latest(self) -> Event:
        """The event told last."""
        with self._changed:
            return self._story[-1][1]

    @property
    def done(self) -> bool:
        """Whether the last event has been told."""
        return isinstance(self.latest, TERMINAL)

    @property
    def held_bytes(self) -> int:
        """What it keeps for as long as it is remembered, once it is done: its request's input
        images, and the pictures that it has made.
        """
        pictures = self.pictures if self.done else ()
        requests = (self.request, *(picture.request for picture in pictures))
        data = {id(each.data): each.data for one in requests for each in one.input_images()}
        inputs = sum(len(each) for each in data.values() if each is not None)
        return inputs + sum(picture.held_bytes for picture in pictures)

    def events(self, timeout_seconds: float | None = None) -> Iterator[Event]:
        """The story so far, then what follows, up to the event that ends it.

        Of the Queued and of the Progress events only the latest is kept, so a slow watcher skips
        old ones. When nothing new comes within `timeout_seconds` the latest event is yielded again.
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

    def cancel(self) -> None:
        """End the job at its next step; at once if it waits. Does nothing once it is done."""
        self._cancel_asked.set()
        with self._changed:
            if self._story and isinstance(self._story[-1][1], Queued):
                self._tell(Cancelled())

    def result(self, timeout_seconds: float | None = None) -> Finished:
        """Wait for the end. Raises the job's own error, JobCancelledError, or TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: bool(self._story) and isinstance(self._story[-1][1], TERMINAL),
                timeout_seconds,
            ):
                raise TimeoutError(f"The job isn't done after {timeout_seconds} seconds.")
            event = self._story[-1][1]
        if isinstance(event, Finished):
            return event
        if isinstance(event, Failed):
            raise event.error
        raise JobCancelledError("The job was cancelled.")

    # What follows is for the engine alone.

    def tell(self, event: Event) -> None:
        """Add an event. After the one that ends the story nothing is added any more."""
        with self._changed:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        last = self._story[-1][1] if self._story else None
        if isinstance(last, TERMINAL):
            return
        if isinstance(event, (Queued, Progress)) and type(event) is type(last):
            self._story.pop()
        if isinstance(event, TERMINAL):  # nobody looks at previews any more
            self._story = [(number, _without_preview(each)) for number, each in self._story]
        self._told += 1
        self._story.append((self._told, event))
        self._changed.notify_all()

    def add_picture(self, picture: Picture) -> None:
        """Add a finished picture."""
        with self._changed:
            self._pictures += (picture,)

    def warn(self, sentences: tuple[str, ...]) -> None:
        """Add warnings."""
        with self._changed:
            self._warnings += sentences

    def raise_if_cancelled(self) -> None:
        """Raise JobCancelledError if it has been asked for."""
        if self._cancel_asked.is_set():
            raise JobCancelledError("The job was cancelled.")


def _without_preview(event: Event) -> Event:
    return replace(event, preview=None) if isinstance(event, Progress) else event

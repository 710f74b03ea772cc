"""An engine on a server: it takes requests, and its jobs are watched like those of our own."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

import httpx

from paintdiff.client import messages
from paintdiff.client.connection import BusyError, Connection, Waits
from paintdiff.client.event_stream import parse_event, read_events
from paintdiff.errors import (
    JobCancelledError,
    JobNotFoundError,
    PaintError,
    ServerError,
)
from paintdiff.gallery.files.picture_files import read_picture_file
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import TERMINAL, Cancelled, CellDone, Event, Failed, Finished
from paintdiff.jobs.grid_cells import count_cells
from paintdiff.jobs.requests import Grid, Request, parse_saved_request

MAX_SUBMISSIONS = 5
"""How often a job is submitted that the server keeps forgetting."""


class FileStore(Protocol):
    """A place where files of pictures are saved."""

    def save_file(self, cell: int | None, write: Callable[[BinaryIO], object], /) -> Path:
        """Let `write` make the next picture's file, or that of a grid's cell; return its path.

        Raises:
            StorageError: It can't be written.
        """
        ...


@dataclass(frozen=True)
class RemotePicture:
    """A picture that was painted on a server, and saved here to `path`.

    The rest is as in `paintdiff.jobs.events.Picture`.
    """

    path: Path
    request: Request
    size: Size
    model_hash: str = ""
    notes: tuple[str, ...] = ()
    cell: int | None = None


@dataclass(frozen=True)
class RemoteResult:
    """The end of a remote job: as `paintdiff.jobs.events.Finished`, with the saved pictures."""

    pictures: tuple[RemotePicture, ...]
    warnings: tuple[str, ...]
    seconds: float
    steps_per_second: float


class RemoteEngine:
    """Submits requests to a server, and saves their pictures to `store`."""

    def __init__(self, connection: Connection, store: FileStore) -> None:
        self._connection = connection
        self._store = store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def submit(self, request: Request) -> RemoteJob:
        """Return the request's job. It is sent when somebody watches its events."""
        return RemoteJob(self._connection, self._store, request)


class RemoteJob:
    """One request, and what becomes of it on a server.

    Its events have no previews and no pictures: `pictures` has them, each once its file is saved.
    """

    def __init__(self, connection: Connection, store: FileStore, request: Request) -> None:
        self.request = request
        """As it was given, and as the server resolved it once it has taken it."""
        self.pictures: tuple[RemotePicture, ...] = ()
        self.cells_done: tuple[CellDone, ...] = ()
        self._connection = connection
        self._store = store
        self._body = request.model_dump_json().encode()
        is_grid = isinstance(request, Grid)
        self._most = count_cells(request) + 1 if is_grid else request.num_images
        self._key = secrets.token_urlsafe(24)
        """The same for each try, so that the server paints once however often it is asked."""
        self._id = ""
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._result: RemoteResult | PaintError | None = None

    def cancel(self) -> None:
        """End the job on the server. Does nothing once it is done."""
        with self._lock:
            self._cancelled.set()
            job_id = self._id
        if job_id:
            self._cancel_there(job_id)

    def result(self) -> RemoteResult:
        """Return the result, once all events have been seen.

        Raises:
            JobCancelledError: It was cancelled.
            PaintError: The job's own error.
        """
        if isinstance(self._result, RemoteResult):
            return self._result
        raise self._result or JobCancelledError(messages.INTERRUPTED)

    def events(self, _timeout_seconds: float | None = None) -> Iterator[Event]:
        """Submit the request, and yield the job's events to the one that ends it.

        A connection that breaks is opened again, and goes on after the last event. A job that the
        server has forgotten is submitted again.

        Raises:
            PaintError: The server refuses the request, or can't be reached.
            JobCancelledError: It was cancelled before the server took it.
        """
        connection = self._connection
        for submission in range(MAX_SUBMISSIONS):
            if submission:
                connection.notify(messages.SUBMITTED_AGAIN)
            self._submit()
            try:
                yield from self._watch()
            except JobNotFoundError:
                continue
            return
        raise ServerError(messages.forgets_jobs(connection.url))

    def _watch(self) -> Iterator[Event]:
        """Yield the events of the submitted job.

        Raises:
            JobNotFoundError: The server has forgotten it.
        """
        waits, last = Waits(self._connection.notify, self._cancelled), "0"
        while True:
            error: httpx.TransportError | BusyError = httpx.ReadError(messages.STREAM_ENDED)
            try:
                for number, event in self._follow(last):
                    last = number
                    waits.restart()
                    yield event
                    if isinstance(event, TERMINAL):
                        return
            except (httpx.TransportError, BusyError) as broken:
                error = broken
            waits.wait(self._connection.judge(error))

    def _submit(self) -> None:
        # A new visitor gets a cookie from the first answer. If that were the job's and got lost,
        # the next try would be another visitor's, and paint again.
        self._connection.get("/health")
        answer = self._connection.send(
            "POST",
            "/api/jobs",
            body=self._body,
            headers={"Idempotency-Key": self._key},
            stop=self._cancelled,
        )
        try:
            self.request = parse_saved_request(answer["request"])
            job_id = str(answer["id"])
        except (KeyError, TypeError, AttributeError, PaintError) as error:
            raise ServerError(messages.unreadable_answer(self._connection.url)) from error
        self.cells_done = ()
        with self._lock:
            self._id = job_id
            cancelled = self._cancelled.is_set()
        if cancelled:
            self._cancel_there(job_id)

    def _cancel_there(self, job_id: str) -> None:
        try:
            self._connection.send("DELETE", f"/api/jobs/{job_id}")
        except PaintError as error:
            self._connection.notify(str(error))

    def _follow(self, last: str) -> Iterator[tuple[str, Event]]:
        """Yield the events after the one with the id `last`, each with its own."""
        connection = self._connection
        headers = {"Last-Event-ID": last, "Accept": "text/event-stream"}
        with connection.stream(f"/api/jobs/{self._id}/events", headers) as response:
            for sent in read_events(response.iter_bytes()):
                data = connection.parse_object(sent.data)
                try:
                    event = self._read_event(sent.name, data)
                except (KeyError, TypeError, ValueError) as error:
                    if isinstance(error, PaintError):
                        raise
                    raise ServerError(messages.unreadable_answer(connection.url)) from error
                if event is not None:
                    yield sent.id, event

    def _read_event(self, name: str, data: Mapping[str, Any]) -> Event | None:
        if name in ("finished", "cancelled"):
            warnings = tuple(map(str, data["warnings"]))
            self._save_pictures(data["pictures"])
            if name == "cancelled":
                self._result = JobCancelledError(messages.CANCELLED)
                return Cancelled()
            seconds, speed = float(data["seconds"]), float(data["steps_per_second"])
            self._result = RemoteResult(self.pictures, warnings, seconds, speed)
            return Finished((), warnings, seconds, speed)
        event = parse_event(name, data)
        if isinstance(event, PaintError):
            self._result = event
            return Failed(event)
        if isinstance(event, CellDone):
            self.cells_done += (event,)
        return event

    def _save_pictures(self, pictures: list[Mapping[str, Any]]) -> None:
        if len(pictures) > self._most:
            raise ServerError(messages.unreadable_answer(self._connection.url))
        for index in range(len(self.pictures), len(pictures)):
            known = pictures[index]
            cell = known["cell"]
            picture_id = str(known["id"])
            path = self._store.save_file(cell, partial(self._fetch, index, picture_id))
            self.pictures += (self._describe(path, known),)

    def _fetch(self, index: int, picture_id: str, file: BinaryIO) -> None:
        try:
            self._connection.fetch(f"/api/jobs/{self._id}/pictures/{index}", file)
        except JobNotFoundError:  # the server was restarted; the gallery still has it
            if not picture_id:
                raise
            self._connection.fetch(f"/api/images/{picture_id}/file", file)

    def _describe(self, path: Path, known: Mapping[str, Any]) -> RemotePicture:
        try:
            settings = read_picture_file(path).settings
        except PaintError as error:
            raise ServerError(messages.unreadable_picture(path, error)) from error
        made = settings.provenance if settings is not None else None
        request = settings.request if settings is not None else self.request
        return RemotePicture(
            path,
            request,
            Size(int(known["width"]), int(known["height"])),
            made.model_hash if made is not None else "",
            tuple(map(str, known["notes"])),
            known["cell"],
        )

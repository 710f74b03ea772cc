"""Submits requests, and waits for jobs without a thread for each that waits."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from paintdiff.api import messages
from paintdiff.errors import JobCancelledError, JobNotFoundError, RequestError
from paintdiff.jobs.events import TERMINAL, Cancelled, Event, Failed, Finished
from paintdiff.jobs.job import Job, JobKey
from paintdiff.server.identities import current_identity
from paintdiff.server.visitors import current_visitor

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from paintdiff.engine.engine import Engine
    from paintdiff.jobs.requests import Request

CLIENT_LEFT = 499
"""The status of a response that nobody reads, as nginx calls it."""


class Submissions:
    """The jobs submitted through the API. Threads may share it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()

    async def submit(
        self,
        request: Request,
        key: str | None = None,
        *,
        varied: str = "",
        saves: bool = True,
        waits: bool = True,
    ) -> Job:
        """Submit a request for the current visitor.

        The same `key` again, from the same owner, returns the job that it made the first time, also
        after a restart. `varied` is as for `Engine.submit`. With `saves` off the pictures are
        neither saved nor recorded; that is for requests without a key. If the client `waits` for
        the pictures, and has no key to ask for them again, a restart forgets the job: the client's
        connection is lost, too.

        Raises:
            RequestError: The request can't be used, or the key belongs to another one.
            QueueFullError: Too many jobs wait.
            JobNotFoundError: The key's job has been forgotten.
        """
        if key is None:
            submit = partial(self._submit, request, varied, saves=saves, durable=not waits)
            return await run_in_threadpool(submit)
        return await run_in_threadpool(self._submit_once, request, key, varied)

    def find(self, job_id: str) -> Job:
        """Return a job that the current visitor may see.

        Raises:
            JobNotFoundError: There is none.
        """
        job = self._engine.job(job_id)
        if not current_identity.get().may_see(job.owner):
            raise JobNotFoundError(messages.NO_SUCH_JOB)
        return job

    def _submit(
        self,
        request: Request,
        varied: str,
        *,
        saves: bool = True,
        durable: bool = True,
        key: JobKey | None = None,
    ) -> Job:
        visitor, identity = current_visitor.get(), current_identity.get()
        return self._engine.submit(
            request,
            visitor,
            identity.owner,
            saves=saves,
            sees_all=identity.sees_all,
            varied=varied,
            durable=durable,
            key=key,
        )

    def _submit_once(self, request: Request, key: str, varied: str) -> Job:
        owner = current_identity.get().owner
        text = varied + request.without_image_data().model_dump_json()
        digest = hashlib.sha256(text.encode()).hexdigest()
        with self._lock:  # so that two at the same time don't both paint
            known = self._engine.find_submitted(owner, key)
            if known is None:
                return self._submit(request, varied, key=JobKey(key, digest))
            if known.key is None or known.key.digest != digest:
                raise RequestError(messages.KEY_OF_ANOTHER_REQUEST, field="Idempotency-Key")
            return known


async def follow(job: Job, after: int = 0) -> AsyncGenerator[tuple[int, Event]]:
    """Yield a job's events with their numbers, from the first above `after` to the last."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()

    def notify() -> None:
        with suppress(RuntimeError):  # the server was stopped: nobody waits any more
            loop.call_soon_threadsafe(changed.set)

    with job.watch(notify):
        while True:
            changed.clear()
            ended = job.done
            for number, event in job.list_events(after):
                yield number, event
                after = number
                ended = isinstance(event, TERMINAL)
            if ended:
                return
            await changed.wait()


async def wait_until_finished(job: Job, client: HttpRequest, *, cancel: bool = True) -> Finished:
    """Wait for a job's pictures; if the client leaves, `cancel` decides whether the job ends too.

    Raises:
        Exception: The job's own error.
        HTTPException: The client has left.
    """
    event = await wait_until_ended(job, client, cancel=cancel)
    if isinstance(event, Cancelled):
        raise JobCancelledError(messages.JOB_CANCELLED)
    return event


async def wait_until_ended(
    job: Job,
    client: HttpRequest,
    *,
    cancel: bool = True,
    on_event: Callable[[Event], None] | None = None,
) -> Finished | Cancelled:
    """Wait for a job's end as `wait_until_finished` does; `on_event` gets its events.

    Raises:
        Exception: The job's own error.
        HTTPException: The client has left.
    """
    end = asyncio.ensure_future(_wait_for_end(job, on_event))
    left = asyncio.ensure_future(_wait_for_disconnect(client))
    try:
        await asyncio.wait((end, left), return_when=asyncio.FIRST_COMPLETED)
        if not end.done():
            if cancel:
                job.cancel()
            raise HTTPException(CLIENT_LEFT, messages.CLIENT_LEFT)
    finally:
        left.cancel()
        end.cancel()
    event = end.result()
    if isinstance(event, Failed):
        raise event.error
    return event


async def _wait_for_end(
    job: Job, on_event: Callable[[Event], None] | None
) -> Finished | Failed | Cancelled:
    async for _number, event in follow(job):
        if on_event is not None:
            on_event(event)
        if isinstance(event, TERMINAL):
            return event
    raise AssertionError("a job has a last event")


async def _wait_for_disconnect(client: HttpRequest) -> None:
    while (await client.receive())["type"] != "http.disconnect":
        pass

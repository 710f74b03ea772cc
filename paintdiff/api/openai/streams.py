"""Streams of OpenAI's Images API: previews while a picture is painted, then the picture."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from paintdiff.api import messages
from paintdiff.api.openai.errors import make_error
from paintdiff.api.problems import make_refusal
from paintdiff.api.submissions import follow
from paintdiff.errors import JobCancelledError
from paintdiff.jobs.events import Failed, Finished, Progress

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext
    from paintdiff.api.openai.answers import Answering
    from paintdiff.jobs.job import Job

PING_SECONDS = 10.0
"""Between comments while nothing happens: proxies close silent connections."""
_PING = b": still there\n\n"


async def stream_job(
    context: ApiContext, job: Job, answering: Answering, *, cancel: bool
) -> AsyncGenerator[bytes]:
    """Yield a job's events as they happen, in OpenAI's form.

    If the client leaves before the end, `cancel` decides whether the job ends, too.
    """
    events = _list_events(context, job, answering)
    waiting: asyncio.Task[bytes] | None = None
    try:
        while True:
            if waiting is None:
                waiting = asyncio.ensure_future(anext(events, b""))
            done, _ = await asyncio.wait((waiting,), timeout=PING_SECONDS)
            if not done:
                yield _PING
                continue
            data, waiting = waiting.result(), None
            if not data:
                return
            yield data
    finally:
        if waiting is not None:
            waiting.cancel()
        if cancel and not job.done:
            job.cancel()


async def _list_events(
    context: ApiContext, job: Job, answering: Answering
) -> AsyncGenerator[bytes]:
    try:
        sent, wanted = 0, answering.body.partial_images
        async for _number, event in follow(job):
            if isinstance(event, Finished):
                for each in await run_in_threadpool(list, answering.describe_end(event)):
                    yield _format(each)
                return
            if isinstance(event, Failed):
                raise event.error
            if not isinstance(event, Progress) or event.preview is None:
                continue
            if sent < wanted and _measure(event) >= (sent + 1) / (wanted + 1):
                described = await run_in_threadpool(answering.describe_preview, event.preview, sent)
                yield _format(described)
                sent += 1
        raise JobCancelledError(messages.JOB_CANCELLED)
    except Exception as error:
        described = make_error(make_refusal(error, context)).model_dump()
        yield _format({"type": "error", **described})


def _measure(event: Progress) -> float:
    """Return how much of all pictures is done, 0 to 1."""
    done = event.image_index + event.step / max(1, event.total_steps)
    return done / max(1, event.num_images)


def _format(event: Mapping[str, object]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()

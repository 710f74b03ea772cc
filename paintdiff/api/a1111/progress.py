"""How far a client's work is, and how it ends early."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from paintdiff.api.a1111.bodies import A1111Body, give_example
from paintdiff.api.a1111.routing import make_a1111_router
from paintdiff.api.a1111.work import Work
from paintdiff.api.encoded_images import encode_preview
from paintdiff.jobs.events import Finished, Progress
from paintdiff.jobs.requests import count_pictures
from paintdiff.server.identities import current_identity

if TYPE_CHECKING:
    from paintdiff.api.a1111.context import A1111Context

_LEAST = 0.01
"""The progress of work that has begun, as the web UI shows it."""
_IDLE: dict[str, Any] = {
    "skipped": False,
    "interrupted": False,
    "stopping_generation": False,
    "job": "",
    "job_count": 0,
    "job_timestamp": "0",
    "job_no": 0,
    "sampling_step": 0,
    "sampling_steps": 0,
}


class ProgressAnswer(BaseModel):
    """The caller's work: `progress` is 0 to 1, `current_image` a JPEG in base64."""

    progress: float
    eta_relative: float
    state: dict[str, Any]
    current_image: str | None = None
    textinfo: str | None = None


class TaskBody(A1111Body):
    """A question for the progress of a task, by the `force_task_id` of its request."""

    model_config = give_example(id_task="task(1)")

    id_task: Annotated[str, Field(max_length=200)] = ""
    id_live_preview: int = -1
    live_preview: bool = True


class TaskAnswer(BaseModel):
    """The progress of a task. `live_preview` is the data URL of a JPEG."""

    active: bool
    queued: bool
    completed: bool
    progress: float | None = None
    eta: float | None = None
    live_preview: str | None = None
    id_live_preview: int = -1
    textinfo: str | None = None


@dataclass(frozen=True)
class Measured:
    """How far some work is. Steps are those of the picture that is being painted."""

    progress: float
    picture: int
    step: int
    total_steps: int
    seconds_left: float


def measure(work: Work) -> Measured:
    """Measure how far some work is."""
    event = work.event
    if work.waits:
        return Measured(work.before / max(1, work.total), work.before, 0, 0, 0.0)
    if not isinstance(event, Progress):
        done = 0
        if isinstance(event, Finished) and work.job is not None:
            done = count_pictures(work.job.request)
        share = (work.before + done) / max(1, work.total)
        return Measured(max(_LEAST, min(1.0, share)), work.before + done, 0, 0, 0.0)
    share, step = 1.0, event.total_steps
    if event.stage == "denoising" or work.kind.startswith("extra"):
        share, step = event.step / max(1, event.total_steps), event.step
    picture = work.before + event.image_index
    progress = (picture + event.together * min(1.0, share)) / max(1, work.total)
    seconds = event.seconds_left or 0.0
    return Measured(max(_LEAST, min(1.0, progress)), picture, step, event.total_steps, seconds)


def progress_routes(context: A1111Context) -> APIRouter:
    """Return the routes."""
    router, works = make_a1111_router(context.api), context.works

    async def encode(work: Work) -> str:
        """Return the newest preview as a data URL."""
        assert work.preview is not None
        made = partial(encode_preview, work.preview)
        return (await context.api.previews.get((work.id, work.previews), made)).decode()

    @router.get("/sdapi/v1/progress")
    async def progress(skip_current_image: bool = False) -> ProgressAnswer:
        """Return how far the caller's work is."""
        owner = current_identity.get().owner
        work = works.find(owner)
        if work is None:
            return _describe_idle(works.find_latest(owner))
        answer = _describe_progress(work)
        if work.preview is not None and not skip_current_image:
            answer.current_image = (await encode(work)).partition(",")[2]
        return answer

    @router.post("/internal/progress")
    async def task_progress(body: TaskBody) -> TaskAnswer:
        """Return how far a task of the caller is."""
        work = works.find_task(current_identity.get().owner, body.id_task)
        if work is None or work.ended:
            return TaskAnswer(active=False, queued=False, completed=work is not None)
        if work.waits:
            return TaskAnswer(active=False, queued=True, completed=False)
        now = measure(work)
        answer = TaskAnswer(
            active=True,
            queued=False,
            completed=False,
            progress=now.progress,
            eta=now.seconds_left,
            id_live_preview=work.previews,
        )
        if body.live_preview and work.preview is not None and body.id_live_preview != work.previews:
            answer.live_preview = await encode(work)
        return answer

    @router.get("/internal/ping")
    async def ping() -> dict[str, Any]:
        """Answer, so that a client sees that the server is there."""
        return {}

    return router


def stop_routes(context: A1111Context) -> APIRouter:
    """Return the routes."""
    router, works = make_a1111_router(context.api), context.works

    @router.post("/sdapi/v1/interrupt")
    async def interrupt() -> dict[str, Any]:
        """End the caller's work: what is running, else what is next."""
        work = works.find(current_identity.get().owner)
        if work is not None:
            work.interrupt()
        return {}

    @router.post("/sdapi/v1/skip")
    async def skip() -> None:
        """Skip the caller's picture that is being painted."""
        work = works.find(current_identity.get().owner)
        if work is not None:
            work.skip()

    return router


def _describe_idle(latest: Work | None) -> ProgressAnswer:
    flags = {} if latest is None else _describe_flags(latest)
    return ProgressAnswer(progress=0.0, eta_relative=0.0, state={**_IDLE, **flags})


def _describe_progress(work: Work) -> ProgressAnswer:
    now = measure(work)
    state = {
        **_IDLE,
        **_describe_flags(work),
        "job": f"scripts_{work.kind}",
        "job_count": work.total,
        "job_timestamp": work.timestamp,
        "job_no": now.picture,
        "sampling_step": now.step,
        "sampling_steps": now.total_steps,
    }
    return ProgressAnswer(progress=now.progress, eta_relative=now.seconds_left, state=state)


def _describe_flags(work: Work) -> dict[str, Any]:
    return {"skipped": work.skipped, "interrupted": work.interrupted}

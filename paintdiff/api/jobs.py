"""/api/jobs: submit a request, watch its job, fetch its pictures, cancel it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Header, Path, Request, Response
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Discriminator, Field, Tag
from starlette.concurrency import run_in_threadpool

from paintdiff.api import messages
from paintdiff.api.encoded_images import encode_preview
from paintdiff.api.painting import (
    IdempotencyKey,
    PaintedAnswer,
    describe_pictures,
)
from paintdiff.api.problems import UNKNOWN_KIND, describe_failure
from paintdiff.api.routing import make_router
from paintdiff.api.submissions import follow, wait_until_finished
from paintdiff.errors import PictureNotFoundError, RequestError
from paintdiff.gallery.files.saving import encode_png
from paintdiff.jobs.events import (
    Cancelled,
    CellDone,
    Event,
    Failed,
    Finished,
    Loading,
    Progress,
    Queued,
)
from paintdiff.jobs.job import Job
from paintdiff.jobs.requests import REQUEST_KINDS, Grid, ImageToImage, Inpaint, TextToImage, Upscale

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext
    from paintdiff.jobs.events import Picture

_EXAMPLES = [
    {"prompt": "a red sailboat on a calm sea at sunset", "seed": 7},
    {"kind": "upscale", "images": [{"data": "<base64>"}], "upscaling": {"scale": 2}},
]


def _read_kind(value: object) -> object:
    return value.get("kind", "text_to_image") if isinstance(value, Mapping) else None


RequestBody = Annotated[
    Annotated[TextToImage, Tag("text_to_image")]
    | Annotated[ImageToImage, Tag("image_to_image")]
    | Annotated[Inpaint, Tag("inpaint")]
    | Annotated[Upscale, Tag("upscale")]
    | Annotated[Grid, Tag("grid")],
    Discriminator(
        _read_kind,
        custom_error_type=UNKNOWN_KIND,
        custom_error_message=messages.UNKNOWN_KIND,
        custom_error_context={"kinds": ", ".join(REQUEST_KINDS)},
    ),
    Body(examples=_EXAMPLES),
]
"""Any request of the engine, by its `kind`."""

JobId = Annotated[str, Path(max_length=64)]
Index = Annotated[int, Path(ge=0, le=9999)]


class JobPicture(BaseModel):
    """A finished picture of a job: `url` is its file's, `id` the gallery's, "" if not in there.

    `cell` is its place in a grid, None for the sheet; `notes` say how it was made.
    """

    id: str
    url: str
    seed: int | None
    width: int
    height: int
    cell: int | None
    notes: list[str]


class JobAnswer(BaseModel):
    """A job now. `position` counts the jobs before it; `progress` is of all of it, 0 to 1."""

    id: str
    state: Literal["queued", "loading", "running", "finished", "failed", "cancelled"]
    position: int | None = None
    progress: float = Field(ge=0, le=1)
    seconds_left: float | None = None
    message: str = ""
    warnings: list[str]
    request: dict[str, Any]
    pictures: list[JobPicture]


def job_routes(context: ApiContext) -> APIRouter:
    """Return the routes."""
    router = make_router(context, "Jobs")

    @router.post("/api/generate")
    async def generate(
        client: Request, body: RequestBody, key: IdempotencyKey = None
    ) -> PaintedAnswer:
        """Run a request, and answer when its pictures are painted."""
        job = await context.submissions.submit(body, key)
        finished = await wait_until_finished(job, client, cancel=key is None)
        return await run_in_threadpool(describe_pictures, job, finished)

    @router.post("/api/jobs", status_code=202)
    async def submit(
        response: Response, body: RequestBody, key: IdempotencyKey = None
    ) -> JobAnswer:
        """Submit a request. The job outlives a restart of the server."""
        job = await context.submissions.submit(body, key, waits=False)
        response.headers["Location"] = f"/api/jobs/{job.id}"
        return describe_job(job)

    @router.get("/api/jobs/{job_id}")
    def show(job_id: JobId) -> JobAnswer:
        """Return a job."""
        return describe_job(context.submissions.find(job_id))

    @router.delete("/api/jobs/{job_id}")
    def cancel(job_id: JobId) -> JobAnswer:
        """Cancel a job."""
        job = context.submissions.find(job_id)
        job.cancel()
        return describe_job(job)

    @router.get("/api/jobs/{job_id}/pictures/{index}")
    async def picture(job_id: JobId, index: Index) -> Response:
        """Return a picture as a PNG."""
        pictures = (await run_in_threadpool(context.submissions.find, job_id)).pictures
        if index >= len(pictures):
            raise PictureNotFoundError(messages.NO_SUCH_PICTURE)
        return await _send_picture(context, (job_id, index), pictures[index])

    def find_job(job_id: JobId) -> Job:
        return context.submissions.find(job_id)

    found = Depends(find_job)  # in an annotation FastAPI would look for it among the globals

    @router.get("/api/jobs/{job_id}/events", response_class=EventSourceResponse)
    async def events(
        after: Annotated[int, Depends(_read_last_event)], job: Job = found
    ) -> AsyncGenerator[ServerSentEvent]:
        """Send the job's events so far, then each as it happens.

        The events are queued, loading, progress (with a preview as the data URL of a JPEG), cell
        (of a grid), finished, failed and cancelled; each of the last three ends the stream. After a
        broken connection, send the id of the last event that arrived as Last-Event-ID.
        """
        async for number, event in follow(job, after):
            yield await _describe_event(context, job, number, event)

    return router


def describe_job(job: Job) -> JobAnswer:
    """Return what a client may know of a job."""
    event, pictures = job.latest, job.pictures
    return JobAnswer(
        id=job.id,
        state=_name_state(event),
        position=event.position if isinstance(event, Queued) else None,
        progress=_measure_progress(job, event),
        seconds_left=event.seconds_left if isinstance(event, Progress) else None,
        message=_find_message(event),
        warnings=[str(each) for each in job.warnings],
        request=job.request.without_image_data().model_dump(mode="json"),
        pictures=[_describe_picture(job, index, each) for index, each in enumerate(pictures)],
    )


async def _send_picture(context: ApiContext, place: tuple[str, int], picture: Picture) -> Response:
    """Return the response with a picture as a PNG. Slow readers don't hold a copy each."""
    headers = {"Cache-Control": "private"}
    if picture.path is not None and picture.path.is_file():
        return FileResponse(picture.path, media_type="image/png", headers=headers)
    data = await context.previews.get((*place, "png"), partial(encode_png, picture))
    return Response(data, media_type="image/png", headers=headers)


def _describe_picture(job: Job, index: int, picture: Picture) -> JobPicture:
    request = picture.request
    return JobPicture(
        id=picture.id,
        url=f"/api/jobs/{job.id}/pictures/{index}",
        seed=None if isinstance(request, (Upscale, Grid)) else request.seed,
        width=picture.size.width,
        height=picture.size.height,
        cell=picture.cell,
        notes=[str(each) for each in picture.notes],
    )


def _name_state(
    event: Event,
) -> Literal["queued", "loading", "running", "finished", "failed", "cancelled"]:
    match event:
        case Queued():
            return "queued"
        case Loading():
            return "loading"
        case Progress() | CellDone():
            return "running"
        case Finished():
            return "finished"
        case Failed():
            return "failed"
        case Cancelled():
            return "cancelled"


def _measure_progress(job: Job, event: Event) -> float:
    if isinstance(event, Finished):
        return 1.0
    picture = 0.0
    if isinstance(event, Progress):
        done = event.image_index + event.step / max(1, event.total_steps)
        picture = min(1.0, done / max(1, event.num_images))
    return min(1.0, (len(job.cells_done) + picture) / max(1, len(job.cells)))


def _find_message(event: Event) -> str:
    if isinstance(event, Loading):
        return event.message
    return describe_failure(event.error).detail if isinstance(event, Failed) else ""


async def _describe_event(
    context: ApiContext, job: Job, number: int, event: Event
) -> ServerSentEvent:
    content: dict[str, object]
    match event:
        case Queued():
            content = {"position": event.position}
        case Loading():
            content = {"model": event.model, "message": event.message}
        case Progress():
            preview = event.preview
            url = None
            if preview is not None:
                made = partial(encode_preview, preview)
                url = (await context.previews.get((job.id, number), made)).decode()
            content = {
                "stage": event.stage,
                "step": event.step,
                "total_steps": event.total_steps,
                "image_index": event.image_index,
                "num_images": event.num_images,
                "together": event.together,
                "progress": round(_measure_progress(job, event), 4),
                "seconds_left": event.seconds_left,
                "preview": url,
            }
        case CellDone():
            error = event.error
            message = "" if error is None else describe_failure(error).detail
            content = {"cell": event.cell, "message": message}
        case Failed():
            failure = describe_failure(event.error)
            content = {"message": failure.detail, "status": failure.status, **failure.more}
        case Finished() | Cancelled():
            pictures = enumerate(job.pictures)
            content = {
                "pictures": [_describe_picture(job, *each).model_dump() for each in pictures],
                "warnings": [str(each) for each in job.warnings],
            }
            if isinstance(event, Finished):
                content |= {
                    "seconds": round(event.seconds, 3),
                    "steps_per_second": round(event.steps_per_second, 2),
                }
    name: str = _name_state(event)
    if isinstance(event, (Progress, CellDone)):
        name = "cell" if isinstance(event, CellDone) else "progress"
    return ServerSentEvent(data=content, event=name, id=str(number))


def _read_last_event(
    text: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise RequestError(messages.unreadable_last_event(text), field="Last-Event-ID")
    return int(text)

"""Variations of a picture: ordinary jobs whose pictures become its children."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import fastapi
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from paintdiff.errors import EngineError, JobNotFoundError
from paintdiff.gallery.variations import MAX_VARIATIONS, KnownModels, Wish, make_variations
from paintdiff.jobs.events import Cancelled, Failed, Finished, Queued
from paintdiff.jobs.requests import count_pictures
from paintdiff.server.identities import current_identity
from paintdiff.server.visitors import current_visitor
from paintdiff.ui.common.job_errors import describe_error
from paintdiff.ui.gallery import messages
from paintdiff.ui.gallery.answers import answer_errors, answer_json
from paintdiff.ui.gallery.pictures import find_picture

if TYPE_CHECKING:
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.jobs.job import Job
    from paintdiff.ui.common.context import PageContext


class WishBody(BaseModel):
    """Variations of the picture `id`: of its seed's noise, or of its pixels, by `strength`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(max_length=64)]
    of: Literal["seed", "picture"]
    strength: Annotated[float, Field(gt=0, le=1)]
    count: Annotated[int, Field(ge=1, le=MAX_VARIATIONS)]


def variation_routes(gallery: Gallery, context: PageContext) -> APIRouter:
    """Return the routes that start, follow and cancel a job of variations."""
    router = APIRouter(prefix="/gallery/variations")

    @router.post("")
    def start(body: WishBody) -> Any:
        identity = current_identity.get()
        with answer_errors():
            record = find_picture(gallery, body.id)
            wish = Wish(body.of, body.strength, body.count)
            models = KnownModels([row.name for row in context.models], context.default_model)
            request = make_variations(gallery, record, wish, models)
            try:
                job = context.engine.submit(
                    request,
                    current_visitor.get(),
                    identity.owner,
                    sees_all=identity.sees_all,
                    varied=record.id,
                )
            except EngineError as error:
                raise HTTPException(503, str(error), {"Retry-After": "5"}) from error
        return answer_json(_describe(job))

    @router.get("/{job_id}")
    def follow(job_id: Annotated[str, fastapi.Path(max_length=64)]) -> Any:
        return answer_json(_describe(_find_job(context, job_id)))

    @router.post("/{job_id}/cancel")
    def cancel(job_id: Annotated[str, fastapi.Path(max_length=64)]) -> Any:
        job = _find_job(context, job_id)
        job.cancel()
        return answer_json(_describe(job))

    return router


def _find_job(context: PageContext, job_id: str) -> Job:
    """Return a job of the visitor.

    Raises:
        HTTPException: There is none.
    """
    try:
        job = context.engine.job(job_id)
    except JobNotFoundError as error:
        raise HTTPException(404, messages.RUN_GONE) from error
    if not current_identity.get().may_see(job.owner):
        raise HTTPException(404, messages.RUN_GONE)
    return job


def _describe(job: Job) -> dict[str, object]:
    event = job.latest
    count = len(job.pictures)
    match event:
        case Queued():
            said = messages.variations_wait(event.position)
        case Failed():
            said = describe_error(event.error)
        case Cancelled():
            said = messages.variations_cancelled(count)
        case Finished():
            said = messages.variations_done(count)
        case _:
            said = messages.variations_running(count, count_pictures(job.request))
    return {
        "job": job.id,
        "done": job.done,
        "failed": isinstance(event, Failed),
        "count": count,
        "said": said,
        "warnings": list(job.warnings) if job.done else [],
    }

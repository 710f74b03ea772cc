"""Variations of a picture: ordinary jobs whose pictures become its children."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import fastapi
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from paintdiff.errors import EngineError, JobNotFoundError, RequestError
from paintdiff.jobs.events import Cancelled, Failed, Finished, Queued
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import (
    Grid,
    ImageToImage,
    Painting,
    PaintingRequest,
    Request,
    Upscale,
    count_pictures,
    parse_request,
)
from paintdiff.server.identities import current_identity
from paintdiff.server.visitors import current_visitor
from paintdiff.ui.common.job_errors import describe_error
from paintdiff.ui.gallery import messages
from paintdiff.ui.gallery.answers import answer_errors, answer_json
from paintdiff.ui.gallery.pictures import find_file, find_picture

if TYPE_CHECKING:
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.gallery.record import Record
    from paintdiff.jobs.job import Job
    from paintdiff.ui.common.context import PageContext

MAX_VARIATIONS = 16
_OTHER = frozenset(
    {"version", "width", "height", "seed", "num_images", "variation_seed", "variation_strength"}
)
_OTHER_PARTS = frozenset({"controls", "upscaling"})


class Wish(BaseModel):
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
    def start(wish: Wish) -> Any:
        identity = current_identity.get()
        with answer_errors():
            record = find_picture(gallery, wish.id)
            request = make_request(gallery, context, record, wish)
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


def make_request(gallery: Gallery, context: PageContext, record: Record, wish: Wish) -> Request:
    """Return the request of a picture's variations.

    Raises:
        RequestError: Its settings aren't known, or can't be used.
        InputMissingError: An input image of it is missing.
    """
    if wish.of == "picture":
        return _vary_picture(gallery, context, record, wish)
    request = _load_painting(gallery, record)
    if request is None or request.seed is None:
        raise RequestError(messages.NO_SEED_TO_VARY, field="of")
    changes = {
        "num_images": wish.count,
        "variation_seed": None,
        "variation_strength": wish.strength,
    }
    return parse_request({**request.model_dump(), **changes})


def _load_painting(gallery: Gallery, record: Record) -> Painting | None:
    if "prompt" not in record.params:
        return None
    request = gallery.load_request(record)
    return None if isinstance(request, (Upscale, Grid)) else request


def _vary_picture(
    gallery: Gallery, context: PageContext, record: Record, wish: Wish
) -> ImageToImage:
    """Return an image-to-image request with the picture's own settings.

    Without its model they wouldn't fit, so only the prompts are used then.
    """
    painting = _load_painting(gallery, record)
    known = painting is not None and any(row.name == painting.model for row in context.models)
    fields: dict[str, object] = {
        "prompt": record.prompt,
        "negative_prompt": record.negative_prompt,
        "model": context.default_model,
    }
    if painting is not None and known:
        names = PaintingRequest.model_fields.keys() - _OTHER - _OTHER_PARTS
        fields |= painting.model_dump(include=set(names))
    path = find_file(gallery, record)
    return ImageToImage.parse(
        {
            **fields,
            "image": InputImage.from_file(path),
            "strength": wish.strength,
            "num_images": wish.count,
        }
    )


def _find_job(context: PageContext, job_id: str) -> Job:
    """Return a job of the visitor.

    Raises:
        HTTPException: There is none.
    """
    identity = current_identity.get()
    try:
        job = context.engine.job(job_id)
    except JobNotFoundError as error:
        raise HTTPException(404, messages.RUN_GONE) from error
    if not identity.sees_all and job.owner != identity.owner:
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

"""/v1/images: paint and edit as OpenAI's clients ask for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from paintdiff.api import messages
from paintdiff.api.forms import Form, read_form
from paintdiff.api.openai.answers import Answering, ImagesAnswer, Kind, Usage
from paintdiff.api.openai.bodies import (
    MAX_EDITED,
    Edited,
    ImagesBody,
    Wanted,
    is_their_model,
    make_request,
    rename_for_client,
)
from paintdiff.api.openai.errors import DOCUMENTED, UnknownModelError, describe_openai_error
from paintdiff.api.openai.links import Linked, Links
from paintdiff.api.openai.streams import stream_job
from paintdiff.api.painting import IdempotencyKey
from paintdiff.api.routing import make_router
from paintdiff.api.submissions import wait_until_finished
from paintdiff.errors import (
    JobNotFoundError,
    PictureNotFoundError,
    RequestError,
    UnknownNameError,
)
from paintdiff.gallery.files.other_formats import FileFormat, convert_png
from paintdiff.gallery.files.saving import encode_png
from paintdiff.models.registry.adapter_rows import IpAdapterRow
from paintdiff.tasks.prompt_check import CheckedPrompt

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext
    from paintdiff.jobs.events import Picture
    from paintdiff.jobs.requests import Painting
    from paintdiff.models.registry.model_rows import ModelRow

_IMAGE_FIELDS = ("image", "image[]")
_FILE_SCHEMA = {"type": "string", "format": "binary"}
_EDIT_FILES: dict[str, Any] = {
    "image": {**_FILE_SCHEMA, "description": messages.EDITED_IMAGE},
    "image[]": {"type": "array", "items": _FILE_SCHEMA, "description": messages.EDITED_IMAGES},
    "mask": {**_FILE_SCHEMA, "description": messages.EDIT_MASK},
}
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
FILE_QUERY = ("picture", "quality", "expires", "signature")
"""The query parameters of a link."""


def openai_image_routes(context: ApiContext) -> APIRouter:
    """Return the routes."""
    router = make_router(context, "OpenAI", describe_openai_error, DOCUMENTED)
    links = Links(context.root_path)

    @router.post(
        "/v1/images/generations",
        response_model=ImagesAnswer,
        response_model_exclude_none=True,
        responses=_STREAM,
    )
    async def generate(
        client: Request, body: ImagesBody, key: IdempotencyKey = None
    ) -> ImagesAnswer | Response:
        """Paint pictures. With `stream` the answer is a stream of events."""
        row = await run_in_threadpool(find_model, context, body.model)
        wanted = await run_in_threadpool(make_request, body, row.name)
        return await answer(client, body, wanted, "image_generation", key)

    @router.post(
        "/v1/images/edits",
        response_model=ImagesAnswer,
        response_model_exclude_none=True,
        responses=_STREAM,
        openapi_extra={"requestBody": _describe_form()},
    )
    async def edit(client: Request, key: IdempotencyKey = None) -> ImagesAnswer | Response:
        """Change a picture, all of it or where the mask is transparent.

        Further images are references where the model has an IP-Adapter.
        """
        form = await read_form(client)
        body = _read_body(form)
        edited = _read_files(form)
        row = await run_in_threadpool(find_model, context, body.model)
        make = partial(make_request, takes_references=_takes_references(context, row))
        wanted = await run_in_threadpool(make, body, row.name, edited)
        return await answer(client, body, wanted, "image_edit", key)

    @router.get("/v1/images/files/{job_id}/{name}", response_class=Response)
    async def file(
        job_id: Annotated[str, Path(max_length=64)],
        name: Annotated[str, Path(pattern=r"^[0-9]{1,4}\.(png|jpeg|webp)$")],
        signature: Annotated[str, Query(max_length=64)],
        expires: Annotated[int, Query(ge=0, lt=2**40)],
        quality: Annotated[int, Query(ge=0, le=100)] = 100,
        picture: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        """Return a picture by its link, for an hour."""
        number, _, suffix = name.partition(".")
        format: FileFormat = "png" if suffix == "png" else "jpeg" if suffix == "jpeg" else "webp"
        linked = Linked(job_id, int(number), picture, format, quality)
        links.check(linked, expires, signature)
        data = await context.previews.get(linked, partial(_load_file, context, linked))
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(data, media_type=f"image/{format}", headers=headers)

    async def answer(
        client: Request, body: ImagesBody, wanted: Wanted, kind: Kind, key: str | None
    ) -> ImagesAnswer | Response:
        try:
            job = await context.submissions.submit(wanted.request, key)
        except RequestError as error:
            raise rename_for_client(error) from error
        count = partial(_count_usage, context, wanted.request)
        answering = Answering(body, kind, wanted.warnings, count)
        if body.stream:
            events = stream_job(context, job, answering, cancel=key is None)
            headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            return StreamingResponse(events, 200, headers, "text/event-stream")
        finished = await wait_until_finished(job, client, cancel=key is None)

        def link(index: int, picture: Picture) -> str:
            quality = body.output_compression
            return links.make(
                Linked(job.id, index, picture.id, body.output_format, quality), client
            )

        chosen = link if body.response_format == "url" else None
        return await run_in_threadpool(answering.describe, finished, chosen)

    return router


def find_model(context: ApiContext, name: str) -> ModelRow:
    """Return the model of that name; for one of OpenAI's names, or none, the default one.

    Raises:
        UnknownModelError: There is none.
    """
    try:
        return context.find_model(name or None)
    except UnknownNameError as error:
        if is_their_model(name):
            return context.find_model(None)
        raise UnknownModelError(str(error)) from error


def _read_body(form: Form) -> ImagesBody:
    given: dict[str, object] = {**form.texts}
    for name in form.files.keys() - {*_IMAGE_FIELDS, "mask"}:
        given[name] = ""  # ImagesBody names it in a warning, or says what it should be
    for name in (*_IMAGE_FIELDS, "mask"):
        if name in given:
            raise RequestError(messages.SEND_AS_FILE, field=name)
    try:
        return ImagesBody.model_validate(given)
    except ValidationError as error:
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found) from error


def _read_files(form: Form) -> Edited:
    images = [each for name in _IMAGE_FIELDS for each in form.files.get(name, ())]
    masks = form.files.get("mask", ())
    if not images:
        raise RequestError(messages.IMAGE_NEEDED, field="image")
    if len(images) > MAX_EDITED:
        raise RequestError(messages.too_many_images(len(images), MAX_EDITED), field="image")
    if len(masks) > 1:
        raise RequestError(messages.ONE_MASK, field="mask")
    return Edited(images, masks[0] if masks else None)


def _takes_references(context: ApiContext, row: ModelRow) -> bool:
    found = context.engine.manager.catalog.fitting(IpAdapterRow, row)
    return any(each.folder is not None and each.folder.exists() for each in found)


def _count_usage(context: ApiContext, request: Painting) -> Usage:
    check = context.engine.check_prompt(CheckedPrompt(request.prompt), request.model)
    return Usage.of_text(0 if check.count is None else check.count.tokens)


def _load_file(context: ApiContext, linked: Linked) -> bytes:
    if linked.picture:
        path = context.gallery.path_of(context.gallery.find(linked.picture).file)
        if not path.is_file():
            raise PictureNotFoundError(messages.FILE_MISSING)
        data = path.read_bytes()
    else:
        try:
            data = encode_png(context.engine.job(linked.job).pictures[linked.index])
        except (JobNotFoundError, IndexError) as error:
            raise PictureNotFoundError(messages.NO_SUCH_PICTURE) from error
    return convert_png(data, linked.format, linked.quality)


def _describe_form() -> dict[str, Any]:
    schema = ImagesBody.model_json_schema()
    schema["properties"] |= _EDIT_FILES
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}

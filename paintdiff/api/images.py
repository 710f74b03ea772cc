"""/api/images: the gallery's pictures, for those whose they are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import fastapi
from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from paintdiff.api import messages
from paintdiff.api.routing import make_router
from paintdiff.errors import PictureNotFoundError
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import Record
from paintdiff.server.identities import current_identity

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext

MAX_WORDS_CHARACTERS = 500
_THUMBNAIL_HEADERS = {"Cache-Control": "private, max-age=86400, immutable"}

ImageId = Annotated[str, fastapi.Path(max_length=64)]
Words = Annotated[str, Query(max_length=MAX_WORDS_CHARACTERS)]


class ImageAnswer(BaseModel):
    """A picture of the gallery: `params` is the request that paints it again."""

    id: str
    kind: str
    prompt: str
    negative_prompt: str
    seed: int | None
    model: str
    width: int
    height: int
    created_at: datetime
    seconds: float | None
    feedback: int
    favourite: bool
    tags: list[str]
    parent: str | None
    relation: str | None
    file: str
    thumbnail: str
    params: dict[str, Any]


class ImagePage(BaseModel):
    """Some pictures, the newest first. `next` is the next page's cursor, None at the end."""

    images: list[ImageAnswer]
    next: str | None


class FeedbackBody(BaseModel):
    """A rating: 1 likes a picture, -1 dislikes it, 0 takes that back."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"id": "01k8h2z6", "feedback": 1}]}
    )

    id: Annotated[str, Field(max_length=64)]
    feedback: Literal[-1, 0, 1]


def image_routes(context: ApiContext) -> APIRouter:
    """Return the routes."""
    router, gallery = make_router(context, "Gallery"), context.gallery

    def find(image_id: ImageId) -> Record:
        return gallery.find(image_id, current_identity.get().scope)

    found = fastapi.Depends(find)

    @router.get("/api/images")
    def list_images(
        query: Annotated[PictureQuery, fastapi.Depends(_read_query)],
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str, Query(max_length=100)] = "",
    ) -> ImagePage:
        """List or search pictures."""
        page = gallery.store.page(query, cursor or None, limit)
        return ImagePage(
            images=[_describe_image(each) for each in page.records], next=page.next_cursor
        )

    @router.get("/api/images/{image_id}")
    def show(record: Record = found) -> ImageAnswer:
        """Return a picture's record."""
        return _describe_image(record)

    @router.delete("/api/images/{image_id}")
    def delete(record: Record = found) -> ImageAnswer:
        """Move a picture to the bin."""
        gallery.store.delete([record.id])
        return _describe_image(record)

    @router.get("/api/images/{image_id}/file")
    def file(record: Record = found) -> Response:
        """Return a picture's file."""
        return FileResponse(_find_file(context, record))

    @router.get("/api/images/{image_id}/thumbnail")
    def thumbnail(record: Record = found) -> Response:
        """Return a small WebP of a picture."""
        data = gallery.thumbnails.load(record.file, _find_file(context, record))
        return Response(data, media_type="image/webp", headers=_THUMBNAIL_HEADERS)

    @router.post("/api/feedback")
    def rate(body: FeedbackBody) -> ImageAnswer:
        """Like or dislike a picture."""
        record = find(body.id)
        gallery.store.set_feedback([record.id], body.feedback)
        return _describe_image(find(body.id))

    return router


def _read_query(  # noqa: PLR0913 (one for each filter)
    q: Words = "",
    model: Words = "",
    kind: Words = "",
    tag: Words = "",
    feedback: Annotated[int | None, Query(ge=-1, le=1)] = None,
    favourite: bool | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> PictureQuery:
    return PictureQuery(
        search=q,
        model=model or None,
        kind=kind or None,
        tags=(tag,) if tag else (),
        feedback=feedback,
        favourite=favourite,
        since=since,
        until=until,
        owner=current_identity.get().scope,
    )


def _describe_image(record: Record) -> ImageAnswer:
    place = f"/api/images/{record.id}"
    return ImageAnswer(
        id=record.id,
        kind=record.kind,
        prompt=record.prompt,
        negative_prompt=record.negative_prompt,
        seed=record.seed,
        model=record.model,
        width=record.size.width,
        height=record.size.height,
        created_at=record.created_at,
        seconds=record.seconds,
        feedback=record.feedback,
        favourite=record.favourite,
        tags=list(record.tags),
        parent=record.parent,
        relation=record.relation,
        file=f"{place}/file",
        thumbnail=f"{place}/thumbnail",
        params=dict(record.params),
    )


def _find_file(context: ApiContext, record: Record) -> Path:
    path = context.gallery.path_of(record.file)
    if not path.is_file():
        raise PictureNotFoundError(messages.FILE_MISSING)
    return path

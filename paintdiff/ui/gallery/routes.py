"""The Gallery tab's routes. A picture is named by its id, and only its owner's browser sees it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import fastapi
from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import AwareDatetime

from paintdiff.errors import RequestError
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import Record
from paintdiff.imaging.encodings import Encodings
from paintdiff.imaging.geometry import Size
from paintdiff.server.identities import current_identity
from paintdiff.ui.gallery import messages
from paintdiff.ui.gallery.answers import answer_errors, answer_json, describe, summarize
from paintdiff.ui.gallery.changes import change_routes, describe_bin
from paintdiff.ui.gallery.pictures import find_file, find_picture
from paintdiff.ui.gallery.variations import variation_routes
from paintdiff.ui.gallery.zips import zip_routes

if TYPE_CHECKING:
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.ui.common.context import PageContext

PAGE_LENGTH = 100
MAX_SELECTED = 5000
MAX_WORDS_CHARACTERS = 500
MAX_KEPT_BYTES = 32 * 2**20
_ANCESTORS, _CHILDREN, _GRANDCHILDREN = 12, 24, 8
"""How much of a picture's lineage is shown."""
_READ_PER_SHOWN = 4
"""How many children are read for each that is shown: some are in the bin or somebody else's."""

_KEEP = {"Cache-Control": "private, max-age=86400, immutable", "Content-Disposition": "inline"}
_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}

PictureId = Annotated[str, fastapi.Path(max_length=64)]
Words = Annotated[str, Query(max_length=MAX_WORDS_CHARACTERS)]


def gallery_routes(gallery: Gallery, context: PageContext) -> APIRouter:
    """Return the routes of the Gallery tab. Errors are JSON: {"detail": message}."""
    whole = APIRouter()
    router, encodings = APIRouter(prefix="/gallery"), Encodings(MAX_KEPT_BYTES)

    @router.get("/pictures")
    def page(query: Annotated[PictureQuery, fastapi.Depends(_read_query)], cursor: str = "") -> Any:
        with answer_errors():
            found = gallery.store.page(query, cursor or None, PAGE_LENGTH)
            total = None if cursor else gallery.store.count(query)
        return answer_json(
            {
                "pictures": [summarize(each) for each in found.records],
                "next": found.next_cursor,
                "total": total,
            }
        )

    @router.get("/ids")
    def ids(query: Annotated[PictureQuery, fastapi.Depends(_read_query)]) -> Any:
        with answer_errors():
            found = gallery.store.ids(query, MAX_SELECTED)
            total = gallery.store.count(query)
        return answer_json({"ids": found, "total": total})

    @router.get("/choices")
    def choices() -> Any:
        with answer_errors():
            found = gallery.store.choices(PictureQuery(owner=current_identity.get().scope))
        kinds = [[each, messages.KINDS.get(each, each)] for each in found.kinds]
        sizes = [[f"{each.width}x{each.height}", str(each)] for each in found.sizes]
        names = {row.name: row.title for row in (*context.upscalers(), *context.models)}
        models = [[each, names.get(each, each)] for each in found.models]
        answer = {"models": models, "kinds": kinds, "tags": found.tags, "sizes": sizes}
        return answer_json({**answer, **describe_bin(context)})

    @router.get("/pictures/{picture_id}")
    def details(picture_id: PictureId) -> Any:
        with answer_errors():
            return answer_json(_describe(gallery, context, picture_id))

    @router.get("/pictures/{picture_id}/file")
    def file(picture_id: PictureId, download: bool = False) -> Response:
        with answer_errors():
            path = _find_served_file(gallery, find_picture(gallery, picture_id))
        kind = _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
        name = f"paintdiffusion-{picture_id}{path.suffix.lower()}"
        headers = {
            **_KEEP,
            "Content-Disposition": f'{"attachment" if download else "inline"}; filename="{name}"',
        }
        return FileResponse(path, media_type=kind, headers=headers)

    @router.get("/pictures/{picture_id}/thumbnail")
    async def thumbnail(picture_id: PictureId) -> Response:
        with answer_errors():
            record = await run_in_threadpool(find_picture, gallery, picture_id)
            path = await run_in_threadpool(_find_served_file, gallery, record)
            make = partial(gallery.thumbnails.load, record.file, path)
            data = await encodings.get(record.id, make)
        return Response(data, media_type="image/webp", headers=_KEEP)

    for part in (
        router,
        change_routes(gallery, context),
        zip_routes(gallery),
        variation_routes(gallery, context),
    ):
        whole.include_router(part)
    return whole


def _read_query(  # noqa: PLR0913 (one for each filter)
    search: Words = "",
    model: Words = "",
    kind: Words = "",
    tag: Words = "",
    feedback: Annotated[int | None, Query(ge=-1, le=1)] = None,
    favourite: bool | None = None,
    bin: bool = False,
    order: Literal["", "oldest", "rating", "pixels"] = "",
    size: Annotated[str, Query(pattern=r"^([1-9][0-9]{0,5}x[1-9][0-9]{0,5})?$")] = "",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> PictureQuery:
    return PictureQuery(
        size=Size(*map(int, size.split("x"))) if size else None,
        since=since,
        until=until,
        search=search,
        model=model or None,
        kind=kind or None,
        tags=(tag,) if tag else (),
        feedback=feedback,
        favourite=favourite,
        owner=current_identity.get().scope,
        bin=bin,
        oldest_first=order == "oldest",
        order=order if order in ("rating", "pixels") else "time",
    )


def _describe(gallery: Gallery, context: PageContext, id: str) -> dict[str, object]:
    record = find_picture(gallery, id)
    path = gallery.path_of(record.file)
    shown = context.shown_path(path) if current_identity.get().sees_all else path.name
    note = ""
    if record.model and "prompt" in record.params:
        known = any(row.name == record.model for row in context.models)
        note = "" if known else messages.model_not_here(record.model)
    return {
        **describe(record, shown, context.words),
        "note": note,
        **_describe_lineage(gallery, record),
    }


def _describe_lineage(gallery: Gallery, record: Record) -> dict[str, object]:
    """Return what a picture was made from, the first of all first, and what was made from it."""
    ancestors = [_relative(each) for each in _find_ancestors(gallery, record)]
    children, more = _find_children(gallery, record, _CHILDREN)
    below: list[dict[str, object]] = []
    for child in children:
        theirs, theirs_more = _find_children(gallery, child, _GRANDCHILDREN)
        parts = [_relative(each) for each in theirs]
        below.append({**_relative(child), "children": parts, "more": theirs_more})
    return {
        "relation": messages.RELATIONS.get(record.relation or "", ""),
        "ancestors": ancestors[::-1],
        "children": below,
        "more": more,
    }


def _relative(record: Record) -> dict[str, object]:
    return {**summarize(record), "relation": messages.RELATIONS.get(record.relation or "", "")}


def _find_ancestors(gallery: Gallery, record: Record) -> list[Record]:
    """Return the visitor's own pictures that it was made from, the nearest first."""
    found: list[Record] = []
    while record.parent is not None and len(found) < _ANCESTORS:
        own = _own([gallery.store.get(record.parent)])
        if not own:
            break
        record = own[0]
        found.append(record)
    return found


def _find_children(gallery: Gallery, record: Record, limit: int) -> tuple[list[Record], bool]:
    """Return the visitor's own pictures made from one, at most `limit`, and if there are more."""
    found = gallery.store.children(record.id, _READ_PER_SHOWN * limit)
    own = [each for each in _own(found) if each.deleted_at is None]
    return own[:limit], len(own) > limit


def _own(records: Sequence[Record]) -> list[Record]:
    identity = current_identity.get()
    return [each for each in records if identity.may_see(each.owner)]


def _find_served_file(gallery: Gallery, record: Record) -> Path:
    try:
        return find_file(gallery, record)
    except RequestError as error:
        raise HTTPException(404, str(error)) from error

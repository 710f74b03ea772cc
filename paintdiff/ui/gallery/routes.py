"""The Gallery tab's routes. A picture is named by its id, and only its owner's browser sees it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import fastapi
from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from paintdiff.errors import (
    GalleryError,
    PictureNotFoundError,
    QueueFullError,
    RequestError,
)
from paintdiff.gallery.adoption import empty_bin
from paintdiff.gallery.store import GalleryStore, PictureQuery, Record
from paintdiff.server.identities import current_identity
from paintdiff.ui.common.encodings import Encodings
from paintdiff.ui.gallery import messages
from paintdiff.ui.gallery.answers import describe, summarize
from paintdiff.ui.gallery.pictures import find_picture

if TYPE_CHECKING:
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.ui.common.context import PageContext

PAGE_LENGTH = 100
MAX_IDS = 500
MAX_WORDS_CHARACTERS = 500
MAX_KEPT_BYTES = 32 * 2**20
_RELATIVES = 24
"""How many pictures made from one are listed beside it."""

_KEEP = {"Cache-Control": "private, max-age=86400, immutable", "Content-Disposition": "inline"}
_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}

PictureId = Annotated[str, fastapi.Path(max_length=64)]
Words = Annotated[str, Query(max_length=MAX_WORDS_CHARACTERS)]


class Change(BaseModel):
    """A change of pictures: what it is, and its value."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1)]
    change: Literal["feedback", "favourite", "tag", "untag", "delete", "restore"]
    value: int | bool | str | None = None


def gallery_routes(gallery: Gallery, context: PageContext) -> APIRouter:
    """Return the routes of the Gallery tab. Errors are JSON: {"detail": message}."""
    router, encodings = APIRouter(prefix="/gallery"), Encodings(MAX_KEPT_BYTES)

    @router.get("/pictures")
    def page(query: Annotated[PictureQuery, fastapi.Depends(_read_query)], cursor: str = "") -> Any:
        with _answering_errors():
            found = gallery.store.page(query, cursor or None, PAGE_LENGTH)
            total = None if cursor else gallery.store.count(query)
        return _fresh(
            {
                "pictures": [summarize(each) for each in found.records],
                "next": found.next_cursor,
                "total": total,
            }
        )

    @router.get("/choices")
    def choices() -> Any:
        with _answering_errors():
            found = gallery.store.choices(PictureQuery(owner=current_identity.get().scope))
        kinds = [[each, messages.KINDS.get(each, each)] for each in found.kinds]
        return _fresh({"models": found.models, "kinds": kinds, "tags": found.tags})

    @router.get("/pictures/{picture_id}")
    def details(picture_id: PictureId) -> Any:
        with _answering_errors():
            return _fresh(_describe(gallery, context, picture_id))

    @router.get("/pictures/{picture_id}/file")
    def file(picture_id: PictureId, download: bool = False) -> Response:
        with _answering_errors():
            path = _file_of(gallery, find_picture(gallery, picture_id))
        kind = _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
        name = f"paintdiffusion-{picture_id}{path.suffix.lower()}"
        headers = {
            **_KEEP,
            "Content-Disposition": f'{"attachment" if download else "inline"}; filename="{name}"',
        }
        return FileResponse(path, media_type=kind, headers=headers)

    @router.get("/pictures/{picture_id}/thumbnail")
    async def thumbnail(picture_id: PictureId) -> Response:
        with _answering_errors():
            record = await run_in_threadpool(find_picture, gallery, picture_id)
            path = await run_in_threadpool(_file_of, gallery, record)
            make = partial(gallery.thumbnails.load, record.file, path)
            data = await encodings.get(record.id, make)
        return Response(data, media_type="image/webp", headers=_KEEP)

    @router.post("/changes")
    def change(wanted: Change) -> Any:
        with _answering_errors():
            _apply(gallery, wanted)
            changed = [gallery.store.get(each) for each in dict.fromkeys(wanted.ids)]
        return _fresh({"pictures": [summarize(each) for each in changed]})

    @router.post("/bin/empty")
    def empty() -> Any:
        with _answering_errors():
            return _fresh({"erased": empty_bin(gallery, current_identity.get().scope)})

    return router


def _fresh(content: object) -> Response:
    return fastapi.responses.JSONResponse(content, headers={"Cache-Control": "no-store"})


def _read_query(  # noqa: PLR0913 (one for each filter)
    search: Words = "",
    model: Words = "",
    kind: Words = "",
    tag: Words = "",
    feedback: Annotated[int | None, Query(ge=-1, le=1)] = None,
    favourite: bool | None = None,
    bin: bool = False,
    oldest: bool = False,
) -> PictureQuery:
    return PictureQuery(
        search=search,
        model=model or None,
        kind=kind or None,
        tags=(tag,) if tag else (),
        feedback=feedback,
        favourite=favourite,
        owner=current_identity.get().scope,
        bin=bin,
        oldest_first=oldest,
    )


def _describe(gallery: Gallery, context: PageContext, id: str) -> dict[str, object]:
    record = find_picture(gallery, id)
    path = gallery.path_of(record.file)
    shown = context.shown_path(path) if current_identity.get().sees_all else path.name
    note = ""
    if record.model and "prompt" in record.params:
        known = any(row.name == record.model for row in context.models)
        note = "" if known else messages.model_not_here(record.model)
    parent = _find_parent(gallery, record)
    relation = messages.RELATIONS.get(record.relation or "", "")
    return {
        **describe(record, shown),
        "note": note,
        "parent": None if parent is None else {**summarize(parent), "relation": relation},
        "children": [summarize(each) for each in _own(gallery.store.children(id))[:_RELATIVES]],
    }


def _find_parent(gallery: Gallery, record: Record) -> Record | None:
    if record.parent is None:
        return None
    return next(iter(_own([gallery.store.get(record.parent)])), None)


def _own(records: Sequence[Record]) -> list[Record]:
    scope = current_identity.get().scope
    return [each for each in records if scope is None or each.owner == scope]


def _file_of(gallery: Gallery, record: Record) -> Path:
    path = gallery.path_of(record.file)
    if not path.is_file():
        raise HTTPException(404, messages.FILE_MISSING)
    return path


def _apply(gallery: Gallery, wanted: Change) -> None:
    """Make a change to the visitor's own pictures.

    Raises:
        RequestError: The value doesn't fit, or there are too many pictures.
        GalleryError: One isn't theirs, or the database can't be written.
    """
    ids = list(dict.fromkeys(wanted.ids))
    if len(ids) > MAX_IDS:
        raise RequestError(messages.too_many_ids(MAX_IDS), field="ids")
    scope = current_identity.get().scope
    if scope is not None:
        gallery.store.check_owner(ids, scope)
    _choose_change(gallery.store, wanted.change, wanted.value)(ids)


def _choose_change(
    store: GalleryStore, change: str, value: int | bool | str | None
) -> Callable[[Sequence[str]], None]:
    match change, value:
        case "delete", None:
            return store.delete
        case "restore", None:
            return store.restore
        case "favourite", bool():
            return partial(_for_each, store.set_favourite, value)
        case "feedback", int() if not isinstance(value, bool):
            return partial(_for_each, store.set_feedback, value)
        case "tag", str():
            return partial(_for_each, store.add_tags, [value])
        case "untag", str():
            return partial(_for_each, store.remove_tags, [value])
        case _:
            raise RequestError(messages.CHANGE_FORMAT, field="value")


def _for_each(method: Callable[[str, Any], None], value: object, ids: Sequence[str]) -> None:
    for id in ids:
        method(id, value)


@contextmanager
def _answering_errors() -> Generator[None]:
    """Answer an error of the gallery with its message and the status that fits.

    Raises:
        HTTPException: There was one.
    """
    try:
        yield
    except PictureNotFoundError as error:
        raise HTTPException(404, messages.NO_SUCH_PICTURE) from error
    except QueueFullError as error:
        raise HTTPException(503, str(error), {"Retry-After": "2"}) from error
    except RequestError as error:
        raise HTTPException(400, str(error)) from error
    except GalleryError as error:
        raise HTTPException(503, str(error)) from error

"""Changes of pictures in the gallery, and the bin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from paintdiff.config.preferences import MAX_BIN_DAYS
from paintdiff.errors import RequestError, StorageError
from paintdiff.gallery.adoption import empty_bin
from paintdiff.server.identities import current_identity
from paintdiff.ui.gallery import messages
from paintdiff.ui.gallery.answers import answer_errors, answer_json, summarize

if TYPE_CHECKING:
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.gallery.records.store import GalleryStore
    from paintdiff.ui.common.context import PageContext

MAX_IDS = 500


class Change(BaseModel):
    """A change of pictures: what it is, and its value."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1)]
    change: Literal["feedback", "favourite", "tag", "untag", "delete", "restore"]
    value: int | bool | str | None = None


class BinDays(BaseModel):
    """After how many days deleted pictures are erased, None for never."""

    model_config = ConfigDict(extra="forbid", strict=True)

    days: Annotated[int, Field(ge=1, le=MAX_BIN_DAYS)] | None


def change_routes(gallery: Gallery, context: PageContext) -> APIRouter:
    """Return the routes that change pictures and empty the bin."""
    router = APIRouter(prefix="/gallery")

    @router.post("/changes")
    def change(wanted: Change) -> Any:
        with answer_errors():
            _apply(gallery, wanted)
            changed = gallery.store.get_all(wanted.ids)
        return answer_json({"pictures": [summarize(each) for each in changed]})

    @router.post("/bin/empty")
    def empty() -> Any:
        with answer_errors():
            return answer_json({"erased": empty_bin(gallery, current_identity.get().scope)})

    @router.post("/bin/days")
    def set_bin_days(wanted: BinDays) -> Any:
        if not current_identity.get().sees_all:
            raise HTTPException(403, messages.BIN_DAYS_OF_OWNER)
        try:
            context.preferences.set_bin_days(wanted.days)
        except StorageError as error:
            raise HTTPException(503, str(error)) from error
        return answer_json(describe_bin(context))

    return router


def describe_bin(context: PageContext) -> dict[str, object]:
    """Return after how many days the bin is emptied, and whether the visitor may change that."""
    may_set = current_identity.get().sees_all
    return {"bin_days": context.preferences.bin_days, "may_set_bin_days": may_set}


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
            return partial(store.set_favourite, favourite=value)
        case "feedback", int() if not isinstance(value, bool):
            return partial(store.set_feedback, feedback=value)
        case "tag", str():
            return partial(store.add_tags, tags=[value])
        case "untag", str():
            return partial(store.remove_tags, tags=[value])
        case _:
            raise RequestError(messages.CHANGE_FORMAT, field="value")

"""Choices of pictures, and the pages in which they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session

from paintdiff.errors import RequestError
from paintdiff.gallery import messages, search
from paintdiff.gallery.record import Record, clean_tag, to_storable
from paintdiff.gallery.schema import PictureRow, TagRow, to_microseconds
from paintdiff.imaging.geometry import Size

_CURSOR = re.compile(r"(-?[0-9]{1,18})\.([0-9a-z]{1,40})")


@dataclass(frozen=True)
class PictureQuery:
    """A choice of pictures. None and empty values don't filter; a picture has all `tags`.

    `since` is the first moment, `until` the first one after. `bin` lists deleted pictures instead.
    """

    search: str = ""
    model: str | None = None
    kind: str | None = None
    size: Size | None = None
    feedback: int | None = None
    favourite: bool | None = None
    tags: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    owner: str | None = None
    bin: bool = False
    oldest_first: bool = False


@dataclass(frozen=True)
class Choices:
    """The models, kinds and tags that pictures have, in alphabetical order."""

    models: tuple[str, ...]
    kinds: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """Some records, and the cursor of the next page, None at the end."""

    records: tuple[Record, ...]
    next_cursor: str | None


def make_conditions(session: Session, query: PictureQuery) -> list[ColumnElement[bool]]:
    """Return what a row of a query fulfils.

    Raises:
        RequestError: The search is too long, or a tag isn't one.
    """
    row = PictureRow
    gone = row.deleted_at
    found: list[ColumnElement[bool]] = [gone.is_not(None) if query.bin else gone.is_(None)]
    texts = ((row.model, query.model), (row.kind, query.kind), (row.owner, query.owner))
    found += [column == to_storable(value) for column, value in texts if value is not None]
    if query.size is not None:
        found += [row.width == query.size.width, row.height == query.size.height]
    if query.feedback is not None:
        found.append(row.feedback == query.feedback)
    if query.favourite is not None:
        found.append(row.favourite.is_(query.favourite))
    for tag in query.tags:
        tagged = select(TagRow.picture).where(TagRow.tag == clean_tag(tag))
        found.append(row.number.in_(tagged))
    if query.since is not None:
        found.append(row.created_at >= query.since)
    if query.until is not None:
        found.append(row.created_at < query.until)
    words = search.match(session, row.number, query.search)
    return found if words is None else [*found, words]


def make_cursor(record: Record) -> str:
    """Return the cursor of the page after a record."""
    return f"{to_microseconds(record.created_at)}.{record.id}"


def parse_cursor(cursor: str) -> ColumnElement[Any]:
    """Return the time and the id of the record before a page.

    Raises:
        RequestError: The cursor isn't one of ours.
    """
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise RequestError(messages.WRONG_CURSOR, field="cursor")
    return tuple_(int(found[1]), found[2])

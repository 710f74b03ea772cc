"""Choices of pictures, and the pages in which they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, cast, select, tuple_
from sqlalchemy.orm import Session

from paintdiff.errors import RequestError
from paintdiff.gallery import messages
from paintdiff.gallery.records import search
from paintdiff.gallery.records.record import Record, clean_tag
from paintdiff.gallery.records.schema import PictureRow, TagRow, to_microseconds
from paintdiff.imaging.geometry import Size

_CURSOR = re.compile(r"((?:-?[0-9]{1,18}\.){1,2})([0-9a-z]{1,40})")
Order = Literal["time", "rating", "pixels"]


@dataclass(frozen=True)
class PictureQuery:
    """A choice of pictures. None and empty values don't filter; a picture has all `tags`.

    `since` is the first moment, `until` the first one after. `bin` lists deleted pictures instead.
    The newest come first, or the `oldest_first`; ordered by rating or pixels, the best or largest,
    and of those the newest.
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
    order: Order = "time"


@dataclass(frozen=True)
class Choices:
    """The models, kinds and tags that pictures have, in alphabetical order, and their sizes."""

    models: tuple[str, ...]
    kinds: tuple[str, ...]
    tags: tuple[str, ...]
    sizes: tuple[Size, ...]


@dataclass(frozen=True)
class Page:
    """Some records, and the cursor of the next page, None at the end."""

    records: tuple[Record, ...]
    next_cursor: str | None


def make_conditions(session: Session, query: PictureQuery) -> list[ColumnElement[bool]]:
    """Return what a row of a query fulfils.

    Raises:
        RequestError: The search is too long, a tag isn't one, or a time has no zone.
    """
    row = PictureRow
    gone = row.deleted_at
    found: list[ColumnElement[bool]] = [gone.is_not(None) if query.bin else gone.is_(None)]
    texts = ((row.model, query.model), (row.kind, query.kind), (row.owner, query.owner))
    found += [column == value for column, value in texts if value is not None]
    if query.size is not None:
        found += [row.width == query.size.width, row.height == query.size.height]
    if query.feedback is not None:
        found.append(row.feedback == query.feedback)
    if query.favourite is not None:
        found.append(row.favourite.is_(query.favourite))
    for tag in query.tags:
        tagged = select(TagRow.picture).where(TagRow.tag == clean_tag(tag))
        found.append(row.number.in_(tagged))
    for name, moment in (("since", query.since), ("until", query.until)):
        if moment is not None and moment.tzinfo is None:
            raise RequestError(messages.time_without_zone(name, moment), field=name)
    if query.since is not None:
        found.append(row.created_at >= query.since)
    if query.until is not None:
        found.append(row.created_at < query.until)
    words = search.match(session, row.number, query.search)
    return found if words is None else [*found, words]


def find_choices(session: Session, query: PictureQuery, limit: int) -> Choices:
    """Return the values that the pictures of a query have, at most `limit` of each."""
    chosen = make_conditions(session, query)
    row = PictureRow

    def find(*columns: Any) -> list[Any]:
        wanted = select(*columns).where(*chosen).distinct()
        return list(session.execute(wanted.order_by(*columns).limit(limit)))

    pairs = find(row.model, row.kind)
    models = sorted({model for model, _ in pairs if model})
    kinds = sorted({kind for _, kind in pairs if kind})
    sizes = [Size(width, height) for width, height in find(row.width, row.height)]
    tagged = select(TagRow.tag).join(PictureRow, PictureRow.number == TagRow.picture)
    tags = session.scalars(tagged.where(*chosen).distinct().order_by(TagRow.tag).limit(limit))
    return Choices(tuple(models), tuple(kinds), tuple(tags), tuple(sizes))


def make_order(query: PictureQuery) -> list[ColumnElement[Any]]:
    """Return the columns by which a query's pictures are sorted. No two pictures have the same."""
    columns = _list_keys(query)
    return [each.asc() if query.oldest_first else each.desc() for each in columns]


def make_cursor(query: PictureQuery, record: Record) -> str:
    """Return the cursor of the page after a record."""
    values = {"time": [], "rating": [record.feedback], "pixels": [record.size.area]}[query.order]
    return ".".join(map(str, [*values, to_microseconds(record.created_at), record.id]))


def is_after(query: PictureQuery, cursor: str) -> ColumnElement[bool]:
    """Return the condition of the pictures after a page.

    Raises:
        RequestError: The cursor isn't one of ours, or that of another order.
    """
    found = _CURSOR.fullmatch(cursor)
    numbers = [] if found is None else [int(each) for each in found[1].split(".")[:-1]]
    keys = _list_keys(query)
    if found is None or len(numbers) + 1 != len(keys):
        raise RequestError(messages.WRONG_CURSOR, field="cursor")
    key, last = tuple_(*keys), tuple_(*numbers, found[2])
    return key > last if query.oldest_first else key < last


def _list_keys(query: PictureQuery) -> list[Any]:
    row = PictureRow
    first: dict[str, list[ColumnElement[Any]]] = {
        "time": [],
        "rating": [row.feedback.expression],
        "pixels": [cast(row.width, BigInteger) * row.height],  # PostgreSQL would multiply 32 bits
    }
    return [*first[query.order], row.created_at.expression, row.id.expression]

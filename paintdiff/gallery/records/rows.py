"""Rows of the database as records and back, and how they are found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from paintdiff.errors import PictureNotFoundError, RequestError
from paintdiff.gallery import messages
from paintdiff.gallery.records.record import Record
from paintdiff.gallery.records.schema import (
    InputRow,
    Moment,
    PictureRow,
    StoredInteger,
    StoredText,
    Table,
    TagRow,
)
from paintdiff.imaging.geometry import Size

_AT_ONCE = 500
_Item = TypeVar("_Item")


def divide(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Divide what a statement names into parts, because the databases limit its length."""
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]


def find_row(session: Session, id: str) -> PictureRow:
    """Return the row of a picture.

    Raises:
        PictureNotFoundError: No picture has that id.
    """
    row = session.scalar(select(PictureRow).where(PictureRow.id == id))
    if row is None:
        raise make_not_found(id)
    return row


def find_rows(session: Session, ids: Collection[str]) -> list[PictureRow]:
    """Return the rows of pictures, in order, each once.

    Raises:
        PictureNotFoundError: No picture has one of the ids.
    """
    wanted = list(dict.fromkeys(ids))
    found: dict[str, PictureRow] = {}
    for part in divide(wanted):
        rows = session.scalars(select(PictureRow).where(PictureRow.id.in_(part)))
        found |= {row.id: row for row in rows}
    for id in wanted:
        if id not in found:
            raise make_not_found(id)
    return [found[id] for id in wanted]


def set_values(session: Session, ids: Collection[str], **values: Any) -> None:
    """Set columns of pictures to a value or an expression.

    Raises:
        PictureNotFoundError: No picture has one of the ids.
    """
    for part in divide(list(dict.fromkeys(ids))):
        chosen = PictureRow.id.in_(part)
        found = set(session.scalars(select(PictureRow.id).where(chosen)))
        for id in part:
            if id not in found:
                raise make_not_found(id)
        session.execute(update(PictureRow).where(chosen).values(**values))


def make_not_found(id: str) -> PictureNotFoundError:
    """Make the error that no picture has an id."""
    return PictureNotFoundError(messages.picture_not_found(id[:40]))


def to_row(record: Record) -> PictureRow:
    """Make the row that stores a record.

    Raises:
        RequestError: No database can hold one of its values.
    """
    values = {**vars(record)}
    size: Size = values.pop("size")
    values |= {"width": size.width, "height": size.height}
    values["tags"] = [TagRow(tag=tag) for tag in record.tags]
    values["inputs"] = [InputRow(sha256=sha256) for sha256 in record.inputs]
    values["params"], values["libraries"] = dict(record.params), dict(record.libraries)
    row = PictureRow(**values)
    for part in (row, *row.tags, *row.inputs):
        _check_columns(part)
    return row


def _check_columns(row: Table) -> None:
    for column in row.__table__.columns:
        value, kind = getattr(row, column.key), column.type
        limited = isinstance(kind, StoredText | StoredInteger | Moment)
        if limited and value is not None and not kind.can_hold(value):
            raise RequestError(messages.not_storable(column.key, value), field=column.key)


def to_record(row: PictureRow) -> Record:
    """Return the record that a row stores."""
    names = Record.__dataclass_fields__.keys() - {"size", "tags", "inputs"}
    values = {name: getattr(row, name) for name in names}
    tags = tuple(sorted(each.tag for each in row.tags))
    inputs = tuple(sorted(each.sha256 for each in row.inputs))
    return Record(**values, size=Size(row.width, row.height), tags=tags, inputs=inputs)

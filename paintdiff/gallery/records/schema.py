"""The tables of the gallery. `migrations/` makes them; a change here needs a migration there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    Text,
    TextClause,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from paintdiff.errors import GalleryDamagedError
from paintdiff.gallery import messages

RELATIONS = ("variation", "image_to_image", "inpaint", "upscale", "control", "grid")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_StoredT = TypeVar("_StoredT")
_SURROGATE = re.compile("[\ud800-\udfff]")


def to_microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970 of a moment that has a time zone."""
    return (moment - _EPOCH) // _MICROSECOND


class StoredText(TypeDecorator[str]):
    """Text. One that no database holds is looked up as NULL: it equals the text of no row."""

    impl = Text
    cache_ok = True

    def can_hold(self, value: str) -> bool:
        """Return whether a text has no NUL and no unpaired surrogates."""
        return "\0" not in value and not _SURROGATE.search(value)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what a database gets for a text."""
        return value if value is None or self.can_hold(value) else None

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        """Return a stored text."""
        return _check_stored(value, str)


class StoredInteger(TypeDecorator[int]):
    """An integer of 32 bits. A larger one is looked up as NULL: it equals the number of no row."""

    impl = Integer
    cache_ok = True
    _bits = 32

    def can_hold(self, value: int) -> bool:
        """Return whether a number has that many bits, with its sign."""
        return -(2 ** (self._bits - 1)) <= value < 2 ** (self._bits - 1)

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """Return what a database gets for a number."""
        return value if value is None or self.can_hold(value) else None

    def process_result_value(self, value: Any | None, dialect: Dialect) -> int | None:
        """Return a stored number."""
        return _check_stored(value, int)


class StoredBigInteger(StoredInteger):
    """An integer of 64 bits."""

    impl = BigInteger
    cache_ok = True
    _bits = 64


class StoredJson(TypeDecorator[Any]):
    """JSON that is an object, or with `shape` a list."""

    impl = JSON
    cache_ok = True

    def __init__(self, shape: type[dict[str, Any]] | type[list[Any]] = dict) -> None:
        super().__init__()
        self.shape = shape

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return the function that reads what is stored."""
        parse = super().result_processor(dialect, coltype)

        def read(value: Any | None) -> Any | None:
            try:
                found = value if parse is None else parse(value)
            except (ValueError, TypeError, RecursionError) as error:  # another program wrote it
                raise GalleryDamagedError(messages.DATABASE_DAMAGED) from error
            return _check_stored(found, self.shape)

        return read


def _check_stored(value: Any | None, kind: type[_StoredT]) -> _StoredT | None:
    """Return a value of a row. Raise GalleryDamagedError if another program wrote something else.

    SQLite stores any type in any column.
    """
    if value is not None and not isinstance(value, kind):
        raise GalleryDamagedError(messages.DATABASE_DAMAGED)
    return value


class Moment(TypeDecorator[datetime]):
    """A moment in UTC as microseconds since 1970: exact and sortable in every database."""

    impl = BigInteger
    cache_ok = True

    def can_hold(self, value: datetime) -> bool:
        """Return whether a moment has a time zone, and is in the years 1 to 9999 in UTC, too."""
        if value.tzinfo is None:
            return False
        try:
            value.astimezone(UTC)
        except OverflowError:
            return False
        return True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the number to store."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return the moment that a stored number means."""
        try:
            return None if value is None else _EPOCH + value * _MICROSECOND
        except (TypeError, OverflowError) as error:  # another program wrote it
            raise GalleryDamagedError(messages.DATABASE_DAMAGED) from error


Number = BigInteger().with_variant(Integer, "sqlite")  # only an INTEGER is SQLite's row id


_SHOWN, _GONE = text("deleted_at IS NULL"), text("deleted_at IS NOT NULL")


def _make_index(name: str, where: TextClause, *first: str) -> Index:
    """Make an index in the order of pages."""
    columns = (*first, "created_at", "id")
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


class Table(DeclarativeBase):
    """The base of all tables."""


class PictureRow(Table):
    """A finished picture; `store.Record` describes it. `number` links it to its words and tags."""

    __tablename__ = "pictures"
    __table_args__ = (
        CheckConstraint("feedback IN (-1, 0, 1)", name="feedback_known"),
        CheckConstraint("width > 0 AND height > 0", name="size_positive"),
        _make_index("pictures_by_time", _SHOWN),
        _make_index("pictures_in_bin", _GONE),
        *(
            _make_index(f"pictures_by_{each}", _SHOWN, each)
            for each in ("owner", "kind", "model", "feedback", "favourite")
        ),
        # It has all that the filters' choices are made of, so that no row is read for them.
        Index("pictures_by_choice", "deleted_at", "owner", "model", "kind", "width", "height"),
    )

    number: Mapped[int] = mapped_column(Number, primary_key=True)
    id: Mapped[str] = mapped_column(StoredText, unique=True)
    owner: Mapped[str] = mapped_column(StoredText)
    prompt: Mapped[str] = mapped_column(StoredText)
    negative_prompt: Mapped[str] = mapped_column(StoredText)
    created_at: Mapped[datetime] = mapped_column(Moment)
    seed: Mapped[int | None] = mapped_column(StoredBigInteger)
    params: Mapped[dict[str, Any]] = mapped_column(StoredJson)
    params_version: Mapped[int] = mapped_column(StoredInteger)
    kind: Mapped[str] = mapped_column(StoredText)
    model: Mapped[str] = mapped_column(StoredText)
    model_hash: Mapped[str] = mapped_column(StoredText)
    width: Mapped[int] = mapped_column(StoredInteger)
    height: Mapped[int] = mapped_column(StoredInteger)
    seconds: Mapped[float | None] = mapped_column(Double)
    device: Mapped[str] = mapped_column(StoredText)
    libraries: Mapped[dict[str, Any]] = mapped_column(StoredJson)
    file: Mapped[str] = mapped_column(StoredText, unique=True)
    file_bytes: Mapped[int] = mapped_column(StoredBigInteger)
    file_sha256: Mapped[str] = mapped_column(StoredText, index=True)
    thumbnail: Mapped[str | None] = mapped_column(StoredText)
    feedback: Mapped[int] = mapped_column(StoredInteger)
    favourite: Mapped[bool]
    parent: Mapped[str | None] = mapped_column(
        ForeignKey("pictures.id", ondelete="SET NULL"), index=True
    )
    relation: Mapped[str | None] = mapped_column(StoredText)
    deleted_at: Mapped[datetime | None] = mapped_column(Moment)
    tags: Mapped[list[TagRow]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", passive_deletes=True
    )
    inputs: Mapped[list[InputRow]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", passive_deletes=True
    )


class TagRow(Table):
    """A tag of a picture."""

    __tablename__ = "picture_tags"

    picture: Mapped[int] = mapped_column(
        ForeignKey("pictures.number", ondelete="CASCADE"), primary_key=True
    )
    tag: Mapped[str] = mapped_column(StoredText, primary_key=True, index=True)


class InputRow(Table):
    """An input image that a picture was painted from, by the SHA-256 of its file."""

    __tablename__ = "picture_inputs"

    picture: Mapped[int] = mapped_column(
        ForeignKey("pictures.number", ondelete="CASCADE"), primary_key=True
    )
    sha256: Mapped[str] = mapped_column(StoredText, primary_key=True, index=True)


class WatchedRow(Table):
    """A file of a watched folder that needn't be read again as long as it doesn't change.

    One whose picture was erased from the gallery isn't imported again: its `sha256` is known here.
    """

    __tablename__ = "watched_files"

    path: Mapped[str] = mapped_column(StoredText, primary_key=True)
    file_bytes: Mapped[int] = mapped_column(StoredBigInteger)
    modified_ns: Mapped[int] = mapped_column(StoredBigInteger)
    sha256: Mapped[str] = mapped_column(StoredText, index=True)


class RemovalRow(Table):
    """A file of a picture erased from the bin, to be removed from the disk and not adopted."""

    __tablename__ = "removals"

    file: Mapped[str] = mapped_column(StoredText, primary_key=True)


class JobPictureRow(Table):
    """A picture that a durable job painted: `place` counts from 0, `cell` is its cell in a grid.

    A job has one picture at each place, however often it was begun.
    """

    __tablename__ = "job_pictures"

    job: Mapped[str] = mapped_column(StoredText, primary_key=True)
    place: Mapped[int] = mapped_column(Integer, primary_key=True)
    picture: Mapped[str] = mapped_column(ForeignKey("pictures.id", ondelete="CASCADE"), index=True)
    cell: Mapped[int | None] = mapped_column(StoredInteger)


class JobInputRow(Table):
    """An input image that a job needs which isn't done."""

    __tablename__ = "job_inputs"

    job: Mapped[str] = mapped_column(StoredText, primary_key=True)
    sha256: Mapped[str] = mapped_column(StoredText, primary_key=True, index=True)

"""The store of finished pictures: one record each, in a database. Their files lie in folders."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, delete, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from paintdiff.errors import PictureNotFoundError, PictureRecordedError, RequestError
from paintdiff.gallery import messages, search
from paintdiff.gallery.database import Database
from paintdiff.gallery.schema import (
    RELATIONS,
    InputRow,
    PictureRow,
    RemovalRow,
    TagRow,
    to_microseconds,
)
from paintdiff.imaging.geometry import Size

MAX_PAGE = 500
MAX_TAGS = 100
MAX_TAG_CHARACTERS = 100
MAX_NAME_CHARACTERS = 200
"""Limit of an owner's, model's and kind's name."""
MAX_PATH_BYTES = 2000
_MAX_ANCESTORS = 1000
_ID_TRIES = 10
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_Item = TypeVar("_Item")
_CURSOR = re.compile(r"(-?[0-9]{1,18})\.([0-9a-z]{1,40})")


class _TakenError(Exception):
    """A record has the file or the id already."""


@dataclass(frozen=True)
class Record:
    """A finished picture.

    `file` and `thumbnail` are paths with forward slashes, within the output folder. `file` may be
    absolute: a picture that was imported where it lies. `file_bytes` and `file_sha256` (lower-case
    hex) are those of the file when it was recorded; 0 and "" if unknown. `inputs` are the SHA-256
    of the input images that it was painted from.

    `params` is the resolved request in the format `params_version`; `seconds` is how long it took;
    `seed` is None where none was used. A stored record has an `id`; ids sort by time.
    """

    file: str
    kind: str
    size: Size
    created_at: datetime
    file_bytes: int = 0
    file_sha256: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    seed: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    params_version: int = 1
    model: str = ""
    model_hash: str = ""
    seconds: float | None = None
    device: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict[str, str])
    thumbnail: str | None = None
    owner: str = ""
    feedback: int = 0
    favourite: bool = False
    tags: tuple[str, ...] = ()
    parent: str | None = None
    relation: str | None = None
    inputs: tuple[str, ...] = ()
    deleted_at: datetime | None = None
    id: str = ""


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


class GalleryStore:
    """The records of a database. Every change is on the disk when its method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: Record, restore_inputs: Callable[[], None] | None = None) -> Record:
        """Store the record of a picture whose file is complete; return it with its id.

        `restore_inputs` writes input images that were removed meanwhile; it is called while none
        can be removed.

        Of texts, characters that no database can hold (NUL, halves of surrogates) are stored only
        within `params`.

        Raises:
            RequestError: A value is outside its limits.
            PictureRecordedError: Its file is in the store already.
            PictureNotFoundError: No picture has the parent's id.
        """
        _check(record)
        stored = replace(
            record,
            tags=tuple(sorted({_clean_tag(tag) for tag in record.tags})),
            inputs=tuple(sorted(set(record.inputs))),
            prompt=_storable(record.prompt),
            negative_prompt=_storable(record.negative_prompt),
            model=_storable(record.model),
            model_hash=_storable(record.model_hash),
            device=_storable(record.device),
            owner=_storable(record.owner),
        )
        for _ in range(_ID_TRIES):  # thousands of files may have the same time
            stored = replace(stored, id=record.id or make_id(record.created_at))
            try:
                self._insert(stored, restore_inputs)
            except _TakenError as error:
                if record.id or not self.find_unrecorded([record.file]):
                    raise _recorded(record) from error
            else:
                return stored
        raise _recorded(record)

    def _insert(self, record: Record, restore_inputs: Callable[[], None] | None) -> None:
        database = self._database
        with database.write_alone() if record.inputs else database.write() as session:
            if restore_inputs is not None:
                restore_inputs()
            if record.parent is not None:
                _find(session, record.parent)
            row = _to_row(record)
            session.add(row)
            try:
                session.flush()
            except IntegrityError as error:
                raise _TakenError from error
            search.index(session, row.number, f"{record.prompt}\n{record.model}")

    def find_by_file(self, file: str) -> Record | None:
        """Return the record of a file, None if it has none."""
        with self._database.read() as session:
            row = session.scalar(select(PictureRow).where(PictureRow.file == file))
            return None if row is None else _to_record(row)

    def find_by_sha256(self, hashes: Collection[str]) -> Record | None:
        """Return the newest record of a file with one of these SHA-256, None without one."""
        with self._database.read() as session:
            wanted = select(PictureRow).where(PictureRow.file_sha256.in_(hashes))
            wanted = wanted.where(PictureRow.file_sha256 != "", PictureRow.deleted_at.is_(None))
            row = session.scalar(wanted.order_by(PictureRow.created_at.desc()).limit(1))
            return None if row is None else _to_record(row)

    def forget_inputs(self, hashes: Sequence[str], remove: Callable[[str], None]) -> None:
        """Call `remove` for those input images that no record has, while none can be added."""
        for part in _divide(hashes):
            with self._database.write_alone() as session:
                used = set(
                    session.scalars(select(InputRow.sha256).where(InputRow.sha256.in_(part)))
                )
                for sha256 in part:
                    if sha256 not in used:
                        remove(sha256)

    def find_unrecorded(self, files: Sequence[str]) -> list[str]:
        """Return those of the files that no record has, and that aren't in `removals` either."""
        missing: list[str] = []
        with self._database.read() as session:
            for part in _divide(files):
                recorded = select(PictureRow.file).where(PictureRow.file.in_(part))
                removed = select(RemovalRow.file).where(RemovalRow.file.in_(part))
                known = {*session.scalars(recorded), *session.scalars(removed)}
                missing += [file for file in part if file not in known]
        return missing

    def get(self, id: str) -> Record:
        """Return a record, also from the bin.

        Raises:
            PictureNotFoundError: No picture has that id.
        """
        with self._database.read() as session:
            return _to_record(_find(session, id))

    def page(self, query: PictureQuery, cursor: str | None = None, limit: int = 50) -> Page:
        """Return the first records of a query, or those after a cursor; the newest come first.

        Pictures that come or go meanwhile neither repeat nor hide others.

        Raises:
            RequestError: The cursor isn't one of ours, or the limit isn't 1 to `MAX_PAGE`.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise RequestError(messages.wrong_page_size(MAX_PAGE, limit), field="limit")
        key = tuple_(PictureRow.created_at, PictureRow.id)
        with self._database.read() as session:
            wanted = select(PictureRow).where(*_conditions(session, query))
            if cursor is not None:
                after = _parse_cursor(cursor)
                wanted = wanted.where(key > after if query.oldest_first else key < after)
            columns = (PictureRow.created_at, PictureRow.id)
            order = [each.asc() if query.oldest_first else each.desc() for each in columns]
            rows = session.scalars(wanted.order_by(*order).limit(limit + 1)).all()
            records = tuple(_to_record(row) for row in rows[:limit])
        return Page(records, _make_cursor(records[-1]) if len(rows) > limit else None)

    def records(self, query: PictureQuery) -> Iterator[Record]:
        """Yield all records of a query, read in pages."""
        cursor = None
        while True:
            page = self.page(query, cursor, MAX_PAGE)
            yield from page.records
            cursor = page.next_cursor
            if cursor is None:
                return

    def count(self, query: PictureQuery) -> int:
        """Return how many pictures a query has."""
        with self._database.read() as session:
            wanted = select(func.count()).select_from(PictureRow)
            return session.scalar(wanted.where(*_conditions(session, query))) or 0

    def choices(self, query: PictureQuery) -> Choices:
        """Return the values that the pictures of a query have, at most `MAX_PAGE` of each."""
        with self._database.read() as session:
            chosen = _conditions(session, query)
            models, kinds = (
                tuple(
                    session.scalars(
                        select(column)
                        .where(*chosen, column != "")
                        .distinct()
                        .order_by(column)
                        .limit(MAX_PAGE)
                    )
                )
                for column in (PictureRow.model, PictureRow.kind)
            )
            tagged = select(TagRow.tag).join(PictureRow, PictureRow.number == TagRow.picture)
            tags = session.scalars(
                tagged.where(*chosen).distinct().order_by(TagRow.tag).limit(MAX_PAGE)
            )
            return Choices(models, kinds, tuple(tags))

    def check_owner(self, ids: Collection[str], owner: str) -> None:
        """Refuse pictures of others as if there were none.

        Raises:
            PictureNotFoundError: One of the ids isn't that of a picture of the owner.
        """
        with self._database.read() as session:
            for part in _divide([_storable(each) for each in dict.fromkeys(ids)]):
                wanted = select(PictureRow.id).where(
                    PictureRow.id.in_(part), PictureRow.owner == _storable(owner)
                )
                found = set(session.scalars(wanted))
                for id in part:
                    if id not in found:
                        raise _not_found(id)

    def set_feedback(self, id: str, feedback: int) -> None:
        """Set the person's feedback: -1, 0 or 1.

        Raises:
            RequestError: It is another number.
            PictureNotFoundError: No picture has that id.
        """
        _check_feedback(feedback)
        with self._database.write() as session:
            _find(session, id).feedback = feedback

    def set_favourite(self, id: str, favourite: bool) -> None:
        """Make it a favourite or not.

        Raises:
            PictureNotFoundError: No picture has that id.
        """
        with self._database.write() as session:
            _find(session, id).favourite = favourite

    def add_tags(self, id: str, tags: Collection[str]) -> None:
        """Add tags that it doesn't have yet.

        Raises:
            RequestError: One is empty or too long, or it would have too many.
            PictureNotFoundError: No picture has that id.
        """
        clean = {_clean_tag(tag) for tag in tags}
        with self._database.write() as session:
            row = _find(session, id)
            new = clean - {each.tag for each in row.tags}
            _check_tag_count(len(row.tags) + len(new))
            row.tags.extend(TagRow(tag=tag) for tag in sorted(new))

    def remove_tags(self, id: str, tags: Collection[str]) -> None:
        """Remove those of the tags that it has.

        Raises:
            PictureNotFoundError: No picture has that id.
        """
        clean = {_clean_tag(tag) for tag in tags}
        with self._database.write() as session:
            row = _find(session, id)
            row.tags = [each for each in row.tags if each.tag not in clean]

    def delete(self, ids: Collection[str]) -> None:
        """Move pictures to the bin; those in it stay there.

        Raises:
            PictureNotFoundError: No picture has one of the ids; none is moved.
        """
        with self._database.write() as session:
            moment = func.coalesce(PictureRow.deleted_at, to_microseconds(datetime.now(UTC)))
            _update(session, ids, moment)

    def restore(self, ids: Collection[str]) -> None:
        """Move pictures back out of the bin.

        Raises:
            PictureNotFoundError: No picture has one of the ids; none is moved.
        """
        with self._database.write() as session:
            _update(session, ids, None)

    def empty_bin(self, owner: str | None = None, before: datetime | None = None) -> int:
        """Erase the records in the bin (of an owner, deleted before a moment); return how many.

        From then on their files within the output folder are in `removals`, until
        `confirm_removals`. Files that lie elsewhere belong to the person, and stay.
        """
        with self._database.write() as session:
            gone: list[ColumnElement[bool]] = [PictureRow.deleted_at.is_not(None)]
            if owner is not None:
                gone.append(PictureRow.owner == _storable(owner))
            if before is not None:
                gone.append(PictureRow.deleted_at < before)
            chosen = select(PictureRow.number, PictureRow.file, PictureRow.thumbnail).where(*gone)
            found = session.execute(chosen).all()
            for part in _divide(found):
                numbers = [number for number, _, _ in part]
                search.forget(session, numbers)
                session.execute(delete(PictureRow).where(PictureRow.number.in_(numbers)))
            names = {name for _, file, thumbnail in found for name in (file, thumbnail) if name}
            known = set(session.scalars(select(RemovalRow.file)))
            within = sorted(name for name in names - known if is_within(name))
            session.add_all(RemovalRow(file=name) for name in within)
            return len(found)

    def removals(self) -> list[str]:
        """Return the files of erased pictures that are still to be removed from the disk."""
        with self._database.read() as session:
            return list(session.scalars(select(RemovalRow.file).order_by(RemovalRow.file)))

    def confirm_removals(self, files: Sequence[str]) -> None:
        """Forget files of `removals` that are gone from the disk."""
        with self._database.write() as session:
            for part in _divide(files):
                session.execute(delete(RemovalRow).where(RemovalRow.file.in_(part)))

    def set_thumbnail(self, id: str, thumbnail: str) -> None:
        """Set the path of its thumbnail, which is complete.

        Raises:
            PictureNotFoundError: No picture has that id.
        """
        with self._database.write() as session:
            _find(session, id).thumbnail = thumbnail

    def children(self, id: str) -> list[Record]:
        """Return the pictures that were made from it, the oldest first.

        Raises:
            PictureNotFoundError: No picture has that id.
        """
        with self._database.read() as session:
            _find(session, id)
            wanted = select(PictureRow).where(PictureRow.parent == id)
            rows = session.scalars(wanted.order_by(PictureRow.created_at, PictureRow.id))
            return [_to_record(row) for row in rows]

    def parents(self, id: str) -> list[Record]:
        """Return what it was made from, what that was made from, and so on.

        Raises:
            PictureNotFoundError: No picture has that id.
        """
        found: list[Record] = []
        with self._database.read() as session:
            row = _find(session, id)
            while row.parent is not None and len(found) < _MAX_ANCESTORS:
                row = _find(session, row.parent)
                found.append(_to_record(row))
        return found


def is_within(file: str) -> bool:
    """Return whether a record's path lies within the output folder, on every system."""
    kinds = (PurePosixPath(file), PureWindowsPath(file))
    return not any(path.anchor or ".." in path.parts for path in kinds)


def make_id(moment: datetime) -> str:
    """Return a new id: 15 lower-case letters and digits that sort by the moment."""
    milliseconds = max(0, to_microseconds(moment)) // 1000
    number = (milliseconds << 25) | secrets.randbits(25)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(70, -1, -5))


def _divide(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Divide what a statement names into parts, because the databases limit its length."""
    for start in range(0, len(items), MAX_PAGE):
        yield items[start : start + MAX_PAGE]


def _update(session: Session, ids: Collection[str], deleted_at: Any) -> None:
    for part in _divide([_storable(each) for each in dict.fromkeys(ids)]):
        chosen = PictureRow.id.in_(part)
        found = set(session.scalars(select(PictureRow.id).where(chosen)))
        for id in part:
            if id not in found:
                raise _not_found(id)
        session.execute(update(PictureRow).where(chosen).values(deleted_at=deleted_at))


def _recorded(record: Record) -> PictureRecordedError:
    return PictureRecordedError(messages.already_recorded(record.file))


def _not_found(id: str) -> PictureNotFoundError:
    return PictureNotFoundError(messages.picture_not_found(id[:40]))


def _find(session: Session, id: str) -> PictureRow:
    row = session.scalar(select(PictureRow).where(PictureRow.id == _storable(id)))
    if row is None:
        raise _not_found(id)
    return row


def _conditions(session: Session, query: PictureQuery) -> list[ColumnElement[bool]]:
    row = PictureRow
    gone = row.deleted_at
    found: list[ColumnElement[bool]] = [gone.is_not(None) if query.bin else gone.is_(None)]
    texts = ((row.model, query.model), (row.kind, query.kind), (row.owner, query.owner))
    found += [column == _storable(value) for column, value in texts if value is not None]
    if query.size is not None:
        found += [row.width == query.size.width, row.height == query.size.height]
    if query.feedback is not None:
        found.append(row.feedback == query.feedback)
    if query.favourite is not None:
        found.append(row.favourite.is_(query.favourite))
    for tag in query.tags:
        tagged = select(TagRow.picture).where(TagRow.tag == _clean_tag(tag))
        found.append(row.number.in_(tagged))
    if query.since is not None:
        found.append(row.created_at >= query.since)
    if query.until is not None:
        found.append(row.created_at < query.until)
    words = search.match(session, row.number, query.search)
    return found if words is None else [*found, words]


def _make_cursor(record: Record) -> str:
    return f"{to_microseconds(record.created_at)}.{record.id}"


def _parse_cursor(cursor: str) -> ColumnElement[Any]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise RequestError(messages.WRONG_CURSOR, field="cursor")
    return tuple_(int(found[1]), found[2])


def _check(record: Record) -> None:
    _check_feedback(record.feedback)
    _check_tag_count(len(record.tags))
    for path in (record.file, record.thumbnail or ""):
        if path != _storable(path) or len(path.encode()) > MAX_PATH_BYTES:
            raise RequestError(
                messages.path_not_storable(path[:200], MAX_PATH_BYTES),
                field="file",
            )
    for field_name in ("owner", "model", "kind", "model_hash", "device"):
        length = len(getattr(record, field_name))
        if length > MAX_NAME_CHARACTERS:
            raise RequestError(
                messages.value_too_long(field_name, length, MAX_NAME_CHARACTERS),
                field=field_name,
            )
    if record.created_at.tzinfo is None:
        raise RequestError(messages.time_without_zone(record.created_at), field="created_at")
    if record.relation is not None and record.relation not in RELATIONS:
        raise RequestError(
            messages.unknown_relation(record.relation, ", ".join(RELATIONS)),
            field="relation",
        )


def _check_feedback(feedback: int) -> None:
    if feedback not in (-1, 0, 1):
        raise RequestError(messages.wrong_feedback(feedback), field="feedback")


def _check_tag_count(count: int) -> None:
    if count > MAX_TAGS:
        raise RequestError(messages.too_many_tags(MAX_TAGS, count), field="tags")


def _clean_tag(tag: str) -> str:
    """Return a tag as it is stored: composed, each space single.

    Raises:
        RequestError: It is empty, too long, or has control characters.
    """
    clean = unicodedata.normalize("NFC", " ".join(tag.split()))
    if not 1 <= len(clean) <= MAX_TAG_CHARACTERS:
        raise RequestError(messages.wrong_tag_length(MAX_TAG_CHARACTERS, len(clean)), field="tags")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in clean):
        raise RequestError(messages.CONTROL_CHARACTERS_IN_TAG, field="tags")
    return clean


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


def _to_row(record: Record) -> PictureRow:
    values = {**vars(record)}
    size: Size = values.pop("size")
    values |= {"width": size.width, "height": size.height}
    values["tags"] = [TagRow(tag=tag) for tag in record.tags]
    values["inputs"] = [InputRow(sha256=sha256) for sha256 in record.inputs]
    values["params"], values["libraries"] = dict(record.params), dict(record.libraries)
    return PictureRow(**values)


def _to_record(row: PictureRow) -> Record:
    names = Record.__dataclass_fields__.keys() - {"size", "tags", "inputs"}
    values = {name: getattr(row, name) for name in names}
    tags = tuple(sorted(each.tag for each in row.tags))
    inputs = tuple(sorted(each.sha256 for each in row.inputs))
    return Record(**values, size=Size(row.width, row.height), tags=tags, inputs=inputs)

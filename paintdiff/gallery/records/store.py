"""The store of finished pictures: one record each, in a database. Their files lie in folders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from paintdiff.errors import PictureRecordedError, RequestError
from paintdiff.gallery import messages
from paintdiff.gallery.records import search
from paintdiff.gallery.records.database import Database
from paintdiff.gallery.records.query import (
    Choices,
    Page,
    PictureQuery,
    find_choices,
    is_after,
    make_conditions,
    make_cursor,
    make_order,
)
from paintdiff.gallery.records.record import (
    JobPart,
    Record,
    check_feedback,
    check_record,
    check_tag_count,
    clean_tag,
    is_within,
    make_id,
    to_storable,
)
from paintdiff.gallery.records.rows import (
    divide,
    find_row,
    find_rows,
    make_not_found,
    set_values,
    to_record,
    to_row,
)
from paintdiff.gallery.records.schema import (
    InputRow,
    JobInputRow,
    JobPictureRow,
    PictureRow,
    RemovalRow,
    TagRow,
    to_microseconds,
)
from paintdiff.gallery.records.watched_files import WatchedFile, note_files

MAX_PAGE = 500
_MAX_ANCESTORS = 1000
_ID_TRIES = 10
_MOST_PAINTED = 50


class _TakenError(Exception):
    """A record has the file or the id already."""


class GalleryStore:
    """The records of a database. Every change is on the disk when its method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        record: Record,
        restore_inputs: Callable[[], None] | None = None,
        part: JobPart | None = None,
    ) -> Record:
        """Store the record of a picture whose file is complete; return it with its id.

        `restore_inputs` writes input images that were removed meanwhile; it is called while none
        can be removed. `part` is the picture's place in a durable job.

        Of texts, characters that no database can hold (NUL, halves of surrogates) are stored only
        within `params`.

        Raises:
            RequestError: A value is outside its limits.
            PictureRecordedError: Its file is in the store already.
            PictureNotFoundError: No picture has the parent's id.
        """
        check_record(record)
        stored = replace(
            record,
            tags=tuple(sorted({clean_tag(tag) for tag in record.tags})),
            inputs=tuple(sorted(set(record.inputs))),
            prompt=to_storable(record.prompt),
            negative_prompt=to_storable(record.negative_prompt),
            model=to_storable(record.model),
            model_hash=to_storable(record.model_hash),
            device=to_storable(record.device),
            owner=to_storable(record.owner),
        )
        for _ in range(_ID_TRIES):  # thousands of files may have the same time
            stored = replace(stored, id=record.id or make_id(record.created_at))
            try:
                self._insert(stored, restore_inputs, part)
            except _TakenError as error:
                if record.id or not self.find_unrecorded([record.file]):
                    raise _recorded(record) from error
            else:
                return stored
        raise _recorded(record)

    def _insert(
        self, record: Record, restore_inputs: Callable[[], None] | None, part: JobPart | None
    ) -> None:
        database = self._database
        with database.write_alone() if record.inputs else database.write() as session:
            if restore_inputs is not None:
                restore_inputs()
            if record.parent is not None:
                find_row(session, record.parent)
            row = to_row(record)
            session.add(row)
            try:
                session.flush()
            except IntegrityError as error:
                raise _TakenError from error
            search.index(session, row.number, f"{record.prompt}\n{record.model}")
            if part is not None and session.get(JobPictureRow, (part.job, part.place)) is None:
                session.add(JobPictureRow(**vars(part), picture=record.id))

    def find_by_file(self, file: str) -> Record | None:
        """Return the record of a file, None if it has none."""
        with self._database.read() as session:
            row = session.scalar(select(PictureRow).where(PictureRow.file == file))
            return None if row is None else to_record(row)

    def find_by_sha256(self, hashes: Collection[str], owner: str | None = None) -> Record | None:
        """Return the newest record of a file with one of these SHA-256, None without one.

        With `owner`, only of that owner's.
        """
        with self._database.read() as session:
            wanted = select(PictureRow).where(PictureRow.file_sha256.in_(hashes))
            if owner is not None:
                wanted = wanted.where(PictureRow.owner == owner)
            wanted = wanted.where(PictureRow.file_sha256 != "", PictureRow.deleted_at.is_(None))
            row = session.scalar(wanted.order_by(PictureRow.created_at.desc()).limit(1))
            return None if row is None else to_record(row)

    def find_painted(self, seed: int | None, model_hash: str, owner: str) -> list[Record]:
        """Return an owner's newest pictures of a seed by a model, at most `_MOST_PAINTED`.

        Those in the bin don't count.
        """
        with self._database.read() as session:
            wanted = select(PictureRow).where(
                PictureRow.seed == seed,
                PictureRow.model_hash == model_hash,
                PictureRow.owner == owner,
                PictureRow.deleted_at.is_(None),
            )
            rows = session.scalars(
                wanted.order_by(PictureRow.created_at.desc()).limit(_MOST_PAINTED)
            )
            return [to_record(row) for row in rows]

    def forget_inputs(self, hashes: Sequence[str], remove: Callable[[str], None]) -> None:
        """Call `remove` for those input images that no record and no unfinished job has.

        None can be added meanwhile.
        """
        for part in divide(hashes):
            with self._database.write_alone() as session:
                used = {
                    each
                    for row in (InputRow, JobInputRow)
                    for each in session.scalars(select(row.sha256).where(row.sha256.in_(part)))
                }
                for sha256 in part:
                    if sha256 not in used:
                        remove(sha256)

    def job_inputs(self) -> set[str]:
        """Return the SHA-256 of the input images that unfinished jobs need."""
        with self._database.read() as session:
            return set(session.scalars(select(JobInputRow.sha256)))

    def find_unrecorded(self, files: Sequence[str]) -> list[str]:
        """Return those of the files that no record has, and that aren't in `removals` either."""
        missing: list[str] = []
        with self._database.read() as session:
            for part in divide(files):
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
            return to_record(find_row(session, id))

    def get_all(self, ids: Collection[str]) -> list[Record]:
        """Return the records of these pictures, in order, each once.

        Raises:
            PictureNotFoundError: No picture has one of the ids.
        """
        with self._database.read() as session:
            return [to_record(row) for row in find_rows(session, ids)]

    def ids(self, query: PictureQuery, limit: int) -> list[str]:
        """Return the ids of the first pictures of a query, at most `limit`."""
        with self._database.read() as session:
            wanted = select(PictureRow.id).where(*make_conditions(session, query))
            return list(session.scalars(wanted.order_by(*make_order(query)).limit(limit)))

    def page(self, query: PictureQuery, cursor: str | None = None, limit: int = 50) -> Page:
        """Return the first records of a query, or those after a cursor, in the query's order.

        Pictures that come or go meanwhile neither repeat nor hide others.

        Raises:
            RequestError: The cursor isn't one of ours, or the limit isn't 1 to `MAX_PAGE`.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise RequestError(messages.wrong_page_size(MAX_PAGE, limit), field="limit")
        with self._database.read() as session:
            wanted = select(PictureRow).where(*make_conditions(session, query))
            if cursor is not None:
                wanted = wanted.where(is_after(query, cursor))
            rows = session.scalars(wanted.order_by(*make_order(query)).limit(limit + 1)).all()
            records = tuple(to_record(row) for row in rows[:limit])
        return Page(records, make_cursor(query, records[-1]) if len(rows) > limit else None)

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
            return session.scalar(wanted.where(*make_conditions(session, query))) or 0

    def choices(self, query: PictureQuery) -> Choices:
        """Return the values that the pictures of a query have, at most `MAX_PAGE` of each."""
        with self._database.read() as session:
            return find_choices(session, query, MAX_PAGE)

    def check_owner(self, ids: Collection[str], owner: str) -> None:
        """Refuse pictures of others as if there were none.

        Raises:
            PictureNotFoundError: One of the ids isn't that of a picture of the owner.
        """
        with self._database.read() as session:
            for part in divide(list(dict.fromkeys(ids))):
                wanted = select(PictureRow.id).where(
                    PictureRow.id.in_(part), PictureRow.owner == owner
                )
                found = set(session.scalars(wanted))
                for id in part:
                    if id not in found:
                        raise make_not_found(id)

    def set_feedback(self, ids: Collection[str], feedback: int) -> None:
        """Set the person's feedback on pictures: -1, 0 or 1.

        Raises:
            RequestError: It is another number.
            PictureNotFoundError: No picture has one of the ids; none is changed.
        """
        check_feedback(feedback)
        with self._database.write() as session:
            set_values(session, ids, feedback=feedback)

    def set_favourite(self, ids: Collection[str], favourite: bool) -> None:
        """Make pictures favourites or not.

        Raises:
            PictureNotFoundError: No picture has one of the ids; none is changed.
        """
        with self._database.write() as session:
            set_values(session, ids, favourite=favourite)

    def add_tags(self, ids: Collection[str], tags: Collection[str]) -> None:
        """Add tags that the pictures don't have yet.

        Raises:
            RequestError: One is empty or too long, or a picture would have too many.
            PictureNotFoundError: No picture has one of the ids; none is changed.
        """
        clean = {clean_tag(tag) for tag in tags}
        with self._database.write() as session:
            for row in find_rows(session, ids):
                new = clean - {each.tag for each in row.tags}
                check_tag_count(len(row.tags) + len(new))
                row.tags.extend(TagRow(tag=tag) for tag in sorted(new))

    def remove_tags(self, ids: Collection[str], tags: Collection[str]) -> None:
        """Remove those of the tags that the pictures have.

        Raises:
            PictureNotFoundError: No picture has one of the ids; none is changed.
        """
        clean = {clean_tag(tag) for tag in tags}
        with self._database.write() as session:
            for row in find_rows(session, ids):
                row.tags = [each for each in row.tags if each.tag not in clean]

    def delete(self, ids: Collection[str]) -> None:
        """Move pictures to the bin; those in it stay there.

        Raises:
            PictureNotFoundError: No picture has one of the ids; none is moved.
        """
        with self._database.write() as session:
            moment = func.coalesce(PictureRow.deleted_at, to_microseconds(datetime.now(UTC)))
            set_values(session, ids, deleted_at=moment)

    def restore(self, ids: Collection[str]) -> None:
        """Move pictures back out of the bin.

        Raises:
            PictureNotFoundError: No picture has one of the ids; none is moved.
        """
        with self._database.write() as session:
            set_values(session, ids, deleted_at=None)

    def empty_bin(self, owner: str | None = None, before: datetime | None = None) -> int:
        """Erase the records in the bin (of an owner, deleted before a moment); return how many.

        From then on their files within the output folder are in `removals`, until
        `confirm_removals`. Files that lie elsewhere belong to the person, and stay.
        """
        with self._database.write() as session:
            gone: list[ColumnElement[bool]] = [PictureRow.deleted_at.is_not(None)]
            if owner is not None:
                gone.append(PictureRow.owner == owner)
            if before is not None:
                gone.append(PictureRow.deleted_at < before)
            row = PictureRow
            chosen = select(row.number, row.file, row.thumbnail, row.file_bytes, row.file_sha256)
            found = session.execute(chosen.where(*gone)).all()
            for part in divide(found):
                numbers = [number for number, *_ in part]
                search.forget(session, numbers)
                session.execute(delete(row).where(row.number.in_(numbers)))
            outside = [
                WatchedFile(file, file_bytes, 0, sha256)
                for _, file, _, file_bytes, sha256 in found
                if sha256 and not is_within(file)
            ]
            note_files(session, outside)  # a watched folder would import them again
            names = {name for _, file, thumbnail, *_ in found for name in (file, thumbnail) if name}
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
            for part in divide(files):
                session.execute(delete(RemovalRow).where(RemovalRow.file.in_(part)))

    def move(self, id: str, file: str) -> None:
        """Note that a picture's file has another name now.

        Raises:
            PictureNotFoundError: No picture has that id.
            PictureRecordedError: Another picture has that file.
        """
        with self._database.write() as session:
            find_row(session, id).file = file
            try:
                session.flush()
            except IntegrityError as error:
                raise PictureRecordedError(messages.already_recorded(file)) from error

    def set_thumbnail(self, id: str, thumbnail: str) -> None:
        """Set the path of its thumbnail, which is complete.

        Raises:
            PictureNotFoundError: No picture has that id.
        """
        with self._database.write() as session:
            find_row(session, id).thumbnail = thumbnail

    def adopt_cells(self, sheet: str, cells: Sequence[str]) -> None:
        """Make a grid's sheet the parent of those of its cells that have none.

        Raises:
            PictureNotFoundError: No picture has the sheet's id.
        """
        with self._database.write() as session:
            find_row(session, sheet)
            for part in divide(cells):
                orphans = update(PictureRow).where(
                    PictureRow.id.in_(part), PictureRow.parent.is_(None)
                )
                session.execute(orphans.values(parent=sheet, relation="grid"))

    def children(self, id: str, limit: int | None = None) -> list[Record]:
        """Return the pictures that were made from it (at most `limit`), the oldest first.

        Raises:
            PictureNotFoundError: No picture has that id.
        """
        with self._database.read() as session:
            find_row(session, id)
            wanted = select(PictureRow).where(PictureRow.parent == id)
            wanted = wanted.order_by(PictureRow.created_at, PictureRow.id).limit(limit)
            rows = session.scalars(wanted)
            return [to_record(row) for row in rows]

    def parents(self, id: str) -> list[Record]:
        """Return what it was made from, what that was made from, and so on.

        Raises:
            PictureNotFoundError: No picture has that id.
        """
        found: list[Record] = []
        with self._database.read() as session:
            row = find_row(session, id)
            while row.parent is not None and len(found) < _MAX_ANCESTORS:
                row = find_row(session, row.parent)
                found.append(to_record(row))
        return found


def _recorded(record: Record) -> PictureRecordedError:
    return PictureRecordedError(messages.already_recorded(record.file))

"""The rows of the jobs. Every change is on the disk when its function returns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from paintdiff.errors import GalleryDamagedError
from paintdiff.gallery.records.database import Database
from paintdiff.gallery.records.record import Record
from paintdiff.gallery.records.rows import divide, to_record
from paintdiff.gallery.records.schema import JobInputRow, JobPictureRow, PictureRow
from paintdiff.journal.schema import JobRow

MAX_ENDED = 2000
"""How many ended jobs are kept, and with them their idempotency keys; the oldest go first."""
MAX_ENDED_BYTES = 64 * 2**20
"""How much the requests of ended jobs may take."""


class JobTable:
    """The jobs in a database. Threads and processes may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, row: JobRow, inputs: Collection[str], restore_inputs: Callable[[], None]) -> None:
        """Add a job. `restore_inputs` writes its input images while none can be removed."""
        with self._database.write_alone() if inputs else self._database.write() as session:
            restore_inputs()
            session.add(row)
            session.add_all(JobInputRow(job=row.id, sha256=sha256) for sha256 in inputs)

    def remove(self, job_id: str) -> None:
        """Remove a job that was never begun."""
        with self._database.write() as session:
            session.execute(delete(JobRow).where(JobRow.id == job_id))
            session.execute(delete(JobInputRow).where(JobInputRow.job == job_id))

    def change(self, job_id: str, **values: Any) -> None:
        """Change a job that hasn't ended."""
        with self._database.write() as session:
            session.execute(update(JobRow).where(*_unfinished(job_id)).values(**values))

    def end(self, job_id: str, pictures: Sequence[str], **values: Any) -> None:
        """Note how a job has ended, and its pictures; do nothing if that is known."""
        values |= {"ended_at": datetime.now(UTC), "visitor": ""}
        with self._database.write() as session:
            changed = update(JobRow).where(*_unfinished(job_id)).values(**values)
            if session.scalar(changed.returning(JobRow.number)) is None:
                return
            session.execute(delete(JobInputRow).where(JobInputRow.job == job_id))
            _add_pictures(session, job_id, pictures)
            _prune(session)

    def list_processes(self) -> list[str]:
        """Return the processes that have unfinished jobs."""
        with self._database.read() as session:
            wanted = select(JobRow.process).where(JobRow.ended_at.is_(None)).distinct()
            return list(session.scalars(wanted))

    def take_over(
        self, dead: Collection[str], process: str, failure: dict[str, Any]
    ) -> list[JobRow]:
        """Give a process the unfinished jobs of others; return them in the order of acceptance.

        Jobs whose rows another program damaged end with `failure`.
        """
        with self._database.write() as session:
            mine = update(JobRow).where(JobRow.ended_at.is_(None), JobRow.process.in_(dead))
            taken = mine.values(process=process, restarts=JobRow.restarts + 1)
            numbers = sorted(session.scalars(taken.returning(JobRow.number)))
            found: list[JobRow] = []
            for number in numbers:
                this = JobRow.number == number
                try:
                    found += session.scalars(select(JobRow).where(this)).all()
                except GalleryDamagedError:
                    ended = {"state": "failed", "ended_at": datetime.now(UTC), "visitor": ""}
                    failed = update(JobRow).where(this).values(**ended, error=failure, warnings=[])
                    session.execute(failed)
            return found

    def find_ended(self, job_id: str) -> JobRow | None:
        """Return a job that has ended, None without one."""
        with self._database.read() as session:
            wanted = select(JobRow).where(JobRow.id == job_id, JobRow.ended_at.is_not(None))
            return session.scalar(wanted)

    def find_key(self, owner: str, key: str) -> str | None:
        """Return the id of an owner's newest job with a key, None without one."""
        with self._database.read() as session:
            wanted = select(JobRow.id).where(JobRow.owner == owner, JobRow.key == key)
            return session.scalar(wanted.order_by(JobRow.number.desc()).limit(1))

    def list_pictures(self, job_id: str) -> list[tuple[Record, int | None]]:
        """Return the records of a job's pictures, in order, each with its cell in a grid."""
        part = JobPictureRow
        with self._database.read() as session:
            wanted = select(PictureRow, part.cell).join(part, part.picture == PictureRow.id)
            rows = session.execute(wanted.where(part.job == job_id).order_by(part.place))
            return [(to_record(row), cell) for row, cell in rows]


def _unfinished(job_id: str) -> tuple[ColumnElement[bool], ...]:
    return JobRow.id == job_id, JobRow.ended_at.is_(None)


def _add_pictures(session: Session, job_id: str, pictures: Sequence[str]) -> None:
    """Add those pictures that weren't recorded for this job, such as reused ones."""
    part = JobPictureRow
    known = set(session.scalars(select(part.place).where(part.job == job_id)))
    there: set[str] = set()
    for ids in divide(pictures):
        there |= set(session.scalars(select(PictureRow.id).where(PictureRow.id.in_(ids))))
    session.add_all(
        part(job=job_id, place=place, picture=picture, cell=None)
        for place, picture in enumerate(pictures)
        if place not in known and picture in there
    )


def _prune(session: Session) -> None:
    """Forget ended jobs that are too many, or whose requests take too much."""
    newest = JobRow.number.desc()
    taken = func.sum(JobRow.request_bytes).over(order_by=newest)
    ended = select(
        JobRow.id,
        func.row_number().over(order_by=newest).label("place"),
        taken.label("taken"),
    ).where(JobRow.ended_at.is_not(None))
    ranked = ended.subquery()
    many = select(ranked.c.id).where(
        (ranked.c.place > MAX_ENDED) | (ranked.c.taken > MAX_ENDED_BYTES), ranked.c.place > 1
    )
    for ids in divide(list(session.scalars(many))):
        session.execute(delete(JobPictureRow).where(JobPictureRow.job.in_(ids)))
        session.execute(delete(JobRow).where(JobRow.id.in_(ids)))

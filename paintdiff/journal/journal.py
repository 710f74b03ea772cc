"""The journal of a gallery: its jobs as the engine has them, and as rows."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import cast

from paintdiff import errors
from paintdiff.errors import (
    EngineError,
    GalleryDamagedError,
    InputMissingError,
    PaintError,
    RequestError,
    StorageError,
)
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.record import to_storable
from paintdiff.jobs.events import Cancelled, Failed, Finished, Picture
from paintdiff.jobs.job import Job, JobKey
from paintdiff.jobs.journal import ReopenedJob
from paintdiff.jobs.requests import Request, parse_request
from paintdiff.journal import messages
from paintdiff.journal.loading import load_pictures
from paintdiff.journal.recovery import recover
from paintdiff.journal.schema import JobRow
from paintdiff.journal.table import JobTable
from paintdiff.system.process_marks import ProcessMark, is_alive

logger = logging.getLogger(__name__)

MAX_STARTS = 3
"""How often painting a job may be begun without a further picture, before it fails."""
MAX_ID_CHARACTERS = 64
EVENTS_PER_PROCESS = 1_000_000
"""More events than a job has in one process, so that their numbers grow over restarts."""


class GalleryJournal:
    """Keeps jobs in a gallery's database, and their input images among the gallery's.

    A picture is recorded together with its place in its job. So a job that is begun again only
    lacks what isn't recorded, and has each picture once.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._marking = threading.Lock()
        self._mark: ProcessMark | None = None

    def accept(self, job: Job) -> None:
        """Keep a job that waits.

        Raises:
            GalleryError: The database can't be written.
            StorageError: The folder of the pictures can't be written.
        """
        process, images = self._find_process(), list(job.request.input_images())
        request = job.request.without_image_data()
        row = JobRow(
            id=job.id,
            process=process,
            state="waiting",
            visitor=to_storable(job.visitor),
            owner=to_storable(job.owner),
            sees_all=job.sees_all,
            varied=to_storable(job.varied),
            key=None if job.key is None else job.key.text,
            digest=None if job.key is None else job.key.digest,
            request=request.model_dump(mode="json"),
            request_version=request.version,
            request_bytes=len(request.model_dump_json()),
            warnings=[str(each) for each in job.warnings],
            starts=0,
            painted=0,
            restarts=0,
            accepted_at=datetime.now(UTC),
        )
        try:
            self._gallery.inputs.keep(images)  # first, because the database waits for the next time
            hashes = {each.sha256 for each in images}
            JobTable(self._gallery.database).add(
                row, hashes, lambda: self._gallery.inputs.keep(images)
            )
        except OSError as error:
            raise StorageError(f"{messages.CANNOT_LOCK}: {error.strerror}.") from error

    def withdraw(self, job: Job) -> None:
        """Forget a job that wasn't taken after all.

        Raises:
            GalleryError: The database can't be written.
        """
        JobTable(self._gallery.database).remove(job.id)

    def begin(self, job: Job) -> None:
        """Note that a job is being painted.

        Raises:
            GalleryError: The database can't be written.
        """
        JobTable(self._gallery.database).change(
            job.id,
            state="running",
            started_at=datetime.now(UTC),
            starts=job.starts + 1,
            painted=len(job.pictures),
        )

    def suspend(self, job: Job) -> None:
        """Note that a job that was being painted waits again.

        Raises:
            GalleryError: The database can't be written.
        """
        JobTable(self._gallery.database).change(job.id, state="waiting", starts=job.starts)

    def end(self, job: Job, event: Finished | Failed | Cancelled) -> None:
        """Note how a job has ended. Does nothing if that is known.

        Raises:
            GalleryError: The database can't be written.
        """
        states = {Finished: "finished", Failed: "failed", Cancelled: "cancelled"}
        JobTable(self._gallery.database).end(
            job.id,
            [each.id for each in job.pictures],
            state=states[type(event)],
            seconds=event.seconds if isinstance(event, Finished) else None,
            error=_describe_error(event.error) if isinstance(event, Failed) else None,
            warnings=[str(each) for each in job.warnings],
        )

    def reopen(self) -> list[ReopenedJob]:
        """Take over the unfinished jobs of processes that have ended, in the order of acceptance.

        Raises:
            GalleryError: The database can't be used.
            StorageError: The folder of the pictures can't be written.
        """
        if not self._gallery.is_made:
            return []
        table = JobTable(self._gallery.database)
        mine = self._mark.name if self._mark is not None else ""
        others = [each for each in table.list_processes() if each != mine]
        dead = [each for each in others if not is_alive(self._gallery.folder, each)]
        if not dead:
            return []
        failure = _describe_error(EngineError(messages.UNREADABLE_REQUEST))
        rows = table.take_over(dead, self._find_process(), failure)
        reopened = [self._reopen(row) for row in rows]
        return [each for each in reopened if each is not None]

    def recover_pictures(self, job: Job, since: datetime) -> tuple[Picture, ...]:
        """Record a reopened job's pictures that were saved since a moment, but not recorded.

        Returns them. Its process died in between.

        Raises:
            GalleryError: The database can't be used.
        """
        return load_pictures(self._gallery, recover(self._gallery, job, since))

    def find(self, job_id: str) -> Job | None:
        """Return a job that has ended, None if it isn't known.

        Raises:
            GalleryError: The database can't be read.
        """
        if not self._gallery.is_made or len(job_id) > MAX_ID_CHARACTERS:
            return None
        row = JobTable(self._gallery.database).find_ended(job_id)
        if row is None:
            return None
        try:
            job = self._make_job(row, parse_request(row.request))
        except PaintError as error:
            logger.warning("job %s can't be read any more: %s", row.id, error)
            return None
        job.emit(_make_end(row, job))
        return job

    def find_key(self, owner: str, key: str) -> str | None:
        """Return the id of the newest job that an owner submitted with a key, None without one.

        Raises:
            GalleryError: The database can't be read.
        """
        if not self._gallery.is_made:
            return None
        table = JobTable(self._gallery.database)
        return table.find_key(owner, key)

    def close(self) -> None:
        """Let other processes take over what is unfinished."""
        with self._marking:
            if self._mark is not None:
                self._mark.remove()
                self._mark = None

    def _reopen(self, row: JobRow) -> ReopenedJob | None:
        """Return an unfinished job; None if its request can't even be shown, so that it fails."""
        problem: PaintError | None = None
        try:
            request = parse_request(row.request)
            try:
                request = parse_request(self._gallery.inputs.fill(row.request))
            except InputMissingError as error:
                problem = error
            job, was_running = self._make_job(row, request), row.state == "running"
        except (RequestError, GalleryDamagedError) as error:
            logger.warning("job %s can't be read: %s", row.id, error)
            failure = _describe_error(EngineError(messages.UNREADABLE_REQUEST))
            JobTable(self._gallery.database).end(row.id, [], state="failed", error=failure)
            return None
        job.starts = 0 if len(job.pictures) > row.painted else row.starts
        if was_running and job.starts >= MAX_STARTS:
            problem = EngineError(messages.ended_the_process(job.starts))
        return ReopenedJob(job, row.started_at if was_running else None, problem)

    def _make_job(self, row: JobRow, request: Request) -> Job:
        job = Job(
            request,
            tuple(each for each in cast("list[object]", row.warnings) if isinstance(each, str)),
            row.visitor,
            row.owner,
            sees_all=row.sees_all,
            varied=row.varied,
            id=row.id,
            durable=True,
            key=None if row.key is None else JobKey(row.key, row.digest or ""),
        )
        pictures = JobTable(self._gallery.database).list_pictures(row.id)
        number = EVENTS_PER_PROCESS * (row.restarts + (row.ended_at is not None))
        job.take_up(number, load_pictures(self._gallery, pictures))
        return job

    def _find_process(self) -> str:
        """Return the name of this process's mark.

        Raises:
            StorageError: It can't be made.
        """
        with self._marking:
            if self._mark is None:
                try:
                    self._mark = ProcessMark(self._gallery.folder)
                except OSError as error:
                    raise StorageError(f"{messages.CANNOT_LOCK}: {error.strerror}.") from error
            return self._mark.name


def _describe_error(error: Exception) -> dict[str, str | None]:
    """Return what is kept of a job's error."""
    known = isinstance(error, PaintError)
    return {
        "kind": type(error).__name__ if known else EngineError.__name__,
        "message": to_storable(str(error)) if known else messages.FAILED,
        "field": error.field if isinstance(error, RequestError) else None,
    }


def _make_error(row: JobRow) -> PaintError:
    """Return the error that was kept."""
    kept = row.error or {}
    kind, message = getattr(errors, str(kept.get("kind")), None), str(kept.get("message", ""))
    if not (isinstance(kind, type) and issubclass(kind, PaintError)):
        return EngineError(message)
    made = kind(message)
    if isinstance(made, RequestError):
        made.field = kept.get("field")
    return made


def _make_end(row: JobRow, job: Job) -> Finished | Failed | Cancelled:
    """Return the event that ended a job."""
    match row.state:
        case "finished":
            return Finished(job.pictures, job.warnings, row.seconds or 0.0, 0.0)
        case "cancelled":
            return Cancelled(job.pictures)
        case _:
            return Failed(_make_error(row))

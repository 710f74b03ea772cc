"""Tells a journal about durable jobs. A journal that fails costs no picture."""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from paintdiff.engine import messages
from paintdiff.errors import GalleryError, StorageError
from paintdiff.jobs.events import Cancelled, Event, Failed, Finished

if TYPE_CHECKING:
    from datetime import datetime

    from paintdiff.jobs.events import Picture
    from paintdiff.jobs.job import Job
    from paintdiff.jobs.journal import JobJournal, ReopenedJob

logger = logging.getLogger(__name__)

MAX_UNNOTED = 1000
"""How many ends are remembered that couldn't be noted; the oldest are forgotten first."""

_FAILURES = (GalleryError, StorageError)


class JobKeeper:
    """Keeps the durable ones of an engine's jobs in a journal. Without one it does nothing.

    Ends that can't be noted are tried again with the next one.
    """

    def __init__(self, journal: JobJournal | None) -> None:
        self._journal = journal
        self._ending = threading.Lock()
        self._unnoted: deque[tuple[Job, Finished | Failed | Cancelled]] = deque(maxlen=MAX_UNNOTED)
        self._doubtful: deque[Job] = deque(maxlen=MAX_UNNOTED)
        """Jobs that may have been kept although the journal said that it failed."""

    @property
    def keeps(self) -> bool:
        """Return whether there is a journal."""
        return self._journal is not None

    def accept(self, job: Job) -> None:
        """Keep a durable job. If that fails it isn't durable any more, and has a warning.

        Raises:
            GalleryError, StorageError: It can't be kept, and has an idempotency key, which promises
                that it is painted once.
        """
        if self._journal is None or not job.durable:
            return
        try:
            self._withdraw_doubtful()
            self._journal.accept(job)
        except _FAILURES as error:
            self._doubtful.append(job)
            if job.key is not None:
                raise
            job.durable = False
            job.warn((messages.not_kept(error),))

    def withdraw(self, job: Job) -> None:
        """Forget a job that wasn't taken after all."""
        if self._journal is not None and job.durable:
            self._journal.withdraw(job)

    def begin(self, job: Job) -> None:
        """Note that a job is being painted."""
        if self._journal is None or not job.durable:
            return
        try:
            self._journal.begin(job)
        except _FAILURES as error:
            logger.warning("the start of job %s wasn't noted: %s", job.id, error)

    def suspend(self, job: Job) -> None:
        """Note that a job waits again, because the process ends."""
        if self._journal is None or not job.durable:
            return
        try:
            self._journal.suspend(job)
        except _FAILURES as error:
            logger.warning("job %s goes on as after a crash: %s", job.id, error)

    def end(self, job: Job, event: Event) -> None:
        """Note the end of a job."""
        if not isinstance(event, (Finished, Failed, Cancelled)):
            return
        if self._journal is None or not job.durable:
            return
        with self._ending:
            self._unnoted.append((job, event))
            try:
                while self._unnoted:
                    self._journal.end(*self._unnoted[0])
                    self._unnoted.popleft()
                self._withdraw_doubtful()
            except _FAILURES as error:
                logger.warning("ends of jobs aren't noted: %s", error)

    def reopen(self) -> list[ReopenedJob]:
        """Return the jobs to go on with.

        Raises:
            GalleryError, StorageError: They can't be read.
        """
        return [] if self._journal is None else self._journal.reopen()

    def recover_pictures(self, job: Job, since: datetime) -> tuple[Picture, ...]:
        """Return a reopened job's pictures that were saved but not recorded; now they are.

        Raises:
            GalleryError, StorageError: They can't be recorded.
        """
        return () if self._journal is None else self._journal.recover_pictures(job, since)

    def find(self, job_id: str) -> Job | None:
        """Return a job that has ended, None if it isn't known."""
        if self._journal is None:
            return None
        try:
            return self._journal.find(job_id)
        except _FAILURES as error:
            logger.warning("earlier jobs can't be looked up: %s", error)
            return None

    def find_key(self, owner: str, key: str) -> str | None:
        """Return the id of the newest job of an owner's key, None without one.

        Raises:
            GalleryError: It can't be looked up.
        """
        if self._journal is None:
            return None
        self._withdraw_doubtful()
        return self._journal.find_key(owner, key)

    def _withdraw_doubtful(self) -> None:
        """Forget jobs whose commit failed: its answer may have been lost, and not the commit.

        Raises:
            GalleryError: The journal can't be written.
        """
        while self._journal is not None and self._doubtful:
            job = self._doubtful[0]
            self._journal.withdraw(job)
            with suppress(ValueError):  # another thread was faster
                self._doubtful.remove(job)

    def close(self) -> None:
        """Let other processes take over what is unfinished."""
        if self._journal is not None:
            self._journal.close()

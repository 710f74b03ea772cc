"""The journal of jobs, as the engine sees it: what outlives the process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from paintdiff.errors import PaintError
from paintdiff.jobs.events import Cancelled, Failed, Finished, Picture
from paintdiff.jobs.job import Job


@dataclass(frozen=True)
class ReopenedJob:
    """A job that an earlier process left unfinished, with the pictures that it had recorded.

    `problem` says why it can't go on, None if it can. `started_at` is when painting it was begun,
    None if it waited.
    """

    job: Job
    started_at: datetime | None = None
    problem: PaintError | None = None


class JobJournal(Protocol):
    """Keeps accepted jobs where they outlive the process. Threads may share it.

    Each change is on the disk when its method returns. All methods may raise GalleryError or
    StorageError; then nothing has changed.
    """

    def accept(self, job: Job) -> None:
        """Keep a job that waits."""
        ...

    def withdraw(self, job: Job) -> None:
        """Forget a job that wasn't taken after all."""
        ...

    def begin(self, job: Job) -> None:
        """Note that a job is being painted."""
        ...

    def suspend(self, job: Job) -> None:
        """Note that a job that was being painted waits again."""
        ...

    def end(self, job: Job, event: Finished | Failed | Cancelled) -> None:
        """Note how a job has ended. Does nothing if that is known."""
        ...

    def reopen(self) -> list[ReopenedJob]:
        """Take over the unfinished jobs of processes that have ended, in the order of acceptance.

        Their input images are loaded.
        """
        ...

    def recover_pictures(self, job: Job, since: datetime) -> tuple[Picture, ...]:
        """Record a reopened job's pictures that were saved since a moment, but not recorded.

        Returns them. Its process died in between.
        """
        ...

    def find(self, job_id: str) -> Job | None:
        """Return a job that has ended, None if it isn't known."""
        ...

    def find_key(self, owner: str, key: str) -> str | None:
        """Return the id of the newest job that an owner submitted with a key, None without one."""
        ...

    def close(self) -> None:
        """Let other processes take over what is unfinished."""
        ...

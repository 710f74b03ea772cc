"""The queue: jobs that wait, in order, within limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from paintdiff.engine import messages
from paintdiff.errors import QueueFullError
from paintdiff.jobs.events import Queued
from paintdiff.jobs.job import Job

WAITING_PER_FREE_PLACE = 3
"""How many jobs of one visitor may wait for each free place: 12 of 16 if nobody else waits."""

MAX_WAITING_BYTES = 2**30
"""How much the requests of waiting jobs may take, input images above all."""


class JobQueue:
    """At most `size` jobs that wait. Its owner locks it.

    A job that is being accepted has a place, but isn't in the queue yet.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: deque[Job] = deque()
        self._accepting: list[Job] = []

    def __len__(self) -> int:
        """Return how many jobs wait."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[Job]:
        """Yield the jobs that have a place."""
        yield from self._waiting
        yield from self._accepting

    def check_room(self, job: Job, request_bytes: int) -> None:
        """Check that there is room for one more job, whose request takes so many bytes.

        Raises:
            QueueFullError: The queue is full, or the visitor has too many jobs in it.
        """
        jobs = list(self)
        free = self._size - len(jobs)
        if free <= 0:
            raise QueueFullError(messages.queue_full(len(jobs)))
        if job.visitor or is_hidden(job):
            key = job.visitor, is_hidden(job)
            own = sum((each.visitor, is_hidden(each)) == key for each in jobs)
            if own >= WAITING_PER_FREE_PLACE * free:
                say = messages.too_many_of_hidden if is_hidden(job) else messages.too_many_of_yours
                raise QueueFullError(say(own))
        taken = sum(each.request_bytes for each in jobs)
        if jobs and taken + request_bytes > MAX_WAITING_BYTES:
            raise QueueFullError(messages.queue_too_large(taken))

    def reserve(self, job: Job) -> None:
        """Give a job a place while it is being accepted."""
        self._accepting.append(job)

    def release(self, job: Job) -> None:
        """Take that place back."""
        self._accepting.remove(job)

    def append(self, job: Job) -> None:
        """Add a job at the end."""
        self._waiting.append(job)

    def peek(self) -> Job | None:
        """Return the first job, None without one."""
        return self._waiting[0] if self._waiting else None

    def pop(self) -> None:
        """Remove the first job."""
        self._waiting.popleft()

    def clear(self) -> list[Job]:
        """Remove all jobs that wait, and return them."""
        jobs = list(self._waiting)
        self._waiting.clear()
        return jobs

    def drop_cancelled(self, ahead: int) -> None:
        """Forget cancelled jobs, and report the others' new places, after `ahead` other jobs."""
        self._waiting = deque(job for job in self._waiting if not job.done)
        for place, job in enumerate(self._waiting):
            position = Queued(place + ahead)
            if isinstance(job.latest, Queued) and job.latest != position:
                job.emit(position)


def is_hidden(job: Job) -> bool:
    """Return whether a job is of somebody elsewhere whose address isn't known."""
    return not job.visitor and bool(job.owner) and not job.sees_all

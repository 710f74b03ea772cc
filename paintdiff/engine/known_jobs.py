"""The jobs that can be looked up: all unfinished ones, and the latest that are done."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate

from paintdiff.jobs.job import Job

KEPT_JOBS = 100
"""How many finished jobs are kept, so that they can be looked up."""
KEPT_BYTES = 256 * 2**20
"""How much input images, pictures and rasters they may keep. The last one may keep more."""


class KnownJobs:
    """Jobs by id. Its owner locks it."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def __iter__(self) -> Iterator[Job]:
        """Yield the jobs, the oldest first."""
        return iter(self._jobs.values())

    def add(self, job: Job) -> None:
        """Add a job, and forget old ones."""
        self.forget_old()
        self._jobs[job.id] = job

    def find(self, job_id: str) -> Job | None:
        """Return the job of an id, None if it isn't known."""
        return self._jobs.get(job_id)

    def find_key(self, owner: str, key: str) -> Job | None:
        """Return an owner's newest job with an idempotency key, None without one."""
        for job in reversed(self._jobs.values()):
            if job.key is not None and (job.owner, job.key.text) == (owner, key):
                return job
        return None

    def forget_old(self) -> None:
        """Forget those of the jobs that are done which are too many, or take too much memory."""
        done = [job for job in self._jobs.values() if job.done]
        taken = list(accumulate(job.held_bytes for job in reversed(done)))
        kept = sum(each <= KEPT_BYTES for each in taken[:KEPT_JOBS])
        for job in done[: len(done) - max(1, kept)]:
            del self._jobs[job.id]

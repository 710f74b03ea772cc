"""Work in progress: what clients have asked for, to be watched, interrupted and skipped.

The web UI does one thing at a time for everybody. Here each client sees, and stops, its own.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from paintdiff.api.submissions import wait_until_ended
from paintdiff.jobs.events import Cancelled, Event, Finished, Picture, Progress, Queued
from paintdiff.jobs.requests import Grid, Painting, Request, Upscale, count_pictures

if TYPE_CHECKING:
    from PIL import Image
    from starlette.requests import Request as HttpRequest

    from paintdiff.api.submissions import Submissions
    from paintdiff.jobs.job import Job

MAX_OWNERS = 500
"""How many owners' latest work is remembered."""


@dataclass
class Result:
    """What has become of some work: its pictures, and sentences to show.

    `request` is the resolved one. Of skipped pictures, and of those after an interruption, there
    are none.
    """

    request: Request
    pictures: list[Picture] = field(default_factory=list[Picture])
    warnings: dict[str, None] = field(default_factory=dict[str, None])
    """The warnings in order, as keys."""

    def add(self, job: Job, pictures: tuple[Picture, ...]) -> None:
        """Add the pictures and warnings of a job."""
        self.pictures += pictures
        notes = (note for each in pictures for note in each.notes)
        self.warnings |= dict.fromkeys(map(str, (*job.warnings, *notes)))


class Work:
    """What one request asks for: a job, and after a skip a further one for each picture left.

    `kind` is "txt2img" and so on, `task_id` the client's own id, "" if it has none. `total` counts
    the pictures. It belongs to one event loop.
    """

    def __init__(self, kind: str, owner: str, task_id: str, total: int) -> None:
        self.id = secrets.token_hex(8)
        self.kind = kind
        self.owner = owner
        self.task_id = task_id
        self.total = total
        self.timestamp = f"{datetime.now():%Y%m%d%H%M%S}"
        self.job: Job | None = None
        self.before = 0
        """How many pictures come before those of the job."""
        self.preview: Image.Image | None = None
        """The newest preview, and how many there were."""
        self.previews = 0
        self.interrupted = False
        self.skipped = False
        self.ended = False
        self._skip_to: int | None = None

    @property
    def event(self) -> Event:
        """Return the job's latest event."""
        return Queued(0) if self.job is None else self.job.latest

    @property
    def waits(self) -> bool:
        """Return whether it is waiting in the queue."""
        return isinstance(self.event, Queued)

    def interrupt(self) -> None:
        """End the work; what is painted by then is its result."""
        self.interrupted = True
        if self.job is not None:
            self.job.cancel()

    def skip(self) -> None:
        """End the picture that is being painted, or the batch, and go on with the next."""
        event = self.event
        reached = event.image_index + event.together if isinstance(event, Progress) else 1
        self.skipped, self._skip_to = True, self.before + reached
        if self.job is not None:
            self.job.cancel()

    async def run(
        self,
        request: Painting | Upscale,
        submissions: Submissions,
        client: HttpRequest,
        *,
        saves: bool,
    ) -> Result:
        """Submit a request, wait for its pictures, and return them.

        Raises:
            Exception: The job's own error, or why it can't be submitted.
            HTTPException: The client has left.
        """
        result: Result | None = None
        while True:
            self._skip_to = None
            self.job = job = await submissions.submit(request, saves=saves)
            if self.interrupted:  # while it was submitted
                job.cancel()
            end = await wait_until_ended(job, client, on_event=self._note)
            result = result or Result(job.request)
            result.add(job, end.pictures)
            following = self._find_next(job, end)
            if following is None or isinstance(result.request, Grid):
                return result
            self.before = following
            request = result.request.for_image(following)

    def _find_next(self, job: Job, end: Finished | Cancelled) -> int | None:
        """Return the number of the picture to go on with, None if there is none."""
        if isinstance(end, Finished):
            following = self.before + count_pictures(job.request)
        elif self.interrupted or self._skip_to is None:  # or somebody cancelled the job
            self.interrupted = True
            return None
        else:
            following = max(self._skip_to, self.before + len(end.pictures))
        return following if following < self.total else None

    def _note(self, event: Event) -> None:
        if isinstance(event, Progress) and event.preview is not None:
            self.preview = event.preview
            self.previews += 1


class WorkList:
    """The work of all clients. It belongs to one event loop."""

    def __init__(self) -> None:
        self._current: list[Work] = []
        self._latest: OrderedDict[str, Work] = OrderedDict()

    @contextmanager
    def begin(self, kind: str, owner: str, task_id: str, total: int) -> Generator[Work]:
        """Add some work for as long as the context lasts."""
        work = Work(kind, owner, task_id, total)
        self._current.append(work)
        self._latest[owner] = work
        self._latest.move_to_end(owner)
        while len(self._latest) > MAX_OWNERS:
            self._latest.popitem(last=False)
        try:
            yield work
        finally:
            self._current.remove(work)
            work.ended, work.job, work.preview = True, None, None

    def find(self, owner: str) -> Work | None:
        """Return an owner's work that is being done, else the next one that waits, else None."""
        own = [each for each in self._current if each.owner == owner]
        return next((each for each in own if not each.waits), own[0] if own else None)

    def find_task(self, owner: str, task_id: str) -> Work | None:
        """Return an owner's work of that id; of what has ended, only the latest is known."""
        known = [*self._current, *filter(None, [self._latest.get(owner)])]
        return next(
            (each for each in known if (each.owner, each.task_id) == (owner, task_id)), None
        )

    def find_latest(self, owner: str) -> Work | None:
        """Return an owner's latest work, which may have ended."""
        return self._latest.get(owner)

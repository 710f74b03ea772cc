"""Jobs to submit, ways to wait for what they say, and a store in memory."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

from paintdiff.engine.engine import Engine
from paintdiff.errors import (
    StorageError,
)
from paintdiff.jobs.events import (
    Event,
    Picture,
    Progress,
)
from paintdiff.jobs.job import Job
from paintdiff.jobs.requests import Request, TextToImage

QUICK = TextToImage(prompt="a red house", num_inference_steps=3, seed=7)
ENDLESS = TextToImage(prompt="a red house", num_inference_steps=998, seed=7)


def until(job: Job, kind: type[Event], *, number: int = 1) -> Event:
    """The job's first event of that kind that came, or the `number`-th."""
    count = 0
    for event in job.events(120):
        count += isinstance(event, kind)
        if count == number:
            return event
    raise AssertionError(f"the job ended in {job.latest} without {kind.__name__}")


def step_after(job: Job, step: int) -> int:
    """Wait until the job is beyond that step, and return the one it is at."""
    for event in job.events(120):
        if isinstance(event, Progress) and event.step > step:
            return event.step
    raise AssertionError(f"the job ended in {job.latest} before step {step}")


def story(engine: Engine, request: Request, seconds: float = 60) -> list[Event]:
    """All that a job says, to its end: also what a watcher who is slow would miss."""
    told: list[tuple[str, Event]] = []
    original = Job.emit

    def emit(job: Job, event: Event) -> None:
        told.append((job.id, event))
        original(job, event)

    with patch.object(Job, "emit", emit):
        job = engine.submit(request)
        for _event in job.events(seconds):
            pass
    return [event for number, event in told if number == job.id]


def pixels(picture: Picture) -> bytes:
    return picture.image.tobytes()


class Folder:
    """A store that keeps pictures in memory, and can break."""

    def __init__(self) -> None:
        self.saved: list[Picture] = []
        self.broken = False

    def save(self, picture: Picture) -> Path:
        if self.broken:
            raise StorageError("the disk is full")
        self.saved.append(picture)
        return Path(f"{picture.request.seed}.png")

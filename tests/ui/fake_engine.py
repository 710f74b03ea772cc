"""An engine that says what a test tells it to: the seam below the page, in fifty lines."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from PIL import Image

from paintdiff.engine import EngineStatus
from paintdiff.errors import JobNotFoundError, UnknownNameError
from paintdiff.events import TERMINAL, Cancelled, Event, Picture, Queued
from paintdiff.requests import TextToImage


@dataclass
class FakeJob:
    """A job whose latest event is set from outside."""

    id: str
    request: TextToImage
    latest: Event
    warnings: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        return isinstance(self.latest, TERMINAL)

    def cancel(self) -> None:
        if isinstance(self.latest, Queued):
            self.latest = Cancelled()


class FakeEngine:
    """Settles requests to 128x128, 20 steps, seed 7; refuses the sampler "nonsense"."""

    def __init__(self, position: int = 0) -> None:
        self.jobs: OrderedDict[str, FakeJob] = OrderedDict()
        self.position = position

    def submit(self, request: TextToImage) -> FakeJob:
        if request.sampler == "nonsense":
            raise UnknownNameError("There is no sampler 'nonsense'.", field="sampler")
        settled = request.model_copy(
            update={
                "width": request.width or 128,
                "height": request.height or 128,
                "num_inference_steps": request.num_inference_steps or 20,
                "guidance_scale": 4.0 if request.guidance_scale is None else request.guidance_scale,
                "sampler": request.sampler or "DDIM",
                "seed": 7 if request.seed is None else request.seed,
            }
        )
        job = FakeJob(f"job-{len(self.jobs)}", settled, Queued(self.position))
        self.jobs[job.id] = job
        return job

    def job(self, job_id: str) -> FakeJob:
        if job_id not in self.jobs:
            raise JobNotFoundError("no such job")
        return self.jobs[job_id]

    def status(self) -> EngineStatus:
        return EngineStatus("mini", "ready", "cpu", 1, 2, 0, None, 12.5)


def picture(job: FakeJob, colour: str = "red") -> Picture:
    """A finished picture of that job in one colour."""
    size = (job.request.width or 128, job.request.height or 128)
    return Picture(Image.new("RGB", size, colour), job.request)

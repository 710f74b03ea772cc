"""The engine: a bounded queue and one worker for the jobs in it.

request -> Engine.submit -> Job -> the worker runs its task on a leased pipeline -> events
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from types import TracebackType
from typing import TYPE_CHECKING, Self

from paintdiff.engine.worker import PictureStore, Run, make_failed_event
from paintdiff.error_reports import report_error
from paintdiff.errors import (
    EngineClosedError,
    EngineError,
    JobNotFoundError,
    QueueFullError,
    RequestError,
)
from paintdiff.imaging.geometry import ResizeMode, Size
from paintdiff.jobs.events import (
    Failed,
    Finished,
    Queued,
)
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.job import Job
from paintdiff.jobs.requests import Request, Upscale
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import usage
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profiles
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.tasks import TASKS, upscale
from paintdiff.tasks.controls import make_control_map, resolve_controls
from paintdiff.tasks.memory_request import gather_foreseen_facts
from paintdiff.tasks.postprocessing import resolve_postprocessing
from paintdiff.tasks.resolve.adapters import resolve_adapters
from paintdiff.tasks.resolve.capabilities import check_capabilities, warn_of_whole_passes
from paintdiff.tasks.resolve.few_steps import apply_few_steps
from paintdiff.tasks.resolve.hires import resolve_hires
from paintdiff.tasks.resolve.names import resolve_names

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.memory.planner import Forecast

logger = logging.getLogger(__name__)

_WORKER_FAILED = "The engine failed during this job. Submit it again; the log has the details."
_PAUSE_SECONDS = 0.1
"""After a failure of the worker itself, so that one that lasts doesn't keep a core busy."""

WAITING_PER_FREE_PLACE = 3
"""How many jobs of one visitor may wait for each place that is free: 12 of 16 if they are alone."""

KEPT_JOBS = 100
"""How many of those that are done can be asked for."""
KEPT_BYTES = 256 * 2**20
"""What they may keep: input images, pictures, rasters. The last one may keep more."""


@dataclass(frozen=True)
class EngineStatus:
    """What the engine is doing now.

    `model` is the model used last ("" if none), `model_state` "none", "loading", "ready" or
    "failed", `device` "auto" until a model was loaded. `queue_length` counts the jobs that wait;
    `steps_per_second` is of the last denoising, 0.0 before there was one.
    """

    model: str
    model_state: str
    device: str
    memory_used_bytes: int
    memory_total_bytes: int
    queue_length: int
    running_job_id: str | None
    steps_per_second: float


class Engine:
    """Takes requests and paints them, one at a time.

    A context manager; `close` cancels what is left.

    `manager` owns the models (None: one over the default catalog, on the best device), `store`
    saves each finished picture (None: nothing is saved), `queue_size` is how many jobs may wait,
    `annotators` makes control maps (None: of weights it knows what is in the hub's cache),
    `profiles` are the speed profiles (None: those that ship, "exact" unless another is asked for).
    Constructing it loads nothing.
    """

    def __init__(
        self,
        manager: ModelManager | None = None,
        *,
        store: PictureStore | None = None,
        queue_size: int = 16,
        annotators: Annotators | None = None,
        profiles: Profiles | None = None,
    ) -> None:
        self.manager = manager if manager is not None else ModelManager()
        self._store = store
        self._annotators = annotators or Annotators(manager=self.manager)
        self.profiles = profiles if profiles is not None else Profiles.default()
        self._queue_size = queue_size
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._running: Job | None = None
        self._closed = False
        self._steps_per_second = 0.0
        self._worker = threading.Thread(target=self._work, name="engine", daemon=True)
        self._worker.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def submit(self, request: Request, visitor: str = "") -> Job:
        """Settle a request and queue it.

        `visitor` is who asks, where several people use the engine: each of them may have at most
        WAITING_PER_FREE_PLACE jobs waiting for every place of the queue that is still free. "" is
        somebody who may fill it.

        Every None is filled from the model's row and the quality preset, the seed is drawn, a
        control without a ControlNet gets the first that fits the model, and what is to be upscaled
        without saying by what the first upscaler.
        Raises RequestError, SizeError or UnknownNameError for a value that can't be used,
        QueueFullError, EngineClosedError.
        """
        job = Job(*resolve_request(request, self.manager.catalog, self.profiles), visitor)
        with self._changed:
            if self._closed:
                raise EngineClosedError("The engine has been shut down. Start a new one.")
            self._drop_cancelled()
            self._check_room(visitor)
            job.emit(Queued(len(self._waiting) + (self._running is not None)))
            self._remember(job)
            self._waiting.append(job)  # last: what isn't whole must not reach the worker
            self._changed.notify_all()
        return job

    def control_map(
        self,
        image: InputImage,
        preprocessor: str,
        size: Size,
        resize_mode: ResizeMode = "crop",
    ) -> Image.Image:
        """The control map (RGB) that painting at `size` would use: see `ControlInput`.

        May be called from any thread, and takes as long as the preprocessor needs. Raises
        RequestError, with "image" or "preprocessor" in `field`, and AnnotatorError if the
        preprocessor's weights can't be had.
        """
        make_map = self._annotators.control_map
        return make_control_map(image, preprocessor, size, resize_mode, make_map)

    def forecast(self, model: str, size: Size, refined: Size | None = None) -> Forecast | None:
        """What a picture of that size would take, painted a second time at `refined` if that is
        given; None as long as the device or the model's size isn't known. Cheap; never imports
        torch. Raises UnknownNameError.
        """
        row = self.manager.catalog.find(ModelRow, model)
        return self.manager.planner.forecast(row, gather_foreseen_facts(row, size, refined))

    def generate(self, request: Request) -> Finished:
        """Submit a request and wait for its pictures. Raises what `submit` and `Job.result` raise.

        An interruption (Ctrl-C) cancels the job.
        """
        job = self.submit(request)
        try:
            return job.result()
        except BaseException:
            job.cancel()
            raise

    def job(self, job_id: str) -> Job:
        """The job of that id.

        Raises JobNotFoundError; of those that are done the last KEPT_JOBS are kept, as far as they
        keep no more than KEPT_BYTES.
        """
        with self._changed:
            job = self._jobs.get(job_id)
        if job is None:
            raise JobNotFoundError("This job is unknown. It may have ended too long ago.")
        return job

    def status(self) -> EngineStatus:
        """What the engine is doing now. Cheap; never imports torch."""
        manager = self.manager.status()
        with self._changed:
            self._drop_cancelled()
            return EngineStatus(
                model=manager.model,
                model_state=manager.state,
                device=manager.device,
                memory_used_bytes=manager.memory_used_bytes,
                memory_total_bytes=manager.memory_total_bytes,
                queue_length=len(self._waiting),
                running_job_id=self._running.id if self._running is not None else None,
                steps_per_second=self._steps_per_second,
            )

    def close(self) -> None:
        """Take no more jobs, cancel those there are, and wait for the worker to end."""
        with self._changed:
            self._closed = True
            jobs = [*self._waiting, *([self._running] if self._running is not None else [])]
            self._waiting.clear()
            self._changed.notify_all()
        for job in jobs:
            job.cancel()
        self._worker.join()

    def _check_room(self, visitor: str) -> None:
        free = self._queue_size - len(self._waiting)
        if free <= 0:
            raise QueueFullError(
                f"The queue is full: {len(self._waiting)} pictures are waiting. Try again later."
            )
        own = sum(job.visitor == visitor for job in self._waiting)
        if visitor and own >= WAITING_PER_FREE_PLACE * free:
            raise QueueFullError(
                f"{own} of your pictures are waiting; the other places in the queue are kept for "
                "other people. Try again when one is painted."
            )

    def _remember(self, job: Job) -> None:
        self._forget_old()
        self._jobs[job.id] = job

    def _forget_old(self) -> None:
        done = [job for job in self._jobs.values() if job.done]
        taken = list(accumulate(job.held_bytes for job in reversed(done)))
        kept = sum(each <= KEPT_BYTES for each in taken[:KEPT_JOBS])
        for job in done[: len(done) - max(1, kept)]:
            del self._jobs[job.id]

    def _drop_cancelled(self) -> None:
        """Forget waiting jobs that were cancelled, and tell the others their new place."""
        self._waiting = deque(job for job in self._waiting if not job.done)
        for place, job in enumerate(self._waiting):
            position = Queued(place + (self._running is not None))
            if isinstance(job.latest, Queued) and job.latest != position:
                job.emit(position)

    def _work(self) -> None:
        """Run jobs until the engine is closed. Nothing that is raised ends this thread."""
        while True:
            try:
                while (job := self._next()) is not None:
                    self._run(job)
                return
            except BaseException as error:
                with suppress(BaseException):
                    report_error(logger, "The engine's worker failed and goes on", error)
                    time.sleep(_PAUSE_SECONDS)

    def _next(self) -> Job | None:
        """Wait for the next job and return it; None once the engine is closed."""
        with self._changed:
            if self._running is not None and not self._running.done:
                self._running.emit(Failed(EngineError(_WORKER_FAILED)))
            self._running = None
            self._forget_old()
            self._drop_cancelled()
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            self._running = self._waiting[0]  # before it leaves the queue: it is never in neither
            self._waiting.popleft()
            self._drop_cancelled()
            return self._running

    def _run(self, job: Job) -> None:
        try:
            run = Run(job, self.manager, self._annotators, self._store, self.profiles)
            end = run.ended()
            if run.steps_per_second:
                self._steps_per_second = run.steps_per_second
        except BaseException as error:
            end = make_failed_event(job, error)
        job.emit(end)
        usage.trim_memory()  # jobs of many sizes leave it in pieces that the next can't use


def resolve_request(
    request: Request, catalog: Catalog, profiles: Profiles
) -> tuple[Request, tuple[str, ...]]:
    """The request with nothing left open, and what a person should know about what was filled in.

    Raises RequestError, SizeError or UnknownNameError, with the field in `field`.
    """
    if isinstance(request, Upscale):
        return upscale.resolve(request, catalog)
    task = TASKS.get(type(request))
    if task is None:
        raise RequestError(f"The engine can't run a {type(request).__name__}.", field="kind")
    model = catalog.find(ModelRow, request.model)
    check_capabilities(request, task.name, model)
    profile = profiles.profile(request.profile)
    request = request.model_copy(update={"model": model.name, "profile": profile.name})
    request = resolve_names(request, catalog)
    request, model, few_steps = apply_few_steps(request, model, profile, catalog)
    settled, warnings = task.settle(request, model)
    warnings += few_steps
    settled, control_warnings = resolve_controls(settled, catalog)
    settled, hires_warnings = resolve_hires(settled, catalog)
    settled, adapter_warnings = resolve_adapters(settled, catalog)
    warnings += control_warnings + hires_warnings + adapter_warnings
    warnings += warn_of_whole_passes(settled, model)
    return resolve_postprocessing(settled, catalog), warnings

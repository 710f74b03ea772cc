"""The engine: a bounded queue and one worker for the jobs in it.

request -> Engine.submit -> Job -> the worker runs its task on a leased pipeline -> events
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from paintdiff.errors import (
    EngineClosedError,
    EngineError,
    JobCancelledError,
    JobNotFoundError,
    PaintError,
    QueueFullError,
    RequestError,
    StorageError,
)
from paintdiff.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Loading,
    Picture,
    Progress,
    Queued,
)
from paintdiff.geometry import ResizeMode, Size
from paintdiff.input_images import InputImage
from paintdiff.jobs import Job
from paintdiff.models.manager import ModelManager
from paintdiff.models.memory import as_memory_error
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.requests import Request
from paintdiff.tasks import TASKS, Task
from paintdiff.tasks.controls import control_map, controlnets_of, settled_controls
from paintdiff.tasks.steps import Step

if TYPE_CHECKING:
    from PIL import Image

logger = logging.getLogger(__name__)

KEPT_JOBS = 100


class PictureStore(Protocol):
    """Where finished pictures go."""

    def save(self, picture: Picture) -> Path:
        """Save it and return where. Raises StorageError."""
        ...


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
    `annotators` makes control maps (None: of weights it knows what is in the hub's cache).
    Constructing it loads nothing.
    """

    def __init__(
        self,
        manager: ModelManager | None = None,
        *,
        store: PictureStore | None = None,
        queue_size: int = 16,
        annotators: Annotators | None = None,
    ) -> None:
        self.manager = manager if manager is not None else ModelManager()
        self._store = store
        self._annotators = annotators if annotators is not None else Annotators()
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

    def submit(self, request: Request) -> Job:
        """Settle a request and queue it.

        Every None is filled from the model's row and the quality preset, the seed is drawn, and a
        control without a ControlNet gets the first that fits the model.
        Raises RequestError, SizeError or UnknownNameError for a value that can't be used,
        QueueFullError, EngineClosedError.
        """
        catalog = self.manager.catalog
        settled, warnings = _task(request).settle(request, catalog.model(request.model))
        settled, control_warnings = settled_controls(settled, catalog)
        job = Job(settled, warnings + control_warnings)
        with self._changed:
            if self._closed:
                raise EngineClosedError("The engine has been shut down; start another.")
            self._drop_cancelled()
            if len(self._waiting) >= self._queue_size:
                raise QueueFullError(
                    f"{len(self._waiting)} pictures are waiting already, as many as may. "
                    "Try again later."
                )
            self._waiting.append(job)
            self._remember(job)
            job.tell(Queued(len(self._waiting) - 1 + (self._running is not None)))
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
        return control_map(image, preprocessor, size, resize_mode, make_map)

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

        Raises JobNotFoundError; of the finished ones the last hundred are kept.
        """
        with self._changed:
            job = self._jobs.get(job_id)
        if job is None:
            raise JobNotFoundError(
                "There is no such job, or it was forgotten because it ended long ago."
            )
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

    def _remember(self, job: Job) -> None:
        self._jobs[job.id] = job
        done = [old.id for old in self._jobs.values() if old is not job and old.done]
        for old_id in done[: max(0, len(done) - KEPT_JOBS)]:
            del self._jobs[old_id]

    def _drop_cancelled(self) -> None:
        """Forget waiting jobs that were cancelled, and tell the others their new place."""
        self._waiting = deque(job for job in self._waiting if not job.done)
        for place, job in enumerate(self._waiting):
            position = Queued(place + (self._running is not None))
            if isinstance(job.latest, Queued) and job.latest != position:
                job.tell(position)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._running = None
                self._drop_cancelled()
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._waiting.popleft()
                self._running = job
                self._drop_cancelled()
            run = _Run(job, self.manager, self._annotators, self._store)
            job.tell(run.ended())
            if run.steps_per_second:
                self._steps_per_second = run.steps_per_second


class _Run:
    """The worker's hands on one job: everything between leaving the queue and the event that ends
    it.
    """

    def __init__(
        self, job: Job, manager: ModelManager, annotators: Annotators, store: PictureStore | None
    ) -> None:
        self._job = job
        self._manager = manager
        self._annotators = annotators
        self._store = store
        self._task = _task(job.request)
        self._pictures: list[Picture] = []
        self._loading_told = ""
        self._picture_started = 0.0
        self._steps_done = 0
        self._denoising_seconds = 0.0

    @property
    def steps_per_second(self) -> float:
        """Of the denoising alone; 0.0 before the first picture's is done."""
        return self._steps_done / self._denoising_seconds if self._denoising_seconds else 0.0

    def ended(self) -> Event:
        """Run the job and return the event that ends it.

        Whatever a job raises ends that job alone.
        """
        started = time.perf_counter()
        try:
            self._job.raise_if_cancelled()
            self._paint()
        except JobCancelledError:
            return Cancelled(tuple(self._pictures))
        except PaintError as error:
            return Failed(error)
        except Exception as error:
            logger.exception("job %s failed", self._job.id)
            return Failed(_in_words(error))
        seconds = time.perf_counter() - started
        return Finished(tuple(self._pictures), self._job.warnings, seconds, self.steps_per_second)

    def _paint(self) -> None:
        request = self._job.request
        with self._manager.lease(
            request.model, self._task.name, self._loading, controlnets_of(request)
        ) as leased:
            self._job.raise_if_cancelled()
            self._job.warn(self._task.remarks(request, leased))
            self._picture_started = time.perf_counter()
            paintings = self._task.paint(request, leased, self._map, self._step_ended)
            for index, painted in enumerate(paintings):
                picture = Picture(
                    painted.image, request.alone(index), leased.model_hash, notes=painted.notes
                )
                self._pictures.append(self._saved(picture))
                self._picture_started = time.perf_counter()

    def _map(self, picture: Image.Image, preprocessor: str) -> Image.Image:
        return self._annotators.control_map(picture, preprocessor, self._loading)

    def _loading(self, message: str) -> None:
        self._job.raise_if_cancelled()
        if message != self._loading_told:
            self._loading_told = message
            self._job.tell(Loading(self._job.request.model, message))

    def _step_ended(self, step: Step) -> None:
        self._job.raise_if_cancelled()
        denoising = self._denoising_seconds
        if step.stage == "denoising":
            denoising += time.perf_counter() - self._picture_started
        else:
            self._denoising_seconds += time.perf_counter() - self._picture_started
            denoising = self._denoising_seconds
            self._steps_done += step.total_steps
        num_images = self._job.request.num_images
        done = step.image_index * step.total_steps + step.step
        # The first steps are slower than the rest, so nothing is foretold from one alone.
        left = denoising / done * (num_images * step.total_steps - done) if done > 1 else None
        self._job.tell(
            Progress(
                step=step.step,
                total_steps=step.total_steps,
                image_index=step.image_index,
                num_images=num_images,
                stage=step.stage,
                preview=step.preview,
                seconds_left=left,
            )
        )

    def _saved(self, picture: Picture) -> Picture:
        """The picture with its path.

        One that can't be saved is not lost: it comes with a warning.
        """
        if self._store is None:
            return picture
        try:
            return replace(picture, path=self._store.save(picture))
        except StorageError as error:
            logger.warning("a picture of job %s was not saved: %s", self._job.id, error)
            self._job.warn((f"The picture was not saved: {error}",))
            return picture


def _in_words(error: Exception) -> Exception:
    """The error as a person should read it, its cause kept."""
    told = as_memory_error(error) or EngineError(
        f"The picture failed: {type(error).__name__}: {error}"
    )
    told.__cause__ = error
    return told


def _task(request: Request) -> Task:
    task = TASKS.get(type(request))
    if task is None:
        raise RequestError(f"The engine can't do a {type(request).__name__}.", field="kind")
    return task

"""The engine: a bounded queue and one worker for its jobs.

request -> Engine.submit -> Job -> the worker runs its task on a leased pipeline -> events
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from types import TracebackType
from typing import TYPE_CHECKING, Self

from paintdiff.config.user_folders import find_user_cache_folder
from paintdiff.engine import messages
from paintdiff.engine.grid_run import CellJob, GridRun
from paintdiff.engine.picture_output import (
    PictureFinder,
    PictureOutput,
    PictureRecorder,
    PictureStore,
)
from paintdiff.engine.prompt_enhancer import RULES, propose_prompts
from paintdiff.engine.speed import SpeedRecord, TimeForecast
from paintdiff.engine.visitor_limits import VisitorAllowance, VisitorLimits, count_all
from paintdiff.engine.worker import Run, RunTools, make_failed_event
from paintdiff.error_reports import report_error
from paintdiff.errors import (
    EngineClosedError,
    EngineError,
    JobNotFoundError,
    QueueFullError,
)
from paintdiff.imaging.geometry import ResizeMode, Size
from paintdiff.jobs.events import (
    Failed,
    Finished,
    Progress,
    Queued,
)
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.job import Job
from paintdiff.jobs.requests import MAX_SEED, Grid, Request, Upscale
from paintdiff.models.manager.loaders import find_companions
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import usage
from paintdiff.models.registry.model_rows import ModelRow, read_known_words
from paintdiff.models.registry.speed_profiles import Profiles
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.prompts.library import PromptLibrary
from paintdiff.tasks.controls import make_control_map
from paintdiff.tasks.decoded_inputs import DecodedInputs
from paintdiff.tasks.memory_request import predict_run_facts
from paintdiff.tasks.prompt_check import CheckedPrompt, PromptCheck, PromptChecker
from paintdiff.tasks.resolve.resolve_request import ResolvedRequest, resolve_request

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.inference.prompt_embeddings import TextEmbeddings
    from paintdiff.models.memory.planner import Forecast

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1
"""Pause after a failure of the worker itself, so that a lasting one doesn't keep a core busy."""

_LATEST_WEIGHT = 0.2
"""Weight of the latest job in the mean duration of jobs."""

WAITING_PER_FREE_PLACE = 3
"""How many jobs of one visitor may wait for each free place: 12 of 16 if nobody else waits."""

KEPT_JOBS = 100
"""How many finished jobs are kept, so that they can be looked up."""
KEPT_BYTES = 256 * 2**20
"""How much input images, pictures and rasters they may keep. The last one may keep more."""


@dataclass(frozen=True)
class EngineStatus:
    """The state of an engine.

    `model` is the model used last ("" if none), `model_state` "none", "loading", "ready" or
    "failed", `device` "auto" until a model was loaded. `queue_length` counts the waiting jobs;
    `steps_per_second` is that of the last denoising, 0.0 before the first. `seconds_per_job` is the
    mean of the latest jobs, with more weight on later ones, None before the first.
    """

    model: str
    model_state: str
    device: str
    memory_used_bytes: int
    memory_total_bytes: int
    queue_length: int
    running_job_id: str | None
    steps_per_second: float
    seconds_per_job: float | None = None


class Engine:
    """Takes requests and paints them, one at a time.

    A context manager; `close` cancels what is left.

    `manager` owns the models (None: one over the default catalog, on the best device), `store`
    saves each finished picture (None: nothing is saved), `recorder` hears of it before the job's
    watchers do, `earlier` finds pictures that needn't be painted again (None: all are painted),
    `queue_size` is how many jobs may wait,
    `annotators` makes control maps (None: with weights from Hugging Face's cache only), `profiles`
    are the speed profiles (None: those that ship, "exact" by default), `library` has the wildcards
    and styles (None: those that ship), `limits` are each visitor's (None: there are none).
    Constructing it loads nothing.
    """

    def __init__(  # noqa: PLR0913 (all that a run needs)
        self,
        manager: ModelManager | None = None,
        *,
        store: PictureStore | None = None,
        recorder: PictureRecorder | None = None,
        earlier: PictureFinder | None = None,
        queue_size: int = 16,
        annotators: Annotators | None = None,
        profiles: Profiles | None = None,
        library: PromptLibrary | None = None,
        limits: VisitorLimits | None = None,
    ) -> None:
        self.manager = manager if manager is not None else ModelManager()
        self._output = PictureOutput(store, recorder, earlier)
        self._annotators = annotators or Annotators(manager=self.manager)
        self.profiles = profiles if profiles is not None else Profiles.default()
        self._prompt_checker = PromptChecker(find_companions)
        self.library = library if library is not None else PromptLibrary()
        self.speed = SpeedRecord(find_user_cache_folder(), lambda: self.manager.status().device)
        self._queue_size = queue_size
        self._allowance = None if limits is None else VisitorAllowance(limits)
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._running: Job | None = None
        self._next_inputs: tuple[Job, DecodedInputs] | None = None
        """The decoded pictures of a job that starts at once. Those of jobs that have to wait aren't
        kept, so that a long queue doesn't fill the memory.
        """
        self._closed = False
        self._steps_per_second = 0.0
        self._seconds_per_job: float | None = None
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

    def submit(  # noqa: PLR0913 (what a job knows besides its request)
        self,
        request: Request,
        visitor: str = "",
        owner: str = "",
        *,
        saves: bool = True,
        on_step: Callable[[Progress], None] | None = None,
        sees_all: bool = False,
        varied: str = "",
    ) -> Job:
        """Resolve a request and queue it.

        `visitor` is who asks, where several people use the engine: each may have at most
        WAITING_PER_FREE_PLACE jobs waiting for every free place of the queue. "" may fill it. The
        engine's limits hold for each `visitor`, or `owner` if that is "", unless it `sees_all`;
        all those without a `visitor` share limits, and places in the queue, too.
        `owner`, `sees_all` and `varied` are the job's. With `saves` off the pictures are neither
        saved nor added to the gallery: they are only in the result. `on_step` is called by the
        worker with every step, whose previews are then at full quality.

        Open values are filled in: from the model's row and the quality preset, with a drawn seed,
        the first ControlNet that fits the model, and the first upscaler.
        Raises RequestError, SizeError or UnknownNameError for a value that can't be used,
        QueueFullError, EngineClosedError.
        """
        resolved = self._resolve(request)
        limited = "" if sees_all else visitor or owner
        if self._allowance is not None and limited:
            self._allowance.check_request(resolved)
        job = Job(
            resolved.request,
            resolved.warnings,
            visitor,
            owner,
            saves=saves,
            on_step=on_step,
            sees_all=sees_all,
            varied=varied,
        )
        job.cells = resolved.cells
        with self._changed:
            if self._closed:
                raise EngineClosedError(messages.ENGINE_CLOSED)
            self._drop_cancelled()
            self._check_room(job)
            if self._allowance is not None and limited:
                theirs = sum(_find_limited(each) == limited for each in self._unfinished())
                hidden = sum(map(_is_hidden, self._unfinished())) if _is_hidden(job) else None
                self._allowance.take(limited, count_all(resolved), theirs, hidden)
            job.emit(Queued(len(self._waiting) + (self._running is not None)))
            self._remember(job)
            if (self._running is None or self._running.done) and not self._waiting:
                self._next_inputs = (job, resolved.inputs)
            self._waiting.append(job)  # last: a job that isn't complete must not reach the worker
            self._changed.notify_all()
        return job

    def forecast_time(self, request: Request) -> TimeForecast:
        """Count a request's pictures and forecast their time, without queueing it.

        Raises what `submit` raises for its values.
        """
        resolved = self._resolve(request)
        if isinstance(resolved.request, Upscale):
            return TimeForecast(resolved.request.num_images, None)
        paintings = [cell.request for cell in resolved.cells]
        if not isinstance(resolved.request, Grid):
            paintings = [resolved.request] * resolved.request.num_images
        return TimeForecast(len(paintings), self.speed.estimate_seconds(paintings))

    def control_map(
        self,
        image: InputImage,
        preprocessor: str,
        size: Size,
        resize_mode: ResizeMode = "crop",
    ) -> Image.Image:
        """Return the control map (RGB) that painting at `size` would use: see `ControlInput`.

        May be called from any thread, and takes as long as the preprocessor needs. Raises
        RequestError, with "image" or "preprocessor" in `field`, and AnnotatorError if the
        preprocessor's weights can't be downloaded.
        """
        make_map = self._annotators.make_map
        return make_control_map(image, preprocessor, size, resize_mode, make_map)

    def forecast(self, model: str, size: Size, refined: Size | None = None) -> Forecast | None:
        """Forecast the memory for a picture of that size, with a second pass at `refined` if given.

        Returns None while the device or the model's size isn't known. Cheap; never imports torch.
        Raises UnknownNameError.
        """
        row = self.manager.catalog.find(ModelRow, model)
        return self.manager.planner.forecast(row, predict_run_facts(row, size, refined))

    def check_prompt(self, prompt: CheckedPrompt, model: str) -> PromptCheck:
        """Return how a model reads a prompt: its length, its mistakes, and unknown words.

        Loads no weights. May be called from any thread. Raises UnknownNameError.
        """
        catalog = self.manager.catalog
        return self._prompt_checker.check(prompt, catalog.find(ModelRow, model), catalog)

    def propose_prompts(
        self,
        prompt: str,
        model: str = "mini",
        count: int = 4,
        seed: int | None = None,
        enhancer: str = RULES,
    ) -> tuple[str, ...]:
        """Return up to `count` richer prompts for a model; see `prompt_enhancer.propose_prompts`.

        May be called from any thread. A `seed` of None is drawn. Raises RequestError, and
        ModelError if a language model can't be had.
        """
        row = self.manager.catalog.find(ModelRow, model)
        known = read_known_words(row, row.folder) if row.folder is not None else None
        chosen = secrets.randbelow(MAX_SEED) if seed is None else seed
        return propose_prompts(
            self.manager, prompt, count, chosen, enhancer=enhancer, known=known or ()
        )

    def encode_text(self, text: str, model: str = "mini") -> TextEmbeddings:
        """Return a text as a model's text encoders read it, without adapters and weights of words.

        May be called from any thread, and takes as long as loading the model. Raises
        UnknownNameError, and ModelError if the model can't be loaded.
        """
        from paintdiff.models.inference.prompt_embeddings import encode_text  # noqa: PLC0415 (imports torch)

        with self.manager.lease(model) as leased:
            return encode_text(leased, text)

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
        """Return the job of that id.

        Of the finished jobs the last KEPT_JOBS are kept, as long as they take at most KEPT_BYTES.
        Raises JobNotFoundError.
        """
        with self._changed:
            job = self._jobs.get(job_id)
        if job is None:
            raise JobNotFoundError(messages.UNKNOWN_JOB)
        return job

    def status(self) -> EngineStatus:
        """Return what the engine is doing now. Cheap; never imports torch."""
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
                seconds_per_job=self._seconds_per_job,
            )

    def close(self) -> None:
        """Take no more jobs, cancel all jobs, and wait for the worker to end."""
        with self._changed:
            self._closed = True
            jobs = [*self._waiting, *([self._running] if self._running is not None else [])]
            self._waiting.clear()
            self._next_inputs = None
            self._changed.notify_all()
        for job in jobs:
            job.cancel()
        self._worker.join()

    def _resolve(self, request: Request) -> ResolvedRequest:
        return resolve_request(
            request, self.manager.catalog, self.profiles, self.library, self.speed.find_seconds
        )

    def _unfinished(self) -> list[Job]:
        running = [] if self._running is None or self._running.done else [self._running]
        return [*self._waiting, *running]

    def _check_room(self, job: Job) -> None:
        free = self._queue_size - len(self._waiting)
        if free <= 0:
            raise QueueFullError(messages.queue_full(len(self._waiting)))
        if not job.visitor and not _is_hidden(job):
            return
        key = job.visitor, _is_hidden(job)
        own = sum((each.visitor, _is_hidden(each)) == key for each in self._waiting)
        if own >= WAITING_PER_FREE_PLACE * free:
            say = messages.too_many_of_hidden if _is_hidden(job) else messages.too_many_of_yours
            raise QueueFullError(say(own))

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
        """Forget waiting jobs that were cancelled, and report the others' new places."""
        self._waiting = deque(job for job in self._waiting if not job.done)
        for place, job in enumerate(self._waiting):
            position = Queued(place + (self._running is not None))
            if isinstance(job.latest, Queued) and job.latest != position:
                job.emit(position)

    def _work(self) -> None:
        """Run jobs until the engine is closed. No error ends this thread."""
        while True:
            try:
                while (job := self._next()) is not None:
                    self._run(job)
                return
            except BaseException as error:
                with suppress(BaseException):
                    report_error(logger, messages.WORKER_GOES_ON, error)
                    time.sleep(_PAUSE_SECONDS)

    def _next(self) -> Job | None:
        """Wait for the next job and return it; None once the engine is closed."""
        with self._changed:
            if self._running is not None and not self._running.done:
                self._running.emit(Failed(EngineError(messages.WORKER_FAILED)))
            self._running = None
            self._forget_old()
            self._drop_cancelled()
            while not self._waiting and not self._closed:
                self._next_inputs = None
                self._changed.wait()
            if self._closed:
                return None
            self._running = self._waiting[0]  # before it leaves the queue: always in one
            self._waiting.popleft()
            self._drop_cancelled()
            return self._running

    def _run(self, job: Job) -> None:
        began = time.monotonic()
        try:
            inputs = self._take_inputs(job)

            manager, output = self.manager, self._output
            tools = RunTools(manager, self._annotators, output, self.profiles, self.speed)

            def make_run(part: Job | CellJob) -> Run:
                return Run(part, tools, inputs)

            run = GridRun(job, make_run, output) if job.cells else make_run(job)
            end = run.execute()
            if run.steps_per_second:
                self._steps_per_second = run.steps_per_second
        except BaseException as error:
            end = make_failed_event(job, error)
        self._note_duration(time.monotonic() - began)
        job.emit(end)
        usage.trim_memory()  # jobs of many sizes leave fragments that the next can't use

    def _note_duration(self, seconds: float) -> None:
        known = self._seconds_per_job
        self._seconds_per_job = (
            seconds if known is None else known + _LATEST_WEIGHT * (seconds - known)
        )

    def _take_inputs(self, job: Job) -> DecodedInputs:
        with self._changed:
            owner, inputs = self._next_inputs or (None, None)
            self._next_inputs = None
        return inputs if inputs is not None and owner is job else DecodedInputs()


def _find_limited(job: Job) -> str:
    """Return whose limits hold for a job, "" if nobody's."""
    return "" if job.sees_all else job.visitor or job.owner


def _is_hidden(job: Job) -> bool:
    """Return whether a job is of somebody elsewhere whose address isn't known."""
    return not job.visitor and bool(job.owner) and not job.sees_all

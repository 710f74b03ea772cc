"""The engine: a bounded queue and one worker for its jobs.

request -> Engine.submit -> Job -> the worker runs its task on a leased pipeline -> events
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from paintdiff.config.user_folders import find_user_cache_folder
from paintdiff.engine import messages
from paintdiff.engine.grid_run import CellJob, GridRun
from paintdiff.engine.job_keeper import JobKeeper
from paintdiff.engine.job_queue import JobQueue, is_hidden
from paintdiff.engine.known_jobs import KnownJobs
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
from paintdiff.errors import EngineClosedError, EngineError, JobNotFoundError, PaintError
from paintdiff.imaging.geometry import ResizeMode, Size
from paintdiff.jobs.events import (
    Cancelled,
    Failed,
    Finished,
    Progress,
    Queued,
)
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.job import Job, JobKey
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

    from paintdiff.jobs.journal import JobJournal, ReopenedJob
    from paintdiff.models.inference.prompt_embeddings import TextEmbeddings
    from paintdiff.models.memory.planner import Forecast

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1
"""Pause after a failure of the worker itself, so that a lasting one doesn't keep a core busy."""

_LATEST_WEIGHT = 0.2
"""Weight of the latest job in the mean duration of jobs."""

STOP_SECONDS = 5.0
"""How long a suspended job may take until its next step, before the process ends without it."""
_POLL_SECONDS = 0.05


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
    and styles (None: those that ship), `limits` are each visitor's (None: there are none),
    `journal` keeps jobs that outlive the process (None: none do; see `resume`).
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
        journal: JobJournal | None = None,
    ) -> None:
        self.manager = manager if manager is not None else ModelManager()
        self._output = PictureOutput(store, recorder, earlier)
        self._annotators = annotators or Annotators(manager=self.manager)
        self.profiles = profiles if profiles is not None else Profiles.default()
        self._prompt_checker = PromptChecker(find_companions)
        self.library = library if library is not None else PromptLibrary()
        self.speed = SpeedRecord(find_user_cache_folder(), lambda: self.manager.status().device)
        self._allowance = None if limits is None else VisitorAllowance(limits)
        self._changed = threading.Condition()
        self._keeper = JobKeeper(journal)
        self._queue = JobQueue(queue_size)
        self._jobs = KnownJobs()
        self._recalling = threading.Lock()
        """Held to read a job's pictures again: those of many at once would fill the memory."""
        self._running: Job | None = None
        self._next_inputs: tuple[Job, DecodedInputs] | None = None
        """The decoded pictures of a job that starts at once. Those of jobs that have to wait aren't
        kept, so that a long queue doesn't fill the memory.
        """
        self._closed = False
        self._hurried = threading.Event()
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
        durable: bool = True,
        key: JobKey | None = None,
    ) -> Job:
        """Resolve a request and queue it.

        `visitor` is who asks, where several people use the engine: each may have at most
        WAITING_PER_FREE_PLACE jobs waiting for every free place of the queue. "" may fill it. The
        engine's limits hold for each `visitor`, or `owner` if that is "", unless it `sees_all`;
        all those without a `visitor` share limits, and places in the queue, too.
        `owner`, `sees_all` and `varied` are the job's. With `saves` off the pictures are neither
        saved nor added to the gallery: they are only in the result. `on_step` is called by the
        worker with every step, whose previews are then at full quality.
        With a journal, a `durable` job that saves and has no `on_step` outlives the process: it is
        on the disk when this returns. `key` is its owner's idempotency key, for `find_submitted`.

        Open values are filled in: from the model's row and the quality preset, with a drawn seed,
        the first ControlNet that fits the model, and the first upscaler.
        Raises RequestError, SizeError or UnknownNameError for a value that can't be used,
        QueueFullError, EngineClosedError, and GalleryError or StorageError if a job with a key
        can't be kept.
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
            durable=durable and saves and on_step is None and self._keeper.keeps,
            key=key,
            on_cancel=self._note_cancelled,
        )
        job.cells = resolved.cells
        request_bytes = job.request_bytes  # counted before others have to wait
        with self._changed:
            self._check_open()
            self._drop_cancelled()
            self._queue.check_room(job, request_bytes)
            if self._allowance is not None and limited:
                theirs = sum(_find_limited(each) == limited for each in self._unfinished())
                hidden = sum(map(is_hidden, self._unfinished())) if is_hidden(job) else None
                self._allowance.take(limited, count_all(resolved), theirs, hidden)
            self._queue.reserve(job)
        try:
            self._keeper.accept(job)
        except BaseException:
            with self._changed:
                self._queue.release(job)
            raise
        self._enqueue(job, resolved.inputs)
        return job

    def resume(self) -> int:
        """Queue the jobs again that an earlier process accepted and didn't finish; return how many.

        They keep their ids, owners and order. What was painted of them isn't painted again. Call it
        before new jobs are accepted.

        Raises:
            GalleryError, StorageError: The journal can't be read.
        """
        reopened = self._keeper.reopen()
        for each in reopened:
            self._reopen(each)
        return len(reopened)

    def find_submitted(self, owner: str, key: str) -> Job | None:
        """Return the newest job that an owner submitted with an idempotency key, None without one.

        Raises:
            JobNotFoundError: There was one, but it has been forgotten, or is another process's.
            GalleryError: The journal can't be read.
        """
        with self._changed:
            known = self._jobs.find_key(owner, key)
        if known is not None:
            return known
        job_id = self._keeper.find_key(owner, key)
        return None if job_id is None else self.job(job_id)

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
        job = self.submit(request, durable=False)
        try:
            return job.result()
        except BaseException:
            job.cancel()
            raise

    def job(self, job_id: str) -> Job:
        """Return the job of that id.

        Of the finished jobs the last KEPT_JOBS are kept, as long as they take at most KEPT_BYTES;
        a journal knows more. Raises JobNotFoundError.
        """
        found = self._find_in_memory(job_id)
        if found is not None:
            return found
        with self._recalling:
            found = self._find_in_memory(job_id)  # another thread may have been faster
            return self._recall(job_id) if found is None else found

    def remembers(self, job_id: str) -> bool:
        """Return whether a job is in memory, so that `job` needn't ask the journal."""
        return self._find_in_memory(job_id) is not None

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
                queue_length=len(self._queue),
                running_job_id=self._running.id if self._running is not None else None,
                steps_per_second=self._steps_per_second,
                seconds_per_job=self._seconds_per_job,
            )

    @property
    def is_working(self) -> bool:
        """Return whether the worker's thread is still there."""
        return self._worker.is_alive()

    def close(self, finish_seconds: float = 0.0) -> int:
        """Take no more jobs, end those that are left, and wait for the worker to end.

        The running job may finish within `finish_seconds`. After that, and those that wait, durable
        jobs are kept for the next process, and others are cancelled. Returns how many are kept.

        Without a journal it waits until the worker has ended; with one at most STOP_SECONDS, after
        which the process should end without it: see `is_working`. May be called again.
        """
        with self._changed:
            self._closed = True
            waiting, running = self._queue.clear(), self._running
            self._next_inputs = None
            self._changed.notify_all()
        for job in waiting:
            if not job.durable:
                job.cancel()
        kept = sum(job.durable and not job.done for job in waiting)
        if running is not None and not self._wait_for(running, finish_seconds):
            kept += running.durable
            self._stop(running)
        self._join_worker()
        if not self._worker.is_alive():  # else only the end of the process makes it certain
            self._keeper.close()
        return kept

    def hurry(self) -> None:
        """End a `close` that waits in another thread at once. May be called by a signal handler."""
        self._hurried.set()

    def _wait_for(self, job: Job, seconds: float) -> bool:
        """Return whether a job ends in time."""
        end = time.monotonic() + seconds
        while not job.done:
            if time.monotonic() >= end or self._hurried.wait(_POLL_SECONDS):
                return job.done
        return True

    def _stop(self, running: Job) -> None:
        if running.durable:
            running.suspend()
            self._keeper.suspend(running)
        else:
            running.cancel()

    def _join_worker(self) -> None:
        if not self._keeper.keeps:
            self._worker.join()
            return
        end = time.monotonic() + STOP_SECONDS
        while self._worker.is_alive() and time.monotonic() < end and not self._hurried.is_set():
            self._worker.join(_POLL_SECONDS)

    def _enqueue(self, job: Job, inputs: DecodedInputs) -> None:
        """Give an accepted job its place in the queue."""
        with self._changed:
            self._queue.release(job)
            closed = self._closed
            if not closed:
                job.emit(Queued(len(self._queue) + (self._running is not None)))
                self._jobs.add(job)
                if (self._running is None or self._running.done) and not self._queue.peek():
                    self._next_inputs = (job, inputs)
                self._queue.append(job)  # last: an incomplete job must not reach the worker
                self._changed.notify_all()
        if closed:
            self._keeper.withdraw(job)
            raise EngineClosedError(messages.ENGINE_CLOSED)

    def _reopen(self, reopened: ReopenedJob) -> None:
        """Queue a job of an earlier process, or let it fail."""
        job, failure = reopened.job, None
        job.on_cancel = self._note_cancelled
        try:
            if reopened.problem is not None:
                raise reopened.problem
            resolved = self._resolve(job.request)
            job.request, job.cells = resolved.request, resolved.cells
            if reopened.started_at is not None:
                for picture in self._keeper.recover_pictures(job, reopened.started_at):
                    job.add_picture(picture)
        except Exception as error:
            failure = make_failed_event(job, error)
        with self._changed:
            self._check_open()
            job.emit(Queued(len(self._queue) + (self._running is not None)))
            self._jobs.add(job)
            if failure is None:
                self._queue.append(job)
                self._changed.notify_all()
        if failure is not None:
            self._keeper.end(job, failure)
            job.emit(failure)

    def _find_in_memory(self, job_id: str) -> Job | None:
        with self._changed:
            return self._jobs.find(job_id)

    def _recall(self, job_id: str) -> Job:
        """Return a job of the journal, and keep it in memory."""
        job = self._keeper.find(job_id)
        if job is None:
            raise JobNotFoundError(messages.UNKNOWN_JOB)
        if isinstance(job.request, Grid):
            with suppress(PaintError):  # without its input images, or a model that is gone
                job.cells = self._resolve(job.request).cells
        with self._changed:
            self._jobs.add(job)
        return job

    def _note_cancelled(self, job: Job) -> None:
        self._keeper.end(job, job.latest)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosedError(messages.ENGINE_CLOSED)

    def _resolve(self, request: Request) -> ResolvedRequest:
        return resolve_request(
            request, self.manager.catalog, self.profiles, self.library, self.speed.find_seconds
        )

    def _unfinished(self) -> list[Job]:
        running = [] if self._running is None or self._running.done else [self._running]
        return [*self._queue, *running]

    def _drop_cancelled(self) -> None:
        self._queue.drop_cancelled(ahead=int(self._running is not None))

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
            self._jobs.forget_old()
            self._drop_cancelled()
            while (first := self._queue.peek()) is None and not self._closed:
                self._next_inputs = None
                self._changed.wait()
            if self._closed:
                return None
            self._running = first  # before it leaves the queue: always in one
            self._queue.pop()
            self._drop_cancelled()
            return self._running

    def _run(self, job: Job) -> None:
        began = time.monotonic()
        try:
            self._keeper.begin(job)
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
        if not (job.suspended and isinstance(end, Cancelled)):
            self._keeper.end(job, end)
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

"""Run one job: everything between leaving the queue and the event that ends it."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from paintdiff.engine import messages
from paintdiff.engine.memory_fallback import MemoryFallback
from paintdiff.engine.picture_output import PictureOutput, describe_survived
from paintdiff.engine.progress import ProgressEstimate
from paintdiff.engine.speed import SpeedRecord
from paintdiff.error_reports import drop_tracebacks, report_unexpected
from paintdiff.errors import JobCancelledError, MemoryBudgetError, PaintError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Loading,
    Picture,
    Progress,
)
from paintdiff.jobs.job import RunningJob
from paintdiff.jobs.provenance import Provenance
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import Grid, Painting, Upscale, check_painting, count_pictures
from paintdiff.models.loading.library_errors import as_memory_error
from paintdiff.models.manager.loaders import FACE_RESTORER, UPSCALER
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import usage
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import EXACT, Profiles
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.system.library_versions import find_library_versions
from paintdiff.tasks import TASKS
from paintdiff.tasks.adapters import collect_adapters, has_known_weights
from paintdiff.tasks.controls import find_controlnets
from paintdiff.tasks.decoded_inputs import DecodedInputs
from paintdiff.tasks.faces import FaceRestoration
from paintdiff.tasks.memory_request import gather_run_facts, halve_request
from paintdiff.tasks.postprocessing import find_upscalers, finish_picture, upscale_image
from paintdiff.tasks.resolve.few_steps import find_acting_profile
from paintdiff.tasks.steps import OnStep, Painted, Step
from paintdiff.tasks.task_context import TaskContext
from paintdiff.tasks.upscale import enlarge

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
    from paintdiff.models.registry.model_rows import ModelRow
    from paintdiff.models.upscaling.upscaler import LeasedUpscaler

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunTools:
    """What the runs of an engine share."""

    manager: ModelManager
    annotators: Annotators
    output: PictureOutput
    profiles: Profiles
    speed: SpeedRecord


class Run:
    """The run of one job. `inputs` has the request's pictures, as far as they are decoded."""

    def __init__(self, job: RunningJob, tools: RunTools, inputs: DecodedInputs) -> None:
        self._job = job
        self._manager = tools.manager
        self._annotators = tools.annotators
        self._output = tools.output
        self._profiles = tools.profiles
        self._speed = tools.speed
        self._inputs = inputs
        self._loading_message = ""
        self._num_images = count_pictures(job.request)
        self._progress = ProgressEstimate(max(1, self._num_images - len(job.pictures)))
        self._upscalers: dict[str, LeasedUpscaler] = {}
        self._faces: FaceRestoration | None = None
        self._first = self._before_part = 0
        self._together = 1
        self._picture_began = time.perf_counter()

    @property
    def steps_per_second(self) -> float:
        """Steps per second of the denoising alone; 0.0 before the first picture is denoised."""
        return self._progress.steps_per_second

    def execute(self) -> Event:
        """Run the job and return the event that ends it.

        Whatever a job raises ends only that job, even if it isn't an Exception: a panic in a
        library written in Rust, SystemExit, KeyboardInterrupt.
        """
        started, request = time.perf_counter(), self._job.request
        try:
            self._job.raise_if_cancelled()
            with ExitStack() as leases:
                if len(self._job.pictures) >= self._num_images:
                    pass  # an earlier process painted them all
                elif isinstance(request, Upscale):
                    self._upscale(request, leases)
                else:
                    self._paint(check_painting(request), leases)
        except JobCancelledError:
            return Cancelled(self._job.pictures)
        except BaseException as error:
            return make_failed_event(self._job, error)
        finally:
            self._upscalers.clear()
            self._faces = None
        seconds = time.perf_counter() - started
        pictures = self._job.pictures  # one that couldn't be saved at first may be by now
        return Finished(pictures, self._job.warnings, seconds, self.steps_per_second)

    def _paint(self, request: Painting, leases: ExitStack) -> None:
        # First, so that one that can't be loaded fails before minutes of painting.
        for name in find_upscalers(request):
            self._lease_upscaler(name, leases)
        self._lease_face_restorer(request.upscaling, leases)
        self._manager.choose_device(request.model, partial(self._report_loading, request.model))
        self._before_part = 0
        for part in request.split_by_prompt():
            if len(self._job.pictures) < self._before_part + part.num_images:
                self._paint_part(part)
            self._before_part += part.num_images

    def _paint_part(self, request: Painting) -> None:
        """Paint the missing pictures of one prompt, which have the same adapters."""
        catalog = self._manager.catalog
        model = catalog.find(ModelRow, request.model)
        facts = gather_run_facts(request, model, catalog, self._manager.estimates.expected_bytes)
        fallback = MemoryFallback(self._manager.planner, model, facts)
        while True:
            asked = halve_request(request, model) if fallback.plan.part < 1 else request
            short = self._try_to_paint(asked, model, fallback)
            if short is None:
                break
            usage.release_memory()
            if self._together > 1:
                fallback.stop_batching()
                message = messages.RETRYING_ONE_AT_A_TIME
            else:
                fallback.step_down(short)
                message = messages.retrying_with(fallback.plan.words)
            self._report_loading(request.model, message)
        fallback.remember_failures()
        self._warn_once(fallback.list_warnings(request.sampling().size))

    def _try_to_paint(
        self, request: Painting, model: ModelRow, fallback: MemoryFallback
    ) -> MemoryBudgetError | None:
        """Paint the pictures that aren't painted yet.

        Returns the error if memory ran out, without anything that would keep memory.
        """
        try:
            self._paint_with_plan(request, model, fallback)
        except Exception as error:
            short = error if isinstance(error, MemoryBudgetError) else as_memory_error(error)
            if short is None:
                raise
            logger.info("job %s ran out of memory", self._job.id, exc_info=True)
            drop_tracebacks(error)
            return short
        return None

    def _paint_with_plan(
        self, request: Painting, model: ModelRow, fallback: MemoryFallback
    ) -> None:
        task, catalog = TASKS[type(request)], self._manager.catalog
        self._first, self._together = len(self._job.pictures), 1
        done = self._first - self._before_part
        rest = request.for_image(done).model_copy(update={"num_images": request.num_images - done})
        with self._manager.lease(
            rest.model,
            task.name,
            partial(self._report_loading, rest.model),
            find_controlnets(rest),
            collect_adapters(rest, model, catalog),
            fallback.plan,
            profile=find_acting_profile(rest, self._profiles.profile(rest.profile), model, catalog),
            every_step=self._job.on_step is not None,
        ) as leased:
            self._job.raise_if_cancelled()
            if self._take_earlier(rest, leased):
                return
            self._manager.cache.make_room_to_paint(fallback.estimate_peak_bytes())
            self._warn_once(task.list_warnings(rest, leased))
            self._progress.begin_picture()
            tools = TaskContext(
                partial(self._make_map, rest.model),
                self._enlarge,
                fallback.last_whole,
                partial(self._make_room, fallback),
                self._inputs,
                self._job.on_step is not None,
            )
            for index, painted in enumerate(task.paint(rest, leased, tools, self._report_step)):
                picture = self._finish(painted, rest.for_image(index), leased.model_hash, index)
                notes = (*picture.notes, *leased.notes)
                self._keep(
                    replace(picture, hashes=leased.hashes, engine=painted.engine, notes=notes)
                )
                self._warn_once(leased.warnings)

    def _warn_once(self, sentences: tuple[str, ...]) -> None:
        said = self._job.warnings
        self._job.warn(tuple(each for each in sentences if each not in said))

    def _take_earlier(self, request: Painting, leased: LeasedPipeline) -> bool:
        """Answer the request with earlier pictures, if all of it was painted before.

        Only where the result is the same to the last bit: in the profile "exact", and if hashes
        identify all weights that take part. They are those of the loaded files, so a file that
        changed isn't mistaken for the one before.
        """
        if leased.profile.name != EXACT.name or not leased.model_hash:
            return False
        if not has_known_weights(request):
            return False
        made = self._describe_maker()
        made = replace(made, model_hash=leased.model_hash, hashes=leased.hashes)
        pictures = self._output.find_earlier(self._job, request, made)
        for picture in pictures:
            self._job.add_picture(picture)
        if pictures:
            self._job.warn((messages.painted_before(len(pictures)),))
        return bool(pictures)

    def _describe_maker(self) -> Provenance:
        """Return what paints now, without the weights."""
        from paintdiff.models.acceleration.processors import describe_processor  # noqa: PLC0415 (imports torch)

        device = self._manager.status().device
        return Provenance(
            device=device,
            processor=describe_processor(device),
            libraries=find_library_versions(),
        )

    def _make_room(self, fallback: MemoryFallback, wanted: int) -> int:
        # Several pictures would share their previews, which somebody wants one by one.
        self._together = 1 if self._job.on_step is not None else fallback.limit_batch(wanted)
        self._manager.cache.make_room_to_paint(fallback.estimate_peak_bytes(self._together))
        return self._together

    def _upscale(self, request: Upscale, leases: ExitStack) -> None:
        upscaler = self._lease_upscaler(request.upscaling.upscaler or "", leases)
        self._lease_face_restorer(request.upscaling, leases)
        self._job.raise_if_cancelled()
        self._progress.begin_picture()
        self._first = len(self._job.pictures)
        pictures = enlarge(request, upscaler, self._report_step, self._faces, self._first)
        with closing(pictures) as enlargements:
            for index, made in enumerate(enlargements, self._first):
                self._keep(
                    Picture.of_raster(
                        made.raster, request.for_image(index), upscaler.model_hash, made.notes
                    )
                )

    def _finish(self, painted: Painted, request: Painting, model_hash: str, index: int) -> Picture:
        """Return the painted picture, upscaled if its own request asks for that.

        A picture that can't be upscaled isn't lost: it is returned as painted, with a warning. It
        is kept too if the job is cancelled while it is being upscaled.
        """
        upscaling = request.upscaling
        if upscaling is None:
            return Picture(painted.image, request, model_hash, notes=painted.notes)
        as_painted = Picture(
            painted.image,
            request.model_copy(update={"upscaling": None}),
            model_hash,
            notes=painted.notes,
        )
        try:
            upscaler = self._upscalers[upscaling.upscaler or ""]
            made = finish_picture(
                painted, upscaling, upscaler, self._report_step, index, self._faces
            )
            return Picture.of_raster(made.raster, request, model_hash, made.notes)
        except JobCancelledError:
            if not self._job.whole.suspended:  # then it is painted again, and upscaled
                self._keep(as_painted)
            raise
        except BaseException as error:
            reason = describe_survived(messages.NOT_UPSCALED, error)
            self._job.warn((reason,))
            return as_painted

    def _measure(self, picture: Picture) -> None:
        """Remember how long a picture took that was painted alone."""
        measured = self._progress.measure_picture()
        if measured is None or self._together > 1:
            return
        if not isinstance(picture.request, (Upscale, Grid)):
            self._speed.add(picture.request, *measured)

    def _lease_upscaler(self, name: str, leases: ExitStack) -> LeasedUpscaler:
        lease = self._manager.lease_weights(UPSCALER, name, partial(self._report_loading, name))
        self._upscalers[name] = leases.enter_context(lease)
        return self._upscalers[name]

    def _lease_face_restorer(self, upscaling: Upscaling | None, leases: ExitStack) -> None:
        if upscaling is None or upscaling.face_restorer is None:
            return
        name = upscaling.face_restorer
        lease = self._manager.lease_weights(
            FACE_RESTORER, name, partial(self._report_loading, name)
        )
        self._faces = FaceRestoration(leases.enter_context(lease), upscaling.face_strength)

    def _make_map(self, model: str, picture: Image.Image, preprocessor: str) -> Image.Image:
        return self._annotators.make_map(
            picture, preprocessor, partial(self._report_loading, model)
        )

    def _enlarge(
        self, picture: Image.Image, upscaler: str, size: Size, on_step: OnStep, index: int
    ) -> Image.Image:
        return upscale_image(picture, size, self._upscalers[upscaler], on_step, index)

    def _report_loading(self, name: str, message: str) -> None:
        self._job.raise_if_cancelled()
        if message != self._loading_message:
            self._loading_message = message
            self._job.emit(Loading(name, message))

    def _report_step(self, step: Step) -> None:
        self._job.raise_if_cancelled()
        self._progress.count_step(step)
        progress = Progress(
            step=step.step,
            total_steps=step.total_steps,
            image_index=self._first + step.image_index,
            num_images=self._num_images,
            stage=step.stage,
            preview=step.preview,
            seconds_left=self._progress.estimate_seconds_left(step),
            together=self._progress.count_together(step),
        )
        self._job.emit(progress)
        if self._job.on_step is not None:
            self._job.on_step(progress)

    def _keep(self, picture: Picture) -> None:
        now, made = time.perf_counter(), self._describe_maker()
        described = replace(
            picture,
            seconds=now - self._picture_began,
            device=made.device,
            cell=self._job.cell,
            processor=made.processor,
            libraries=made.libraries,
        )
        self._picture_began = now
        saved = self._output.keep(self._job, described)
        self._job.add_picture(saved)
        self._measure(picture)
        self._progress.begin_picture()


def make_failed_event(job: RunningJob, error: BaseException) -> Failed:
    """Return the event that ends a job with an error; an unexpected error gets an id."""
    if isinstance(error, PaintError):
        return Failed(drop_tracebacks(error))
    shown = as_memory_error(error)
    if shown is None:
        logger.info("job %s failed", job.id)
        shown = report_unexpected(logger, messages.PICTURE_FAILED, error)
    shown.__cause__ = error
    return Failed(drop_tracebacks(shown))

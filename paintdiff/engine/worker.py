"""What the engine's worker does with one job: everything between leaving the queue and the event
that ends it.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from paintdiff.engine.memory_fallback import MemoryFallback
from paintdiff.engine.progress import ProgressEstimate
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
from paintdiff.jobs.job import Job
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import Painting, Upscale
from paintdiff.models.loading.library_errors import as_memory_error
from paintdiff.models.manager.loaders import FACE_RESTORER, UPSCALER
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import usage
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profiles
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.tasks import TASKS
from paintdiff.tasks.adapters import collect_adapters
from paintdiff.tasks.controls import find_controlnets
from paintdiff.tasks.faces import FaceRestoration
from paintdiff.tasks.memory_request import gather_run_facts, halve_facts
from paintdiff.tasks.postprocessing import find_upscalers, finish_picture, upscale_image
from paintdiff.tasks.resolve.few_steps import find_acting_profile
from paintdiff.tasks.steps import OnStep, Painted, Step
from paintdiff.tasks.task_context import TaskContext
from paintdiff.tasks.upscale import enlarge

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.upscaling.upscaler import LeasedUpscaler

logger = logging.getLogger(__name__)


class PictureStore(Protocol):
    """Where finished pictures go."""

    def save(self, picture: Picture) -> Path:
        """Save it and return where. Raises StorageError."""
        ...


class Run:
    """The worker's hands on one job."""

    def __init__(
        self,
        job: Job,
        manager: ModelManager,
        annotators: Annotators,
        store: PictureStore | None,
        profiles: Profiles,
    ) -> None:
        self._job = job
        self._manager = manager
        self._annotators = annotators
        self._store = store
        self._profiles = profiles
        self._pictures: list[Picture] = []
        self._loading_told = ""
        self._pace = ProgressEstimate(job.request.num_images)
        self._upscalers: dict[str, LeasedUpscaler] = {}
        self._faces: FaceRestoration | None = None
        self._first = 0
        self._together = 1
        self._remarked = False

    @property
    def steps_per_second(self) -> float:
        """Of the denoising alone; 0.0 before the first picture's is done."""
        return self._pace.steps_per_second

    def ended(self) -> Event:
        """Run the job and return the event that ends it.

        Whatever a job raises ends that job alone, also what is no Exception: a panic in a library
        written in Rust, SystemExit, KeyboardInterrupt.
        """
        started, request = time.perf_counter(), self._job.request
        try:
            self._job.raise_if_cancelled()
            with ExitStack() as leases:
                if isinstance(request, Upscale):
                    self._upscale(request, leases)
                else:
                    self._paint(request, leases)
        except JobCancelledError:
            return Cancelled(tuple(self._pictures))
        except BaseException as error:
            return make_failed_event(self._job, error)
        finally:
            self._upscalers.clear()
            self._faces = None
        seconds = time.perf_counter() - started
        return Finished(tuple(self._pictures), self._job.warnings, seconds, self.steps_per_second)

    def _paint(self, request: Painting, leases: ExitStack) -> None:
        for name in find_upscalers(
            request
        ):  # one that can't be had is known before minutes of work
            self._lease_upscaler(name, leases)
        self._lease_face_restorer(request.upscaling, leases)
        self._manager.choose_device(request.model, partial(self._loading, request.model))
        catalog = self._manager.catalog
        model = catalog.find(ModelRow, request.model)
        facts = gather_run_facts(request, catalog, self._manager.estimates.expected_bytes)
        descent = MemoryFallback(self._manager.planner, model, facts)
        while True:
            asked = halve_facts(request, model) if descent.plan.part < 1 else request
            short = self._short_of_memory(asked, descent)
            if short is None:
                break
            usage.release_memory()
            if self._together > 1:
                descent.go_alone()
                how = "one picture at a time"
            else:
                descent.step_down(short)
                how = f"with {descent.plan.words}"
            self._loading(request.model, f"Out of memory. Trying again {how}")
        descent.arrived()
        self._job.warn(descent.remarks(request.sampling().size))

    def _short_of_memory(
        self, request: Painting, descent: MemoryFallback
    ) -> MemoryBudgetError | None:
        """Paint the pictures that aren't there yet. Returns the error if memory ran out, without
        anything that would keep memory.
        """
        try:
            self._paint_by(request, descent)
        except Exception as error:
            short = error if isinstance(error, MemoryBudgetError) else as_memory_error(error)
            if short is None:
                raise
            logger.info("job %s ran out of memory", self._job.id, exc_info=True)
            drop_tracebacks(error)
            return short
        return None

    def _paint_by(self, request: Painting, descent: MemoryFallback) -> None:
        task = TASKS[type(request)]
        self._first, self._together = len(self._pictures), 1
        rest = request.for_image(self._first).model_copy(
            update={"num_images": request.num_images - self._first}
        )
        with self._manager.lease(
            rest.model,
            task.name,
            partial(self._loading, rest.model),
            find_controlnets(rest),
            collect_adapters(rest, self._manager.catalog),
            descent.plan,
            profile=find_acting_profile(
                rest, self._profiles.profile(rest.profile), self._manager.catalog
            ),
        ) as leased:
            self._job.raise_if_cancelled()
            self._manager.cache.make_room_to_paint(descent.peak_bytes())
            if not self._remarked:
                self._job.warn(task.remarks(rest, leased))
                self._remarked = True
            self._pace.picture_begins()
            tools = TaskContext(
                partial(self._map, rest.model),
                self._enlarged,
                descent.last_whole,
                partial(self._room_for, descent),
            )
            for index, painted in enumerate(task.paint(rest, leased, tools, self._step_ended)):
                picture = self._finished(painted, rest.for_image(index), leased.model_hash, index)
                notes = (*picture.notes, *leased.notes)
                self._keep(
                    replace(picture, hashes=leased.hashes, engine=painted.engine, notes=notes)
                )
                said = self._job.warnings
                self._job.warn(tuple(each for each in leased.warnings if each not in said))

    def _room_for(self, descent: MemoryFallback, wanted: int) -> int:
        self._together = descent.most_together(wanted)
        self._manager.cache.make_room_to_paint(descent.peak_bytes(self._together))
        return self._together

    def _upscale(self, request: Upscale, leases: ExitStack) -> None:
        upscaler = self._lease_upscaler(request.upscaling.upscaler or "", leases)
        self._lease_face_restorer(request.upscaling, leases)
        self._job.raise_if_cancelled()
        self._pace.picture_begins()
        pictures = enlarge(request, upscaler, self._step_ended, self._faces)
        with closing(pictures) as enlargements:
            for index, made in enumerate(enlargements):
                self._keep(
                    Picture.of_raster(
                        made.raster, request.for_image(index), upscaler.model_hash, made.notes
                    )
                )

    def _finished(
        self, painted: Painted, request: Painting, model_hash: str, index: int
    ) -> Picture:
        """The painted picture, or what its upscaling has made of it; `request` is its own.

        A picture that can't be upscaled isn't lost: it comes as it was painted, with a warning. It
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
                painted, upscaling, upscaler, self._step_ended, index, self._faces
            )
            return Picture.of_raster(made.raster, request, model_hash, made.notes)
        except JobCancelledError:
            self._keep(as_painted)
            raise
        except BaseException as error:
            reason = _shown("The picture was painted but not upscaled", error)
            self._job.warn((reason,))
            return as_painted

    def _lease_upscaler(self, name: str, leases: ExitStack) -> LeasedUpscaler:
        lease = self._manager.lease_weights(UPSCALER, name, partial(self._loading, name))
        self._upscalers[name] = leases.enter_context(lease)
        return self._upscalers[name]

    def _lease_face_restorer(self, upscaling: Upscaling | None, leases: ExitStack) -> None:
        if upscaling is None or upscaling.face_restorer is None:
            return
        name = upscaling.face_restorer
        lease = self._manager.lease_weights(FACE_RESTORER, name, partial(self._loading, name))
        self._faces = FaceRestoration(leases.enter_context(lease), upscaling.face_strength)

    def _map(self, model: str, picture: Image.Image, preprocessor: str) -> Image.Image:
        return self._annotators.control_map(picture, preprocessor, partial(self._loading, model))

    def _enlarged(
        self, picture: Image.Image, upscaler: str, size: Size, on_step: OnStep, index: int
    ) -> Image.Image:
        return upscale_image(picture, size, self._upscalers[upscaler], on_step, index)

    def _loading(self, name: str, message: str) -> None:
        self._job.raise_if_cancelled()
        if message != self._loading_told:
            self._loading_told = message
            self._job.emit(Loading(name, message))

    def _step_ended(self, step: Step) -> None:
        self._job.raise_if_cancelled()
        self._pace.step_ended(step)
        self._job.emit(
            Progress(
                step=step.step,
                total_steps=step.total_steps,
                image_index=self._first + step.image_index,
                num_images=self._job.request.num_images,
                stage=step.stage,
                preview=step.preview,
                seconds_left=self._pace.seconds_left(step),
                together=self._pace.together(step),
            )
        )

    def _keep(self, picture: Picture) -> None:
        saved = self._saved(picture)
        self._pictures.append(saved)
        self._job.add_picture(saved)
        self._pace.picture_begins()

    def _saved(self, picture: Picture) -> Picture:
        """The picture with its path.

        One that can't be saved is not lost, whatever goes wrong: it comes with a warning.
        """
        if self._store is None:
            return picture
        try:
            path = self._store.save(picture)
        except BaseException as error:
            self._job.warn((_shown("The picture was not saved", error),))
            return picture
        if picture.raster is not None:
            picture.raster.close()
        return replace(picture, path=path, raster=None)


def make_failed_event(job: Job, error: BaseException) -> Failed:
    """Return the event that ends a job in an error; one that nobody expected gets an id."""
    if isinstance(error, PaintError):
        return Failed(drop_tracebacks(error))
    shown = as_memory_error(error)
    if shown is None:
        logger.info("job %s failed", job.id)
        shown = report_unexpected(logger, "The picture failed", error)
    shown.__cause__ = error
    return Failed(drop_tracebacks(shown))


def _shown(what: str, error: BaseException) -> str:
    """Return a sentence for people about an error that the job survives, after logging it."""
    known = error if isinstance(error, PaintError) else as_memory_error(error)
    if known is None:
        return str(report_unexpected(logger, what, error))
    logger.warning("%s: %s", what, known, exc_info=error)
    return f"{what}: {known}"

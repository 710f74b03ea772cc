"""The second pass of a hires fix: the small picture is enlarged, and painted over from there."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from PIL.Image import Image as PictureImage

from paintdiff.errors import MemoryBudgetError, RequestError
from paintdiff.imaging.images import resize_image
from paintdiff.jobs.request_parts import LATENT_UPSCALER, NO_CONTROLNET
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.inference.denoising_run import Control, Denoising, Source, count_steps_run
from paintdiff.models.loading.library_errors import as_memory_error
from paintdiff.models.tiling.windows import choose_windows
from paintdiff.tasks.controls import prepare_controls
from paintdiff.tasks.resolve.hires import compute_hires_size
from paintdiff.tasks.runs import describe_windows
from paintdiff.tasks.steps import OnStep, Painted, StepCounter
from paintdiff.tasks.task_context import TaskContext

if TYPE_CHECKING:
    from torch import Tensor

    from paintdiff.models.inference.leased_pipeline import LeasedPipeline


logger = logging.getLogger(__name__)


class SecondPass:
    """What follows the first pass of each of a request's pictures.

    `settled` is the request with its hires fix. Its control maps are made anew, at the larger
    size; what that raises comes out unchanged. Raises RequestError if it isn't settled.
    """

    def __init__(self, settled: TextToImage, leased: LeasedPipeline, tools: TaskContext) -> None:
        hires = settled.hires
        if (
            hires is None
            or hires.upscaler is None
            or hires.strength is None
            or hires.num_inference_steps is None
            or hires.controlnet is None
        ):
            raise RequestError("This request has open values. Submit it to an engine first.")
        self._upscaler = hires.upscaler
        self._strength = hires.strength
        self._num_inference_steps = hires.num_inference_steps
        self._controlnet = hires.controlnet
        self._leased = leased
        self._tools = tools
        self._size = compute_hires_size(settled.sampling().size, hires.scale, leased.row)
        size = {"width": self._size.width, "height": self._size.height}
        self._controls = prepare_controls(settled.model_copy(update=size), tools.make_map)
        self._windows = choose_windows(self._size, leased.row) if hires.tiled else ()

    def after(self, first: Denoising, on_step: OnStep, index: int) -> Painted:
        """Picture `index`, of which `first` is the first pass: both are run, their steps counted
        together. What `on_step` raises comes out unchanged. If the memory is too short for the
        second pass, and there is no thriftier way, it is the first one's picture, with a note that
        says so.

        The noise is that of the same seed, as in the A1111 web UI; at the larger size it falls
        elsewhere, so it doesn't add to what it has left in the first pass.
        """
        more = count_steps_run(self._num_inference_steps, self._strength)
        counter = StepCounter(on_step, index, first.steps_run + more)
        latents = self._leased.denoise(first, counter.ended)
        counter.run_ended(first.steps_run)
        try:
            return self._refined(first, latents, counter, on_step, index)
        except Exception as error:
            told = as_memory_error(error)
            short = told is not None or isinstance(error, MemoryBudgetError)
            if not short or not self._tools.last_resort:
                raise
            logger.warning("no second pass at %s", self._size, exc_info=True)
        note = f"Not enough memory to refine at {self._size}, so the picture stays at {first.size}."
        return Painted(self._leased.decode(latents), (note,), self._leased.computing.take_backend())

    def _refined(
        self,
        first: Denoising,
        latents: Tensor,
        counter: StepCounter,
        on_step: OnStep,
        index: int,
    ) -> Painted:
        image, controls = self._enlarged(latents, on_step, index)
        if not self._strength:
            shown = self._leased.decode(image) if not isinstance(image, PictureImage) else image
            return Painted(
                shown, (self._enlarged_words(first),), self._leased.computing.take_backend()
            )
        run = replace(
            first,
            size=self._size,
            num_inference_steps=self._num_inference_steps,
            source=Source(image, self._strength),
            controls=controls,
            windows=self._windows,
        )
        second = self._leased.for_task("image_to_image")
        latents = second.denoise(run, counter.ended)
        counter.run_ended(run.steps_run)
        image, engine = second.decode(latents), second.computing.take_backend()
        return Painted(image, (self._words(first, run),), engine)

    def _enlarged(
        self, latents: Tensor, on_step: OnStep, index: int
    ) -> tuple[PictureImage | Tensor, tuple[Control, ...]]:
        """What the second pass starts from, and what it follows."""
        held = self._controlnet != NO_CONTROLNET
        if self._upscaler == LATENT_UPSCALER:
            enlarged = self._leased.upscale_latents(latents, self._size)
            if not held:
                return enlarged, self._controls
            small = self._leased.decode(latents)
            map_ = resize_image(small, self._size, "stretch", "#000000")
            return enlarged, (*self._controls, Control(self._controlnet, map_))
        small = self._leased.decode(latents)
        image = self._tools.enlarge(small, self._upscaler, self._size, on_step, index)
        if not held:
            return image, self._controls
        return image, (*self._controls, Control(self._controlnet, image))

    def _words(self, first: Denoising, run: Denoising) -> str:
        held = ""
        if self._controlnet != NO_CONTROLNET:
            held = f", guided by the ControlNet {self._controlnet}"
        steps = "1 step" if run.steps_run == 1 else f"{run.steps_run} steps"
        return (
            f"{self._enlarged_words(first)[:-1]}, then refined at a strength of "
            f"{self._strength:g} in {steps}{describe_windows(run.windows)}{held}."
        )

    def _enlarged_words(self, first: Denoising) -> str:
        latent = self._upscaler == LATENT_UPSCALER
        by = "in latent space" if latent else f"with {self._upscaler}"
        return f"Painted at {first.size}, enlarged to {self._size} {by}."

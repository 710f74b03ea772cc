"""The second pass of a hires fix: the small picture is enlarged and refined."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from PIL.Image import Image as PictureImage

import paintdiff.tasks.messages as messages
from paintdiff.errors import MemoryBudgetError, RequestError
from paintdiff.imaging.images import resize_image
from paintdiff.jobs.messages import OPEN_VALUES
from paintdiff.jobs.request_parts import LATENT_UPSCALER, NO_CONTROLNET
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.conditioning.prompt_plan import PromptTiming
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

    from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline


logger = logging.getLogger(__name__)


class SecondPass:
    """The second pass over each of a request's pictures.

    `resolved` is the request with its hires fix. Its control maps are made again, at the larger
    size; errors from that pass through unchanged. Raises RequestError if it has open values.
    """

    def __init__(self, resolved: TextToImage, leased: LeasedPipeline, tools: TaskContext) -> None:
        hires = resolved.hires
        if (
            hires is None
            or hires.upscaler is None
            or hires.strength is None
            or hires.num_inference_steps is None
            or hires.controlnet is None
        ):
            raise RequestError(OPEN_VALUES)
        self._upscaler = hires.upscaler
        self._strength = hires.strength
        self._num_inference_steps = hires.num_inference_steps
        self._controlnet = hires.controlnet
        self._leased = leased
        self._tools = tools
        self._size = compute_hires_size(resolved.sampling().size, hires.scale, leased.row)
        size = {"width": self._size.width, "height": self._size.height}
        self._controls = prepare_controls(resolved.model_copy(update=size), tools)
        self._windows = choose_windows(self._size, leased.row) if hires.tiled else ()

    def paint(self, first: Denoising, on_step: OnStep, index: int) -> Painted:
        """Run both passes of picture `index`, of which `first` is the first, and return it.

        The steps of both are counted together. Errors from `on_step` pass through unchanged. If
        there isn't enough memory for the second pass, and no plan that needs less, return the first
        pass's picture, with a note that says so.

        The second pass uses the noise of the same seed, as in the A1111 web UI. At the larger size
        it falls elsewhere, so it doesn't add to what is left of it from the first pass.
        """
        more = count_steps_run(self._num_inference_steps, self._strength)
        counter = StepCounter(on_step, index, first.steps_run + more)
        latents = self._leased.denoise(first, counter.report_step)
        counter.end_run(first.steps_run)
        try:
            return self._refine(first, latents, counter, on_step, index)
        except Exception as error:
            known = as_memory_error(error)
            short = known is not None or isinstance(error, MemoryBudgetError)
            if not short or not self._tools.last_resort:
                raise
            logger.warning("no second pass at %s", self._size, exc_info=True)
        note = messages.not_refined(self._size, first.size)
        return Painted(self._leased.decode(latents), (note,), self._leased.computing.take_backend())

    def _refine(
        self,
        first: Denoising,
        latents: Tensor,
        counter: StepCounter,
        on_step: OnStep,
        index: int,
    ) -> Painted:
        image, controls = self._enlarge(latents, on_step, index)
        if not self._strength:
            shown = self._leased.decode(image) if not isinstance(image, PictureImage) else image
            note = f"{self._describe_enlarging(first)}."
            return Painted(shown, (note,), self._leased.computing.take_backend())
        run = replace(
            first.after_branches(),
            size=self._size,
            num_inference_steps=self._num_inference_steps,
            source=Source(image, self._strength),
            controls=controls,
            windows=self._windows,
            timing=PromptTiming(steps_before=first.steps_run),
        )
        second = self._leased.for_task("image_to_image")
        latents = second.denoise(run, counter.report_step)
        counter.end_run(run.steps_run)
        image, engine = second.decode(latents), second.computing.take_backend()
        return Painted(image, (self._describe(first, run),), engine)

    def _enlarge(
        self, latents: Tensor, on_step: OnStep, index: int
    ) -> tuple[PictureImage | Tensor, tuple[Control, ...]]:
        """Return the second pass's source and its controls."""
        guided = self._controlnet != NO_CONTROLNET
        if self._upscaler == LATENT_UPSCALER:
            enlarged = self._leased.upscale_latents(latents, self._size)
            if not guided:
                return enlarged, self._controls
            small = self._leased.decode(latents)
            map_ = resize_image(small, self._size, "stretch", "#000000")
            return enlarged, (*self._controls, Control(self._controlnet, map_))
        small = self._leased.decode(latents)
        image = self._tools.enlarge(small, self._upscaler, self._size, on_step, index)
        if not guided:
            return image, self._controls
        return image, (*self._controls, Control(self._controlnet, image))

    def _describe(self, first: Denoising, run: Denoising) -> str:
        return messages.refined(
            self._describe_enlarging(first),
            self._strength,
            run.steps_run,
            describe_windows(run.windows),
            None if self._controlnet == NO_CONTROLNET else self._controlnet,
        )

    def _describe_enlarging(self, first: Denoising) -> str:
        upscaler = None if self._upscaler == LATENT_UPSCALER else self._upscaler
        return messages.enlarged(first.size, self._size, upscaler)

"""From a settled request to denoising runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paintdiff.geometry import Box
from paintdiff.models.denoising import Control, Denoising, Source, Variation
from paintdiff.requests import PaintingRequest
from paintdiff.tasks.adapters import ip_pictures_of, prompt_text
from paintdiff.tasks.steps import OnStep, StepCounter

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.lease import LeasedPipeline


def run_of(
    request: PaintingRequest, source: Source | None = None, controls: tuple[Control, ...] = ()
) -> Denoising:
    """The run that paints a settled request for one picture."""
    sampling = request.sampling()
    variation: Variation | None = None
    if sampling.variation_strength > 0:
        variation = Variation(sampling.variation_seed, sampling.variation_strength)
    return Denoising(
        prompt=prompt_text(request),
        negative_prompt=request.negative_prompt,
        size=sampling.size,
        num_inference_steps=sampling.num_inference_steps,
        guidance_scale=sampling.guidance_scale,
        sampler=sampling.sampler,
        seed=sampling.seed,
        variation=variation,
        source=source,
        controls=controls,
        clip_skip=request.clip_skip,
        ip_pictures=ip_pictures_of(request),
        switch_at=1.0 if request.refiner is None else request.refiner.switch_at,
    )


def windows_words(windows: tuple[Box, ...]) -> str:
    """What a note adds about the windows a run saw its picture through; "" if as a whole."""
    return f" through {len(windows)} windows of {windows[0].size}" if len(windows) > 1 else ""


def painted(run: Denoising, leased: LeasedPipeline, on_step: OnStep, index: int) -> Image.Image:
    """The picture of one run, RGB, 8 bits. It is picture `index` of its job.

    What `on_step` raises comes out unchanged.
    """
    counter = StepCounter(on_step, index, run.steps_run)
    latents = leased.denoised(run, counter.ended)
    counter.run_ended(run.steps_run)
    return leased.decoded(latents)

"""From a settled request to denoising runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from paintdiff.imaging.geometry import Box
from paintdiff.jobs.requests import PaintingRequest
from paintdiff.models.inference.denoising_run import Control, Denoising, Source, Variation
from paintdiff.tasks.adapters import decode_ip_pictures, prompt_text
from paintdiff.tasks.steps import OnStep, Painted, StepCounter
from paintdiff.tasks.task_context import TaskContext

if TYPE_CHECKING:
    from paintdiff.models.inference.leased_pipeline import LeasedPipeline


def build_run(
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
        ip_pictures=decode_ip_pictures(request),
        switch_at=1.0 if request.refiner is None else request.refiner.switch_at,
    )


def describe_windows(windows: tuple[Box, ...]) -> str:
    """What a note adds about the windows a run saw its picture through; "" if as a whole."""
    return f" through {len(windows)} windows of {windows[0].size}" if len(windows) > 1 else ""


def paint_run(
    runs: Sequence[Denoising], leased: LeasedPipeline, tools: TaskContext, on_step: OnStep
) -> Iterator[Painted]:
    """Yield the pictures of a request's runs one by one, without notes. The runs differ in their
    seeds and variations alone: several are denoised at once where that is quicker and the profile
    lets last bits change for it.

    What `tools` and `on_step` raise comes out unchanged.
    """
    first = 0
    while first < len(runs):
        count = leased.choose_batch_size(runs[first], len(runs) - first)
        run, *others = runs[first : first + (tools.room_for(count) if count > 1 else 1)]
        counter = StepCounter(on_step, first, run.steps_run, 1 + len(others))
        latents = leased.denoise(run, counter.ended, others)
        counter.run_ended(run.steps_run)
        engine = leased.computing.take_backend()
        for number, one in enumerate(latents.split(1)):
            if number:
                counter.next_picture()
            yield Painted(leased.decode(one), engine=engine)
        first += 1 + len(others)

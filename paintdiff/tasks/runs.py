"""Denoising runs: built from a resolved request, and painted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import paintdiff.tasks.messages as messages
from paintdiff.imaging.geometry import Box
from paintdiff.jobs.requests import PaintingRequest
from paintdiff.models.conditioning.prompt_plan import PromptReading
from paintdiff.models.inference.denoising_run import (
    Control,
    Denoising,
    RunBranch,
    Source,
    Variation,
)
from paintdiff.tasks.adapters import decode_ip_pictures, remove_lora_tags
from paintdiff.tasks.steps import OnStep, Painted, StepCounter
from paintdiff.tasks.task_context import TaskContext

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline


def build_runs(
    request: PaintingRequest,
    tools: TaskContext,
    source: Source | None = None,
    controls: tuple[Control, ...] = (),
) -> list[Denoising]:
    """Return the runs of all pictures of a resolved request, one each.

    Raises RequestError for an IP-Adapter's picture that can't be read.
    """
    pictures = decode_ip_pictures(request, tools.inputs)
    return [
        build_run(request.for_image(index), source, controls, pictures)
        for index in range(request.num_images)
    ]


def build_run(
    request: PaintingRequest,
    source: Source | None = None,
    controls: tuple[Control, ...] = (),
    ip_pictures: tuple[Image.Image, ...] = (),
) -> Denoising:
    """Return the run that paints a resolved request for one picture."""
    sampling = request.sampling()
    variation: Variation | None = None
    if sampling.variation_strength > 0:
        variation = Variation(sampling.variation_seed, sampling.variation_strength)
    syntax = request.prompt_syntax
    return Denoising(
        prompt=request.prompt if syntax == "a1111" else remove_lora_tags(request),
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
        ip_pictures=ip_pictures,
        switch_at=1.0 if request.refiner is None else request.refiner.switch_at,
        reading=PromptReading(syntax, request.emphasis),
        branches=tuple(_build_branches(request)),
    )


def _build_branches(request: PaintingRequest) -> Iterator[RunBranch]:
    """Yield a resolved request's branches, each with all of its settings."""
    now = RunBranch(0, request.prompt, request.negative_prompt, request.sampling().guidance_scale)
    for each in request.branches:
        given = each.model_dump(exclude_none=True)
        now = replace(now, **{"seed": None, **given})
        yield now


def describe_windows(windows: tuple[Box, ...]) -> str:
    """Return what a note adds about the windows a run was painted in; "" for one window."""
    return messages.through_windows(len(windows), windows[0].size) if len(windows) > 1 else ""


def paint_runs(
    runs: Sequence[Denoising], leased: LeasedPipeline, tools: TaskContext, on_step: OnStep
) -> Iterator[Painted]:
    """Yield the pictures of a request's runs one by one, without notes.

    The runs may differ only in their seeds and variations. Several are denoised at once where that
    is quicker and the profile allows the last bits to change. Errors from `tools` and `on_step`
    pass through unchanged.
    """
    first = 0
    while first < len(runs):
        count = leased.choose_batch_size(runs[first], len(runs) - first)
        run, *others = runs[first : first + (tools.make_room(count) if count > 1 else 1)]
        counter = StepCounter(on_step, first, run.steps_run, 1 + len(others))
        latents = leased.denoise(run, counter.report_step, others)
        counter.end_run(run.steps_run)
        engine = leased.computing.take_backend()
        for number, one in enumerate(latents.split(1)):
            if number:
                counter.begin_next_picture()
            yield Painted(leased.decode(one), engine=engine)
        first += 1 + len(others)

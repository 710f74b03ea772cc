"""Image to image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import paintdiff.tasks.messages as messages
from paintdiff.imaging.geometry import Size, choose_working_size, describe_resize
from paintdiff.imaging.images import flatten_image, image_size, resize_image
from paintdiff.jobs.requests import MAX_SEED, ImageToImage
from paintdiff.models.inference.denoising_run import Denoising, Source, count_steps_run
from paintdiff.models.tiling.windows import choose_windows, sees_through_windows
from paintdiff.tasks.controls import prepare_controls
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.resolve.sampling import (
    check_strength,
    resolve_sampling,
    resolve_size,
    warn_of_sampling,
)
from paintdiff.tasks.runs import build_runs, describe_windows, paint_runs
from paintdiff.tasks.steps import OnStep, Painted, StepCounter
from paintdiff.tasks.task_context import TaskContext

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline


def resolve(request: ImageToImage, context: ResolveContext) -> ImageToImage:
    """Fill in the sampling settings, the size, and whether windows are used.

    The picture is decoded to check it. Raises RequestError, SizeError or UnknownNameError, with the
    field in `field`.
    """
    sampling = resolve_sampling(request, context.model)
    source = image_size(context.inputs.decode(request.image, "image"))
    size = _resolve_size(request, source, context)
    resolved = request.model_copy(
        update={
            **sampling,
            "width": size.width,
            "height": size.height,
            "tiled": sees_through_windows(request.tiled, size, context.model),
        },
    )
    warn_of_sampling(request, resolved, context)
    _check_passes(resolved, context)
    return resolved


def _resolve_size(request: ImageToImage, source: Size, context: ResolveContext) -> Size:
    row = context.model
    width, height = request.width, request.height
    if width is None and height is None:
        size = choose_working_size(source, row.native_size, row.family.size_multiple)
    else:  # a side left open follows the picture's proportions
        width = width or max(1, round((height or 1) * source.width / source.height))
        height = height or max(1, round(width * source.height / source.width))
        size = resolve_size(width, height, context)
    if size != source:
        words = describe_resize(source, size, request.resize_mode, done=True)
        context.warn(messages.size_changed(words))
    return size


def _check_passes(resolved: ImageToImage, context: ResolveContext) -> None:
    """Check the strengths of all passes. Raises RequestError if one leaves no step to run."""
    steps = resolved.sampling().num_inference_steps
    for number, strength in enumerate(resolved.strengths()):
        check_strength(strength, steps, "loopback_strength_factor" if number else "strength")
    factor = resolved.loopback_strength_factor
    if resolved.loopback == 1 and factor != 1:
        context.warn(messages.FACTOR_WITHOUT_EFFECT)
        return
    for number in range(resolved.loopback):
        if resolved.strength * factor**number > 1:
            context.warn(messages.strength_at_most_one(number + 1))
            return


def paint(
    request: ImageToImage, leased: LeasedPipeline, tools: TaskContext, on_step: OnStep
) -> Iterator[Painted]:
    """Yield the pictures one by one. Picture i is the single picture of its own seed.

    Errors from `tools` and `on_step` pass through unchanged.
    """
    picture = flatten_image(tools.inputs.decode(request.image, "image"), request.background)
    source = resize_image(picture, request.sampling().size, request.resize_mode, request.background)
    if not request.strength:
        yield from (
            Painted(source.copy(), (messages.NOTHING_PAINTED,)) for _ in range(request.num_images)
        )
        return
    controls = prepare_controls(request, tools)
    windows = choose_windows(request.sampling().size, leased.row) if request.tiled else ()
    words = describe_windows(windows)
    notes = (messages.blended(words),) if words else ()
    runs = [
        replace(run, windows=windows)
        for run in build_runs(request, tools, Source(source, request.strength), controls)
    ]
    if request.loopback == 1:
        for each in paint_runs(runs, leased, tools, on_step):
            yield replace(each, notes=notes)
        return
    for index, run in enumerate(runs):
        image = _paint_passes(run, source, request.strengths(), leased, on_step, index)
        yield Painted(image, notes, leased.computing.take_backend())


def _paint_passes(
    run: Denoising,
    image: Image.Image,
    strengths: tuple[float, ...],
    leased: LeasedPipeline,
    on_step: OnStep,
    index: int,
) -> Image.Image:
    """Return the result of the last pass over `image` (RGB, the working size).

    `run` is the first pass.
    """
    total = sum(count_steps_run(run.num_inference_steps, strength) for strength in strengths)
    counter = StepCounter(on_step, index, total)
    for number, strength in enumerate(strengths):
        # With the same noise in each pass its pattern would build up.
        seed = (run.seed + number) % (MAX_SEED + 1)
        this = replace(run, source=Source(image, strength), seed=seed)
        latents = leased.denoise(this, counter.report_step)
        counter.end_run(this.steps_run)
        image = leased.decode(latents)
    return image

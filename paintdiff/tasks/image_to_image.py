"""From words and a picture to pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from paintdiff.imaging.geometry import Size, choose_working_size, describe_resize
from paintdiff.imaging.images import flatten_image, image_size, resize_image
from paintdiff.jobs.requests import MAX_SEED, ImageToImage
from paintdiff.models.inference.denoising_run import Denoising, Source, count_steps_run
from paintdiff.models.tiling.windows import choose_windows, sees_through_windows
from paintdiff.tasks.controls import prepare_controls
from paintdiff.tasks.pictures import decode_input_picture
from paintdiff.tasks.resolve.sampling import check_strength, resolve_sampling, resolve_size
from paintdiff.tasks.runs import build_run, describe_windows, paint_run
from paintdiff.tasks.steps import UNCHANGED, OnStep, Painted, StepCounter
from paintdiff.tasks.task_context import TaskContext

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.inference.leased_pipeline import LeasedPipeline
    from paintdiff.models.registry.model_rows import ModelRow


def resolve(request: ImageToImage, row: ModelRow) -> tuple[ImageToImage, tuple[str, ...]]:
    """Fill every None. Returns the settled request and what a person should know about it.

    The picture is decoded to be sure of it. Raises RequestError, SizeError or UnknownNameError,
    with the field in `field`.
    """
    sampling, warnings = resolve_sampling(request, row)
    source = image_size(decode_input_picture(request.image, "image"))
    size, size_warnings = _settled_size(request, source, row)
    settled = request.model_copy(
        update={
            **sampling,
            "width": size.width,
            "height": size.height,
            "tiled": sees_through_windows(request.tiled, size, row),
        },
    )
    return settled, size_warnings + warnings + _checked_passes(settled)


def _settled_size(
    request: ImageToImage, source: Size, row: ModelRow
) -> tuple[Size, tuple[str, ...]]:
    warnings: tuple[str, ...] = ()
    width, height = request.width, request.height
    if width is None and height is None:
        size = choose_working_size(source, row.native_size, row.family.size_multiple)
    else:  # a side left open follows the picture's proportions
        width = width or max(1, round((height or 1) * source.width / source.height))
        height = height or max(1, round(width * source.height / source.width))
        size, warnings = resolve_size(width, height, row)
    if size != source:
        words = describe_resize(source, size, request.resize_mode, done=True)
        warnings += (f"The picture's size was changed: {words}",)
    return size, warnings


def _checked_passes(settled: ImageToImage) -> tuple[str, ...]:
    """What a person should know about the strengths. Raises RequestError for one that leaves no
    step to run.
    """
    steps = settled.sampling().num_inference_steps
    strengths = settled.strengths()
    for number, strength in enumerate(strengths):
        check_strength(strength, steps, "loopback_strength_factor" if number else "strength")
    factor = settled.loopback_strength_factor
    if settled.loopback == 1 and factor != 1:
        return ("The loopback's strength factor has no effect on a single pass.",)
    for number in range(settled.loopback):
        if settled.strength * factor**number > 1:
            return (f"From pass {number + 1} on the strength is 1, the maximum.",)
    return ()


def paint(
    request: ImageToImage, leased: LeasedPipeline, tools: TaskContext, on_step: OnStep
) -> Iterator[Painted]:
    """Yield the pictures one by one. Picture i is that of its own seed alone.

    What `tools` and `on_step` raise comes out unchanged.
    """
    picture = flatten_image(decode_input_picture(request.image, "image"), request.background)
    source = resize_image(picture, request.sampling().size, request.resize_mode, request.background)
    if not request.strength:
        yield from (Painted(source.copy(), (UNCHANGED,)) for _ in range(request.num_images))
        return
    controls = prepare_controls(request, tools.make_map)
    windows = choose_windows(request.sampling().size, leased.row) if request.tiled else ()
    words = describe_windows(windows)
    notes = (f"Painted{words}, blended at every step.",) if words else ()
    runs = [
        replace(
            build_run(request.for_image(index), Source(source, request.strength), controls),
            windows=windows,
        )
        for index in range(request.num_images)
    ]
    if request.loopback == 1:
        for each in paint_run(runs, leased, tools, on_step):
            yield replace(each, notes=notes)
        return
    for index, run in enumerate(runs):
        image = _looped(run, source, request.strengths(), leased, on_step, index)
        yield Painted(image, notes, leased.computing.take_backend())


def _looped(
    run: Denoising,
    image: Image.Image,
    strengths: tuple[float, ...],
    leased: LeasedPipeline,
    on_step: OnStep,
    index: int,
) -> Image.Image:
    """The result of the last pass over `image` (RGB, the working size); `run` is the first."""
    total = sum(count_steps_run(run.num_inference_steps, strength) for strength in strengths)
    counter = StepCounter(on_step, index, total)
    for number, strength in enumerate(strengths):
        # The same noise again and again would burn its pattern in.
        seed = (run.seed + number) % (MAX_SEED + 1)
        this = replace(run, source=Source(image, strength), seed=seed)
        latents = leased.denoise(this, counter.ended)
        counter.run_ended(this.steps_run)
        image = leased.decode(latents)
    return image

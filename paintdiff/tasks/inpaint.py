"""Inpainting: repaint a part of a picture, and leave every other pixel as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image

import paintdiff.tasks.messages as messages
from paintdiff.errors import EngineError
from paintdiff.imaging.geometry import Box, Size, choose_working_size, size_for_area
from paintdiff.imaging.masks import (
    composite,
    count_changed_outside,
    fill_masked,
    scale_mask,
    spread_mask,
)
from paintdiff.jobs.requests import Inpaint
from paintdiff.models.inference.denoising_run import Repainting, Source
from paintdiff.tasks.canvas import Canvas, prepare_canvas
from paintdiff.tasks.controls import prepare_controls
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.resolve.sampling import (
    check_strength,
    resolve_sampling,
    resolve_size,
    warn_of_sampling,
)
from paintdiff.tasks.runs import build_runs, paint_runs
from paintdiff.tasks.steps import OnStep, Painted, Step
from paintdiff.tasks.task_context import TaskContext
from paintdiff.tasks.warnings import list_warnings as list_general_warnings

if TYPE_CHECKING:
    from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline

_NOTICED_ENLARGEMENT = 1.25


def resolve(request: Inpaint, context: ResolveContext) -> Inpaint:
    """Fill in the sampling settings and the working size.

    The pictures are decoded to check them. Raises RequestError, SizeError or UnknownNameError, with
    the field in `field`.
    """
    sampling = resolve_sampling(request, context.model)
    canvas = prepare_canvas(request, context.inputs)
    size = _resolve_size(request, canvas, context)
    resolved = request.model_copy(
        update={**sampling, "width": size.width, "height": size.height},
    )
    check_strength(resolved.strength, resolved.sampling().num_inference_steps)
    warn_of_sampling(request, resolved, context)
    _warn_of_canvas(resolved, canvas, context)
    return resolved


def _resolve_size(request: Inpaint, canvas: Canvas, context: ResolveContext) -> Size:
    """Return the working size, in pixels; warn if it was asked for and rounded."""
    row = context.model
    multiple = row.family.size_multiple
    width, height = request.width, request.height
    part = _find_padded_reach(request, canvas).size
    if width is not None or height is not None:  # a side left open follows the part's proportions
        width = width or max(1, round((height or 1) * part.width / part.height))
        height = height or max(1, round(width * part.height / part.width))
        return resolve_size(width, height, context)
    if request.only_masked:
        return size_for_area(part, row.native_size.area, multiple)
    return choose_working_size(part, row.native_size, multiple)


def _warn_of_canvas(resolved: Inpaint, canvas: Canvas, context: ResolveContext) -> None:
    size = resolved.sampling().size
    if canvas.blank:
        context.warn(messages.BLANK_CANVAS)
    elif canvas.covered:
        context.warn(messages.MASK_COVERS_EVERYTHING)
    part = _find_box(resolved, canvas).size
    if resolved.strength and part.width > size.width * _NOTICED_ENLARGEMENT:
        context.warn(_describe_softness(resolved, canvas, part, size))
    content = resolved.masked_content
    if not resolved.strength and content in ("noise", "empty"):
        context.warn(messages.content_without_effect_at_zero(content))
    if resolved.strength == 1:
        if content != "original":
            context.warn(messages.content_without_effect_at_one(content))
        if resolved.sketch is not None:
            context.warn(messages.SKETCH_WITHOUT_EFFECT)


def _describe_softness(resolved: Inpaint, canvas: Canvas, part: Size, size: Size) -> str:
    """Return a warning that the painted part has been enlarged, and what to do about it."""
    if canvas.blank:
        return messages.soft_picture(size, part)
    return messages.soft_area(part, size, only_masked=resolved.only_masked)


def list_warnings(request: Inpaint, leased: LeasedPipeline) -> tuple[str, ...]:
    """Return the warnings that need the loaded model."""
    sentences = list_general_warnings(request, leased)
    if request.soft and leased.sees_masks:
        sentences += (messages.soft_inpainting_without_effect(leased.row.title),)
    return sentences


def paint(
    request: Inpaint, leased: LeasedPipeline, tools: TaskContext, on_step: OnStep
) -> Iterator[Painted]:
    """Yield the pictures one by one, each with the notes that `_check` makes.

    Errors from `tools` and `on_step` pass through unchanged. Raises EngineError if a pixel outside
    the mask would change.
    """
    canvas = prepare_canvas(request, tools.inputs)
    if not request.strength:
        whole = Box(0, 0, canvas.size.width, canvas.size.height)
        content = _make_content(request, canvas, whole, canvas.size)
        result = composite(canvas.original, content, canvas.weight)
        for _ in range(request.num_images):
            yield _check(result.copy(), canvas, messages.NOTHING_PAINTED)
        return
    box, size = _find_box(request, canvas), request.sampling().size
    source = _make_source(request, canvas, box, size, request.soft and not leased.sees_masks)
    controls = prepare_controls(request, tools, canvas.size, box)
    channels = leased.row.family.latent_channels
    if leased.sees_masks:
        method = messages.painted_by_inpainting_model(2 * channels + 1)
    else:
        blended = _keeps_pixels(canvas)
        method = messages.painted_by_general_model(channels, blended=blended)
    runs = build_runs(request, tools, source, controls)
    if tools.every_step:
        on_step = _show_on_canvas(on_step, canvas, box)
    for part in paint_runs(runs, leased, tools, on_step):
        checked = _check(_paste(part.image, canvas, box), canvas, method)
        yield replace(checked, engine=part.engine)


def _find_padded_reach(request: Inpaint, canvas: Canvas) -> Box:
    if not request.only_masked:
        return Box(0, 0, canvas.size.width, canvas.size.height)
    return canvas.reach.pad(request.padding_px, canvas.size)


def _find_box(resolved: Inpaint, canvas: Canvas) -> Box:
    """Return the part of the canvas that is painted at the working size."""
    return _find_padded_reach(resolved, canvas).grow_to_aspect(
        resolved.sampling().size, canvas.size
    )


def _make_content(request: Inpaint, canvas: Canvas, box: Box, size: Size) -> Image.Image:
    """Return the picture in `box` with the sketch's strokes, at `size`.

    Parts that outpainting has added, or that should be filled, have the colours around them.
    """
    content = scale_mask(canvas.content, box, size)
    if canvas.added is not None:
        content = fill_masked(content, spread_mask(canvas.added, box, size))
    if request.masked_content != "fill":
        return content
    unknown = spread_mask(canvas.mask, box, size)
    if canvas.strokes is not None:
        unknown.paste(0, mask=spread_mask(canvas.strokes, box, size))
    return fill_masked(content, unknown)


def _make_source(request: Inpaint, canvas: Canvas, box: Box, size: Size, soft: bool) -> Source:
    """Return the run's source, at the working size."""
    content = _make_content(request, canvas, box, size)
    mask = spread_mask(canvas.mask, box, size)
    strokes = spread_mask(canvas.strokes, box, size) if canvas.strokes is not None else None
    latent_content = request.masked_content if request.masked_content != "fill" else "original"
    return Source(
        content,
        request.strength,
        Repainting(
            scale_mask(canvas.weight, box, size) if soft else mask,
            soft,
            latent_content,
            strokes,
        ),
    )


def _paste(part: Image.Image, canvas: Canvas, box: Box) -> Image.Image:
    """Return the canvas with the painted part (RGB, the working size) blended in by the weight."""
    around = canvas.original.copy()
    whole = Box(0, 0, part.width, part.height)
    around.paste(scale_mask(part, whole, box.size), box.corners)
    return composite(canvas.original, around, canvas.weight)


def _show_on_canvas(on_step: OnStep, canvas: Canvas, box: Box) -> OnStep:
    def show(step: Step) -> None:
        seen = step.preview
        on_step(step if seen is None else replace(step, preview=_paste(seen, canvas, box)))

    return show


def _check(result: Image.Image, canvas: Canvas, method: str) -> Painted:
    """Compare the result with the original, and return it with its notes."""
    changed = count_changed_outside(canvas.original, result, canvas.weight)
    if changed:
        raise EngineError(messages.changed_outside(changed))
    notes = (messages.NOTHING_CHANGED_OUTSIDE, method) if _keeps_pixels(canvas) else (method,)
    return Painted(result, notes)


def _keeps_pixels(canvas: Canvas) -> bool:
    """Return whether there are pixels outside the mask."""
    return canvas.weight.getextrema()[0] == 0

"""Inpainting: repaint a part of a picture, and leave every other pixel as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image

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
from paintdiff.tasks.steps import UNCHANGED, OnStep, Painted
from paintdiff.tasks.task_context import TaskContext
from paintdiff.tasks.warnings import list_warnings as list_general_warnings

if TYPE_CHECKING:
    from paintdiff.models.inference.leased_pipeline import LeasedPipeline

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
        context.warn(
            "The canvas is blank, so the whole picture is painted with your strokes as a "
            "guide. To paint only part of it, add a mask."
        )
    elif canvas.covered:
        context.warn("The mask covers every pixel, so the whole picture is repainted.")
    part = _find_box(resolved, canvas).size
    if resolved.strength and part.width > size.width * _NOTICED_ENLARGEMENT:
        context.warn(_describe_softness(resolved, canvas, part, size))
    content = f"masked content ({resolved.masked_content})"
    if not resolved.strength and resolved.masked_content in ("noise", "empty"):
        context.warn(f"The {content} had no effect at a strength of 0.")
    if resolved.strength == 1:
        for what, given in (
            (content, resolved.masked_content != "original"),
            ("sketch's colours", resolved.sketch is not None),
        ):
            if given:
                context.warn(f"The {what} had no effect: a strength of 1 starts from noise alone.")


def _describe_softness(resolved: Inpaint, canvas: Canvas, part: Size, size: Size) -> str:
    """Return a warning that the painted part has been enlarged, and what to do about it."""
    if canvas.blank:
        return (
            f"The picture was painted at {size} and enlarged to {part}, so it is soft. For a "
            f"sharper one start from a canvas of {size} and upscale when done."
        )
    advice = "" if resolved.only_masked else " To keep more detail, paint only the masked part."
    return (
        f"An area of {part} was painted at {size} and enlarged, so it is less sharp than the "
        f"rest.{advice}"
    )


def list_warnings(request: Inpaint, leased: LeasedPipeline) -> tuple[str, ...]:
    """Return the warnings that need the loaded model."""
    sentences = list_general_warnings(request, leased)
    if request.soft and leased.sees_masks:
        sentences += (
            f"{leased.row.title} is an inpainting model, so soft inpainting had no effect while "
            "painting; a grey mask only blended the result.",
        )
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
            yield _check(result.copy(), canvas, UNCHANGED)
        return
    box, size = _find_box(request, canvas), request.sampling().size
    source = _make_source(request, canvas, box, size, request.soft and not leased.sees_masks)
    controls = prepare_controls(request, tools, canvas.size, box)
    channels = leased.row.family.latent_channels
    if leased.sees_masks:
        method = f"Painted with an inpainting model ({2 * channels + 1} channels)."
    else:
        blended = (
            ": the unmasked part was blended in at every step" if _keeps_pixels(canvas) else ""
        )
        method = f"Painted with a general model ({channels} channels){blended}."
    runs = build_runs(request, tools, source, controls)
    for part in paint_runs(runs, leased, tools, on_step):
        checked = _check(_paste(part.image, canvas, box), canvas, method)
        yield replace(checked, engine=part.engine)


def _find_padded_reach(request: Inpaint, canvas: Canvas) -> Box:
    if not request.only_masked:
        return Box(0, 0, canvas.size.width, canvas.size.height)
    return canvas.reach.padded(request.padding_px, canvas.size)


def _find_box(resolved: Inpaint, canvas: Canvas) -> Box:
    """Return the part of the canvas that is painted at the working size."""
    return _find_padded_reach(resolved, canvas).grown_to_aspect(
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


def _check(result: Image.Image, canvas: Canvas, method: str) -> Painted:
    """Compare the result with the original, and return it with its notes."""
    changed = count_changed_outside(canvas.original, result, canvas.weight)
    if changed:
        raise EngineError(
            f"{changed:,} pixels outside the mask would have changed, so the picture was "
            "discarded. This is a bug in the app: please report it with your settings."
        )
    compared = "0 pixels changed outside the mask (all were compared)."
    return Painted(result, (compared, method) if _keeps_pixels(canvas) else (method,))


def _keeps_pixels(canvas: Canvas) -> bool:
    """Return whether there are pixels outside the mask."""
    return canvas.weight.getextrema()[0] == 0

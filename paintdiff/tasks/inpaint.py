"""Repainting a part of a picture, and not one pixel more."""

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
from paintdiff.tasks.resolve.sampling import check_strength, resolve_sampling, resolve_size
from paintdiff.tasks.runs import build_run, paint_run
from paintdiff.tasks.steps import UNCHANGED, OnStep, Painted
from paintdiff.tasks.task_context import TaskContext
from paintdiff.tasks.warnings import list_warnings as remarks_on_words

if TYPE_CHECKING:
    from paintdiff.models.inference.leased_pipeline import LeasedPipeline
    from paintdiff.models.registry.model_rows import ModelRow

_NOTICED_ENLARGEMENT = 1.25


def resolve(request: Inpaint, row: ModelRow) -> tuple[Inpaint, tuple[str, ...]]:
    """Fill every None. Returns the settled request and what a person should know about it.

    The pictures are decoded to be sure of them. Raises RequestError, SizeError or UnknownNameError,
    with the field in `field`.
    """
    sampling, warnings = resolve_sampling(request, row)
    canvas = prepare_canvas(request)
    size, size_warnings = _settled_size(request, canvas, row)
    settled = request.model_copy(
        update={**sampling, "width": size.width, "height": size.height},
    )
    check_strength(settled.strength, settled.sampling().num_inference_steps)
    return settled, size_warnings + warnings + _warnings(settled, canvas)


def _settled_size(request: Inpaint, canvas: Canvas, row: ModelRow) -> tuple[Size, tuple[str, ...]]:
    """The working size: in pixels, and with its warning if it was asked for and rounded."""
    multiple = row.family.size_multiple
    width, height = request.width, request.height
    part = _padded_reach(request, canvas).size
    if width is not None or height is not None:  # a side left open follows the part's proportions
        width = width or max(1, round((height or 1) * part.width / part.height))
        height = height or max(1, round(width * part.height / part.width))
        return resolve_size(width, height, row)
    if request.only_masked:
        return size_for_area(part, row.native_size.area, multiple), ()
    return choose_working_size(part, row.native_size, multiple), ()


def _warnings(settled: Inpaint, canvas: Canvas) -> tuple[str, ...]:
    warnings: list[str] = []
    size = settled.sampling().size
    if canvas.blank:
        warnings.append(
            "The canvas is blank, so the whole picture is painted with your strokes as a "
            "guide. To paint only part of it, add a mask."
        )
    elif canvas.covered:
        warnings.append("The mask covers every pixel, so the whole picture is repainted.")
    part = _box(settled, canvas).size
    if settled.strength and part.width > size.width * _NOTICED_ENLARGEMENT:
        warnings.append(_softness(settled, canvas, part, size))
    if not settled.strength and settled.masked_content in ("noise", "empty"):
        warnings.append(
            f"The masked content ({settled.masked_content}) had no effect at a strength of 0."
        )
    if settled.strength == 1:
        for what, given in (
            (f"masked content ({settled.masked_content})", settled.masked_content != "original"),
            ("sketch's colours", settled.sketch is not None),
        ):
            if given:
                warnings.append(
                    f"The {what} had no effect: a strength of 1 starts from noise alone."
                )
    return tuple(warnings)


def _softness(settled: Inpaint, canvas: Canvas, part: Size, size: Size) -> str:
    """Say that what was painted has been enlarged, and what to do about it."""
    if canvas.blank:
        return (
            f"The picture was painted at {size} and enlarged to {part}, so it is soft. For a "
            f"sharper one start from a canvas of {size} and upscale when done."
        )
    advice = "" if settled.only_masked else " To keep more detail, paint only the masked part."
    return (
        f"An area of {part} was painted at {size} and enlarged, so it is less sharp than the "
        f"rest.{advice}"
    )


def list_warnings(request: Inpaint, leased: LeasedPipeline) -> tuple[str, ...]:
    """What the model can't make of the request, as sentences for people."""
    sentences = remarks_on_words(request, leased)
    if request.soft and leased.sees_masks:
        sentences += (
            f"{leased.row.title} is an inpainting model, so soft inpainting had no effect while "
            "painting; a grey mask only blended the result.",
        )
    return sentences


def paint(
    request: Inpaint, leased: LeasedPipeline, tools: TaskContext, on_step: OnStep
) -> Iterator[Painted]:
    """Yield the pictures one by one, each with the notes that `_checked` makes.

    What `tools` and `on_step` raise comes out unchanged. Raises EngineError if a pixel outside
    the mask were to change.
    """
    canvas = prepare_canvas(request)
    if not request.strength:
        whole = Box(0, 0, canvas.size.width, canvas.size.height)
        content = _content(request, canvas, whole, canvas.size)
        result = composite(canvas.original, content, canvas.weight)
        for _ in range(request.num_images):
            yield _checked(result.copy(), canvas, UNCHANGED)
        return
    box, size = _box(request, canvas), request.sampling().size
    source = _source(request, canvas, box, size, request.soft and not leased.sees_masks)
    controls = prepare_controls(request, tools.make_map, canvas.size, box)
    channels = leased.row.family.latent_channels
    if leased.sees_masks:
        method = f"Painted with an inpainting model ({2 * channels + 1} channels)."
    else:
        blended = ": the unmasked part was blended in at every step" if _leaves_some(canvas) else ""
        method = f"Painted with a general model ({channels} channels){blended}."
    runs = [
        build_run(request.for_image(index), source, controls) for index in range(request.num_images)
    ]
    for part in paint_run(runs, leased, tools, on_step):
        checked = _checked(_pasted(part.image, canvas, box), canvas, method)
        yield replace(checked, engine=part.engine)


def _padded_reach(request: Inpaint, canvas: Canvas) -> Box:
    if not request.only_masked:
        return Box(0, 0, canvas.size.width, canvas.size.height)
    return canvas.reach.padded(request.padding_px, canvas.size)


def _box(settled: Inpaint, canvas: Canvas) -> Box:
    """The part of the canvas that is painted on, at the working size."""
    return _padded_reach(settled, canvas).grown_to_aspect(settled.sampling().size, canvas.size)


def _content(request: Inpaint, canvas: Canvas, box: Box, size: Size) -> Image.Image:
    """The picture in `box` with the sketch's strokes, at `size`: what is new in it, or should be
    filled, has the colours around it.
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


def _source(request: Inpaint, canvas: Canvas, box: Box, size: Size, soft: bool) -> Source:
    """What the run starts from, at the working size."""
    content = _content(request, canvas, box, size)
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


def _pasted(part: Image.Image, canvas: Canvas, box: Box) -> Image.Image:
    """The painted part (RGB, the working size) in its place, the original over it by the weight."""
    around = canvas.original.copy()
    whole = Box(0, 0, part.width, part.height)
    around.paste(scale_mask(part, whole, box.size), box.corners)
    return composite(canvas.original, around, canvas.weight)


def _checked(result: Image.Image, canvas: Canvas, method: str) -> Painted:
    """The result with its notes, once it has been compared with the original."""
    changed = count_changed_outside(canvas.original, result, canvas.weight)
    if changed:
        raise EngineError(
            f"{changed:,} pixels outside the mask would have changed, so the picture was "
            "discarded. This is a bug in the app: please report it with your settings."
        )
    compared = "0 pixels changed outside the mask (all were compared)."
    return Painted(result, (compared, method) if _leaves_some(canvas) else (method,))


def _leaves_some(canvas: Canvas) -> bool:
    """Return whether there are pixels outside the mask."""
    return canvas.weight.getextrema()[0] == 0

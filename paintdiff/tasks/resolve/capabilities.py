"""Limits of a model's family: an error if a request asks for something it can't do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.requests import ImageToImage, PaintingRequest, TextToImage
from paintdiff.models.tiling.windows import LARGEST_SEEN_AT_ONCE
from paintdiff.tasks.resolve import messages
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.resolve.hires import compute_hires_size

if TYPE_CHECKING:
    from paintdiff.models.registry.model_rows import ModelRow

_SECOND_PASS = "image_to_image"


def check_capabilities(request: PaintingRequest, task: str, row: ModelRow) -> None:
    """Raise RequestError, with the field in `field`, for what the model's family can't do.

    That may be the task, a hires fix, ControlNets, or painting in windows.
    """
    family = row.family
    if task not in family.pipelines:
        able = ", ".join(each.replace("_", " ") for each in family.pipelines)
        raise RequestError(
            messages.task_not_supported(row.title, family.title, task.replace("_", " "), able),
            field="model",
        )
    if request.controls and not family.supports_controlnets:
        raise RequestError(
            messages.controlnets_not_supported(row.title, family.title),
            field="controls.0.controlnet",
        )
    hires = request.hires if isinstance(request, TextToImage) else None
    if hires is not None and _SECOND_PASS not in family.pipelines:
        raise RequestError(
            messages.hires_not_supported(row.title, family.title),
            field="hires",
        )
    for tiled, field in (
        (hires is not None and hires.tiled, "hires.tiled"),
        (isinstance(request, ImageToImage) and request.tiled, "tiled"),
    ):
        if tiled and not family.supports_windows:
            raise RequestError(
                messages.windows_not_supported(row.title, family.title),
                field=field,
            )


def warn_of_whole_passes(request: PaintingRequest, context: ResolveContext) -> None:
    """Warn if a picture much larger than the native size is painted as a whole.

    `request` is resolved. Such a picture is painted in windows where the family supports it.
    """
    row = context.model
    if row.family.supports_windows or not isinstance(request, (TextToImage, ImageToImage)):
        return
    size: Size = request.sampling().size
    if isinstance(request, TextToImage):
        if request.hires is None:
            return
        size = compute_hires_size(size, request.hires.scale, row)
    if size.area > LARGEST_SEEN_AT_ONCE * row.native_size.area:
        context.warn(messages.subject_may_repeat(size, row.native_size, row.title))

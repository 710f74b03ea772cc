"""Limits of a model's family: an error if a request asks for something it can't do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.requests import ImageToImage, PaintingRequest, TextToImage
from paintdiff.models.tiling.windows import LARGEST_SEEN_AT_ONCE
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
            f"{row.title} ({family.title}) can't do {task.replace('_', ' ')}, only {able}. "
            "Choose another model.",
            field="model",
        )
    if request.controls and not family.supports_controlnets:
        raise RequestError(
            f"{row.title} ({family.title}) doesn't support ControlNets. Leave them out, or "
            "choose another model.",
            field="controls.0.controlnet",
        )
    hires = request.hires if isinstance(request, TextToImage) else None
    if hires is not None and _SECOND_PASS not in family.pipelines:
        raise RequestError(
            f"{row.title} ({family.title}) doesn't support the hires fix, because it has no "
            "image to image. Upscale the result instead.",
            field="hires",
        )
    for tiled, field in (
        (hires is not None and hires.tiled, "hires.tiled"),
        (isinstance(request, ImageToImage) and request.tiled, "tiled"),
    ):
        if tiled and not family.supports_windows:
            raise RequestError(
                f"{row.title} ({family.title}) can't paint in windows. Turn tiling off.",
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
        context.warn(
            f"{size} is much larger than {row.native_size}, the native size of {row.title}, so the "
            "subject may be repeated."
        )

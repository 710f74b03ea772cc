"""Upscaling of the finished picture: its upscaler and face restorer. Loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.imaging.geometry import Size, scale_size
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import Inpaint, PaintingRequest, TextToImage
from paintdiff.models.registry.face_restorer_rows import (
    DETECTOR_FOLDERS,
    FACE_FOLDERS,
    FaceRestorerRow,
)
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.tasks.resolve import messages
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.resolve.hires import compute_hires_size

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.model_rows import ModelRow

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def resolve_postprocessing(request: PaintingT, context: ResolveContext) -> PaintingT:
    """Fill in the upscaling of a request whose sampling and hires fix are resolved.

    Raises RequestError, SizeError or UnknownNameError, with the field in `field`. (An inpainted
    picture is as large as the input, which isn't checked here: `finish_picture` does it.)
    """
    if request.upscaling is None:
        return request
    upscaling = resolve_upscaling(request.upscaling, context.catalog)
    if not isinstance(request, Inpaint):
        size = _compute_painted_size(request, context.model)
        scale_size(size, upscaling.scale, "upscaling.scale")
    return request.model_copy(update={"upscaling": upscaling})


def resolve_upscaling(upscaling: Upscaling, catalog: Catalog) -> Upscaling:
    """Return the upscaling with an upscaler that exists: the first if none was asked for.

    Raises UnknownNameError, or RequestError if there is no upscaler, for "upscaling.upscaler"; and
    the same for "upscaling.face_restorer", if one was asked for.
    """
    restorer = upscaling.face_restorer
    if restorer is not None:
        restorer = _resolve_face_restorer(restorer, catalog)
    field = "upscaling.upscaler"
    if upscaling.upscaler is None:
        row = next(iter(catalog.rows(UpscalerRow)), None)
        if row is None:
            raise RequestError(
                messages.NO_UPSCALER,
                field=field,
            )
    else:
        try:
            row = catalog.find(UpscalerRow, upscaling.upscaler)
        except UnknownNameError as error:
            raise error.at(field) from error
    return upscaling.model_copy(update={"upscaler": row.name, "face_restorer": restorer})


def _resolve_face_restorer(name: str, catalog: Catalog) -> str:
    field = "upscaling.face_restorer"
    try:
        row = catalog.find(FaceRestorerRow, name)
    except UnknownNameError as error:
        raise error.at(
            field,
            messages.face_restorers_belong_in(FACE_FOLDERS[0]),
        ) from error
    if row.detector is None:
        raise RequestError(
            messages.no_face_detector(row.title, DETECTOR_FOLDERS[0]),
            field=field,
        )
    return row.name


def _compute_painted_size(request: PaintingRequest, model: ModelRow) -> Size:
    size = request.sampling().size
    if isinstance(request, TextToImage) and request.hires is not None:
        return compute_hires_size(size, request.hires.scale, model)
    return size

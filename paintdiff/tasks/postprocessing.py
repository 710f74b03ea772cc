"""What happens to a picture once it is painted: it may be enlarged."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from paintdiff.errors import RequestError, UnknownNameError
from paintdiff.imaging.geometry import Size, scale_size
from paintdiff.imaging.images import image_size
from paintdiff.jobs.request_parts import LATENT_UPSCALER, Upscaling
from paintdiff.jobs.requests import Inpaint, PaintingRequest, TextToImage
from paintdiff.models.registry.face_restorer_rows import (
    DETECTOR_FOLDERS,
    FACE_FOLDERS,
    FaceRestorerRow,
)
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.tasks.resolve.hires import compute_hires_size
from paintdiff.tasks.upscaling import Enlarged, Extras, count_pixels, upscale_raster

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.upscaling.upscaler import LeasedUpscaler
    from paintdiff.tasks.faces import FaceRestoration
    from paintdiff.tasks.steps import OnStep, Painted

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)


def resolve_upscaling(upscaling: Upscaling, catalog: Catalog) -> Upscaling:
    """With the name of an upscaler that is there, the first if none was asked for.

    Raises UnknownNameError, or RequestError if there is none at all, for "upscaling.upscaler"; and
    the same for "upscaling.face_restorer", if one was asked for.
    """
    restorer = upscaling.face_restorer
    if restorer is not None:
        restorer = _settled_face_restorer(restorer, catalog)
    field = "upscaling.upscaler"
    if upscaling.upscaler is None:
        row = next(iter(catalog.rows(UpscalerRow)), None)
        if row is None:
            raise RequestError(
                "No upscaler found. Put one in the folder upscale_models of a models folder.",
                field=field,
            )
    else:
        try:
            row = catalog.find(UpscalerRow, upscaling.upscaler)
        except UnknownNameError as error:
            raise error.at(field) from error
    return upscaling.model_copy(update={"upscaler": row.name, "face_restorer": restorer})


def _settled_face_restorer(name: str, catalog: Catalog) -> str:
    field = "upscaling.face_restorer"
    try:
        row = catalog.find(FaceRestorerRow, name)
    except UnknownNameError as error:
        raise error.at(
            field,
            f"Put face restorers, such as GFPGANv1.4.pth, in the folder {FACE_FOLDERS[0]} of a "
            "models folder.",
        ) from error
    if row.detector is None:
        raise RequestError(
            f"{row.title} needs a face detector: put YuNet's face_detection_yunet_2023mar.onnx "
            f"in the folder {DETECTOR_FOLDERS[0]} of a models folder.",
            field=field,
        )
    return row.name


def resolve_postprocessing(settled: PaintingT, catalog: Catalog) -> PaintingT:
    """The settled request with nothing left open in its upscaling; as it is if it has none.

    Raises RequestError, SizeError or UnknownNameError, with the field in `field`. (What inpainting
    will give is as large as its picture, which isn't known here: see `finish_picture`.)
    """
    if settled.upscaling is None:
        return settled
    upscaling = resolve_upscaling(settled.upscaling, catalog)
    if not isinstance(settled, Inpaint):
        scale_size(_painted_size(settled, catalog), upscaling.scale, "upscaling.scale")
    return settled.model_copy(update={"upscaling": upscaling})


def _painted_size(settled: PaintingRequest, catalog: Catalog) -> Size:
    size = settled.sampling().size
    if isinstance(settled, TextToImage) and settled.hires is not None:
        return compute_hires_size(size, settled.hires.scale, catalog.find(ModelRow, settled.model))
    return size


def find_upscalers(settled: PaintingRequest) -> tuple[str, ...]:
    """The names of the upscalers that a settled request needs."""
    names = [settled.upscaling.upscaler if settled.upscaling is not None else None]
    if isinstance(settled, TextToImage) and settled.hires is not None:
        names.append(settled.hires.upscaler)
    return tuple(
        dict.fromkeys(name for name in names if name is not None and name != LATENT_UPSCALER)
    )


def finish_picture(
    painted: Painted,
    upscaling: Upscaling,
    upscaler: LeasedUpscaler,
    on_step: OnStep,
    index: int,
    faces: FaceRestoration | None = None,
) -> Enlarged:
    """The painted picture, enlarged; it is picture `index` of its job. The notes are of both.

    What `on_step` raises comes out unchanged. Raises SizeError, ModelError or StorageError.
    """
    target = scale_size(image_size(painted.image), upscaling.scale, "upscaling.scale")
    extras = Extras(upscaling.tile_px, faces)
    made = upscale_raster(count_pixels(painted.image), target, upscaler, on_step, index, extras)
    return Enlarged(made.raster, painted.notes + made.notes)


def upscale_image(
    image: Image.Image, target: Size, upscaler: LeasedUpscaler, on_step: OnStep, index: int
) -> Image.Image:
    """A picture (RGB) at a larger size, for what is painted over it. Tells and raises what
    `upscale_raster` does.
    """
    return upscale_raster(count_pixels(image), target, upscaler, on_step, index).raster.image()

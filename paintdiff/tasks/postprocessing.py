"""Enlarge a picture once it is painted, if its request asks for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paintdiff.imaging.geometry import Size, scale_size
from paintdiff.imaging.images import image_size
from paintdiff.jobs.request_parts import LATENT_UPSCALER, Upscaling
from paintdiff.jobs.requests import PaintingRequest, TextToImage
from paintdiff.tasks.upscaling import Enlarged, Extras, image_to_array, upscale_raster

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.models.upscaling.upscaler import LeasedUpscaler
    from paintdiff.tasks.faces import FaceRestoration
    from paintdiff.tasks.steps import OnStep, Painted


def find_upscalers(resolved: PaintingRequest) -> tuple[str, ...]:
    """Return the names of the upscalers that a resolved request needs."""
    names = [resolved.upscaling.upscaler if resolved.upscaling is not None else None]
    if isinstance(resolved, TextToImage) and resolved.hires is not None:
        names.append(resolved.hires.upscaler)
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
    """Enlarge picture `index` of a job. Its notes are followed by those about the upscaling.

    Errors from `on_step` pass through unchanged. Raises SizeError, ModelError or StorageError.
    """
    target = scale_size(image_size(painted.image), upscaling.scale, "upscaling.scale")
    extras = Extras(upscaling.tile_px, faces)
    made = upscale_raster(image_to_array(painted.image), target, upscaler, on_step, index, extras)
    return Enlarged(made.raster, painted.notes + made.notes)


def upscale_image(
    image: Image.Image, target: Size, upscaler: LeasedUpscaler, on_step: OnStep, index: int
) -> Image.Image:
    """Return a picture (RGB) at a larger size, to be painted over.

    Reports and raises what `upscale_raster` does.
    """
    return upscale_raster(image_to_array(image), target, upscaler, on_step, index).raster.image()

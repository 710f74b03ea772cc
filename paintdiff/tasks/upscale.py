"""Upscaling: enlarge the pictures of a request."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paintdiff.tasks.messages as messages
from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size, scale_size
from paintdiff.imaging.images import decode_pixels
from paintdiff.imaging.rasters import Pixels
from paintdiff.jobs.requests import Upscale
from paintdiff.tasks.decoded_inputs import read_input_bytes
from paintdiff.tasks.resolve.postprocessing import resolve_upscaling
from paintdiff.tasks.steps import OnStep
from paintdiff.tasks.upscaling import Enlarged, Extras, upscale_raster

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.upscaling.upscaler import LeasedUpscaler
    from paintdiff.tasks.faces import FaceRestoration


def resolve(request: Upscale, catalog: Catalog) -> Upscale:
    """Fill in the upscaler and the face restorer.

    The pictures are decoded to check them, and dropped: there may be many. Raises RequestError,
    SizeError or UnknownNameError, with the field in `field`, such as "images.2".
    """
    upscaling = resolve_upscaling(request.upscaling, catalog)
    for index, image in enumerate(request.images):
        with _name_picture(request, index) as field:
            pixels, _profile = decode_pixels(read_input_bytes(image, field), field)
            scale_size(_get_size(pixels), upscaling.scale, field)
    return request.model_copy(update={"upscaling": upscaling})


def enlarge(
    request: Upscale,
    upscaler: LeasedUpscaler,
    on_step: OnStep,
    faces: FaceRestoration | None = None,
    first: int = 0,
) -> Generator[Enlarged]:
    """Yield the larger pictures one by one, from number `first` on.

    The steps count from that one, too. Errors from `on_step` pass through unchanged.
    """
    upscaling = request.upscaling
    extras = Extras(upscaling.tile_px, faces)
    for index, image in enumerate(request.images[first:], first):
        with _name_picture(request, index) as field:
            pixels, profile = decode_pixels(read_input_bytes(image, field), field)
            target = scale_size(_get_size(pixels), upscaling.scale, field)
        made = upscale_raster(pixels, target, upscaler, on_step, index - first, extras)
        made.raster.icc_profile = profile
        yield made


@contextmanager
def _name_picture(request: Upscale, index: int) -> Generator[str]:
    """Yield the field of picture `index`; with several pictures, say in errors which it is."""
    field = f"images.{index}"
    try:
        yield field
    except RequestError as error:
        if request.num_images == 1:
            raise
        raise type(error)(messages.of_picture(index + 1, error), field=field) from error


def _get_size(pixels: Pixels) -> Size:
    return Size(pixels.shape[1], pixels.shape[0])

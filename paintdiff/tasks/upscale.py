"""From pictures to larger ones."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from paintdiff.errors import RequestError
from paintdiff.geometry import Size, upscaled_size
from paintdiff.images import decoded_pixels
from paintdiff.rasters import Pixels
from paintdiff.requests import Upscale
from paintdiff.tasks.enlarging import Enlarged, Extras, enlarged
from paintdiff.tasks.finishing import settled_upscaling
from paintdiff.tasks.pictures import bytes_of
from paintdiff.tasks.steps import OnStep

if TYPE_CHECKING:
    from paintdiff.models.catalog import Catalog
    from paintdiff.models.upscaling import LeasedUpscaler
    from paintdiff.tasks.faces import FaceRestoration


def settle(request: Upscale, catalog: Catalog) -> tuple[Upscale, tuple[str, ...]]:
    """Fill every None. Returns the settled request and what a person should know about it.

    The pictures are decoded to be sure of them; nothing is loaded. Raises RequestError, SizeError
    or UnknownNameError, with the field in `field`, such as "images.2".
    """
    upscaling = settled_upscaling(request.upscaling, catalog)
    for index, image in enumerate(request.images):
        with _told_which(request, index) as field:
            pixels, _profile = decoded_pixels(bytes_of(image, field), field)
            upscaled_size(_size_of(pixels), upscaling.scale, field)
    return request.model_copy(update={"upscaling": upscaling}), ()


def enlarge(
    request: Upscale,
    upscaler: LeasedUpscaler,
    on_step: OnStep,
    faces: FaceRestoration | None = None,
) -> Generator[Enlarged]:
    """Yield the larger pictures one by one. What `on_step` raises comes out unchanged."""
    upscaling = request.upscaling
    extras = Extras(upscaling.tile_px, faces)
    for index, image in enumerate(request.images):
        with _told_which(request, index) as field:
            pixels, profile = decoded_pixels(bytes_of(image, field), field)
            target = upscaled_size(_size_of(pixels), upscaling.scale, field)
        made = enlarged(pixels, target, upscaler, on_step, index, extras)
        made.raster.icc_profile = profile
        yield made


@contextmanager
def _told_which(request: Upscale, index: int) -> Generator[str]:
    """Yields the field of picture `index`; errors of it say which it is, if there are several."""
    field = f"images.{index}"
    try:
        yield field
    except RequestError as error:
        if request.num_images == 1:
            raise
        raise type(error)(f"Picture {index + 1}: {error}", field=field) from error


def _size_of(pixels: Pixels) -> Size:
    return Size(pixels.shape[1], pixels.shape[0])

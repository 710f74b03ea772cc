"""Descriptions, sizes and files of pictures on the page."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.imaging.colour import convert_to_srgb
from paintdiff.imaging.geometry import Size, scale_size
from paintdiff.imaging.images import flatten_image, read_header
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import Grid, Request, TextToImage, Upscale
from paintdiff.ui.common import messages

if TYPE_CHECKING:
    from paintdiff.jobs.job import Job

MAX_SHOWN_PX = 4096
"""Longest side, in pixels, of a picture shown in the browser.

Larger pictures are shown reduced; the file to download is always full size.
"""

_GROUND = "#ffffff"


def alt_text(request: Request) -> str:
    """Return the alternative text of a picture made from a request."""
    if isinstance(request, Upscale):
        return messages.upscaled_times(request.upscaling.scale)
    if isinstance(request, Grid):
        return messages.sheet_of(request.base.prompt)
    return request.prompt or messages.WITHOUT_PROMPT


def file_name(picture: Picture, index: int) -> str:
    """Return the name of a picture's file for downloads."""
    request = picture.request
    if isinstance(request, Upscale):
        return f"paintdiffusion-upscaled-{index + 1}.png"
    if isinstance(request, Grid):
        return f"paintdiffusion-grid-{request.base.seed}.png"
    return f"paintdiffusion-{request.seed}.png"


def is_enlarged(request: Request) -> bool:
    """Return whether a picture is worth comparing: it was made larger than at first."""
    if isinstance(request, Grid):
        return False
    if isinstance(request, Upscale):
        return True
    hires = isinstance(request, TextToImage) and request.hires is not None
    return hires or request.upscaling is not None


def is_too_large_to_show(picture: Picture) -> bool:
    """Return whether the browser gets a reduced copy."""
    return max(picture.size.width, picture.size.height) > MAX_SHOWN_PX


def size_of_result(job: Job, index: int = 0) -> Size:
    """Return the size, in pixels, of a job's picture number `index` before it exists.

    If the picture is processed after painting, at least the proportions are right.
    """
    request = job.request
    if isinstance(request, Grid):
        return job.cells[min(index, len(job.cells) - 1)].request.sampling().size
    if not isinstance(request, Upscale):
        return request.sampling().size
    source = size_of_input(request.images[min(index, len(request.images) - 1)])
    return scale_size(source or Size(1, 1), request.upscaling.scale)


def original_picture(job: Job, index: int) -> InputImage | None:
    """Return the picture that picture `index` of a job was enlarged from; None if unknown."""
    request = job.request
    if not isinstance(request, Upscale) or not 0 <= index < len(request.images):
        return None
    original = request.images[index]
    return original if original.data is not None else None


def size_of_input(picture: InputImage) -> Size | None:
    """Return a picture's size after EXIF orientation; None if its bytes are gone."""
    return None if picture.data is None else read_header(picture.data).size


def encode_png(image: Image.Image) -> bytes:
    """Encode a picture as a PNG in its own mode."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def encode_small_jpeg(image: Image.Image, longest_px: int) -> bytes:
    """Encode a picture (L, LA, RGB or RGBA) as a small sRGB JPEG; transparency becomes white."""
    small = image.copy()
    small.thumbnail((longest_px, longest_px))
    rgb = flatten_image(convert_to_srgb(small, image.info.get("icc_profile")), _GROUND)
    buffer = io.BytesIO()
    rgb.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def find_saved_file(picture: Picture) -> Path | None:
    """Return the path of the full-size PNG, if it exists."""
    return picture.path if picture.path is not None and picture.path.is_file() else None


def encode_whole_png(picture: Picture) -> bytes:
    """Return the whole picture's saved file, for other tabs to continue from, or else encode it.

    The gallery knows a picture by the bytes of its file, and so what is made from it.

    Raises:
        RequestError: It is larger or has more bits than its `image`, and its file is gone.
    """
    path = find_saved_file(picture)
    if path is not None:
        with suppress(OSError):
            return path.read_bytes()
    if picture.whole_size is None:
        return encode_png(picture.image)
    if picture.raster is not None:
        return encode_png(picture.raster.image())
    raise RequestError(messages.FILE_MISSING, field="image")

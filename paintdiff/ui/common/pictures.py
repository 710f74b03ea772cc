"""What the page says of pictures and does with them: their words, sizes and files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.imaging.colour import convert_to_srgb
from paintdiff.imaging.geometry import Size, scale_size
from paintdiff.imaging.images import flatten_image, read_header
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import Painting, Request, TextToImage, Upscale

if TYPE_CHECKING:
    from paintdiff.jobs.job import Job

MAX_SHOWN_PX = 4096
"""The longest side of a picture that a browser is given to show. What is larger is only shown
reduced; the file to download is whole."""

_GROUND = "#ffffff"


def alt_text(request: Request) -> str:
    """What a picture was made from, as a person would call it."""
    if isinstance(request, Upscale):
        return f"Upscaled {request.upscaling.scale:g}x"
    return request.prompt


def file_name(picture: Picture, index: int) -> str:
    """What a picture's file is called when it is downloaded."""
    if isinstance(picture.request, Upscale):
        return f"paintdiffusion-upscaled-{index + 1}.png"
    return f"paintdiffusion-{picture.request.seed}.png"


def is_enlarged(request: Request) -> bool:
    """Whether a picture is worth a closer look: it was made larger than it was at first."""
    if isinstance(request, Upscale):
        return True
    hires = isinstance(request, TextToImage) and request.hires is not None
    return hires or request.upscaling is not None


def is_too_large_to_show(picture: Picture) -> bool:
    """Whether a browser gets it reduced."""
    return max(picture.size.width, picture.size.height) > MAX_SHOWN_PX


def size_of_result(job: Job, index: int = 0) -> Size:
    """The size of a job's picture number `index`, in pixels, before there is one; at least its
    proportions, where something is done to it after it was painted.
    """
    request = job.request
    if not isinstance(request, Upscale):
        return request.sampling().size
    source = size_of_input(request.images[min(index, len(request.images) - 1)])
    return scale_size(source or Size(1, 1), request.upscaling.scale)


def original_picture(job: Job, index: int) -> InputImage | None:
    """The picture that picture `index` of a job was enlarged from; None if it isn't known."""
    request = job.request
    if not isinstance(request, Upscale) or not 0 <= index < len(request.images):
        return None
    original = request.images[index]
    return original if original.data is not None else None


def size_of_input(picture: InputImage) -> Size | None:
    """A picture's size as it is meant to be seen, None if its bytes aren't here."""
    return None if picture.data is None else read_header(picture.data).size


def encode_png(image: Image.Image) -> bytes:
    """A picture as a PNG, in its own mode."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def encode_small_jpeg(image: Image.Image, longest_px: int) -> bytes:
    """Encode a picture (L, LA, RGB or RGBA) as a small sRGB JPEG; what is transparent lies on
    white."""
    small = image.copy()
    small.thumbnail((longest_px, longest_px))
    rgb = flatten_image(convert_to_srgb(small, image.info.get("icc_profile")), _GROUND)
    buffer = io.BytesIO()
    rgb.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def find_saved_file(picture: Picture) -> Path | None:
    """Where the whole picture lies as a PNG, if it does."""
    return picture.path if picture.path is not None and picture.path.is_file() else None


def encode_whole_png(picture: Picture) -> bytes:
    """The whole picture as a PNG without its settings, for other tabs to go on from.

    Of one that is larger than its `image`, or finer, it is the file as it was saved. Raises
    RequestError if that is gone.
    """
    if picture.whole_size is None:
        return encode_png(picture.image)
    path = find_saved_file(picture)
    if path is not None:
        return path.read_bytes()
    if picture.raster is not None:
        return encode_png(picture.raster.image())
    raise RequestError(
        "The file of this picture is missing; only a smaller copy is left.", field="image"
    )


def painting_request(request: Request) -> Painting | None:
    """The request if it paints, else None."""
    return None if isinstance(request, Upscale) else request

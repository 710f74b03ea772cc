"""Pictures in and out: arrays to PIL, and files from strangers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from paintdiff.errors import RequestError

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 64 * 2**20

_PNG_START = b"\x89PNG\r\n\x1a\n"


def image_from_array(pixels: NDArray[np.float32]) -> Image.Image:
    """RGB, 8 bits, from an array (height, width, 3), float, RGB, -1..1; what lies outside is
    clamped.
    """
    levels = np.clip(pixels * 127.5 + 127.5, 0, 255).round().astype(np.uint8)
    return Image.fromarray(levels)


def opened(source: Path | bytes) -> Image.Image:
    """A picture from someone we don't trust: its header read, its pixels not yet.

    Raises RequestError if it is no PNG, JPEG or WebP, larger than MAX_FILE_BYTES, of more than
    MAX_PIXELS, or can't be read.
    """
    data = _read(source) if isinstance(source, Path) else source
    if len(data) > MAX_FILE_BYTES:
        raise RequestError(
            f"The picture has more than {MAX_FILE_BYTES // 2**20} MiB.", field="image"
        )
    if data.startswith(_PNG_START):  # before Pillow looks, which only warns
        _check_pixels(int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big"))
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise RequestError(
            f"This is no PNG, JPEG or WebP that can be read: {error}", field="image"
        ) from error
    except Image.DecompressionBombError as error:
        raise RequestError(f"The picture is too large: {error}", field="image") from error
    _check_pixels(image.width * image.height)
    return image


def _check_pixels(count: int) -> None:
    if count > MAX_PIXELS:
        raise RequestError(
            f"The picture has {count:,} pixels; at most {MAX_PIXELS:,} are read.", field="image"
        )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RequestError(f"{path} can't be read: {error.strerror}.", field="image") from error

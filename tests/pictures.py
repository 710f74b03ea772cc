"""Pictures that tests make and look at."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def png_of(image: Image.Image) -> bytes:
    """A picture as a PNG."""
    return encoded(image, "PNG")


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    """A file's pixels, in its own mode."""
    return np.asarray(Image.open(io.BytesIO(data)))

"""Saved pictures in other formats than PNG, with their settings."""

from __future__ import annotations

import io
from typing import Literal

from PIL import Image

from paintdiff.gallery.settings.embedded_texts import PARAMETERS_KEY
from paintdiff.imaging.image_files import USER_COMMENT, parse_image_file
from paintdiff.imaging.images import decode_image, flatten_image

FileFormat = Literal["png", "jpeg", "webp"]

_EXIF_POINTER = 0x8769
_MAX_COMMENT_BYTES = 60_000
"""A JPEG's EXIF data has at most 64 KiB."""
_WHITE = "#ffffff"


def convert_png(data: bytes, format: FileFormat, quality: int = 100) -> bytes:
    """Return one of our PNG files in another format; a PNG is returned as it is.

    `quality` is 0 to 100. The `parameters` text stays in it, as EXIF's UserComment, unless it is
    very long. A JPEG has a white ground where the picture is transparent.

    Raises:
        RequestError: The file is damaged or too large to decode.
    """
    if format == "png":
        return data
    image = decode_image(data)
    if format == "jpeg":
        image = flatten_image(image, _WHITE)
    buffer = io.BytesIO()
    exif = _make_exif(data)
    image.save(buffer, format.upper(), quality=quality, exif=exif)
    return buffer.getvalue()


def _make_exif(data: bytes) -> bytes:
    file = parse_image_file(data)
    text = "" if file is None else file.texts().get(PARAMETERS_KEY, "")
    comment = b"UNICODE\0" + text.encode("utf-16-be", "replace")
    exif = Image.Exif()
    if text and len(comment) <= _MAX_COMMENT_BYTES:
        exif.get_ifd(_EXIF_POINTER)[USER_COMMENT] = comment
    return exif.tobytes()

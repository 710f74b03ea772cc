"""The pictures that a request brings with it."""

from __future__ import annotations

from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.imaging.images import decode_image
from paintdiff.jobs.input_images import InputImage


def decode_input_picture(given: InputImage, field: str) -> Image.Image:
    """Its pixels: RGB or RGBA, 8 bits, the right way up.

    Raises RequestError, for `field`, if it can't be read, or if the request has but a reference.
    """
    return decode_image(picture_bytes(given, field), field)


def picture_bytes(given: InputImage, field: str) -> bytes:
    """Its file. Raises RequestError, for `field`, if the request has but a reference."""
    if given.data is None:
        which = f" (its SHA-256 is {given.sha256})" if given.sha256 else ""
        name = "picture" if field.startswith("image") else field
        raise RequestError(
            f"The {name} isn't stored in the file these settings come from{which}. Open it again.",
            field=field,
        )
    return given.data

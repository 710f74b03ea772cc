"""The input pictures of a request: their bytes, and their pixels, decoded once."""

from __future__ import annotations

from PIL import Image

import paintdiff.tasks.messages as messages
from paintdiff.errors import RequestError
from paintdiff.imaging.images import decode_image
from paintdiff.jobs.input_images import InputImage

KEPT_BYTES = 128 * 2**20
"""How much a request's decoded pictures may take, so that a hostile one can't fill the memory."""

_BYTES_PER_PIXEL = 4
"""Pillow stores RGB like RGBA."""


class DecodedInputs:
    """The decoded pictures of one request: each file is decoded once, wherever it is used.

    Pictures that would take more than `kept_bytes` together are decoded each time. Belongs to one
    thread at a time; nobody may change the pictures.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._free_bytes = kept_bytes
        self._pictures: dict[bytes, Image.Image] = {}

    def decode(self, given: InputImage, field: str) -> Image.Image:
        """Return the pixels of a picture: RGB or RGBA, 8 bits, the right way up.

        Raises RequestError, for `field`, if it can't be read, or if the request has only a
        reference to it.
        """
        data = read_input_bytes(given, field)
        picture = self._pictures.get(data)
        if picture is None:
            picture = decode_image(data, field)
            taken = picture.width * picture.height * _BYTES_PER_PIXEL
            if taken <= self._free_bytes:
                self._free_bytes -= taken
                self._pictures[data] = picture
        return picture


def read_input_bytes(given: InputImage, field: str) -> bytes:
    """Return the file of a picture.

    Raises RequestError, for `field`, if the request has only a reference to it.
    """
    if given.data is None:
        name = "picture" if field.startswith("image") else field
        raise RequestError(
            messages.picture_not_stored(name, given.sha256),
            field=field,
        )
    return given.data

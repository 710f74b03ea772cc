"""Pictures as text: base64, or a data URL."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, WithJsonSchema

from paintdiff.api import messages
from paintdiff.gallery.files.saving import encode_png
from paintdiff.jobs.input_images import InputImage

if TYPE_CHECKING:
    from PIL import Image

    from paintdiff.jobs.events import Picture

PNG_URL = "data:image/png;base64,"
SMALL_PNG_URL = (
    f"{PNG_URL}iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAAALElEQVR42u3NQREAMAgAIF0aQ9j/jLUS+oMC5"
    "HTFpRfHBAKBQCAQCAQCwZYPxMkBbMCgtygAAAAASUVORK5CYII="
)
"""A small picture for examples."""


def _read_text(value: object) -> object:
    return {"data": value} if isinstance(value, str) else value


ImageText = Annotated[
    InputImage,
    BeforeValidator(_read_text),
    WithJsonSchema(
        {
            "type": "string",
            "contentEncoding": "base64",
            "description": messages.IMAGE_DESCRIPTION,
        }
    ),
]
"""A picture in a body."""


def encode_data_url(picture: Picture) -> str:
    """Return a picture with its settings as the data URL of a PNG.

    Raises:
        StorageError: It was saved, and its file is gone.
    """
    return PNG_URL + base64.b64encode(encode_png(picture)).decode("ascii")


def encode_preview(preview: Image.Image) -> bytes:
    """Return a preview (8-bit RGB) as the data URL of a JPEG, in ASCII."""
    buffer = io.BytesIO()
    preview.save(buffer, "JPEG", quality=80)
    return b"data:image/jpeg;base64," + base64.b64encode(buffer.getvalue())

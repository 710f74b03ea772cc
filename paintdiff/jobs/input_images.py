"""A picture inside a request: its encoded bytes, or only their hash."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_serializer,
    model_validator,
)

from paintdiff.errors import RequestError
from paintdiff.imaging.image_files import parse_image_file
from paintdiff.jobs import messages

if TYPE_CHECKING:
    from PIL import Image

_MODES_OF_PNG = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16", "I;16B"})
_NEAREST_MODES = {"La": "LA", "I;16L": "I;16"}
_DATA_URL_END = ";base64,"
_SOURCE_KEY = "paintdiffusion-source"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class InputImage(BaseModel):
    """A picture in a request: the bytes of a PNG, JPEG or WebP file.

    In JSON `data` is base64, with or without the prefix of a `data:` URL. `sha256` is of the bytes,
    in lower-case hex; it is computed, and a wrong one is refused. Without `data` the picture is a
    reference, as in the settings stored in a finished picture: such a request can be read and
    shown, but not painted until the picture is supplied. Nothing is decoded here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: bytes | None = Field(default=None, repr=False)
    sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a file.

        Raises:
            RequestError: It can't be read.
        """
        from paintdiff.imaging.images import read_file  # noqa: PLC0415 (it imports NumPy)

        return cls(data=read_file(Path(path)))

    @classmethod
    def from_image(cls, image: Image.Image, source: InputImage | None = None) -> Self:
        """Encode a Pillow picture as a PNG. Its colour profile is kept; CMYK becomes sRGB.

        `source` is what it was made from, such as the picture of a control map: the PNG says so.

        Raises:
            RequestError: It has mode F, whose values have no fixed range.
        """
        if image.mode == "F":
            raise RequestError(messages.UNUSABLE_MODE, field="image")
        if image.mode == "CMYK":
            from paintdiff.imaging.colour import convert_to_srgb  # noqa: PLC0415 (rarely needed)

            image = convert_to_srgb(image, image.info.get("icc_profile"))
        elif image.mode not in _MODES_OF_PNG:
            transparent = "RGBA" if image.has_transparency_data else "RGB"
            image = image.convert(_NEAREST_MODES.get(image.mode, transparent))
        buffer = io.BytesIO()
        info = None
        if source is not None:
            from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415 (rarely needed)

            info = PngInfo()
            info.add_text(_SOURCE_KEY, source.source_sha256)
        image.save(buffer, format="PNG", compress_level=1, pnginfo=info)
        return cls(data=buffer.getvalue())

    @property
    def source_sha256(self) -> str:
        """Return the SHA-256 of the picture that this one was made from, else its own.

        A reference has lost what it was made from.
        """
        file = (
            parse_image_file(self.data) if self.data and _SOURCE_KEY.encode() in self.data else None
        )
        said = "" if file is None else file.texts().get(_SOURCE_KEY, "")
        return said if _SHA256.fullmatch(said) else self.sha256

    def reference(self) -> Self:
        """Return the same picture without its bytes."""
        return self.model_copy(update={"data": None})

    @model_validator(mode="before")
    @classmethod
    def _with_bytes_and_sum(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        fields: dict[str, Any] = dict(cast("dict[str, Any]", values))
        data = fields.get("data")
        if isinstance(data, str):
            data = fields["data"] = _decode_base64(data)
        if isinstance(data, bytes):
            found = hashlib.sha256(data).hexdigest()
            if fields.get("sha256") not in (None, "", found):
                raise ValueError(messages.WRONG_SHA256)
            fields["sha256"] = found
        return fields

    @field_serializer("data", when_used="json")
    def _to_base64(self, data: bytes | None) -> str | None:
        return None if data is None else base64.b64encode(data).decode("ascii")


def _decode_base64(text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(_DATA_URL_END)[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(messages.invalid_base64(error)) from error

"""Pictures as tools take and give them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mcp.types import ImageContent, TextContent
from PIL import Image

from paintdiff.api import messages as api_messages
from paintdiff.api.mcp import messages
from paintdiff.errors import RequestError
from paintdiff.gallery.files.saving import encode_png
from paintdiff.gallery.gallery import is_picture_id
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.images import decode_image, flatten_image, read_header
from paintdiff.jobs.input_images import InputImage
from paintdiff.server.identities import current_identity

if TYPE_CHECKING:
    from paintdiff.api.context import ApiContext
    from paintdiff.gallery.records.record import Record
    from paintdiff.jobs.events import Finished, Picture

Content = list[ImageContent | TextContent]
"""What a tool answers with."""

MAX_WHOLE_BYTES = 768 * 1024
"""Larger files are sent reduced: clients refuse answers of some MiB. The gallery has the whole."""
_REDUCED_PX = 1024
_WHITE = "#ffffff"


def load_picture(context: ApiContext, text: str, field: str) -> InputImage:
    """Return the picture of an id in the gallery, or of a file in base64.

    Raises:
        PictureNotFoundError: The current visitor has no picture of that id.
        RequestError: (for `field`) It is neither, or the picture's file is missing.
    """
    if is_picture_id(text):
        record = context.gallery.find(text, current_identity.get().scope)
        path = context.gallery.path_of(record.file)
        if not path.is_file():
            raise RequestError(api_messages.FILE_MISSING, field=field)
        return InputImage(data=path.read_bytes())
    try:
        picture = InputImage.model_validate({"data": text})
    except ValueError as error:
        raise RequestError(messages.NOT_A_PICTURE, field=field) from error
    assert picture.data is not None
    read_header(picture.data, field)  # raises if it isn't a picture
    return picture


def make_mask(picture: InputImage, area: Sequence[float]) -> InputImage:
    """Return a mask that is white in an area: left, top, right and bottom, 0..1.

    Raises:
        RequestError: The area is empty.
    """
    assert picture.data is not None
    size = read_header(picture.data).size
    left, top, right, bottom = (
        round(fraction * side)
        for fraction, side in zip(area, (size.width, size.height) * 2, strict=True)
    )
    if left >= right or top >= bottom:
        raise RequestError(messages.empty_area(list(area)), field="area")
    mask = Image.new("L", (size.width, size.height))
    mask.paste(255, (left, top, right, bottom))
    return InputImage.from_image(mask)


def describe_finished(finished: Finished) -> Content:
    """Return painted pictures: each one's file, then its id and settings as JSON.

    Raises:
        StorageError: A picture's file is gone.
    """
    content: Content = []
    warnings = [str(each) for each in finished.warnings]
    for picture in finished.pictures:
        content += [_show(encode_png(picture)), _tell(_describe_picture(picture, warnings))]
    return content


def describe_found(context: ApiContext, records: Iterable[Record]) -> Content:
    """Return pictures of the gallery: each one's thumbnail, then its id and settings as JSON."""
    content: Content = []
    for record in records:
        path = context.gallery.path_of(record.file)
        if path.is_file():
            small = context.gallery.thumbnails.load(record.file, path)
            content.append(_make_image(small, "image/webp"))
        content.append(_tell(_describe_record(record)))
    return content or [TextContent(type="text", text=messages.NOTHING_FOUND)]


def _describe_picture(picture: Picture, warnings: list[str]) -> dict[str, object]:
    settings = picture.request.without_image_data().model_dump(mode="json", exclude_defaults=True)
    return {
        "id": picture.id,
        "seed": settings.get("seed"),
        **_describe_file(picture.id, picture.size),
        "settings": {"kind": picture.request.kind, **settings},
        "warnings": [*warnings, *map(str, picture.notes)],
    }


def _describe_record(record: Record) -> dict[str, object]:
    return {
        "id": record.id,
        "seed": record.seed,
        **_describe_file(record.id, record.size),
        "prompt": record.prompt,
        "negative_prompt": record.negative_prompt,
        "model": record.model,
        "kind": record.kind,
        "created_at": record.created_at.isoformat(),
        "feedback": record.feedback,
        "tags": list(record.tags),
    }


def _describe_file(id: str, size: Size) -> dict[str, object]:
    place = {"file": f"/api/images/{id}/file"} if id else {}
    return {**place, "width": size.width, "height": size.height}


def _show(png: bytes) -> ImageContent:
    if len(png) <= MAX_WHOLE_BYTES:
        return _make_image(png, "image/png")
    image = flatten_image(decode_image(png), _WHITE)
    image.thumbnail((_REDUCED_PX, _REDUCED_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return _make_image(buffer.getvalue(), "image/jpeg")


def _make_image(data: bytes, media_type: str) -> ImageContent:
    encoded = base64.b64encode(data).decode("ascii")
    return ImageContent(type="image", data=encoded, mime_type=media_type)


def _tell(content: dict[str, object]) -> TextContent:
    return TextContent(type="text", text=json.dumps(content, ensure_ascii=False))

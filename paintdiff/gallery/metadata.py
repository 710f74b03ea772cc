"""What a finished picture says of itself: A1111's `parameters` text, and the whole request as JSON.

Other tools read the first; the second, in the text chunk `paintdiffusion`, loses nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.errors import MetadataError, NoMetadataError, RequestError
from paintdiff.events import Picture
from paintdiff.gallery.parameters import parameters_text, parse_parameters, request_from
from paintdiff.images import opened
from paintdiff.requests import Request, Upscale, parsed_request

PARAMETERS_KEY = "parameters"
REQUEST_KEY = "paintdiffusion"
MAX_TEXT_CHARACTERS = 200_000
_MOST_ADDED_CHARACTERS = 1000

_EXIF_POINTER, _USER_COMMENT = 0x8769, 0x9286


def png_info(picture: Picture) -> PngInfo:
    """The text chunks for `Image.save(..., pnginfo=...)`.

    Pictures in the request become references. What an enlarged picture said of how it was painted
    is kept in the first of them.
    """
    info = PngInfo()
    info.add_text(PARAMETERS_KEY, _writable(parameters_text(picture, _text_before(picture))))
    request = picture.request.without_image_data()
    content = {"request": request.model_dump(mode="json"), "model_hash": picture.model_hash}
    content |= {"engine": picture.engine} if picture.engine else {}
    info.add_text(REQUEST_KEY, json.dumps(content))
    return info


def _text_before(picture: Picture) -> str:
    """A1111's text in the picture that was enlarged, "" if it has none that can be kept."""
    request = picture.request
    data = request.images[0].data if isinstance(request, Upscale) else None
    if data is None:
        return ""
    try:
        text = _texts_in(data).get(PARAMETERS_KEY, "")
    except MetadataError:
        return ""
    return text if len(text) <= MAX_TEXT_CHARACTERS - _MOST_ADDED_CHARACTERS else ""


def read_request(source: Path | bytes) -> Request:
    """The request that painted a picture: a PNG of ours, or one with A1111's text (PNG, JPEG,
    WebP).

    A picture of ours gives back exactly the request it was painted from, but for the pictures in
    that, of which it has references. The file may come from anyone; its pixels are not decoded.
    Raises NoMetadataError if it carries no settings, MetadataError if they can't be used.
    """
    texts = _texts_in(source)
    own = texts.get(REQUEST_KEY)
    if own is not None:
        return _request_from_json(own)
    parameters = texts.get(PARAMETERS_KEY)
    if parameters is None:
        raise NoMetadataError("This picture carries no settings.")
    return request_from(parse_parameters(parameters))


def _texts_in(source: Path | bytes) -> dict[str, str]:
    try:
        image = opened(source)
    except RequestError as error:
        raise MetadataError(str(error)) from error
    with image:
        texts = {
            key: str(image.info[key])
            for key in (PARAMETERS_KEY, REQUEST_KEY)
            if isinstance(image.info.get(key), str)
        }
        if not texts and image.format != "PNG":
            comment = _user_comment(image)
            if comment:
                texts[PARAMETERS_KEY] = comment
    for key, text in texts.items():
        if len(text) > MAX_TEXT_CHARACTERS:
            raise MetadataError(
                f"The picture's {key} text has {len(text):,} characters; "
                f"at most {MAX_TEXT_CHARACTERS:,} are read."
            )
    return texts


def _user_comment(image: Image.Image) -> str:
    """EXIF's UserComment: eight bytes that name the character code, then the text."""
    try:
        value: object = image.getexif().get_ifd(_EXIF_POINTER).get(_USER_COMMENT)
    except (OSError, ValueError, SyntaxError) as error:
        raise MetadataError(f"The picture's EXIF data can't be read: {error}") from error
    if not isinstance(value, bytes):
        return ""
    code, text = value[:8], value[8:]
    encoding = "utf-16-be" if code.startswith(b"UNICODE") else "utf-8"
    return text.decode(encoding, errors="replace").strip("\0")


def _request_from_json(text: str) -> Request:
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MetadataError(f"The picture's settings are damaged: {error}") from error
    values = content.get("request") if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise MetadataError("The picture's settings are damaged: there is no request in them.")
    try:
        return parsed_request(cast("dict[str, object]", values))
    except RequestError as error:
        raise MetadataError(f"The picture's settings can't be used: {error}") from error


def _writable(text: str) -> str:
    """Half of a surrogate pair can't be written; the JSON keeps it."""
    return text.encode("utf-8", errors="replace").decode("utf-8")

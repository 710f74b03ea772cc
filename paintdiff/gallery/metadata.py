"""What a finished picture says of itself: A1111's `parameters` text, and the whole request as JSON.

Other tools read the first; the second, in the text chunk `paintdiffusion`, loses nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.errors import MetadataError, RequestError, SizeError
from paintdiff.events import Picture
from paintdiff.geometry import Size
from paintdiff.images import opened
from paintdiff.requests import Request, TextToImage

PARAMETERS_KEY = "parameters"
REQUEST_KEY = "paintdiffusion"
MAX_TEXT_CHARACTERS = 200_000

_NEGATIVE = "Negative prompt:"
_KARRAS = " Karras"
# A1111's own names, where they differ from ours.
_TO_A1111 = {"PNDM": "PLMS"}
_FROM_A1111 = {theirs: ours for ours, theirs in _TO_A1111.items()}
# A1111, modules/infotext_utils.py: key, colon, then a JSON string or everything up to a comma.
_SETTING = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_LEAST_SETTINGS = 3

_EXIF_POINTER, _USER_COMMENT = 0x8769, 0x9286


@dataclass(frozen=True)
class Parameters:
    """A `parameters` text taken apart. `settings` are as written: "Steps" -> "20"."""

    prompt: str
    negative_prompt: str
    settings: Mapping[str, str]


def parameters_text(picture: Picture) -> str:
    """The picture's settings as the A1111 web UI writes them."""
    request = picture.request
    sampling = request.sampling()
    sampler = sampling.sampler.removesuffix(_KARRAS)
    settings = {
        "Steps": str(sampling.num_inference_steps),
        "Sampler": _TO_A1111.get(sampler, sampler),
        "Schedule type": "Karras" if sampler != sampling.sampler else "",
        "CFG scale": f"{sampling.guidance_scale:g}",
        "Seed": str(sampling.seed),
        "Size": str(sampling.size),
        "Model hash": picture.model_hash,
        "Model": request.model,
    }
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"{_NEGATIVE} {request.negative_prompt}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value))
    return "\n".join(lines)


def png_info(picture: Picture) -> PngInfo:
    """The text chunks for `Image.save(..., pnginfo=...)`."""
    info = PngInfo()
    info.add_text(PARAMETERS_KEY, _writable(parameters_text(picture)))
    content = {"request": picture.request.model_dump(mode="json"), "model_hash": picture.model_hash}
    info.add_text(REQUEST_KEY, json.dumps(content))
    return info


def read_request(source: Path | bytes) -> Request:
    """The request that painted a picture: a PNG of ours, or one with A1111's text (PNG, JPEG,
    WebP).

    A picture of ours gives back exactly the request it was painted from. The file may come from
    anyone; its pixels are not decoded. Raises MetadataError.
    """
    texts = _texts_in(source)
    own = texts.get(REQUEST_KEY)
    if own is not None:
        return _request_from_json(own)
    parameters = texts.get(PARAMETERS_KEY)
    if parameters is None:
        raise MetadataError("This picture carries no settings.")
    return request_from(parse_parameters(parameters))


def parse_parameters(text: str) -> Parameters:
    """Take an A1111 `parameters` text apart; any text will do.

    Its last line holds settings only if it has three or more of them, as A1111 reads it.
    """
    *lines, last = text.strip().split("\n")
    found = _SETTING.findall(last)
    if len(found) < _LEAST_SETTINGS:
        lines.append(last)
        found = []
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in (line.strip() for line in lines):
        if line.startswith(_NEGATIVE):
            current = negative
            line = line.removeprefix(_NEGATIVE).strip()
        current.append(line)
    settings = {key: _unquoted(value) for key, value in found}
    return Parameters("\n".join(prompt), "\n".join(negative), settings)


def request_from(parameters: Parameters) -> Request:
    """The request that an A1111 text describes; what it doesn't say is left open.

    Raises MetadataError.
    """
    settings = parameters.settings
    values: dict[str, object] = {
        "prompt": parameters.prompt,
        "negative_prompt": parameters.negative_prompt,
    }
    for key, field in (
        ("Steps", "num_inference_steps"),
        ("CFG scale", "guidance_scale"),
        ("Seed", "seed"),
        ("Model", "model"),
    ):
        if settings.get(key):
            values[field] = settings[key]
    sampler = settings.get("Sampler")
    if sampler:
        karras = settings.get("Schedule type") == "Karras" and not sampler.endswith(_KARRAS)
        values["sampler"] = _FROM_A1111.get(sampler, sampler) + (_KARRAS if karras else "")
    try:
        if settings.get("Size"):
            size = Size.parse(settings["Size"])
            values.update(width=size.width, height=size.height)
        return TextToImage.parsed(values)
    except (RequestError, SizeError) as error:
        raise MetadataError(f"The picture's settings can't be used: {error}") from error


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
        return TextToImage.parsed(values)
    except RequestError as error:
        raise MetadataError(f"The picture's settings can't be used: {error}") from error


def _quoted(value: str) -> str:
    return (
        json.dumps(value, ensure_ascii=False) if any(sign in value for sign in ',:\n"') else value
    )


def _unquoted(value: str) -> str:
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value.strip()


def _writable(text: str) -> str:
    """Half of a surrogate pair can't be written; the JSON keeps it."""
    return text.encode("utf-8", errors="replace").decode("utf-8")

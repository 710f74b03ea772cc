"""Metadata in finished pictures: A1111's `parameters` text, and the request as JSON.

Other tools read the first; the second, in the text chunk `paintdiffusion`, is lossless.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from PIL.PngImagePlugin import PngInfo

from paintdiff.errors import MetadataError, NoMetadataError, RequestError
from paintdiff.gallery import messages
from paintdiff.gallery.a1111.text import (
    parse_parameters,
    settings_from_parameters,
    write_parameters,
)
from paintdiff.gallery.settings.embedded_texts import PARAMETERS_KEY, READERS, find_embedded_texts
from paintdiff.gallery.settings.found_settings import FoundSettings
from paintdiff.gallery.settings.json_settings import parse_object, settings_from_json
from paintdiff.imaging.image_files import ImageFile
from paintdiff.imaging.images import open_image
from paintdiff.jobs.events import Picture
from paintdiff.jobs.provenance import Provenance
from paintdiff.jobs.requests import Request, Upscale, parse_saved_request

REQUEST_KEY = "paintdiffusion"
MAX_TEXT_CHARACTERS = 1_000_000
_MOST_ADDED_CHARACTERS = 1000
_MAX_FACTS, _MAX_FACT_CHARACTERS = 64, 300
"""Limits of what a file says about what painted it."""
_HEADING = re.compile(r"\s*(?:parameters|positive prompt|prompt)\s*(?:\n|:\s*)", re.IGNORECASE)


def png_info(picture: Picture) -> PngInfo:
    """Return the text chunks for `Image.save(..., pnginfo=...)`.

    Input images become references. For an enlarged picture, the A1111 text keeps the settings that
    it was painted with.
    """
    info = PngInfo()
    info.add_text(
        PARAMETERS_KEY, _drop_surrogates(write_parameters(picture, _read_text_before(picture)))
    )
    request = picture.request.without_image_data()
    content = {"request": request.model_dump(mode="json"), **_write_provenance(picture)}
    info.add_text(REQUEST_KEY, json.dumps(content))
    return info


def _read_text_before(picture: Picture) -> str:
    """Return A1111's text in the picture that was enlarged, "" if it has none to keep."""
    request = picture.request
    data = request.images[0].data if isinstance(request, Upscale) else None
    if data is None:
        return ""
    try:
        text = find_embedded_texts(_open_file(data)).get(PARAMETERS_KEY, "")
    except MetadataError:
        return ""
    return text if len(text) <= MAX_TEXT_CHARACTERS - _MOST_ADDED_CHARACTERS else ""


def read_request(source: Path | bytes) -> Request:
    """Read the request that painted a picture; see `read_settings`."""
    return read_settings(source).request


def read_settings(source: Path | bytes | ImageFile) -> FoundSettings:
    """Read the settings in a PNG, JPEG or WebP file, ours or another program's.

    It understands A1111's text, JSON and ComfyUI graphs. A picture of ours returns exactly its
    request, with references in place of input images. Of another program's settings, all that can
    be used here is kept. The file is untrusted; its pixels are not decoded.

    Raises:
        NoMetadataError: It has no settings.
        MetadataError: They can't be used.
    """
    texts = find_embedded_texts(_open_file(source))
    error: MetadataError | None = None
    own = texts.get(REQUEST_KEY)
    if own is not None:
        try:
            return _read_own_settings(_short(own, REQUEST_KEY))
        except MetadataError as failed:
            error = failed
    for key, read in READERS:
        if key in texts:
            try:
                found = read(_short(texts[key], key), texts)
            except MetadataError as failed:
                error = error or failed
                continue
            if found is not None:
                said = (f"our own settings ({error})",) if error is not None and own else ()
                return replace(found, left_open=(*said, *found.left_open))
    raise error or NoMetadataError(messages.NO_SETTINGS)


def find_settings(text: str) -> FoundSettings | None:
    """Read the settings in a pasted text: A1111's text, JSON or a ComfyUI graph.

    None if it is none of these, such as a prompt alone, or if nothing can be used.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        return None
    content = parse_object(text)
    if content is not None:
        try:
            return settings_from_json(content)
        except MetadataError:
            return None
    heading = _HEADING.match(text)
    parameters = parse_parameters(text[heading.end() if heading is not None else 0 :])
    if not parameters.settings and not parameters.negative_prompt:
        return None
    return settings_from_parameters(parameters)


def _open_file(source: Path | bytes | ImageFile) -> ImageFile:
    if isinstance(source, ImageFile):
        return source
    try:
        with open_image(source) as (_image, file):
            return file
    except RequestError as error:
        raise MetadataError(str(error)) from error


def _short(text: str, key: str) -> str:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise MetadataError(messages.text_too_long(key, len(text), MAX_TEXT_CHARACTERS))
    return text


def _read_own_settings(text: str) -> FoundSettings:
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MetadataError(messages.settings_damaged(error)) from error
    values = content.get("request") if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise MetadataError(messages.SETTINGS_WITHOUT_REQUEST)
    given = cast("dict[str, object]", values)
    if "prompt" in given:  # one that doesn't say how it is read was saved when brackets were text
        given = {"prompt_syntax": "plain", **given}
    try:
        request = parse_saved_request(given)
    except RequestError as error:
        raise MetadataError(messages.picture_settings_unusable(error)) from error
    provenance = _read_provenance(cast("dict[str, object]", content))
    return FoundSettings(request, provenance=provenance, are_ours=True)


def _write_provenance(picture: Picture) -> dict[str, object]:
    """Return what is known of what painted a picture."""
    made = picture.provenance
    known: dict[str, object] = {
        "hashes": dict(made.hashes),
        "engine": made.engine,
        "device": made.device,
        "processor": made.processor,
        "libraries": dict(made.libraries),
    }
    return {"model_hash": made.model_hash, **{name: known[name] for name in known if known[name]}}


def _read_provenance(content: Mapping[str, object]) -> Provenance:
    """Read what painted a picture; what can't be used, or wasn't written yet, is unknown."""
    names = ("model_hash", "engine", "device", "processor")
    hashes, libraries = (_read_texts(content.get(name)) for name in ("hashes", "libraries"))
    model_hash, engine, device, processor = (_read_text(content.get(name)) for name in names)
    return Provenance(model_hash, hashes, engine, device, processor, libraries)


def _read_text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _MAX_FACT_CHARACTERS else ""


def _read_texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    pairs = list(cast("dict[str, object]", value).items())[:_MAX_FACTS]
    return {_read_text(name): _read_text(text) for name, text in pairs if _read_text(text)}


def _drop_surrogates(text: str) -> str:
    """Remove lone surrogates, which can't be encoded; the JSON keeps them."""
    return text.encode("utf-8", errors="replace").decode("utf-8")

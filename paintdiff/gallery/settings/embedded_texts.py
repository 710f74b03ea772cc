"""Texts in picture files, by the program that writes them, and their readers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import unescape
from typing import cast

from paintdiff.errors import MetadataError
from paintdiff.gallery import messages
from paintdiff.gallery.a1111.text import parse_parameters, settings_from_parameters
from paintdiff.gallery.settings.comfyui import PROGRAM as COMFYUI
from paintdiff.gallery.settings.found_settings import FoundSettings
from paintdiff.gallery.settings.json_settings import parse_object, settings_from_json
from paintdiff.imaging.image_files import IMAGE_DESCRIPTION, MAKE, USER_COMMENT, ImageFile

PARAMETERS_KEY = "parameters"
_XMP_KEY, _DESCRIPTION_KEY = "XMP", "Description"
Texts = Mapping[str, str]
Reader = Callable[[str, Texts], FoundSettings | None]
"""Reads one text, given all of the file's. None if it holds no settings."""

_CODES = (b"UNICODE\0", b"ASCII\0\0\0", b"JIS\0\0\0\0\0", bytes(8))
_XMP_COMMENT = re.compile(r"<exif:UserComment>.{0,200}?<rdf:li[^>]{0,200}>", re.DOTALL)
"""What comes before the comment. Its end is looked for once, so that many of these take no longer.
"""
_XMP_COMMENT_END = "</rdf:li>"
_GRAPH = re.compile(r"(prompt|workflow):(?=\s*\{)", re.IGNORECASE)
_DREAM = re.compile(r'\s*"(.*)"\s(.*)', re.DOTALL)
_DREAM_FLAGS = {"s": "steps", "S": "seed", "W": "width", "H": "height", "C": "cfg", "A": "sampler"}
_SQUARE = re.compile(r"\[([^\[\]]*)\]")


def find_embedded_texts(file: ImageFile) -> dict[str, str]:
    """Return a file's texts by keyword.

    Those in EXIF and XMP have the keywords that the same programs use in PNGs.
    """
    texts = file.texts() if file.format == "PNG" else {}
    comment = decode_comment(file.exif_text(USER_COMMENT))
    if not comment.strip():
        comment = file.comment.decode("utf-8", "replace")
    if comment.strip():
        texts.setdefault(PARAMETERS_KEY, comment)
    for tag in (IMAGE_DESCRIPTION, MAKE):  # ComfyUI's WebP
        text = file.exif_text(tag).decode("utf-8", "replace").strip("\0 ")
        match = _GRAPH.match(text)
        if match is not None:
            texts.setdefault(match[1].casefold(), text[match.end() :])
        elif tag == IMAGE_DESCRIPTION and text and file.format != "PNG":
            texts.setdefault(_DESCRIPTION_KEY, text)
    xmp = file.xmp.decode("utf-8", "replace") or texts.get("XML:com.adobe.xmp", "")
    if xmp:
        texts.setdefault(_XMP_KEY, xmp)
    return texts


def decode_comment(data: bytes) -> str:
    """Decode EXIF's UserComment: eight bytes that name the character code, then the text.

    The standard leaves the byte order of UTF-16 open and programs differ, so the text decides.
    """
    code = next((code for code in _CODES if data.startswith(code)), b"")
    text = data[len(code) :]
    first_bytes, second_bytes = text[::2].count(0), text[1::2].count(0)
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif code == _CODES[0] and first_bytes == second_bytes == 0 and _is_utf8(text):
        encoding = "utf-8"  # in spite of its code
    elif code == _CODES[0] or max(first_bytes, second_bytes) > len(text) // 4:
        encoding = "utf-16-le" if second_bytes > first_bytes else "utf-16-be"
    else:
        encoding = "utf-8" if _is_utf8(text) else "latin-1"
    return text.decode(encoding, errors="replace").strip("\0\ufeff")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_parameters(text: str, _texts: Texts) -> FoundSettings | None:
    """Read A1111's text, or JSON in its place. JSON is never a prompt."""
    content = parse_object(text)
    if content is not None:
        return settings_from_json(content)
    if text.lstrip().startswith(("{", "[{")):
        raise MetadataError(messages.SETTINGS_NOT_JSON)
    return settings_from_parameters(parse_parameters(text))


def _read_description(text: str, texts: Texts) -> FoundSettings | None:
    """Read a description if it is A1111's text; many cameras and programs write others there."""
    parameters = parse_parameters(text)
    return _read_parameters(text, texts) if parameters.settings else None


def _make_json_reader(program: str) -> Reader:
    def read(text: str, _texts: Texts) -> FoundSettings | None:
        content = parse_object(text)
        return None if content is None else settings_from_json(content, program)

    return read


def _read_novelai(text: str, texts: Texts) -> FoundSettings | None:
    """Read JSON in `Comment`; older versions have only the prompt, in `Description`."""
    content = parse_object(text)
    if content is None:
        return None
    return settings_from_json({"prompt": texts.get(_DESCRIPTION_KEY, ""), **content}, "NovelAI")


def _read_xmp(text: str, _texts: Texts) -> FoundSettings | None:
    """Read JSON in XMP's copy of EXIF's UserComment, as Draw Things writes it."""
    beginning = _XMP_COMMENT.search(text)
    end = text.find(_XMP_COMMENT_END, beginning.end()) if beginning is not None else -1
    if beginning is None or end < 0:
        return None
    content = parse_object(unescape(text[beginning.end() : end]))
    return None if content is None else settings_from_json(content, "Draw Things")


def _read_old_invokeai(text: str, _texts: Texts) -> FoundSettings | None:
    """Read InvokeAI 2's JSON: an `image` whose prompt is a list of parts."""
    content = parse_object(text)
    image = content.get("image") if content is not None else None
    if content is None or not isinstance(image, dict):
        return None
    values = {**content, **cast("dict[str, object]", image)}
    parts: object = values.get("prompt")
    if isinstance(parts, list):
        listed = cast("list[object]", parts)
        texts = [cast("dict[str, object]", each) for each in listed if isinstance(each, dict)]
        values["prompt"] = ", ".join(str(each.get("prompt", "")) for each in texts)
    values.pop("image")
    values["model"] = content.get("model_weights")
    return settings_from_json(_split_negative(values), "InvokeAI")


def _read_dream(text: str, _texts: Texts) -> FoundSettings | None:
    """Read InvokeAI 1's command: `"a cat [dog]" -s 50 -S 1 -W 512 -H 512 -C 7.5 -A k_lms`."""
    match = _DREAM.fullmatch(text)
    if match is None:
        return None
    flags = re.findall(r"(?:^|\s)-([a-zA-Z])\s*([^\s]+)", match[2])
    values = {_DREAM_FLAGS[flag]: value for flag, value in flags if flag in _DREAM_FLAGS}
    return settings_from_json(_split_negative({**values, "prompt": match[1]}), "InvokeAI")


def _split_negative(values: dict[str, object]) -> dict[str, object]:
    """Move text in square brackets to the negative prompt, as old versions of InvokeAI do."""
    prompt = str(values.get("prompt", ""))
    negative = ", ".join(part.strip() for part in _SQUARE.findall(prompt))
    plain = re.sub(r"\s+", " ", _SQUARE.sub("", prompt)).strip(" ,")
    return {**values, "prompt": plain, "negative_prompt": negative}


def _read_prompt(text: str, texts: Texts) -> FoundSettings | None:
    """Read a ComfyUI graph, or the first of several texts that each hold one setting."""
    content = parse_object(text)
    if content is not None:
        return settings_from_json(content, COMFYUI)
    several = {"seed", "num_inference_steps", "steps", "guidance_scale"} & texts.keys()
    return settings_from_json(texts) if several else None


READERS: tuple[tuple[str, Reader], ...] = (
    (PARAMETERS_KEY, _read_parameters),
    ("sui_image_params", _make_json_reader("SwarmUI")),
    ("invokeai_metadata", _make_json_reader("InvokeAI")),
    ("sd-metadata", _read_old_invokeai),
    ("Dream", _read_dream),
    ("Comment", _read_novelai),
    ("prompt", _read_prompt),
    (_XMP_KEY, _read_xmp),
    (_DESCRIPTION_KEY, _read_description),
)
"""The keyword of a text, and its reader; the first one that succeeds counts."""

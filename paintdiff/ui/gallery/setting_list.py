"""A picture's settings as (label, value) pairs, in the page's words.

What has no effect, or is as usual, isn't listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from paintdiff.errors import RequestError
from paintdiff.jobs.axes import find_axis
from paintdiff.jobs.request_parts import (
    Branch,
    ControlInput,
    FreeU,
    HiresFix,
    IpAdapterInput,
    LoraInput,
    Outpaint,
    Refiner,
    Upscaling,
)
from paintdiff.jobs.requests import REQUEST_KINDS
from paintdiff.ui.gallery import messages

if TYPE_CHECKING:
    from paintdiff.gallery.records.record import Record
    from paintdiff.ui.common.setting_words import SettingWords

_SHOWN_ELSEWHERE = frozenset(
    {"kind", "version", "prompt", "negative_prompt", "model", "seed", "width", "height"}
    | {"wildcards", "expansions", "images", "image", "mask", "sketch", "x", "y", "z", "base"}
)
_ALWAYS = frozenset({"quality", "profile", "strength", "scale", "weight"})
"""Settings that people look for, also if they are as usual."""
_PARTS: Mapping[str, type[BaseModel]] = {
    "controls": ControlInput,
    "loras": LoraInput,
    "ip_adapters": IpAdapterInput,
    "hires": HiresFix,
    "upscaling": Upscaling,
    "refiner": Refiner,
    "free_u": FreeU,
    "outpaint": Outpaint,
    "branches": Branch,
}
_NAMED_AS = {"loras": "lora", "ip_adapters": "ip_adapter"}
"""What a part's `name` is a name of."""
_NAMES = ("name", "model", "controlnet", "upscaler", "preprocessor", "face_restorer")
_MAX_VALUE_CHARACTERS = 400

Pairs = Iterator[tuple[str, str]]


def list_settings(record: Record, file: str, words: SettingWords) -> Pairs:
    """List a picture's settings besides its prompts. `file` is its path as shown."""
    upscaled = record.kind == "upscale"
    yield messages.SIZE, str(record.size)
    if record.model:
        label = messages.UPSCALER if upscaled else messages.MODEL
        yield label, words.say("upscaler" if upscaled else "model", record.model)
    if record.seed is not None:
        yield messages.SETTINGS["seed"], str(record.seed)
    yield from _list_request(record.kind, record.params, words)
    if record.seconds is not None:
        yield messages.TOOK, messages.seconds(record.seconds)
    if record.device:
        yield messages.DEVICE, record.device
    yield messages.FILE, file


def _list_request(kind: str, params: Mapping[str, Any], words: SettingWords) -> Pairs:
    base = params.get("base")
    if isinstance(base, Mapping):  # a grid
        yield from _list_axes(params, words)
        painting = cast("Mapping[str, Any]", base)
        yield from _list_request(str(painting.get("kind")), painting, words)
        return
    request: type[BaseModel] | None = REQUEST_KINDS.get(kind)
    for name, value in params.items():
        if name in _SHOWN_ELSEWHERE or _is_usual(request, name, value):
            continue
        if text := _format(name, value, words):
            yield _label(name), text[:_MAX_VALUE_CHARACTERS]


def _list_axes(grid: Mapping[str, Any], words: SettingWords) -> Pairs:
    for name, label in zip("xyz", messages.AXES, strict=True):
        axis: Any = grid.get(name)
        if not isinstance(axis, Mapping):
            continue
        field = str(cast("Mapping[str, Any]", axis).get("field"))
        values = [str(each) for each in cast("Mapping[str, Any]", axis).get("values", ())]
        try:
            title = find_axis(field).title
        except RequestError:
            title = field
        setting = field.split(".")[-1]
        said = ", ".join(words.say(setting, each) for each in values)
        yield label, f"{title}: {said}"[:_MAX_VALUE_CHARACTERS]


def _label(name: str) -> str:
    return messages.SETTINGS.get(name, name.replace("_", " ").capitalize())


def _is_usual(owner: type[BaseModel] | None, name: str, value: object) -> bool:
    """Return whether a field has its default, and nobody looks for it."""
    field = None if owner is None else owner.model_fields.get(name)
    if field is None or field.is_required() or name in _ALWAYS:
        return False
    return value == to_jsonable_python(field.get_default(call_default_factory=True))


def _format(name: str, value: Any, words: SettingWords) -> str:
    """Return a setting as text; "" for one that is off, or that only a program could read."""
    if value is None or value is False or value in ("", [], {}):
        return ""
    if isinstance(value, str):
        return words.say(name, value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return _format_part(name, cast("Mapping[str, Any]", value), words)
    if isinstance(value, list):
        parts = (_format(name, each, words) for each in cast("list[Any]", value))
        return "; ".join(filter(None, parts))
    return messages.ON if value is True else str(value)


def _format_part(name: str, part: Mapping[str, Any], words: SettingWords) -> str:
    """Return a part of a request: what it is called, then what is special about it."""
    if "sha256" in part:
        return ""
    if name == "template":
        return str(part.get("prompt", ""))
    named: list[str] = []
    figures: list[str] = []
    for key, value in part.items():
        if key in _NAMES and isinstance(value, str):
            named.append(words.say(_NAMED_AS.get(name, "") if key == "name" else key, value))
        elif not _is_usual(_PARTS.get(name), key, value) and (text := _format(key, value, words)):
            figures.append(messages.PART_SETTINGS.get(key, "{} {}").format(*_arguments(key, text)))
    return ", ".join([*named, *figures]) or messages.ON


def _arguments(key: str, text: str) -> tuple[str, ...]:
    return (text,) if key in messages.PART_SETTINGS else (key.replace("_", " "), text)

"""The table of a grid's axes: one row for each setting that may change along one.

Most rows are fields of requests, and take their kind and limits from there. A few change a prompt
or several fields at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from pydantic import BaseModel, ValidationError

from paintdiff.config.presets import Presets
from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs import messages
from paintdiff.jobs.axis_values import expand_numbers
from paintdiff.jobs.invalid_values import describe_invalid
from paintdiff.jobs.request_parts import PROMPT_LINE, LoraInput
from paintdiff.jobs.requests import ImageToImage, Inpaint, Painting, TextToImage
from paintdiff.prompts.lines import LINE_FLAGS, parse_line
from paintdiff.prompts.matrix import join_prompt

AxisKind = Literal["whole numbers", "numbers", "names", "words", "lines"]
"""Numbers may be ranges; names are a model's, sampler's, ...; words and lines are free text."""

Change = Callable[[Painting, str, tuple[str, ...]], Painting]
"""Returns a request with a value of the axis; the last argument are all values of the axis.

Raises RequestError.
"""

DEFAULT = "default"
"""The value that leaves a field to the model, where a field can be left to it."""

_PAINTINGS = (TextToImage, ImageToImage, Inpaint)
RANDOM = ("-1", "random", DEFAULT)
"""Values of a seed that is drawn."""


@dataclass(frozen=True)
class AxisRow:
    """A setting that may change along an axis.

    `fields` are the request's fields that it changes, `aliases` further names, such as A1111's.
    Changes with a lower `order` are made first, whichever axis they are on.
    """

    name: str
    title: str
    kind: AxisKind
    change: Change
    fields: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    order: int = 2

    def expand(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """Return the values one by one.

        Raises:
            RequestError: A range can't be used, or no value is left.
        """
        expanded = values
        if self.kind in ("whole numbers", "numbers"):
            expanded = expand_numbers(values, whole=self.kind == "whole numbers")
        if not expanded:
            raise RequestError(messages.no_values(self.title))
        return expanded

    def label(self, value: str) -> str:
        """Return the value as a sheet shows it."""
        if self.kind in ("words", "lines"):
            return value or messages.NO_WORDS
        return f"{self.title}: {value}"


def find_axis(name: str) -> AxisRow:
    """Return the row of a name, a title or an alias, in upper or lower case.

    Raises:
        RequestError: There is none.
    """
    row = _BY_NAME.get(_normalize(name))
    if row is None:
        raise RequestError(messages.unknown_axis(name, AXES))
    return row


def _normalize(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ").strip()


# Fields.


def _field_row(
    path: str, title: str, *aliases: str, order: int = 2, fields: tuple[str, ...] = ()
) -> AxisRow:
    """Make the row of a request's field; "loras.0.weight" is one within a part."""
    kind = _find_kind(path)
    change = partial(_change_field, path, title)
    return AxisRow(path, title, kind, change, fields or (path,), aliases, order)


def _change_field(
    path: str, title: str, request: Painting, value: str, _values: tuple[str, ...]
) -> Painting:
    if path.split(".")[0] not in type(request).model_fields:
        raise RequestError(messages.not_a_setting_of(title, request.kind))
    return cast("Painting", _set_field(request, path.split("."), value))


def _set_field(part: BaseModel, path: list[str], value: str) -> BaseModel:
    """Return a part of a request with a field set, which is checked.

    Raises:
        RequestError: The value can't be used, or the part around the field isn't there.
    """
    name, *inner = path
    new: object = value
    if inner:
        new = _set_inner(part, name, inner, value)
    elif value.casefold() in (RANDOM if name.endswith("seed") else (DEFAULT,)):
        new = None if _may_be_none(type(part), name) else value
    try:
        checked = type(part).model_validate({**dict(part), name: new})
    except ValidationError as error:
        raise RequestError(describe_invalid(error.errors()[0])) from None
    return part.model_copy(update={name: getattr(checked, name)})


def _set_inner(part: BaseModel, name: str, inner: list[str], value: str) -> object:
    old: Any = getattr(part, name)
    if isinstance(old, tuple):
        index, *rest = inner
        items = list(cast("tuple[BaseModel, ...]", old))
        if int(index) >= len(items):
            raise RequestError(messages.needs_part(name))
        items[int(index)] = _set_field(items[int(index)], rest, value)
        return tuple(items)
    if old is None:
        try:
            old = _part_type(type(part), name)()
        except ValidationError:
            raise RequestError(messages.needs_part(name)) from None
    return _set_field(old, inner, value)


def _may_be_none(part: type[BaseModel], name: str) -> bool:
    return type(None) in get_args(part.model_fields[name].annotation)


def _part_type(part: type[BaseModel], name: str) -> type[BaseModel]:
    return next(each for each in _leaf_types(part.model_fields[name].annotation) if _is_part(each))


def _is_part(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _leaf_types(annotation: object) -> tuple[Any, ...]:
    """Return the types that an annotation is made of."""
    inner = get_args(annotation)
    if not inner:
        return (annotation,)
    return tuple(leaf for each in inner for leaf in _leaf_types(each))


def _find_kind(path: str) -> AxisKind:
    first, *inner = path.split(".")
    kinds = _leaf_types(
        next(
            each.model_fields[first] for each in _PAINTINGS if first in each.model_fields
        ).annotation
    )
    for name in inner:
        if not name.isdigit():
            part = next(each for each in kinds if _is_part(each))
            kinds = _leaf_types(part.model_fields[name].annotation)
    if bool in kinds:
        return "names"
    if float in kinds:
        return "numbers"
    return "whole numbers" if int in kinds else "names"


# Axes that change more than a field.


def _replace_in_prompt(request: Painting, value: str, values: tuple[str, ...]) -> Painting:
    """Replace the axis's first value by this one, in both prompts."""
    wanted = values[0]
    found = [field for field in ("prompt", "negative_prompt") if wanted in getattr(request, field)]
    if not wanted or not found:
        raise RequestError(messages.not_in_prompt(wanted))
    for field in found:
        new = getattr(request, field).replace(wanted, value)
        request = _set_fields(request, {field: new})
    return request


def _append_to_prompt(request: Painting, value: str, _values: tuple[str, ...]) -> Painting:
    return _set_fields(request, {"prompt": join_prompt(request.prompt, value)})


def _use_line(request: Painting, value: str, _values: tuple[str, ...]) -> Painting:
    return _set_fields(request, parse_line(value))


def _change_size(request: Painting, value: str, _values: tuple[str, ...]) -> Painting:
    size = Size.parse(value.replace("×", "x"))  # noqa: RUF001 (the sign itself)
    return _set_fields(request, {"width": str(size.width), "height": str(size.height)})


def _use_quality(request: Painting, value: str, _values: tuple[str, ...]) -> Painting:
    """Use the quality of this name or title, in upper or lower case."""
    return _set_fields(request, {"quality": _qualities().get(value.casefold(), value)})


@cache
def _qualities() -> Mapping[str, str]:
    """Return the qualities' names by name and title. A name wins over another one's title."""
    rows = Presets.default().qualities()
    titled = {row.title.casefold(): row.name for row in rows}
    return {**titled, **{row.name.casefold(): row.name for row in rows}}


def _use_lora(request: Painting, value: str, _values: tuple[str, ...]) -> Painting:
    """Use this LoRA in place of the request's; "name:0.8" has a weight, "none" is none."""
    if value.casefold() == "none":
        return request.model_copy(update={"loras": ()})
    name, colon, weight = value.rpartition(":")
    usual = request.loras[0].weight if request.loras else 1.0
    given = {"name": name, "weight": weight} if colon and _is_number(weight) else {"name": value}
    try:
        lora = LoraInput.model_validate({"weight": usual, **given})
    except ValidationError as error:
        raise RequestError(describe_invalid(error.errors()[0])) from None
    return request.model_copy(update={"loras": (lora,)})


def _change_lora_weight(request: Painting, value: str, _values: tuple[str, ...]) -> Painting:
    if not request.loras:
        raise RequestError(messages.NEEDS_LORA)
    changed = tuple(_set_field(each, ["weight"], value) for each in request.loras)
    return request.model_copy(update={"loras": changed})


def _use_style(request: Painting, value: str, _values: tuple[str, ...]) -> Painting:
    """Use this style in place of the request's; "none" is none."""
    styles = () if value.casefold() == "none" else (value,)
    try:
        checked = type(request).model_validate({**dict(request), "styles": styles})
    except ValidationError as error:
        raise RequestError(describe_invalid(error.errors()[0])) from None
    return request.model_copy(update={"styles": checked.styles})


def _set_fields(request: Painting, fields: Mapping[str, str]) -> Painting:
    for name, value in fields.items():
        request = cast("Painting", _set_field(request, [name], value))
    return request


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_PROMPTS = ("prompt", "negative_prompt")
_ROWS = (
    AxisRow(
        *("prompt_replace", "Prompt: replace words", "words", _replace_in_prompt),
        fields=_PROMPTS,
        aliases=("Prompt S/R", "replace"),
        order=4,
    ),
    AxisRow(
        *("prompt_append", "Prompt: add words", "words", _append_to_prompt),
        fields=_PROMPTS[:1],
        aliases=("append",),
        order=5,
    ),
    AxisRow(
        *(PROMPT_LINE, "Prompts, one per line", "lines", _use_line),
        fields=tuple(dict.fromkeys(LINE_FLAGS.values())),
        aliases=("lines",),
        order=0,
    ),
    AxisRow(
        *("prompt", "Prompt", "words", partial(_change_field, "prompt", "Prompt")),
        fields=_PROMPTS[:1],
        order=1,
    ),
    AxisRow(
        "negative_prompt",
        "Negative prompt",
        "words",
        partial(_change_field, "negative_prompt", "Negative prompt"),
        fields=_PROMPTS[1:],
        aliases=("negative",),
        order=1,
    ),
    _field_row("seed", "Seed"),
    _field_row("num_inference_steps", "Steps", "steps"),
    _field_row("guidance_scale", "Guidance", "CFG Scale", "cfg"),
    _field_row("sampler", "Sampler"),
    AxisRow("size", "Size", "names", _change_size, ("width", "height")),
    _field_row("width", "Width"),
    _field_row("height", "Height"),
    _field_row("model", "Model", "Checkpoint name", "checkpoint"),
    AxisRow("quality", "Quality", "names", _use_quality, ("quality",)),
    _field_row("profile", "Speed"),
    AxisRow("lora", "LoRA", "names", _use_lora, ("loras",)),
    AxisRow("lora_weight", "LoRA weight", "numbers", _change_lora_weight, ("loras",), order=3),
    AxisRow("style", "Style", "names", _use_style, ("styles",)),
    _field_row("vae", "VAE"),
    _field_row("clip_skip", "Clip skip"),
    _field_row("variation_strength", "Variation", "Var. strength"),
    _field_row("variation_seed", "Variation seed", "Var. seed"),
    _field_row("emphasis", "Emphasis"),
    _field_row("wildcards", "Wildcards"),
    _field_row("strength", "Strength", "Denoising"),
    _field_row("resize_mode", "Fit"),
    _field_row("loopback", "Passes"),
    _field_row("loopback_strength_factor", "Strength factor of passes"),
    _field_row("tiled", "Tiled"),
    _field_row("background", "Background"),
    _field_row("mask_blur_px", "Mask blur"),
    _field_row("invert_mask", "Invert mask"),
    _field_row("only_masked", "Only masked"),
    _field_row("padding_px", "Padding"),
    _field_row("masked_content", "Masked content"),
    _field_row("soft", "Soft inpainting"),
    _field_row("outpaint.left", "Outpaint left"),
    _field_row("outpaint.top", "Outpaint top"),
    _field_row("outpaint.right", "Outpaint right"),
    _field_row("outpaint.bottom", "Outpaint bottom"),
    _field_row("controls.0.controlnet", "ControlNet", "controlnet"),
    _field_row("controls.0.conditioning_scale", "ControlNet weight", "controlnet_weight"),
    _field_row("controls.0.preprocessor", "Preprocessor", "preprocessor"),
    _field_row("controls.0.guidance_start", "ControlNet start"),
    _field_row("controls.0.guidance_end", "ControlNet end"),
    _field_row("controls.0.resize_mode", "ControlNet fit"),
    _field_row("ip_adapters.0.name", "IP-Adapter"),
    _field_row("ip_adapters.0.scale", "IP-Adapter weight"),
    _field_row("hires.scale", "Hires scale"),
    _field_row("hires.num_inference_steps", "Hires steps"),
    _field_row("hires.strength", "Hires strength"),
    _field_row("hires.upscaler", "Hires upscaler"),
    _field_row("hires.tiled", "Hires tiled"),
    _field_row("hires.controlnet", "Hires ControlNet"),
    _field_row("upscaling.scale", "Upscale"),
    _field_row("upscaling.upscaler", "Upscaler", "upscaler"),
    _field_row("upscaling.tile_px", "Upscaling tile"),
    _field_row("upscaling.face_restorer", "Face restorer", "Face restore"),
    _field_row("upscaling.face_strength", "Face strength"),
    _field_row("refiner.model", "Refiner", "Refiner checkpoint"),
    _field_row("refiner.switch_at", "Refiner switch at"),
    _field_row("free_u.b1", "FreeU b1"),
    _field_row("free_u.b2", "FreeU b2"),
    _field_row("free_u.s1", "FreeU s1"),
    _field_row("free_u.s2", "FreeU s2"),
)

AXES: Mapping[str, AxisRow] = MappingProxyType({row.name: row for row in _ROWS})
"""All axes by name, the most used first."""

_BY_NAME = {_normalize(name): row for row in _ROWS for name in (row.name, row.title, *row.aliases)}

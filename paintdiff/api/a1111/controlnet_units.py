"""Units of the ControlNet extension, as clients put them into `alwayson_scripts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from paintdiff.api.a1111 import messages
from paintdiff.api.a1111.pictures import read_picture
from paintdiff.errors import RequestError
from paintdiff.gallery.a1111.controls import (
    find_resize_mode,
    from_a1111_controlnet,
    from_a1111_module,
)

SCRIPT = "controlnet"
_POSITIONS = (
    *("enabled", "module", "model", "weight", "image", "resize_mode", "low_vram", "processor_res"),
    *("threshold_a", "threshold_b", "guidance_start", "guidance_end", "pixel_perfect"),
    "control_mode",
)
"""The order of a unit's values where a client sends them as one flat list."""
_RESIZE_MODES = ("stretch", "crop", "pad")
_RESIZE_ALIASES: Mapping[str, str] = {
    "inner fit (scale to fit)": "crop",
    "scale to fit (inner fit)": "crop",
    "outer fit (shrink to fit)": "pad",
    "envelope (outer fit)": "pad",
}
_NOTHING_ASKED: Mapping[str, tuple[object, ...]] = {
    "low_vram": (None, False, True),
    "lowvram": (None, False, True),
    "pixel_perfect": (None, False, True),
    "processor_res": (None, -1, 64, 512),
    "threshold_a": (None, -1, 0.5, 64, 100),
    "threshold_b": (None, -1, 0.5, 64, 200),
    "control_mode": (None, 0, "Balanced"),
    "hr_option": (None, "Both", "HiResFixOption.BOTH"),
    "guess_mode": (None, False),
    "guessmode": (None, False),
    "mask": (None, ""),
    "mask_image": (None, ""),
    "effective_region_mask": (None, ""),
    "input_mode": (None, "simple"),
    "batch_images": (None, "", []),
    "output_dir": (None, ""),
    "loopback": (None, False),
    "inpaint_crop_input_image": (None, False, True),
    "save_detected_map": (None, False, True),
    "advanced_weighting": (None,),
    "is_ui": (None, False, True),
    "use_preview_as_input": (None, False),
}
"""Fields of a unit without an effect here, each with the values that ask for nothing."""

_NAMES = {
    "image": "image",
    "preprocessor": "module",
    "controlnet": "model",
    "conditioning_scale": "weight",
    "guidance_start": "guidance_start",
    "guidance_end": "guidance_end",
    "resize_mode": "resize_mode",
}
"""A control's field -> the unit's."""


class ControlUnit(BaseModel):
    """One unit. The control map is always made at the size that is painted ("pixel perfect")."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    enabled: bool = Field(default=True, validation_alias=AliasChoices("enabled", "enable"))
    image: str = Field(default="", validation_alias=AliasChoices("image", "input_image"))
    module: str = "none"
    model: str = ""
    weight: float = 1.0
    resize_mode: int | str = "Crop and Resize"
    guidance_start: float = 0.0
    guidance_end: float = Field(
        default=1.0, validation_alias=AliasChoices("guidance_end", "guidance")
    )

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, values: object) -> object:
        """Drop nulls, and take a picture and its mask out of their object."""
        if not isinstance(values, dict):
            return values
        unit = {n: v for n, v in cast("dict[str, object]", values).items() if v is not None}
        for name in ("image", "input_image"):
            pair = unit.get(name)
            if isinstance(pair, dict):
                both = cast("dict[str, object]", pair)
                unit[name] = both.get("image") or ""
                unit.setdefault("mask", both.get("mask"))
        return unit


@dataclass(frozen=True)
class Controls:
    """The controls that units ask for, as values of a request.

    `names` are what the client calls the fields of these values, such as "controls.0.image".
    """

    values: tuple[Mapping[str, object], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()


def read_units(args: object, script: str, init_image: object | None) -> Controls:
    """Read the `args` of the ControlNet script: a list of units, one unit, or a flat list.

    A unit without a picture takes the `init_image`.

    Raises:
        RequestError: A value can't be used; `field` names it as the client does.
    """
    values: list[Mapping[str, object]] = []
    names: dict[str, str] = {}
    warnings: list[str] = []
    units = _list_units(args, script)
    for number, content in enumerate(units):
        place = f"alwayson_scripts.{script}.args.{number}"
        unit = _parse(content, place)
        if not unit.enabled:
            continue
        names |= {
            f"controls.{len(values)}.{ours}": f"{place}.{each}" for ours, each in _NAMES.items()
        }
        values.append(_convert(unit, place, init_image))
        ignored = _list_ignored(unit)
        if ignored:
            warnings.append(messages.control_fields_ignored(number, ", ".join(ignored)))
    names["controls"] = f"alwayson_scripts.{script}.args"
    return Controls(tuple(values), names, tuple(warnings))


def _list_units(args: object, script: str) -> Sequence[object]:
    if isinstance(args, dict):
        return [cast("object", args)]
    if not isinstance(args, list):
        raise RequestError(messages.args_unreadable(script), field=f"alwayson_scripts.{script}")
    values = cast("list[object]", args)
    if values and isinstance(values[0], bool):
        width = len(_POSITIONS)
        starts = range(0, len(values), width)
        return [
            dict(zip(_POSITIONS, values[start : start + width], strict=False)) for start in starts
        ]
    return [each for each in values if each is not None]


def _parse(content: object, place: str) -> ControlUnit:
    try:
        return ControlUnit.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join([place, *map(str, first["loc"])])
        raise RequestError(messages.unreadable_unit(name, first["msg"]), field=name) from None


def _convert(unit: ControlUnit, place: str, init_image: object | None) -> dict[str, object]:
    if unit.image:
        image: object = read_picture(unit.image, f"{place}.image")
    elif init_image is not None:
        image = init_image
    else:
        raise RequestError(messages.CONTROL_NEEDS_IMAGE, field=f"{place}.image")
    return {
        "image": image,
        "preprocessor": from_a1111_module(unit.module or "none"),
        "controlnet": from_a1111_controlnet(unit.model),
        "conditioning_scale": unit.weight,
        "guidance_start": unit.guidance_start,
        "guidance_end": unit.guidance_end,
        "resize_mode": _find_resize_mode(unit.resize_mode, f"{place}.resize_mode"),
    }


def _find_resize_mode(value: int | str, field: str) -> str:
    if isinstance(value, int):
        found = _RESIZE_MODES[value] if 0 <= value < len(_RESIZE_MODES) else None
    else:
        found = find_resize_mode(value) or _RESIZE_ALIASES.get(value.casefold())
    if found is None:
        raise RequestError(messages.unknown_resize_mode(value), field=field)
    return found


def _list_ignored(unit: ControlUnit) -> list[str]:
    extra: Mapping[str, Any] = unit.model_extra or {}
    return sorted(
        name
        for name, value in extra.items()
        if not any(value == each for each in _NOTHING_ASKED.get(name, ()))
    )

"""Controls in A1111's `parameters` text, in the format of its ControlNet extension.

`ControlNet 0: "Module: canny, Model: ..., Weight: 1, ..."`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from paintdiff.jobs.request_parts import ControlInput
from paintdiff.jobs.requests import PaintingRequest

_NUMBERED = re.compile(r"ControlNet (\d{1,2})")
_HASH = re.compile(r" \[[0-9a-f]{8}\]$")
_NO_MODEL = "None"
_RESIZE_MODES = {"stretch": "Just Resize", "crop": "Crop and Resize", "pad": "Resize and Fill"}
# The extension's names where they differ from ours.
_MODULES = {
    "invert": "invert (from white bg & black line)",
    "lineart_standard": "lineart_standard (from white bg & black line)",
    "lineart": "lineart_realistic",
    "hed": "softedge_hed",
    "pidinet": "softedge_pidinet",
    "tile": "tile_resample",
    "openpose": "openpose_full",
}
_OTHER_MODULES = {
    "depth": "depth_midas",
    "softedge": "hed",
    "lineart_anime_denoise": "lineart_anime",
}
"""Further names of the extension's, as it spelled them before."""


def to_a1111_module(preprocessor: str) -> str:
    """Return the extension's name for one of our preprocessors; ours if it has none."""
    return _MODULES.get(preprocessor, preprocessor)


def from_a1111_module(module: str) -> str:
    """Return our name for one of the extension's preprocessors; its own if we have none."""
    theirs = {name: ours for ours, name in _MODULES.items()} | _OTHER_MODULES
    return theirs.get(module, module)


def from_a1111_controlnet(model: str) -> str | None:
    """Return the name of a ControlNet without its hash; None for none in particular."""
    return None if model in ("", _NO_MODEL) else _HASH.sub("", model)


def find_resize_mode(name: str) -> str | None:
    """Return our name for one of the extension's resize modes, None if there is none."""
    wanted = name.casefold()
    return next((ours for ours, each in _RESIZE_MODES.items() if each.casefold() == wanted), None)


def write_controls(
    request: PaintingRequest, number: Callable[[float], str], quoted: Callable[[str], str]
) -> dict[str, str]:
    """Return a request's controls: keys "ControlNet 0" and so on.

    `number` and `quoted` format a number and a value for the text.
    """

    def text(control: ControlInput) -> str:
        values = {
            "Module": to_a1111_module(control.preprocessor),
            "Model": control.controlnet or _NO_MODEL,
            "Weight": number(control.conditioning_scale),
            "Resize Mode": _RESIZE_MODES[control.resize_mode],
            "Guidance Start": number(control.guidance_start),
            "Guidance End": number(control.guidance_end),
            "Image hash": control.image.sha256,
        }
        return ", ".join(f"{key}: {quoted(value)}" for key, value in values.items())

    return {f"ControlNet {index}": text(each) for index, each in enumerate(request.controls)}


def read_controls(
    settings: Mapping[str, str],
    taken_apart: Callable[[str], Mapping[str, str]],
    reference: Callable[[str], dict[str, object]],
) -> dict[str, object]:
    """Return the request's field `controls` from a text; {} without controls.

    `taken_apart` splits a list of settings; `reference` makes an input image of a hash.
    """
    numbered = sorted(
        (int(match[1]), text)
        for key, text in settings.items()
        if (match := _NUMBERED.fullmatch(key)) is not None
    )
    controls = [_values(taken_apart(text), reference) for _number, text in numbered]
    return {"controls": controls} if controls else {}


def _values(
    settings: Mapping[str, str], reference: Callable[[str], dict[str, object]]
) -> dict[str, object]:
    values: dict[str, object] = {"image": reference(settings.get("Image hash", ""))}
    for key, field in (
        ("Weight", "conditioning_scale"),
        ("Guidance Start", "guidance_start"),
        ("Guidance End", "guidance_end"),
    ):
        if settings.get(key):
            values[field] = settings[key]
    module = settings.get("Module")
    if module:
        values["preprocessor"] = from_a1111_module(module)
    controlnet = from_a1111_controlnet(settings.get("Model", ""))
    if controlnet is not None:
        values["controlnet"] = controlnet
    mode = find_resize_mode(settings.get("Resize Mode", ""))
    if mode is not None:
        values["resize_mode"] = mode
    return values

"""A1111's `parameters` text: a request written as the A1111 web UI writes its own, and read back.

Where that UI has a name for a setting it is used; the rest have names of ours, which it ignores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from paintdiff.errors import MetadataError, RequestError
from paintdiff.events import Picture
from paintdiff.gallery.adapter_parameters import (
    adapter_settings,
    adapter_values,
    prompt_with_loras,
)
from paintdiff.gallery.control_parameters import control_settings, control_values
from paintdiff.gallery.hires_parameters import hires_settings, hires_values
from paintdiff.gallery.upscale_parameters import upscale_settings, upscale_values, upscaled_alone
from paintdiff.geometry import Size
from paintdiff.requests import ImageToImage, Inpaint, Painting, Request, Upscale, parsed_request

_NEGATIVE = "Negative prompt:"
_EXACT = "exact"
_KARRAS = " Karras"
_SGM_UNIFORM = "Euler SGM Uniform"
# A1111's own names, where they differ from ours.
_TO_A1111 = {"PNDM": "PLMS"}
_FROM_A1111 = {theirs: ours for ours, theirs in _TO_A1111.items()}
_RESIZE_MODES = {"stretch": "Just resize", "crop": "Crop and resize", "pad": "Resize and fill"}
_MASKED_CONTENTS = {
    "original": "original",
    "fill": "fill",
    "noise": "latent noise",
    "empty": "latent nothing",
}
_INVERTED = "Inpaint not masked"
_ONLY_MASKED = "Only masked"
# A1111, modules/infotext_utils.py: key, colon, then a JSON string or everything up to a comma.
_SETTING = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_LEAST_SETTINGS = 3
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Parameters:
    """A `parameters` text taken apart. `settings` are as written: "Steps" -> "20"."""

    prompt: str
    negative_prompt: str
    settings: Mapping[str, str]


def parameters_text(picture: Picture, before: str = "") -> str:
    """The picture's settings as the A1111 web UI writes them.

    `before` is the text of the picture that was enlarged: what has been done to it is added, as
    that UI's extras tab does, so it still says how the picture was painted.
    """
    request = picture.request
    if not isinstance(request, Upscale):
        return _painting_text(picture, request)
    added = _joined(upscale_settings(request, _number))
    *_, last = before.rstrip().split("\n")
    if not before.strip():
        return added
    return f"{before.rstrip()}{', ' if _has_settings(last) else chr(10)}{added}"


def _scheduled(sampler: str) -> tuple[str, str]:
    """A sampler of ours as A1111's and its schedule type, "" for the usual one."""
    if sampler == _SGM_UNIFORM:
        return "Euler", "SGM Uniform"
    plain = sampler.removesuffix(_KARRAS)
    return plain, "Karras" if plain != sampler else ""


def _painting_text(picture: Picture, request: Painting) -> str:
    sampling = request.sampling()
    sampler, schedule = _scheduled(sampling.sampler)
    varied = sampling.variation_strength > 0
    settings = {
        "Steps": str(sampling.num_inference_steps),
        "Sampler": _TO_A1111.get(sampler, sampler),
        "Schedule type": schedule,
        "CFG scale": f"{sampling.guidance_scale:g}",
        "Seed": str(sampling.seed),
        "Size": str(sampling.size),
        "Model hash": picture.model_hash,
        "Model": request.model,
        "Profile": request.profile if request.profile not in (None, _EXACT) else "",
        "Engine": picture.engine,
        "Variation seed": str(sampling.variation_seed) if varied else "",
        "Variation seed strength": _number(sampling.variation_strength) if varied else "",
        **_settings_of_kind(request),
        **hires_settings(request, _number),
        **control_settings(request, _number, _quoted),
        **adapter_settings(request, picture.hashes, _number, _quoted),
        **upscale_settings(request, _number),
    }
    lines = [prompt_with_loras(request)]
    if request.negative_prompt:
        lines.append(f"{_NEGATIVE} {request.negative_prompt}")
    return "\n".join([*lines, _joined(settings)])


def _joined(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {_quoted(value)}" for key, value in settings.items() if value)


def _has_settings(line: str) -> bool:
    """Whether a text's last line is one of settings."""
    return len(_SETTING.findall(line)) >= _LEAST_SETTINGS


def _settings_of_kind(request: Painting) -> dict[str, str]:
    """What the kinds have beyond text to image; "" for what isn't worth writing."""
    if not isinstance(request, (ImageToImage, Inpaint)):
        return {}
    settings = {
        "Denoising strength": _number(request.strength),
        "Init image hash": request.image.sha256,
        "Background": request.background if request.background != "#ffffff" else "",
    }
    if isinstance(request, ImageToImage):
        looped = request.loopback > 1
        return settings | {
            "Resize mode": _RESIZE_MODES[request.resize_mode],
            "Loopback": str(request.loopback) if looped else "",
            "Loopback factor": _number(request.loopback_strength_factor) if looped else "",
        }
    by = request.outpaint
    return settings | {
        "Mask blur": _number(request.mask_blur_px),
        "Mask mode": _INVERTED if request.invert_mask else "",
        "Mask hash": request.mask.sha256 if request.mask is not None else "",
        "Sketch hash": request.sketch.sha256 if request.sketch is not None else "",
        "Inpaint area": _ONLY_MASKED if request.only_masked else "",
        "Masked area padding": str(request.padding_px) if request.only_masked else "",
        "Masked content": _MASKED_CONTENTS[request.masked_content],
        "Soft inpainting enabled": "True" if request.soft else "",
        "Outpaint": f"{by.left} {by.top} {by.right} {by.bottom}" if by else "",
    }


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


def _taken_apart(text: str) -> dict[str, str]:
    """A list of settings within a setting."""
    return {key: _unquoted(value) for key, value in _SETTING.findall(text)}


def request_from(parameters: Parameters) -> Request:
    """The request that an A1111 text describes; what it doesn't say is left open.

    Of pictures it knows the fingerprint at most. Raises MetadataError.
    """
    settings = parameters.settings
    alone = upscaled_alone(settings, _reference)
    values: dict[str, object] = {
        "prompt": parameters.prompt,
        "negative_prompt": parameters.negative_prompt,
    }
    for key, field in (
        ("Steps", "num_inference_steps"),
        ("CFG scale", "guidance_scale"),
        ("Seed", "seed"),
        ("Model", "model"),
        ("Profile", "profile"),
        ("Variation seed", "variation_seed"),
        ("Variation seed strength", "variation_strength"),
    ):
        if settings.get(key):
            values[field] = settings[key]
    sampler = settings.get("Sampler")
    if sampler:
        schedule = settings.get("Schedule type")
        karras = schedule == "Karras" and not sampler.endswith(_KARRAS)
        values["sampler"] = _FROM_A1111.get(sampler, sampler) + (_KARRAS if karras else "")
        if (sampler, schedule) == _scheduled(_SGM_UNIFORM):
            values["sampler"] = _SGM_UNIFORM
    try:
        if settings.get("Size"):
            size = Size.parse(settings["Size"])
            values.update(width=size.width, height=size.height)
        controls = control_values(settings, _taken_apart, _reference)
        stages = hires_values(settings) | upscale_values(settings)
        adapters = adapter_values(settings, _taken_apart, _reference)
        stages |= controls | adapters
        return parsed_request(alone or values | _values_of_kind(settings) | stages)
    except RequestError as error:
        raise MetadataError(f"The picture's settings can't be used: {error}") from error


def _values_of_kind(settings: Mapping[str, str]) -> dict[str, object]:
    """The fields that make a request image to image or inpainting; none for text to image."""
    # A1111's upscaling within text to image has a denoising strength too.
    upscaled = any(key.startswith("Hires") for key in settings)
    if not settings.get("Denoising strength") or upscaled:
        return {}
    values: dict[str, object] = {
        "strength": settings["Denoising strength"],
        "image": _reference(settings.get("Init image hash", "")),
    }
    if settings.get("Background"):
        values["background"] = settings["Background"]
    if settings.get("Mask blur") or settings.get("Mask hash"):
        return values | {"kind": "inpaint"} | _inpaint_values(settings)
    values["kind"] = "image_to_image"
    _translate(settings, "Resize mode", _RESIZE_MODES, values, "resize_mode")
    for key, field in (
        ("Loopback", "loopback"),
        ("Loopback factor", "loopback_strength_factor"),
    ):
        if settings.get(key):
            values[field] = settings[key]
    return values


def _inpaint_values(settings: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {
        "mask_blur_px": settings.get("Mask blur", "0"),  # A1111 leaves a blur of 0 out
        "invert_mask": settings.get("Mask mode") == _INVERTED,
        "only_masked": settings.get("Inpaint area") == _ONLY_MASKED,
        "soft": settings.get("Soft inpainting enabled") == "True",
    }
    for key, field in (("Mask hash", "mask"), ("Sketch hash", "sketch")):
        if settings.get(key):
            values[field] = _reference(settings[key])
    if settings.get("Masked area padding"):
        values["padding_px"] = settings["Masked area padding"]
    _translate(settings, "Masked content", _MASKED_CONTENTS, values, "masked_content")
    if settings.get("Outpaint"):
        sides = ("left", "top", "right", "bottom")
        values["outpaint"] = dict(zip(sides, settings["Outpaint"].split(), strict=False))
    return values


def _translate(
    settings: Mapping[str, str],
    key: str,
    names: Mapping[str, str],
    values: dict[str, object],
    field: str,
) -> None:
    """Their name for a choice as ours; one that we don't have is left open."""
    for ours, theirs in names.items():
        if settings.get(key) == theirs:
            values[field] = ours


def _reference(sha256: str) -> dict[str, object]:
    """A picture that isn't here. (A1111 writes MD5 sums there, which say nothing to us.)"""
    return {"sha256": sha256 if _SHA256.fullmatch(sha256) else ""}


def _number(value: float) -> str:
    """All its digits, but no ".0"."""
    return str(int(value)) if value == int(value) else repr(value)


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

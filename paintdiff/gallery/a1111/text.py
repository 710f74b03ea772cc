"""A1111's `parameters` text: writes a request in that format, and reads it back.

Settings that A1111 knows have its names; the rest have our own, which it ignores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from paintdiff.errors import SizeError
from paintdiff.gallery.a1111.adapters import (
    add_lora_tags,
    read_adapters,
    write_adapters,
)
from paintdiff.gallery.a1111.branches import BRANCHES, read_branches, write_branches
from paintdiff.gallery.a1111.controls import read_controls, write_controls
from paintdiff.gallery.a1111.grids import write_grid
from paintdiff.gallery.a1111.hires import read_hires, write_hires
from paintdiff.gallery.a1111.prompt_language import (
    EMPHASIS,
    SYNTAX,
    read_prompt_language,
    write_prompt_language,
)
from paintdiff.gallery.a1111.upscaling import read_upscale_only, read_upscaling, write_upscaling
from paintdiff.gallery.settings.found_settings import (
    FoundSettings,
    format_value,
    keep_usable,
    name_unused,
)
from paintdiff.gallery.settings.sampler_names import from_others, to_a1111
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Picture
from paintdiff.jobs.provenance import Provenance
from paintdiff.jobs.requests import Grid, ImageToImage, Inpaint, Painting, Request, Upscale

_NEGATIVE = "Negative prompt:"
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
# Others write JSON lists and objects, too.
_KEY = re.compile(r"\s*(\w[\w \-/]+):\s*")
_STRING = re.compile(r'"(?:\\.|[^\\"])+"\s*(?=,|$)')
_LEAST_SETTINGS = 3
_FIRST_SETTING = re.compile(r"(?<![\w-])Steps:\s*\d+\s*(?=,|$)")
_TEMPLATES = ("Template:", "Negative Template:")
_INFORMATION = frozenset(
    {
        *("Model hash", "VAE hash", "Lora hashes", "TI hashes", "Hashes", "Version", "Engine"),
        *("App", "Backend", "Pipeline", "Parser", "User", "Operations", "Created Date", "Batch"),
        *("Civitai resources", "Civitai metadata", "Template", "Negative Template", "Time"),
        *("Module 1", "Module 2", "Module 3", "Diffusion in Low Bits", "Original prompt"),
        *("Original negative", "Parent", "Init image size", "Full quality"),
        *("Script", "X Type", "X Values", "Y Type", "Y Values", "Z Type", "Z Values"),
    }
)
"""Settings that describe how a picture was made, but can't be set here."""
_OF_PARTS = re.compile(
    r"(ControlNet|IP-Adapter) \d+|freeu_\w+|Postprocess .*|Face restoration.*|Hires (upscale|resize"
    r"|steps|upscaler|tiled|ControlNet)|Refiner( switch at)?|VAE|Clip skip"
)
"""Settings that the modules for hires fix, ControlNets, adapters and upscaling read."""
_SUFFIX = re.compile(r"\.(safetensors|ckpt|gguf|pt)$", re.IGNORECASE)
_HASH = re.compile(r"[0-9a-fA-F]{4,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_STARTS = 16
_FIELDS = {
    "Steps": "num_inference_steps",
    "CFG scale": "guidance_scale",
    "Distilled CFG Scale": "guidance_scale",  # Forge's for Flux, whose CFG scale is 1
    "Seed": "seed",
    "Model": "model",
    "Profile": "profile",
    "Variation seed": "variation_seed",
    "Variation seed strength": "variation_strength",
}
_KNOWN = frozenset(
    {
        *_FIELDS,
        *_INFORMATION,
        *("Sampler", "Schedule type", "Size", "Denoising strength", "Init image hash"),
        *("Background", "Resize mode", "Loopback", "Loopback factor", "Mask blur", "Mask mode"),
        *("Mask hash", "Sketch hash", "Inpaint area", "Masked area padding", "Masked content"),
        *("Soft inpainting enabled", "Outpaint", BRANCHES, SYNTAX, EMPHASIS),
    }
)


@dataclass(frozen=True)
class Parameters:
    """A parsed `parameters` text. `settings` are as written: "Steps" -> "20"."""

    prompt: str
    negative_prompt: str
    settings: Mapping[str, str]


def write_parameters(picture: Picture, before: str = "") -> str:
    """Return the picture's settings in the A1111 web UI's format.

    `before` is the text of the picture that was enlarged. The upscaling is appended to it, as that
    UI's extras tab does, so the text still describes the painting.
    """
    request = picture.request
    if isinstance(request, Grid):
        return write_grid(request, _join)
    if not isinstance(request, Upscale):
        return _painting_text(picture, request)
    added = _join(write_upscaling(request, _format_number))
    *_, last = before.rstrip().split("\n")
    if not before.strip():
        return added
    return f"{before.rstrip()}{', ' if _has_settings(last) else chr(10)}{added}"


def _painting_text(picture: Picture, request: Painting) -> str:
    sampling = request.sampling()
    sampler, schedule = to_a1111(sampling.sampler)
    varied = sampling.variation_strength > 0
    settings = {
        "Steps": str(sampling.num_inference_steps),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": f"{sampling.guidance_scale:g}",
        "Seed": str(sampling.seed),
        "Size": str(sampling.size),
        "Model hash": picture.model_hash,
        "Model": request.model,
        **write_prompt_language(request),
        "Profile": request.profile or "",
        "Engine": picture.engine,
        BRANCHES: write_branches(request),
        "Variation seed": str(sampling.variation_seed) if varied else "",
        "Variation seed strength": _format_number(sampling.variation_strength) if varied else "",
        **_write_kind(request),
        **write_hires(request, _format_number),
        **write_controls(request, _format_number, _quote),
        **write_adapters(request, picture.hashes, _format_number, _quote),
        **write_upscaling(request, _format_number),
    }
    lines = [add_lora_tags(request)]
    if request.negative_prompt:
        lines.append(f"{_NEGATIVE} {request.negative_prompt}")
    return "\n".join([*lines, _join(settings)])


def _join(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{key}: {_quote(value)}" for key, value in settings.items() if value)


def _has_settings(line: str) -> bool:
    """Return whether a text's last line contains settings."""
    return len(_split_settings(line)) >= _LEAST_SETTINGS


def _write_kind(request: Painting) -> dict[str, str]:
    """Return the settings beyond text to image; "" for what isn't worth writing."""
    if not isinstance(request, (ImageToImage, Inpaint)):
        return {}
    settings = {
        "Denoising strength": _format_number(request.strength),
        "Init image hash": request.image.sha256,
        "Background": request.background if request.background != "#ffffff" else "",
    }
    if isinstance(request, ImageToImage):
        looped = request.loopback > 1
        return settings | {
            "Resize mode": _RESIZE_MODES[request.resize_mode],
            "Loopback": str(request.loopback) if looped else "",
            "Loopback factor": _format_number(request.loopback_strength_factor) if looped else "",
        }
    by = request.outpaint
    return settings | {
        "Mask blur": _format_number(request.mask_blur_px),
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
    """Parse an A1111 `parameters` text; any text is accepted.

    Its settings start with "Steps:", at the start of a line or after the prompt on one line, and
    may span several lines; or they are the last line. At least three are required.
    """
    plain = text.replace("\r\n", "\n").replace("\r", "\n").strip(" \t\n\ufeff")
    start = _find_settings(plain)
    head, settings = plain[:start], _split_settings(_strip_templates(plain[start:]))
    on_one_line = settings and head.strip() and not head.rstrip(" ").endswith("\n")
    if on_one_line and f"\n{_NEGATIVE}" not in head:
        head = head.replace(f" {_NEGATIVE}", f"\n{_NEGATIVE}", 1)
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in (line.strip() for line in head.removesuffix("\n").split("\n")):
        if line.startswith(_NEGATIVE):
            current = negative
            line = line.removeprefix(_NEGATIVE).strip()
        current.append(line)
    return Parameters("\n".join(prompt).rstrip(), "\n".join(negative).rstrip(), settings)


def _find_settings(text: str) -> int:
    """Return the index where the settings start; the text's length if it has none."""
    starts = [match.start() for match in _FIRST_SETTING.finditer(text)][-_MOST_STARTS:]
    lines = [start for start in starts if not start or text[:start].rstrip(" ")[-1:] == "\n"]
    for start in (*reversed(lines), *starts):
        if _has_settings(_strip_templates(text[start:])):
            return start
    last = text.rfind("\n") + 1
    return last if _has_settings(text[last:]) else len(text)


def _strip_templates(text: str) -> str:
    """Return the settings on one line, without prompt templates that some programs append."""
    lines = text.split("\n")
    end = next((n for n, line in enumerate(lines) if line.strip().startswith(_TEMPLATES)), None)
    return ", ".join(line.strip().rstrip(",") for line in lines[:end])


def _split_settings(text: str) -> dict[str, str]:
    """Split a list of settings: a text's last line, or a setting that is a list."""
    settings: dict[str, str] = {}
    offset = 0
    while offset < len(text):
        key = _KEY.match(text, offset)
        if key is not None:
            settings[key[1]], offset = _read_value(text, key.end())
        comma = text.find(",", offset)
        offset = len(text) if comma < 0 else comma + 1
    return settings


def _read_value(text: str, start: int) -> tuple[str, int]:
    """Return the value that starts there, and its end."""
    quoted = _STRING.match(text, start)
    if quoted is not None:
        return _unquote(quoted[0].strip()), quoted.end()
    if text[start : start + 1] in ("[", "{"):
        try:
            _, end = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            pass
        else:
            return text[start:end], end
    comma = text.find(",", start)
    end = len(text) if comma < 0 else comma
    return _unquote(text[start:end].strip()), end


def request_from_parameters(parameters: Parameters) -> Request:
    """Return the request that an A1111 text describes, as far as it can be used.

    Raises:
        MetadataError: Nothing can be used.
    """
    return settings_from_parameters(parameters).request


def settings_from_parameters(parameters: Parameters) -> FoundSettings:
    """Return the settings in an A1111 text; what is missing or can't be used is left open.

    Of input images it knows the hash at most.

    Raises:
        MetadataError: Nothing can be used.
    """
    settings = parameters.settings
    alone = read_upscale_only(settings, _reference)
    if alone:
        return keep_usable(alone)
    values: dict[str, object] = {
        "prompt": parameters.prompt,
        "negative_prompt": parameters.negative_prompt,
    }
    for key, field in _FIELDS.items():
        if settings.get(key):
            values[field] = settings[key]
    if str(values.get("seed", "")).startswith("-"):
        del values["seed"]  # others write -1 for a random one
    if "model" in values:
        values["model"] = _SUFFIX.sub("", settings["Model"])
    language, named = read_prompt_language(settings)
    branches, unread = read_branches(settings)
    values |= language | branches
    named += unread
    if settings.get("Sampler"):
        sampler, said = from_others(settings["Sampler"], settings.get("Schedule type", ""))
        values |= {"sampler": sampler} if sampler else {}
        named += said
    named += _add_size(settings, values)
    values |= read_controls(settings, _split_settings, _reference)
    values |= read_upscaling(settings) | read_adapters(settings, _split_settings, _reference)
    values |= _read_kind(settings)
    named += name_unused(key for key in settings if not _is_known(key))
    model_hash = settings.get("Model hash", "")
    found = keep_usable(values, named)
    known = model_hash if _HASH.fullmatch(model_hash) else ""
    return replace(found, provenance=Provenance(known))


def _add_size(settings: Mapping[str, str], values: dict[str, object]) -> list[str]:
    """Add the size, and the hires fix that depends on it. Returns what can't be used."""
    named: list[str] = []
    if settings.get("Size"):
        try:
            size = Size.parse(settings["Size"].replace("×", "x"))  # noqa: RUF001 (the sign itself)
            values |= {"width": size.width, "height": size.height}
        except SizeError:
            named.append(f"size {format_value(settings['Size'])}")
    try:
        values |= read_hires(settings)
    except SizeError:
        named.append(f"hires fix to {format_value(settings.get('Hires resize', ''))}")
    return named


def _is_known(key: str) -> bool:
    return key in _KNOWN or _OF_PARTS.fullmatch(key) is not None


def _read_kind(settings: Mapping[str, str]) -> dict[str, object]:
    """Return the fields of image to image or inpainting; {} for text to image."""
    # A1111's upscaling within text to image has a denoising strength, too.
    upscaled = any(key.startswith(("Hires", "First pass size")) for key in settings)
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
        "mask_blur_px": settings.get("Mask blur", "0"),  # A1111 omits a blur of 0
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
    """Translate a choice to our name, or leave an unknown one open."""
    for ours, theirs in names.items():
        if settings.get(key) == theirs:
            values[field] = ours


def _reference(sha256: str) -> dict[str, object]:
    """Return a reference to a picture that isn't here.

    A1111 writes MD5 sums there, which match none of ours.
    """
    return {"sha256": sha256 if _SHA256.fullmatch(sha256) else ""}


def _format_number(value: float) -> str:
    """Format a number with all its digits, but without ".0"."""
    return str(int(value)) if value == int(value) else repr(value)


def _quote(value: str) -> str:
    return (
        json.dumps(value, ensure_ascii=False) if any(sign in value for sign in ',:\n"') else value
    )


def _unquote(value: str) -> str:
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value.strip()

"""Settings that other programs write as JSON.

Fooocus, SwarmUI, InvokeAI, NovelAI, Draw Things and their relatives differ mostly in names, so one
table reads them all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from paintdiff.errors import MetadataError
from paintdiff.gallery import messages
from paintdiff.gallery.settings.comfyui import is_graph, settings_from_graph
from paintdiff.gallery.settings.found_settings import FoundSettings, keep_usable, name_unused
from paintdiff.gallery.settings.sampler_names import from_others

Json = Mapping[str, object]

_NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt", "positiveprompt", "positive", "c", "basecaption"),
    "negative_prompt": ("negativeprompt", "negative", "uc"),
    "num_inference_steps": ("steps", "numinferencesteps", "inferencesteps"),
    "guidance_scale": ("cfgscale", "guidancescale", "cfg", "scale", "guidance"),
    "seed": ("seed", "noiseseed"),
    "width": ("width", "w"),
    "height": ("height", "h"),
    "size": ("size", "resolution"),
    "sampler": ("samplername", "sampler"),
    "schedule": ("scheduler", "schedulername", "scheduletype", "noiseschedule"),
    "model": (
        *("model", "modelname", "basemodel", "basemodelname", "checkpoint", "modelweights"),
        *("usestablediffusionmodel", "ckptname"),
    ),
    "vae": ("vae", "vaename", "usevaemodel"),
    "clip_skip": ("clipskip",),
    "loras": ("loras", "lora"),
}
"""Our field -> its names, in small letters and digits only; the first present one counts."""

_INFORMATION = frozenset(
    {
        *("version", "appversion", "metadatascheme", "software", "swarmversion", "date", "time"),
        *("basemodelhash", "modelhash", "vaehash", "metadataversion", "images", "batchsize"),
        *("type", "generationmode", "fullprompt", "fullnegativeprompt", "aspectratio"),
        *(
            "loraweights",
            "nsamples",
            "requesttype",
            "signedhash",
            "v2",
            "v4prompt",
            "v4negativeprompt",
            "user",
        ),
        *("createdby", "modelweights", "profile", "loratencweights", "randdevice", "hash"),
    }
)
_LORA_BESIDE = re.compile(r"lora(combined)?\d+")
_SIZE = re.compile(r"(\d{2,5})\D+(\d{2,5})")
_FILE = re.compile(r"(?:.*[\\/])?(.+?)(?:\.(?:safetensors|ckpt|gguf|pt|pth|bin))?", re.DOTALL)
_NONE = frozenset({"", "none", "automatic", "default", "default (model)"})
_LEAST_VALUES = 2
_WRAPPERS = ("sui_image_params", "meta", "parameters")


def parse_object(text: str) -> Json | None:
    """Parse a JSON object; None for any other text."""
    if not text.lstrip(" \t\r\n\ufeff").startswith("{"):
        return None
    try:
        found: object = json.loads(text.strip(" \t\r\n\ufeff"))
    except (ValueError, RecursionError):
        return None
    return cast("Json", found) if isinstance(found, dict) else None


def settings_from_json(content: Json, program: str = "") -> FoundSettings:
    """Return the settings in an untrusted object.

    Raises:
        MetadataError: None of them is known.
    """
    if is_graph(content):
        return settings_from_graph(content)
    for wrapper in _WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, dict):
            program = "SwarmUI" if wrapper == "sui_image_params" else program
            return settings_from_json(cast("Json", inner), program)
    plain = {_normalize(key): value for key, value in content.items()}
    read = {name: _find_first(plain, others) for name, others in _NAMES.items()}
    values: dict[str, object] = {
        name: value
        for name, value in read.items()
        if name not in ("size", "schedule", "loras") and isinstance(value, (str, int, float))
    }
    program = program or _guess_program(plain)
    if program == "InvokeAI" and isinstance(values.get("clip_skip"), int):
        values["clip_skip"] = int(str(values["clip_skip"])) + 1  # it counts the skipped layers
    named = _add_names(read, values)
    _add_size(read, values)
    loras = _loras(plain)
    if loras:
        values["loras"] = loras
    if not values.get("prompt") and len(values) < _LEAST_VALUES:
        raise MetadataError(messages.UNKNOWN_JSON_SETTINGS)
    known = {other for others in _NAMES.values() for other in others} | _INFORMATION
    rest = [
        key
        for key, value in content.items()
        if _normalize(key) not in known
        and not _LORA_BESIDE.fullmatch(_normalize(key))
        and _has_content(value)
    ]
    rest += _name_characters(plain)
    return keep_usable(values, (*named, *name_unused(rest)), program)


def _name_characters(plain: Json) -> list[str]:
    """Name NovelAI's prompts for single characters, if there are any."""
    prompt = plain.get("v4prompt")
    caption = cast("Json", prompt).get("caption") if isinstance(prompt, dict) else None
    characters = cast("Json", caption).get("char_captions") if isinstance(caption, dict) else None
    return ["v4_prompt.char_captions"] if characters else []


def _add_names(read: Mapping[str, object], values: dict[str, object]) -> list[str]:
    """Convert seed, sampler, model and VAE to our form. Returns what can't be used."""
    if str(values.get("seed", "")).startswith("-"):
        del values["seed"]
    for name in ("model", "vae"):
        given = _strip_name(read[name])
        values.pop(name, None)
        if given.casefold() not in _NONE:
            values[name] = given
    schedule = read["schedule"] if isinstance(read["schedule"], str) else ""
    theirs = values.pop("sampler", "")
    if not theirs:  # InvokeAI calls a sampler a scheduler
        theirs, schedule = schedule, ""
    if not isinstance(theirs, str) or theirs.casefold() in _NONE:
        return []
    sampler, said = from_others(theirs, schedule)
    if sampler:
        values["sampler"] = sampler
    return list(said)


def _add_size(read: Mapping[str, object], values: dict[str, object]) -> None:
    size = _SIZE.search(str(read["size"] or ""))
    if size is not None and not {"width", "height"} <= values.keys():
        values |= {"width": size[1], "height": size[2]}


def _loras(plain: Json) -> list[dict[str, object]]:
    """Return the LoRAs, in any of the formats in which programs list them."""
    given = _find_first(plain, _NAMES["loras"])
    listed: list[object] = list(cast("list[object]", given)) if isinstance(given, list) else []
    weights = plain.get("loraweights")
    weights = list(cast("list[object]", weights)) if isinstance(weights, list) else []
    found: list[dict[str, object]] = []
    for index, each in enumerate(listed):
        if isinstance(each, str):
            name, weight = each, weights[index] if index < len(weights) else 1.0
        elif isinstance(each, list) and each:
            parts = cast("list[object]", each)
            name, weight = parts[0], parts[1] if len(parts) > 1 else 1.0
        elif isinstance(each, dict):
            entry = cast("Json", each)
            name = _find_first(entry, ("model", "lora", "name", "file"))
            weight = entry.get("weight", 1.0)
        else:
            continue
        found.append({"name": _strip_name(name), "weight": weight})
    for key, value in plain.items():
        if _LORA_BESIDE.fullmatch(key) and isinstance(value, str):
            name, _, weight = value.rpartition(" : ")
            found.append({"name": _strip_name(name or weight), "weight": weight if name else 1.0})
    return [each for each in found if str(each["name"]).casefold() not in _NONE]


def _strip_name(value: object) -> str:
    """Return the name of a model's file or entry, without folder and suffix."""
    if isinstance(value, dict):
        value = _find_first(cast("Json", value), ("name", "model_name", "model", "title", "key"))
    if not isinstance(value, str):
        return ""
    match = _FILE.fullmatch(value.strip())
    return match[1] if match is not None else ""


def _find_first(values: Json, names: tuple[str, ...]) -> object:
    return next((values[name] for name in names if _has_content(values.get(name))), None)


def _has_content(value: object) -> bool:
    return value is not None and value is not False and value not in ("", "None", [], {})


def _normalize(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.casefold())


def _guess_program(plain: Json) -> str:
    if "metadatascheme" in plain or str(plain.get("version", "")).startswith("Fooocus"):
        return "Fooocus"
    if "appversion" in plain and "generationmode" in plain:
        return "InvokeAI"
    return "SwarmUI" if "swarmversion" in plain else ""

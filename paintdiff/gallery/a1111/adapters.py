"""Adapters in A1111's `parameters` text.

For example `Lora hashes: "name: 0123456789ab"`, `VAE: name`, `Clip skip: 2`, `Refiner: name
[hash]`. LoRAs are tags in its prompt, such as `<lora:name:0.8>`; a request's separate LoRAs are
appended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from paintdiff.jobs.request_parts import IpAdapterInput
from paintdiff.jobs.requests import PaintingRequest
from paintdiff.prompts.extra_networks import LoraTag, write_tag

_LORA_HASHES = "Lora hashes"
_EMBEDDING_HASHES = "TI hashes"
_VAE, _VAE_HASH = "VAE", "VAE hash"
_CLIP_SKIP = "Clip skip"
_REFINER, _SWITCH_AT = "Refiner", "Refiner switch at"
# Forge's names; the A1111 web UI has none of its own.
_FREE_U = "freeu_enabled"
_FREE_U_FACTORS = ("b1", "b2", "s1", "s2")
# Our own name, which that UI ignores: there an IP-Adapter is a ControlNet.
_IP_ADAPTER = re.compile(r"IP-Adapter (\d{1,2})")
_HASH = re.compile(r" \[[0-9a-f]{4,64}\]$")
_NO_VAE = frozenset({"Automatic", "None"})
_SUFFIX = re.compile(r"\.(safetensors|ckpt|pt|pth|bin)$", re.IGNORECASE)


def add_lora_tags(request: PaintingRequest) -> str:
    """Return the prompt with a tag for each separate LoRA of the request."""
    tags = [
        write_tag(
            LoraTag(
                each.name,
                each.weight,
                each.weight if each.text_encoder_weight is None else each.text_encoder_weight,
            )
        )
        for each in request.loras
    ]
    return " ".join([request.prompt, *tags]) if tags else request.prompt


def write_adapters(
    request: PaintingRequest,
    hashes: Mapping[str, str],
    number: Callable[[float], str],
    quoted: Callable[[str], str],
) -> dict[str, str]:
    """Return the settings of a request's adapters; "" for what isn't worth writing.

    `hashes` are the picture's; `number` and `quoted` format a number and a value for the text.
    """
    refiner, free_u = request.refiner, request.free_u
    refiner_hash = f" [{hashes['refiner']}]" if hashes.get("refiner") else ""
    settings = {
        _CLIP_SKIP: str(request.clip_skip) if request.clip_skip > 1 else "",
        _VAE_HASH: hashes.get("VAE", ""),
        _VAE: request.vae or "",
        _LORA_HASHES: _format_hashes("LoRA ", hashes, quoted),
        _EMBEDDING_HASHES: _format_hashes("embedding ", hashes, quoted),
        _REFINER: f"{refiner.model}{refiner_hash}" if refiner is not None else "",
        _SWITCH_AT: number(refiner.switch_at) if refiner is not None else "",
    }
    if free_u is not None:
        settings[_FREE_U] = "True"
        for name in _FREE_U_FACTORS:
            settings[f"freeu_{name}"] = number(getattr(free_u, name))

    def text(each: IpAdapterInput) -> str:
        values = {
            "Model": each.name or "",
            "Weight": number(each.scale),
            "Image hash": each.image.sha256,
        }
        return ", ".join(f"{key}: {quoted(value)}" for key, value in values.items() if value)

    for index, each in enumerate(request.ip_adapters):
        settings[f"IP-Adapter {index}"] = text(each)
    return settings


def _format_hashes(kind: str, hashes: Mapping[str, str], quoted: Callable[[str], str]) -> str:
    named = {key.removeprefix(kind): value for key, value in hashes.items() if key.startswith(kind)}
    return ", ".join(f"{quoted(name)}: {value}" for name, value in named.items())


def read_adapters(
    settings: Mapping[str, str],
    taken_apart_setting: Callable[[str], Mapping[str, str]],
    reference: Callable[[str], dict[str, object]],
) -> dict[str, object]:
    """Return the request's fields from a text, except LoRAs, which are in its prompt.

    `taken_apart_setting` splits a list of settings; `reference` makes an input image of a hash.
    """
    values: dict[str, object] = {}
    if settings.get(_CLIP_SKIP):
        values["clip_skip"] = settings[_CLIP_SKIP]
    vae = _SUFFIX.sub("", settings.get(_VAE, ""))
    if vae and vae not in _NO_VAE:
        values["vae"] = vae
    if settings.get(_REFINER):
        refiner: dict[str, object] = {"model": _HASH.sub("", settings[_REFINER])}
        if settings.get(_SWITCH_AT):
            refiner["switch_at"] = settings[_SWITCH_AT]
        values["refiner"] = refiner
    if settings.get(_FREE_U) == "True":
        given = ((name, settings.get(f"freeu_{name}")) for name in _FREE_U_FACTORS)
        values["free_u"] = {name: value for name, value in given if value}
    numbered = sorted(
        (int(match[1]), text)
        for key, text in settings.items()
        if (match := _IP_ADAPTER.fullmatch(key)) is not None
    )
    if numbered:
        values["ip_adapters"] = [
            _ip_adapter(taken_apart_setting(text), reference) for _number, text in numbered
        ]
    return values


def _ip_adapter(
    settings: Mapping[str, str], reference: Callable[[str], dict[str, object]]
) -> dict[str, object]:
    values: dict[str, object] = {"image": reference(settings.get("Image hash", ""))}
    for key, field in (("Model", "name"), ("Weight", "scale")):
        if settings.get(key):
            values[field] = settings[key]
    return values

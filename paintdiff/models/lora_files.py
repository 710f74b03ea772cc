"""LoRA files in all their spellings (diffusers, kohya, PEFT) as one table of low-rank pairs.

Hu et al. 2021, "LoRA: low-rank adaptation of large language models" (arXiv:2106.09685). Imports
torch: import it in a function.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from paintdiff.errors import ModelLoadError
from paintdiff.models.families import DENOISERS
from paintdiff.models.files.small_files import metadata_of, tensors_in

TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")

_KOHYA = re.compile(r"(lora_(?:unet|te\d?)_\w+)\.(.+)")
_ENDS = (
    ("lora_down.weight", "lora_up.weight"),
    ("lora_A.weight", "lora_B.weight"),
    ("lora.down.weight", "lora.up.weight"),
    ("lora_linear_layer.down.weight", "lora_linear_layer.up.weight"),
)
_HALVES = {
    **dict.fromkeys((down for down, _up in _ENDS), "down"),
    **dict.fromkeys((up for _down, up in _ENDS), "up"),
}
# What else LyCORIS trains, which isn't the product of two matrices.
_OTHER_KINDS = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "oft_": "OFT",
    "lora_mid": "a LoCon with Tucker decomposition",
}
_OLD_ATTENTION = re.compile(r"\.to_(q|k|v|out)_lora\.(down|up)\.")
_METADATA_KEY = "lora_adapter_metadata"


@dataclass(frozen=True)
class LowRank:
    """What is added to one layer's weight: `up @ down`, both float32 on the CPU.

    `down` is (rank, inputs) or (rank, inputs, height, width), `up` (outputs, rank) or (outputs,
    rank, 1, 1).
    """

    down: torch.Tensor
    up: torch.Tensor

    @property
    def rank(self) -> int:
        """How many numbers lie between the two."""
        return self.down.shape[0]


@dataclass(frozen=True)
class LoraFile:
    """`parts` are keyed by component ("unet", "text_encoder" ...) and the layer's path in it.

    `unread` counts the tensors that belong to no such part, `remarks` say what else was left out.
    """

    parts: Mapping[tuple[str, str], LowRank]
    unread: int
    remarks: tuple[str, ...]


def read_lora(
    path: Path, name: str, pipeline_class: Any, components: Mapping[str, Any]
) -> LoraFile:
    """What a LoRA's file holds for pipelines of a diffusers class, whose own conversion of key
    names is used; `components` are the pipeline's.

    Each part's alpha is multiplied in. Raises ModelLoadError if there is no LoRA in it, and what
    `tensors_in` raises.
    """
    content = tensors_in(path)
    tensors = {key: value for key, value in content.items() if isinstance(value, torch.Tensor)}
    kept, left_out, remarks = _readable(tensors, name)
    if not kept:
        raise ModelLoadError(f"{name} is no LoRA: there are no pairs of matrices in it.")
    try:
        converted = _converted(_with_alphas(kept, name), pipeline_class, components)
        parts, unread = _parts(converted, "unet" if "unet" in components else "transformer")
        parts = _scaled(parts, metadata_of(path))
    except ModelLoadError:
        raise
    except Exception as error:  # diffusers stumbles over odd keys in many ways
        raise ModelLoadError(f"{name} can't be read as a LoRA: {error}") from error
    return LoraFile(parts, left_out + unread, remarks)


def _readable(
    tensors: Mapping[str, torch.Tensor], name: str
) -> tuple[dict[str, torch.Tensor], int, tuple[str, ...]]:
    """The tensors that diffusers is asked to convert, how many were left out, and why.

    (One odd key among kohya's would make it fail, or not even notice that they are kohya's.)
    """
    remarks: list[str] = []
    for mark, kind in _OTHER_KINDS.items():
        if any(mark in key for key in tensors):
            remarks.append(f"The parts of {name} that are {kind} can't be used and were left out.")
    dora = [key for key in tensors if "dora_scale" in key or "lora_magnitude_vector" in key]
    if dora:
        remarks.append(f"{name} is a DoRA; its magnitudes can't be used and were left out.")
    halves = {key: value for key, value in tensors.items() if _half(key) or key.endswith(".alpha")}
    halves = {key: value for key, value in halves.items() if _paired(key, halves)}
    if any(map(_KOHYA.fullmatch, halves)):
        halves = {key: value for key, value in halves.items() if _KOHYA.fullmatch(key)}
    return halves, len(tensors) - len(halves) - len(dora), tuple(remarks)


def _half(key: str) -> str | None:
    return next((half for end, half in _HALVES.items() if _ends(key, end)), None) or (
        match[2] if (match := _OLD_ATTENTION.search(key)) else None
    )


def _ends(key: str, end: str) -> bool:
    return key.endswith(f".{end}")


def _paired(key: str, tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether a half has its other one, and an alpha its pair."""
    if key.endswith(".alpha"):
        stem = key.removesuffix(".alpha")
        return any(f"{stem}.{down}" in tensors for down, _up in _ENDS)
    if _OLD_ATTENTION.search(key):
        swapped = {"down": ".up.", "up": ".down."}[str(_half(key))]
        return _OLD_ATTENTION.sub(lambda m: f".to_{m[1]}_lora{swapped}", key) in tensors
    for down, up in _ENDS:
        for one, other in ((down, up), (up, down)):
            if _ends(key, one):
                return key.removesuffix(one) + other in tensors
    return False


def _with_alphas(tensors: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """Each pair's `alpha / rank` multiplied into its upper half."""
    scaled = {key: value for key, value in tensors.items() if not key.endswith(".alpha")}
    for key, alpha in tensors.items():
        if not key.endswith(".alpha"):
            continue
        stem = key.removesuffix(".alpha")
        for down, up in _ENDS:
            low, high = scaled.get(f"{stem}.{down}"), scaled.get(f"{stem}.{up}")
            if low is not None and high is not None:
                if alpha.numel() != 1 or low.ndim < 2 or not low.shape[0]:
                    raise ModelLoadError(f"{stem} in {name} has no rank or no single alpha.")
                scaled[f"{stem}.{up}"] = high.float() * (float(alpha) / low.shape[0])
    return scaled


def _converted(
    tensors: dict[str, torch.Tensor], class_: Any, components: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """The tensors under diffusers' own names."""
    plain = {key.removeprefix("base_model.model."): value for key, value in tensors.items()}
    if not hasattr(class_, "lora_state_dict"):
        return plain
    unet = components.get("unet")
    settings = {} if unet is None else {"unet_config": unet.config}
    converted: Any = class_.lora_state_dict(plain, **settings)
    return dict(converted[0] if isinstance(converted, tuple) else converted)


def _parts(
    tensors: Mapping[str, torch.Tensor], denoiser: str
) -> tuple[dict[tuple[str, str], LowRank], int]:
    halves: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    unread = 0
    for key, tensor in tensors.items():
        place = _place(key, denoiser)
        if place is None or tensor.ndim not in (2, 4) or not tensor.is_floating_point():
            unread += 1
            continue
        component, path, half = place
        halves.setdefault((component, path), {})[half] = tensor.float()
    parts: dict[tuple[str, str], LowRank] = {}
    for where, both in halves.items():
        if both.keys() == {"down", "up"} and both["down"].shape[0] == both["up"].shape[1]:
            parts[where] = LowRank(both["down"], both["up"])
        else:
            unread += len(both)
    return parts, unread


def _place(key: str, denoiser: str) -> tuple[str, str, str] | None:
    """The component, the layer's path and the half that a name speaks of."""
    half = _half(key)
    if half is None:
        return None
    component, dot, rest = key.partition(".")
    if not dot or component not in (*DENOISERS, *TEXT_ENCODERS):
        component, rest = denoiser, key.removeprefix("diffusion_model.")
    rest = rest.replace(".processor.", ".")
    old = _OLD_ATTENTION.search(rest)
    if old is not None:
        which = old[1]
        if component in TEXT_ENCODERS:
            layer = f"{which}_proj"
        else:
            layer = "to_out.0" if which == "out" else f"to_{which}"
        return component, f"{rest[: old.start()]}.{layer}", half
    end = next(end for end in _HALVES if _ends(rest, end))
    return component, rest.removesuffix(f".{end}"), half


def _scaled(
    parts: Mapping[tuple[str, str], LowRank], metadata: Mapping[str, str]
) -> dict[tuple[str, str], LowRank]:
    """With the alphas that diffusers notes beside the tensors and not among them."""
    if _METADATA_KEY not in metadata:
        return dict(parts)
    noted: object = json.loads(metadata[_METADATA_KEY])
    if not isinstance(noted, dict):
        return dict(parts)
    scaled: dict[tuple[str, str], LowRank] = {}
    for (component, path), part in parts.items():
        alpha: object = noted.get(f"{component}.lora_alpha")
        patterns: object = noted.get(f"{component}.alpha_pattern")
        if isinstance(patterns, dict):
            for pattern, value in patterns.items():
                if path == pattern or path.endswith(f".{pattern}"):
                    alpha = value
        factor = 1.0
        if isinstance(alpha, (int, float)) and part.rank:
            rooted = noted.get(f"{component}.use_rslora") is True
            factor = alpha / (math.sqrt(part.rank) if rooted else part.rank)
        scaled[component, path] = LowRank(part.down, part.up * factor)
    return scaled

"""The names of a LoRA's tensors in the files of different programs.

These are kohya's scripts, OneTrainer, PEFT, diffusers, LyCORIS and ComfyUI. Importable without
torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from paintdiff.errors import ModelLoadError
from paintdiff.models.adapters import messages

Half = Literal["down", "up"]

# Wrappers of a network add their names to those of the tensors.
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:base_model\.model\.|_orig_mod\.)|^module\.")
_COMPONENTS: tuple[tuple[str, str], ...] = (
    ("text_encoders.clip_l.transformer.", "text_encoder."),
    ("text_encoders.clip_g.transformer.", "text_encoder_2."),
    ("clip_l.", "text_encoder."),
    ("clip_g.", "text_encoder_2."),
    ("text_model.", "text_encoder.text_model."),
    ("lora_transformer_", "lora_unet_"),
    ("lycoris_", "lora_unet_"),
)
"""Prefixes of names, and the usual ones for the same component."""

_PAIR_END = re.compile(
    r"\.lora_(?P<half>down|up|A|B)(?:\.(?P<adapter>[^.]+))?\.weight$"
    r"|\.lora(?:_linear_layer)?\.(?P<old_half>down|up)\.weight$"
)
_OLD_ATTENTION = re.compile(r"\.to_(q|k|v|out)_lora\.(down|up)\.weight$")
_HALVES: Mapping[str, Half] = {"down": "down", "up": "up", "A": "down", "B": "up"}

# Kinds of adapters that aren't products of two matrices, by parts of their tensors' names.
_OTHER_KINDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\.lokr_"), "LoKr"),
    (re.compile(r"\.hada_"), "LoHa"),
    (re.compile(r"\.(?:b?oft_|oft_diag)"), "OFT"),
    (re.compile(r"\.lora_E\b"), "AdaLoRA"),
    (re.compile(r"\.vera_"), "VeRA"),
    (re.compile(r"\.(?:on_input|ia3_l)\b"), "(IA)3"),
    (re.compile(r"\.[ab][12]\.weight$"), "GLoRA"),
    (re.compile(r"\.(?:diff|diff_b|w_norm|b_norm|set_weight)$"), "whole weights (differences)"),
    (re.compile(r"\.modules_to_save\."), "whole weights (modules_to_save)"),
    (
        re.compile(r"\.lora_(?:embedding_[AB]\b|B\.(?:[^.]+\.)?bias$)"),
        messages.TOKEN_EMBEDDINGS_OR_BIASES,
    ),
    (re.compile(r"^bundle_emb\."), "embeddings"),
)
_MAGNITUDES_END = re.compile(
    r"\.dora_scale$"
    r"|\.lora_magnitude_vector(?:\.(?!weight$)(?P<adapter>[^.]+))?(?:\.weight)?$"
)
# diffusers' script for kohya's names replaces the dots of all tensors but the magnitudes.
_HALF_KOHYA = re.compile(r"lora_(?:unet|te\d?)_")


@dataclass(frozen=True)
class Place:
    """The place of a half of a pair; `stem` is the layer's name in the file."""

    stem: str
    half: Half


def parse_place(key: str) -> Place | None:
    """Parse a tensor's name; None if it isn't a half of a pair."""
    if (old := _OLD_ATTENTION.search(key)) is not None:
        head = key[: old.start()].replace(".processor", "")
        if re.search(r"\b(?:text_model|self_attn)\b", head):
            layer = f"{old[1]}_proj"
        else:
            layer = "to_out.0" if old[1] == "out" else f"to_{old[1]}"
        return Place(f"{head}.{layer}", _HALVES[old[2]])
    found = _PAIR_END.search(key)
    if found is None:
        return None
    return Place(key[: found.start()], _HALVES[found["half"] or found["old_half"]])


def parse_magnitudes(key: str) -> str | None:
    """Return the layer's name before the end of a DoRA's magnitudes; None if it has another end."""
    found = _MAGNITUDES_END.search(key)
    if found is None:
        return None
    stem = key[: found.start()]
    return stem.replace(".", "_") if _HALF_KOHYA.match(stem) else stem


def strip_prefixes(keys: Iterable[str], name: str) -> dict[str, str]:
    """Return each name without wrappers and without the adapter's own name.

    Returns:
        These names, by the names in the file.

    Raises:
        ModelLoadError: The file has several adapters, or several tensors for one place.
    """
    plain: dict[str, str] = {}
    adapters: set[str] = set()
    for key in keys:
        short = _WRAPPERS.sub("", key)
        start, usual = next((pair for pair in _COMPONENTS if short.startswith(pair[0])), ("", ""))
        short = usual + short[len(start) :]
        found = _PAIR_END.search(short)
        if found is not None and found["adapter"]:
            adapters.add(found["adapter"])
            short = f"{short[: found.start()]}.lora_{found['half']}.weight"
        found = _MAGNITUDES_END.search(short)
        if found is not None and found["adapter"]:
            adapters.add(found["adapter"])
            short = f"{short[: found.start()]}.lora_magnitude_vector"
        plain[key] = short
    if len(adapters) > 1:
        raise ModelLoadError(messages.several_adapters(name, ", ".join(sorted(adapters)[:5])))
    if len(set(plain.values())) < len(plain):
        raise ModelLoadError(messages.several_tensors(name))
    return plain


def find_other_kinds(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds of adapters among the tensors that aren't LoRA, each once."""
    names = list(keys)
    return tuple(
        kind for pattern, kind in _OTHER_KINDS if any(pattern.search(key) for key in names)
    )

"""Detects which family a LoRA is for, by its cross-attention width or its tensors' names.

Covers the names of kohya, diffusers, PEFT and LyCORIS. Importable without torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from paintdiff.models.discovery import messages
from paintdiff.models.formats.tensor_inventory import Contents, DetectedWeights, match_width

# Ends of LoRA tensor names whose second side is the number of inputs.
_INPUT_ENDS = (
    ".lora_down.weight",
    ".lora_A.weight",
    ".lora.down.weight",
    "_lora.down.weight",
    ".lora_linear_layer.down.weight",
    ".hada_w1_b",
    ".diff",
    ".b1.weight",
)
_OTHER_ENDS = (
    ".lokr_w1",
    ".lokr_w1_a",
    ".lokr_w2",
    ".lokr_w2_a",
    ".oft_blocks",
    ".oft_diag",
    ".dora_scale",
    ".on_input",
    ".w_norm",
)
# PEFT names may contain the adapter's own name.
_NAMED_INPUT_END = re.compile(r"\.lora_(?:A|down)\.[^.\n]+\.weight$", re.MULTILINE)
_WORDS = re.compile(r"(.*attn2[._](?:processor[._])?to_k)([._].*)")
_BLOCK = re.compile(r"transformer_blocks[._](\d+)")
_TEXT_ENCODER = re.compile(
    r"^(?:lora_te_|(?:base_model\.model\.)?text_(?:encoder|model)\.|lora_prior_te_).*(?:q_proj|self_attn_q)[._].*$",
    re.MULTILINE,
)

_PIXART_WIDTH = 1152
_QWEN_WIDTH = 3072
_FLUX_DOUBLE_BLOCKS = 19

# Names that only one family has, in the order of the search.
_FAMILIES_BY_NAME: tuple[tuple[str, str | None], ...] = (
    ("distilled_guidance_layer", None),
    ("motion_modules", None),
    ("joint_blocks", "sd3"),
    ("double_blocks", "flux"),
    ("single_transformer_blocks", "flux"),
    ("single_blocks", "flux"),
    ("img_mod", "qwen-image"),
    ("img_mlp", "qwen-image"),
    ("txt_mlp", "qwen-image"),
    ("noise_refiner", "z-image"),
    ("context_refiner", "z-image"),
)
_Z_IMAGE_LAYER = re.compile(
    r"(?:^|[._])layers[._]\d+[._](?:attention|feed_forward|adaLN)", re.MULTILINE
)
_Z_IMAGE_WIDTH = 3840
# SDXL's is the only UNet with more than one transformer in a place.
_DEEP = re.compile(
    r"(?:attentions|input_blocks_\d+|output_blocks_\d+|middle_block)[._]\d+[._]"
    r"transformer_blocks[._][1-9]"
)
_TEXT_ENCODERS_OF_XL = ("lora_te2_", "text_encoder_2.")

# Starts of architecture names in kohya's and other trainers' metadata; the first match counts.
_ARCHITECTURES: Mapping[str, str] = {
    "stable-diffusion-xl-v1-refiner": "sdxl-refiner",
    "stable-diffusion-xl": "sdxl",
    "stable-diffusion-v1": "sd1",
    "stable-diffusion-v2": "sd2",
    "stable-diffusion-3": "sd3",
    "stable-diffusion-v3": "sd3",
    "flux-1": "flux",
    "flux1": "flux",
    "qwen-image": "qwen-image",
    "z-image": "z-image",
    "zimage": "z-image",
    "pixart": "pixart",
    "sdxl": "sdxl",
    "sd_v1": "sd1",
    "sd_v2": "sd2",
    "sd3": "sd3",
}
_SAID_IN = ("modelspec.architecture", "ss_base_model_version")


def detect_lora(contents: Contents) -> DetectedWeights | None:
    """Detect a LoRA (or LoHa, LoKr, OFT, full difference) of any family; None for anything else."""
    if not any(contents.has_ends((end,)) for end in (*_INPUT_ENDS, *_OTHER_ENDS)) and (
        _NAMED_INPUT_END.search(contents.lines) is None
    ):
        return None
    width = _find_text_width(contents)
    if width and width != _PIXART_WIDTH:
        return match_width(contents, width, "lora", "a LoRA")
    family = "pixart" if width else _detect_by_names(contents)
    if family is None:
        family = _detect_by_text_encoder(contents) or _detect_by_metadata(contents.metadata)
    if family is None:
        return DetectedWeights("lora", reason=messages.LORA_OF_UNKNOWN_FAMILY)
    return DetectedWeights("lora", family, messages.LORA_BY_NAMES, families=(family,))


def _is_input_end(name: str) -> bool:
    return name.endswith(_INPUT_ENDS) or _NAMED_INPUT_END.search(name) is not None


def _find_text_width(contents: Contents) -> int:
    """Return the width of text embeddings in the cross-attention that a LoRA changes, 0 if none."""
    for name in contents.tensors:
        if "attn2" not in name or (match := _WORDS.fullmatch(name)) is None:
            continue
        module, end = match[1], match[2]
        if _is_input_end(end):
            return contents.side(name, 1)
        if ".lokr_w1" in end:
            return _compute_kronecker_width(contents, module)
    return 0


def _compute_kronecker_width(contents: Contents, module: str) -> int:
    """Return a LoKr's number of inputs: the product of its Kronecker factors' inputs."""
    sides = [
        contents.side(f"{module}.lokr_{factor}", 1) or contents.side(f"{module}.lokr_{factor}_b", 1)
        for factor in ("w1", "w2")
    ]
    return sides[0] * sides[1]


def _detect_by_names(contents: Contents) -> str | None:
    lines = contents.lines
    for part, family in _FAMILIES_BY_NAME:
        if part in lines:
            return family
    if any(contents.begins(start) for start in _TEXT_ENCODERS_OF_XL):
        return "sdxl"
    if _DEEP.search(lines):
        return "sdxl"
    if _Z_IMAGE_LAYER.search(lines) and _find_input_width(contents) in (0, _Z_IMAGE_WIDTH):
        return "z-image"
    if "transformer_blocks" in lines and re.search(r"attn[._](?:to_[qkv]|add_[qkv]_proj)", lines):
        return _detect_by_joint_attention(contents)
    return None


def _detect_by_joint_attention(contents: Contents) -> str:
    """Tell SD3, FLUX without its single blocks, and Qwen-Image apart, which share these names."""
    if _find_input_width(contents) != _QWEN_WIDTH:
        return "sd3"
    blocks = {int(number) for number in _BLOCK.findall(contents.lines)}
    return "qwen-image" if max(blocks, default=0) >= _FLUX_DOUBLE_BLOCKS else "flux"


def _find_input_width(contents: Contents) -> int:
    """Return the number of inputs of the first attention that a LoRA changes."""
    for name in contents.tensors:
        if _is_input_end(name) and re.search(r"to_[qkv]\b|to_[qkv][._]|add_[qkv]_proj|qkv", name):
            return contents.side(name, 1)
    return 0


def _detect_by_text_encoder(contents: Contents) -> str | None:
    for match in _TEXT_ENCODER.finditer(contents.lines):
        if _is_input_end(match[0]):
            return contents.widths.get(contents.side(match[0], 1))
    return None


def _detect_by_metadata(metadata: Mapping[str, str]) -> str | None:
    for key in _SAID_IN:
        said = metadata.get(key, "").strip().lower()
        for start, family in _ARCHITECTURES.items():
            if said.startswith(start):
                return family
    if metadata.get("ss_v2", "").lower() == "true":
        return "sd2"
    return None

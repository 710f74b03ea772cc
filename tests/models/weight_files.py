"""Files of weights that are nothing but their headers: as large as the real ones, and sparse."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

Shapes = dict[str, tuple[int, ...]]


def write_sparse(path: Path, shapes: Mapping[str, tuple[int, ...]], **metadata: str) -> None:
    """Write a safetensors file with tensors of float16 that take no place on the disk. `metadata`
    may have "__" for a ".", as names of arguments have none.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt", **_dotted(metadata)}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def _dotted(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("__", "."): text for name, text in metadata.items()}


def unet(width: int, channels: int = 4, prefix: str = "model.diffusion_model.") -> Shapes:
    """Tensors that identify a UNet in the original layout."""
    block = "input_blocks.1.1" if width in (768, 1024) else "input_blocks.4.1"
    shapes: Shapes = {
        "input_blocks.0.0.weight": (320, channels, 3, 3),
        "time_embed.0.weight": (1280, 320),
        f"{block}.transformer_blocks.0.attn2.to_k.weight": (320, width),
        "out.2.weight": (4, 320, 3, 3),
    }
    return {prefix + name: shape for name, shape in shapes.items()}


def checkpoint(width: int, channels: int = 4) -> Shapes:
    """Tensors that identify a Stable Diffusion checkpoint in the original layout."""
    text = "conditioner.embedders.0" if width in (2048, 1280) else "cond_stage_model"
    return {
        **unet(width, channels),
        "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
        "first_stage_model.encoder.conv_in.weight": (128, 3, 3, 3),
        f"{text}.transformer.text_model.embeddings.position_embedding.weight": (77, 768),
    }


def kohya_lora(width: int, rank: int = 8) -> Shapes:
    """Some of what kohya's programs write for a UNet."""
    module = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn"
    return {
        f"{module}1_to_k.alpha": (),
        f"{module}1_to_k.lora_down.weight": (rank, 640),
        f"{module}1_to_k.lora_up.weight": (640, rank),
        f"{module}2_to_k.alpha": (),
        f"{module}2_to_k.lora_down.weight": (rank, width),
        f"{module}2_to_k.lora_up.weight": (640, rank),
    }


def vae(channels: int = 4, prefix: str = "") -> Shapes:
    """Some of a VAE."""
    return {
        f"{prefix}encoder.conv_in.weight": (128, 3, 3, 3),
        f"{prefix}decoder.conv_in.weight": (512, channels, 3, 3),
    }


def controlnet(width: int) -> Shapes:
    """Some of a ControlNet in the layout of diffusers."""
    return {
        "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
        "controlnet_down_blocks.0.weight": (320, 320, 1, 1),
        "conv_in.weight": (320, 4, 3, 3),
        "time_embedding.linear_1.weight": (1280, 320),
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight": (1280, width),
    }


def gguf(shapes: Mapping[str, tuple[int, ...]], **notes: str) -> bytes:
    """A GGUF file with tensors of float16 whose numbers are left out (it is cut off there)."""
    out = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(notes))
    for name, value in notes.items():
        out += _text(name.replace("__", ".")) + struct.pack("<I", 8) + _text(value)
    offset = 0
    for name, shape in shapes.items():
        out += _text(name) + struct.pack("<I", len(shape))
        out += struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", 1, offset)
        offset += -(-2 * math.prod(shape) // 32) * 32
    return out + b"\0" * (-len(out) % 32)


def write_gguf(path: Path, shapes: Mapping[str, tuple[int, ...]], **notes: str) -> None:
    """Write a GGUF file, as large as it should be, and sparse."""
    head = gguf(shapes, **notes)
    size_bytes = sum(-(-2 * math.prod(shape) // 32) * 32 for shape in shapes.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + size_bytes)


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()

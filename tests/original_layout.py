"""The other way round: parts of a diffusers pipeline as a checkpoint in the original layout, as
people have it. Written against the original code's names, not against diffusers' converter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]

_RESNET = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "time_emb_proj.": "emb_layers.1.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "conv_shortcut.": "skip_connection.",
}
_UNET = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "add_embedding.linear_1.": "label_emb.0.0.",
    "add_embedding.linear_2.": "label_emb.0.2.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
    "mid_block.resnets.0.": "middle_block.0.",
    "mid_block.attentions.0.": "middle_block.1.",
    "mid_block.resnets.1.": "middle_block.2.",
}
_VAE_ATTENTION = {
    "group_norm.": "norm.",
    "to_q.": "q.",
    "to_k.": "k.",
    "to_v.": "v.",
    "to_out.0.": "proj_out.",
}
_OPEN_CLIP = {
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
    "self_attn.out_proj.": "attn.out_proj.",
}


def original_tensors(parts: Mapping[str, Any], text: Mapping[str, str]) -> Tensors:
    """A checkpoint of `unet`, `vae` and text encoders. `text` maps the latter's names to their
    prefixes; one that ends in "model." is written as OpenCLIP names and fuses it.
    """
    found = {f"model.diffusion_model.{name}": t for name, t in _unet(parts["unet"]).items()}
    found |= {f"first_stage_model.{name}": t for name, t in _vae(parts["vae"]).items()}
    for part, prefix in text.items():
        tensors = _plain_text(parts[part])
        if prefix.endswith(".model."):
            tensors = _open_clip(tensors)
        else:
            tensors = {
                f"text_model.{name}": tensor
                for name, tensor in tensors.items()
                if name != "text_projection.weight"
            }
            tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
        found |= {prefix + name: tensor for name, tensor in tensors.items()}
    return {name: tensor.contiguous() for name, tensor in found.items()}


def _replaced(name: str, table: Mapping[str, str]) -> str:
    for ours, theirs in table.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def _unet(unet: Any) -> Tensors:
    layers = unet.config.layers_per_block
    with_words = ["CrossAttn" in kind for kind in unet.config.up_block_types]
    return {_unet_name(name, layers, with_words): t for name, t in unet.state_dict().items()}


def _unet_name(name: str, layers: int, with_words: list[bool]) -> str:
    found = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name)
    if found is None:
        name = _replaced(name, _UNET)
        place, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        return f"{place}.{number}.{_replaced(inner, _RESNET)}" if place == "middle_block" else name
    way, kind, inner = found[1], found[3], found[5]
    block, layer = int(found[2]), int(found[4])
    if kind == "downsamplers":
        return f"input_blocks.{(block + 1) * (layers + 1)}.0.op.{inner.removeprefix('conv.')}"
    if kind == "upsamplers":
        slot = 2 if with_words[block] else 1
        return f"output_blocks.{block * (layers + 1) + layers}.{slot}.{inner}"
    slot = 0 if kind == "resnets" else 1
    inner = _replaced(inner, _RESNET) if kind == "resnets" else inner
    if way == "down":
        return f"input_blocks.{block * (layers + 1) + layer + 1}.{slot}.{inner}"
    return f"output_blocks.{block * (layers + 1) + layer}.{slot}.{inner}"


def _vae(vae: Any) -> Tensors:
    last = len(vae.config.block_out_channels) - 1
    found: Tensors = {}
    for name, tensor in vae.state_dict().items():
        inner = name.replace("conv_norm_out.", "norm_out.").replace(
            "conv_shortcut.", "nin_shortcut."
        )
        inner = re.sub(r"mid_block\.resnets\.0\.", "mid.block_1.", inner)
        inner = re.sub(r"mid_block\.resnets\.1\.", "mid.block_2.", inner)
        inner = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", inner)
        inner = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", inner)
        inner = re.sub(
            r"up_blocks\.(\d+)\.(resnets|upsamplers\.0)\.",
            lambda hit: (
                f"up.{last - int(hit[1])}.{'block' if hit[2] == 'resnets' else 'upsample'}."
            ),
            inner,
        )
        attention = re.match(r"(.*)mid_block\.attentions\.0\.(.*)", inner)
        if attention is not None:
            inner = f"{attention[1]}mid.attn_1.{_replaced(attention[2], _VAE_ATTENTION)}"
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor  # a 1x1 convolution
        found[inner] = tensor
    return found


def _plain_text(encoder: Any) -> Tensors:
    return {name.removeprefix("text_model."): t for name, t in encoder.state_dict().items()}


def _open_clip(tensors: Tensors) -> Tensors:
    """OpenCLIP's names; query, key and value in one matrix; and one more layer at the end, if there
    is no projection: Stable Diffusion 2 stops before it.
    """
    width = tensors["final_layer_norm.weight"].shape[0]
    projection = tensors.get("text_projection.weight", torch.ones(width, width))
    found: Tensors = {
        "token_embedding.weight": tensors["embeddings.token_embedding.weight"],
        "positional_embedding": tensors["embeddings.position_embedding.weight"],
        "ln_final.weight": tensors["final_layer_norm.weight"],
        "ln_final.bias": tensors["final_layer_norm.bias"],
        "text_projection": projection.T,
        "logit_scale": torch.tensor(4.6),
    }
    layers = 1 + max(int(n.split(".")[2]) for n in tensors if n.startswith("encoder.layers."))
    for number in range(layers):
        ours, theirs = f"encoder.layers.{number}.", f"transformer.resblocks.{number}."
        for name, tensor in tensors.items():
            inner = name.removeprefix(ours)
            if name.startswith(ours) and not re.match(r"self_attn\.[qkv]_proj", inner):
                found[theirs + _replaced(inner, _OPEN_CLIP)] = tensor
        for kind in ("weight", "bias"):
            found[f"{theirs}attn.in_proj_{kind}"] = torch.cat(
                [tensors[f"{ours}self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
            )
    if "text_projection.weight" not in tensors:
        last = f"transformer.resblocks.{layers - 1}."
        more = {n: t + 1 for n, t in found.items() if n.startswith(last)}
        found |= {n.replace(last, f"transformer.resblocks.{layers}."): t for n, t in more.items()}
    return found

"""Adapters of random weights for tiny models, and a catalog of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors.torch import save_file

from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.registry.adapter_rows import (
    EmbeddingRow,
    IpAdapterRow,
    LoraRow,
    TinyAutoencoderRow,
    VaeRow,
)
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow

Layers = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
"""A layer's path, with its component in front, to the LoRA's two matrices."""

UNET_LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.2", "proj_in", "conv1")
TEXT_LAYERS = ("q_proj", "v_proj", "fc1")


def lora_layers(
    components: Mapping[str, Any],
    *,
    seed: int = 0,
    rank: int = 2,
    strength: float = 0.3,
    only: str = "",
) -> Layers:
    """Matrices for the UNet's and the text encoders' layers, or for those of one component."""
    generator = torch.Generator().manual_seed(seed)
    layers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name in ("unet", "text_encoder", "text_encoder_2"):
        if components.get(name) is None or (only and name != only):
            continue
        ends = UNET_LAYERS if name == "unet" else TEXT_LAYERS
        for path, layer in components[name].named_modules():
            if path.endswith(ends):
                outputs, *inputs = layer.weight.shape
                down = torch.randn(rank, *inputs, generator=generator) * strength
                up = torch.randn(outputs, rank, *[1] * (len(inputs) - 1), generator=generator)
                layers[f"{name}.{path}"] = (down, up * strength)
    return layers


def in_peft_keys(layers: Layers) -> dict[str, torch.Tensor]:
    """As PEFT and today's diffusers write them."""
    return _named(layers, ".lora_A.weight", ".lora_B.weight")


def in_diffusers_keys(layers: Layers) -> dict[str, torch.Tensor]:
    """As diffusers wrote them at first."""
    tensors: dict[str, torch.Tensor] = {}
    for path, (down, up) in layers.items():
        component, _, inner = path.partition(".")
        if component == "unet" and path.endswith(("to_q", "to_k", "to_v", "to_out.0")):
            stem = path.removesuffix(".0")
            head, _, last = stem.rpartition(".")
            names = (f"{head}.processor.{last}_lora.down.weight",)
            names += (f"{head}.processor.{last}_lora.up.weight",)
        elif component == "unet":
            names = (f"{path}.lora.down.weight", f"{path}.lora.up.weight")
        else:
            whole = f"{component}.text_model.{inner.removeprefix('text_model.')}"
            names = (f"{whole}.lora_linear_layer.down.weight",)
            names += (f"{whole}.lora_linear_layer.up.weight",)
        tensors |= dict(zip(names, (down, up), strict=True))
    return tensors


def in_kohya_keys(layers: Layers, *, alpha: float | None = None) -> dict[str, torch.Tensor]:
    """As kohya's scripts write them for SD 1.x; `alpha` is its scale times the rank."""
    tensors: dict[str, torch.Tensor] = {}
    for path, (down, up) in layers.items():
        component, _, inner = path.partition(".")
        prefix = {"unet": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}
        if component != "unet":
            inner = f"text_model.{inner.removeprefix('text_model.')}"
        stem = f"{prefix[component]}_{inner.replace('.', '_')}"
        tensors[f"{stem}.lora_down.weight"] = down
        tensors[f"{stem}.lora_up.weight"] = up
        tensors[f"{stem}.alpha"] = torch.tensor(float(down.shape[0]) if alpha is None else alpha)
    return tensors


def magnitudes_of(
    components: Mapping[str, Any], layers: Layers, *, of_inputs: bool = False, seed: int = 9
) -> dict[str, torch.Tensor]:
    """A DoRA's magnitudes, near the norms of the layers' weights, in LyCORIS's shapes."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, torch.Tensor] = {}
    for path in layers:
        component, _, inner = path.partition(".")
        weight = components[component].get_submodule(inner).weight.detach()
        others = [axis for axis in range(weight.ndim) if axis != (1 if of_inputs else 0)]
        norms = torch.linalg.vector_norm(weight, dim=others, keepdim=True)
        found[path] = norms * (0.5 + torch.rand(norms.shape, generator=generator))
    return found


def in_kohya_dora_keys(
    layers: Layers, magnitudes: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """As LyCORIS and OneTrainer write a DoRA."""
    tensors = in_kohya_keys(layers)
    for path, each in magnitudes.items():
        down = next(iter(in_kohya_keys({path: layers[path]})))
        tensors[down.replace("lora_down.weight", "dora_scale")] = each
    return tensors


def _named(layers: Layers, down_end: str, up_end: str) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for path, (down, up) in layers.items():
        tensors[path + down_end], tensors[path + up_end] = down, up
    return tensors


def saved(path: Path, tensors: Mapping[str, torch.Tensor]) -> Path:
    """Write them as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def lora_row(path: Path, **changes: Any) -> LoraRow:
    """The row of a LoRA's file."""
    return LoraRow(name=path.stem, title=path.stem, source=str(path), **changes)


def embedding_row(path: Path, *families: str) -> EmbeddingRow:
    """The row of an embedding's file."""
    return EmbeddingRow(
        name=path.stem, title=path.stem, source=str(path), families=families, widths=()
    )


def vae_row(path: Path, *families: str) -> VaeRow:
    """The row of a VAE's file or folder."""
    return VaeRow(
        name=path.stem, title=path.stem, source=str(path), families=families, latent_channels=4
    )


def tiny_autoencoder_row(path: Path, *families: str) -> TinyAutoencoderRow:
    """The row of a tiny autoencoder's file or folder."""
    return TinyAutoencoderRow(
        name=path.stem,
        title=path.stem,
        source=str(path),
        families=families,
        latent_channels=4,
        parts=("decoder",),
    )


def save_tiny_vae(folder: Path, like: Any, *, seed: int = 1, **changes: Any) -> Path:
    """A VAE of random weights, built like another but for the changes."""
    torch.manual_seed(seed)
    config = {key: value for key, value in like.config.items() if not key.startswith("_")}
    diffusers.AutoencoderKL(**{**config, **changes}).save_pretrained(folder)
    return folder


def save_tiny_image_encoder(folder: Path) -> Path:
    """A CLIP for pictures of 32 pixels a side, in random weights."""
    torch.manual_seed(3)
    config = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=12,
    )
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def ip_adapter_tensors(unet: Any, *, seed: int = 4, width: int = 12) -> dict[str, torch.Tensor]:
    """An IP-Adapter of random weights for a UNet, under the names that people have."""
    generator = torch.Generator().manual_seed(seed)
    words = unet.config.cross_attention_dim
    tensors = {
        "image_proj.proj.weight": torch.randn(4 * words, width, generator=generator),
        "image_proj.proj.bias": torch.zeros(4 * words),
        "image_proj.norm.weight": torch.ones(words),
        "image_proj.norm.bias": torch.zeros(words),
    }
    number = 1
    for name in unet.attn_processors:
        if not name.endswith("attn2.processor"):
            continue
        layer = unet.get_submodule(name.removesuffix(".processor")).to_k
        for which in ("to_k_ip", "to_v_ip"):
            tensors[f"ip_adapter.{number}.{which}.weight"] = torch.randn(
                layer.out_features, words, generator=generator
            )
        number += 2
    return tensors


def ip_adapter_row(path: Path, encoder: Path | None, *families: str) -> IpAdapterRow:
    """The row of an IP-Adapter's file."""
    return IpAdapterRow(
        name=path.stem,
        title=path.stem,
        source=str(path),
        families=families,
        image_encoder=encoder,
    )


def with_adapters(
    catalog: Catalog,
    *,
    loras: tuple[LoraRow, ...] = (),
    embeddings: tuple[EmbeddingRow, ...] = (),
    vaes: tuple[VaeRow, ...] = (),
    ip_adapters: tuple[IpAdapterRow, ...] = (),
) -> Catalog:
    """The same models and ControlNets, with these adapters."""
    kinds = (ModelRow, ControlNetRow, UpscalerRow)
    own = (row for kind in kinds for row in catalog.rows(kind))
    return catalog.with_found(FoundRows((*own, *loras, *embeddings, *vaes, *ip_adapters)))

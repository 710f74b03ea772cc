"""Full-size Stable Diffusion models with random weights: they cost what real ones cost."""

from __future__ import annotations

import json
import zlib
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from accelerate import init_empty_weights

from paintdiff.config.presets import presets_folder
from paintdiff.models.loading.tokenizers.clip_vocabulary import build_clip_tokenizer

CONFIGS = {"sd15": "sd1", "sdxl": "sdxl"}
"""The benchmarks' names of models, and their folders under `presets/configs`."""

_TEXT_ENCODERS = {
    "text_encoder": transformers.CLIPTextModel,
    "text_encoder_2": transformers.CLIPTextModelWithProjection,
}


def source_of(model: str, folder: Path) -> str:
    """Return a model's name in the catalog, or the folder of its newly saved random weights."""
    if model not in CONFIGS:
        return model
    # In a process that ends: memory it held would be missing in the measurement.
    saving = get_context("spawn").Process(target=save_random_model, args=(model, folder / model))
    saving.start()
    saving.join()
    if saving.exitcode:
        raise SystemExit(f"the random model can't be made: status {saving.exitcode}")
    return str(folder / model)


def save_random_model(name: str, folder: Path) -> None:
    """Save the model of that name in diffusers' layout, in half precision (2 to 7 GB)."""
    config = presets_folder() / "configs" / CONFIGS[name]

    def settings(part: str) -> dict[str, Any]:
        return json.loads((config / part / "config.json").read_text(encoding="utf-8"))

    parts: dict[str, Any] = {}
    with init_empty_weights():
        parts["unet"] = diffusers.UNet2DConditionModel.from_config(settings("unet"))
        parts["vae"] = diffusers.AutoencoderKL.from_config(settings("vae"))
        for part, class_ in _TEXT_ENCODERS.items():
            if (config / part).is_dir():
                parts[part] = class_(transformers.CLIPTextConfig.from_dict(settings(part)))
    for part in list(parts):
        fill(parts[part], part)
    for part in ("tokenizer", "tokenizer_2"):
        if (config / part).is_dir():
            parts[part] = build_clip_tokenizer(config / part)
    parts["scheduler"] = diffusers.EulerDiscreteScheduler.from_pretrained(
        str(config), subfolder="scheduler"
    )
    class_name: str = json.loads((config / "model_index.json").read_text())["_class_name"]
    if class_name == "StableDiffusionPipeline":
        parts |= {"safety_checker": None, "feature_extractor": None}
        parts["requires_safety_checker"] = False
    getattr(diffusers, class_name)(**parts).save_pretrained(folder, max_shard_size="10GB")


def fill(network: Any, seed: str) -> None:
    """Convert the network to half precision, and fill each tensor with a part of the same noise."""
    noise = torch.empty(2**21).uniform_(-0.03, 0.03, generator=torch.Generator().manual_seed(0))
    noise = noise.half()
    for name, tensor in network.state_dict().items():
        start = zlib.crc32(f"{seed}.{name}".encode()) % 2**20
        count = tensor.numel()
        numbers = noise[start : start + 2**20].repeat(count // 2**20 + 1)[:count]
        path, _, last = name.rpartition(".")
        value = numbers.reshape(tensor.shape)
        setattr(network.get_submodule(path), last, torch.nn.Parameter(value, False))

"""Export of trained networks as an ordinary diffusers pipeline in fp16 safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline

from paintdiff.mini.data.dataset import Dataset, as_pixels
from paintdiff.mini.networks.autoencoder import scaling_factor
from paintdiff.mini.networks.objective import build_scheduler
from paintdiff.mini.networks.painter import Painter
from paintdiff.mini.recipe import Recipe
from paintdiff.mini.tokenizer import save_tokenizer
from paintdiff.mini.world import words

MAX_FILE = "15MB"
"""The largest file of the pipeline: every git host accepts files of up to 16 MiB."""


def export_pipeline(
    data: Dataset, work: Path, vae: AutoencoderKL, painter: Painter, target: Path
) -> None:
    """Write the pipeline into `target`, with `latent_rgb.json` and `words.json`.

    They hold the linear preview of its latents, and every word that it learned.
    """
    latents = np.load(work / "latents.npy", mmap_mode="r")
    for network in (vae, painter.text_encoder, painter.unet):
        network.half()
    pipeline = pipeline_of(data.recipe, vae, painter, scaling_factor(latents))
    pipeline.save_pretrained(target, safe_serialization=True, max_shard_size=MAX_FILE)
    save_tokenizer(painter.tokenizer, target / "tokenizer")
    matrix, bias = fit_latent_rgb(data, latents)
    preview = {"matrix": matrix.round(4).tolist(), "bias": bias.round(4).tolist()}
    known = sorted(words(data.recipe.world.config()))
    (target / "words.json").write_text(json.dumps(known) + "\n", encoding="utf-8")
    (target / "latent_rgb.json").write_text(json.dumps(preview) + "\n", encoding="utf-8")


def pipeline_of(
    recipe: Recipe, vae: AutoencoderKL, painter: Painter, factor: float
) -> StableDiffusionPipeline:
    """Return the networks as a pipeline; `factor` is the scaling factor of its latents."""
    vae.register_to_config(scaling_factor=factor)
    parts: dict[str, Any] = {
        "vae": vae,
        "text_encoder": painter.text_encoder,
        "tokenizer": painter.tokenizer,
        "unet": painter.unet,
        "scheduler": build_scheduler(recipe.painter),
        "safety_checker": None,
        "feature_extractor": None,
    }
    return StableDiffusionPipeline(**parts, requires_safety_checker=False)


def fit_latent_rgb(data: Dataset, latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit the least-squares linear map from scaled latents (C) to RGB in -1..1.

    Returns a matrix (C, 3) and a bias (3,).
    """
    rows = range(min(600, len(data)))
    pixels = as_pixels(np.stack([data.image(row) for row in rows]))
    small = (
        torch.nn.functional.adaptive_avg_pool2d(pixels, latents.shape[-2:])
        .permute(0, 2, 3, 1)
        .reshape(-1, 3)
        .numpy()
    )
    scaled = latents[0, rows].astype(np.float32) * scaling_factor(latents)
    inputs = scaled.transpose(0, 2, 3, 1).reshape(-1, scaled.shape[1])
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1), np.float32)], axis=1)
    solution = np.linalg.lstsq(inputs, small, rcond=None)[0]
    return solution[:-1], solution[-1]

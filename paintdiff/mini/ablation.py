"""Short runs of variants of a recipe, all equally long and measured in the same way.

They show which VAE and which loss are worth a long run of days. Each variant is the recipe with a
few values changed. It is trained in its own folder and resumes where it was stopped, as any run
does. The resulting table belongs in the model card.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from numpy.typing import NDArray

from paintdiff.mini.data.dataset import HELD_OUT, Dataset, as_pixels, cache_masks, scene_seeds
from paintdiff.mini.evaluate import EVALUATION_OFFSET, evaluate
from paintdiff.mini.evaluate_upscaler import photographs
from paintdiff.mini.export import pipeline_of
from paintdiff.mini.loop import Machine
from paintdiff.mini.networks.autoencoder import cache_latents, scaling_factor, train_autoencoder
from paintdiff.mini.networks.judge import Judge
from paintdiff.mini.networks.painter import train_painter
from paintdiff.mini.recipe import Recipe
from paintdiff.mini.world import render, sample_scene

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]


def vary(recipe: Recipe, part: str, changes: Mapping[str, Any], minutes: float) -> Recipe:
    """Return the recipe with values of one part changed and that part's plan cut to some minutes.

    Raises pydantic's ValidationError if the part has no such values.
    """
    values = recipe.model_dump()
    values[part] |= dict(changes)
    values[part]["plan"]["minutes"] = minutes
    return Recipe.model_validate(values)


def ablate_autoencoder(data: Dataset, folder: Path, machine: Machine) -> str:
    """Train the recipe's variants of the VAE and measure each; return a Markdown table.

    The figures are decibels of PSNR on held-out scenes and on photographs.
    """
    plan = data.recipe.ablations.autoencoder
    scenes = list_held_out_pictures(data.recipe, plan.pictures)
    photos = list_square_photographs(data.recipe)
    rows: dict[str, dict[str, float]] = {}
    for name, changes in plan.variants.items():
        recipe = vary(data.recipe, "autoencoder", changes, plan.minutes)
        variant = Dataset(recipe, data.shards, data.config)
        vae = train_autoencoder(variant, folder / name, machine).eval()
        rows[name] = {
            "parameters, millions": sum(p.numel() for p in vae.parameters()) / 1e6,
            "held-out scenes, dB": measure_psnr(vae, scenes, machine),
            "photographs, dB": measure_psnr(vae, photos, machine),
        }
        logger.info("%s: %s", name, rows[name])
    return _written(folder / "autoencoder", rows)


def ablate_painter(
    data: Dataset, folder: Path, machine: Machine, vae: AutoencoderKL, judge: Judge
) -> str:
    """Train the recipe's variants of the painter and judge the pictures of each."""
    plan = data.recipe.ablations.painter
    if not (folder / "latents.npy").exists():
        folder.mkdir(parents=True, exist_ok=True)
        cache_masks(data, folder)
        cache_latents(data, folder, machine, vae)
    rows: dict[str, dict[str, float]] = {}
    for name, changes in plan.variants.items():
        recipe = vary(data.recipe, "painter", changes, plan.minutes)
        evaluation = recipe.evaluation.model_copy(update={"prompts": plan.pictures})
        recipe = recipe.model_copy(update={"evaluation": evaluation})
        work = folder / name
        work.mkdir(exist_ok=True)
        for file in ("latents.npy", "masks.npy"):
            if not (work / file).exists():
                (work / file).symlink_to((folder / file).resolve())
        painter = train_painter(Dataset(recipe, data.shards, data.config), work, machine)
        factor = scaling_factor(np.load(folder / "latents.npy", mmap_mode="r"))
        pipeline: StableDiffusionPipeline = pipeline_of(recipe, vae, painter, factor)
        report = evaluate(recipe, pipeline, judge)
        rows[name] = {"all, %": 100 * report.overall} | {
            f"{attribute}, %": 100 * right / asked
            for attribute, (right, asked) in sorted(report.agreement.items())
        }
        logger.info("%s: %s", name, rows[name])
    return _written(folder / "painter", rows)


def list_held_out_pictures(recipe: Recipe, count: int) -> Pixels:
    """Render scenes that are never trained on, (count, side, side, 3) uint8 RGB."""
    shifted = recipe.model_copy(update={"seed": recipe.seed + EVALUATION_OFFSET})
    config = recipe.world.config()
    seeds = islice(scene_seeds(shifted, HELD_OUT), count)
    return np.stack(
        [render(sample_scene(seed, config), recipe.size_px, recipe.oversampling) for seed in seeds]
    )


def list_square_photographs(recipe: Recipe) -> Pixels:
    """Return the middle square of each of `photographs`, scaled to the recipe's size."""
    side = recipe.size_px
    squares: list[Pixels] = []
    for photo in photographs(1):
        length = min(photo.shape[:2])
        top, left = ((each - length) // 2 for each in photo.shape[:2])
        square = photo[top : top + length, left : left + length]
        small = np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA))
        squares.append((small * 255).round().astype(np.uint8))
    return np.stack(squares)


@torch.no_grad()
def measure_psnr(vae: Any, pictures: Pixels, machine: Machine) -> float:
    """Return the mean PSNR in dB of the VAE's reconstructions of pictures (B, S, S, 3) uint8.

    The VAE runs in fp32.
    """
    total = 0.0
    for picture in pictures:
        pixels = as_pixels(picture[None]).to(machine.device)
        painted = vae.decode(vae.encode(pixels).latent_dist.mode()).sample.clamp(-1, 1)
        error = ((painted - pixels) / 2).square().mean().item()
        total += -10 * math.log10(max(error, 1e-10))
    return total / len(pictures)


def _written(path: Path, rows: dict[str, dict[str, float]]) -> str:
    """Write the figures as JSON, and return them as a Markdown table."""
    path.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    columns = list(next(iter(rows.values())))
    lines = [f"| variant | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(f'{row[column]:.2f}' for column in columns)} |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)

"""The training set: scenes and latents are computed once, captions are drawn each time.

A work folder holds `scenes/` (see `shards`), and after the cache stage `masks.npy` (N, latent side,
latent side) uint8 and `latents.npy` (2, N, channels, latent side, latent side) float16: index 0 as
painted, 1 mirrored.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from paintdiff.errors import WorldError
from paintdiff.mini.data.shards import (
    Pixels,
    RenderedScene,
    Shards,
    mask_share,
    shard_path,
    write_shard,
)
from paintdiff.mini.recipe import Recipe
from paintdiff.mini.world import (
    Scene,
    WorldConfig,
    flip,
    render,
    sample_scene,
    subject_mask,
)
from paintdiff.prompts.surprise import is_held_out as is_composition_held_out

logger = logging.getLogger(__name__)

TRAINING, HELD_OUT = "training", "held out"
SHARD = 200


def is_held_out(scene: Scene, one_in: int) -> bool:
    """Return whether the scene's composition is kept from training.

    A composition is scenery, subject, colour and time of day.
    """
    return is_composition_held_out(
        scene.scenery, scene.subject, scene.colour, scene.time_of_day, one_in
    )


def scene_seeds(recipe: Recipe, part: str) -> Iterator[int]:
    """Yield endless seeds of scenes of `part` (TRAINING or HELD_OUT), in a fixed order."""
    config, wanted = recipe.world.config(), part == HELD_OUT
    for seed in count(recipe.seed):
        if is_held_out(sample_scene(seed, config), recipe.held_out_one_in) == wanted:
            yield seed


def render_dataset(recipe: Recipe, folder: Path, workers: int, scenes: int | None = None) -> None:
    """Render the first `scenes` training scenes into `folder`, except those already there.

    None renders all scenes of the recipe.
    """
    target = folder / "scenes"
    target.mkdir(parents=True, exist_ok=True)
    wanted = min(scenes or recipe.scenes, recipe.scenes)
    shards = -(-wanted // SHARD)
    missing = [number for number in range(shards) if not shard_path(target, number).exists()]
    if not missing:
        logger.info("%d scenes are rendered already", wanted)
        return
    seeds = islice(scene_seeds(recipe, TRAINING), recipe.scenes)
    paint = partial(_rendered, recipe=recipe, config=recipe.world.config())
    with ProcessPoolExecutor(workers) as pool:
        for number in range(shards):
            some = list(islice(seeds, SHARD))
            if number in missing:
                write_shard(target, number, pool.map(paint, some, chunksize=10))
                logger.info("rendered %d of %d", min((number + 1) * SHARD, wanted), wanted)


def cache_masks(data: Dataset, folder: Path) -> None:
    """Write `masks.npy`, the share (of 255) of each latent that the subjects cover.

    Does nothing if the file exists.
    """
    path = folder / "masks.npy"
    if path.exists():
        return
    side = data.recipe.latent_side
    masks = np.stack([mask_share(data.mask(row), side) for row in range(len(data))])
    unfinished = path.with_suffix(".partial.npy")
    np.save(unfinished, masks)
    unfinished.replace(path)


@dataclass(frozen=True)
class Dataset:
    """The rendered scenes; the module's docstring gives the shapes."""

    recipe: Recipe
    shards: Shards
    config: WorldConfig

    def __len__(self) -> int:
        return len(self.shards)

    def scene(self, index: int) -> Scene:
        """Return the scene that picture `index` shows."""
        return self.shards.scenes[index]

    def image(self, index: int) -> Pixels:
        """Return picture `index`, (side, side, 3) uint8 RGB."""
        return self.shards.image(index)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return which pixels of picture `index` its subjects cover, (side, side)."""
        return self.shards.mask(index)


def open_dataset(recipe: Recipe, folder: Path, scenes: int | None = None) -> Dataset:
    """Open the first `scenes` that `render_dataset` wrote; None opens all of the recipe's.

    Raises WorldError if there are fewer.
    """
    wanted = min(scenes or recipe.scenes, recipe.scenes)
    shards = Shards(folder / "scenes", wanted)
    if len(shards) < wanted:
        raise WorldError(
            f"{folder} holds {len(shards)} of {wanted} rendered scenes; "
            "run the render command first."
        )
    return Dataset(recipe, shards, recipe.world.config())


def mirror(scene: Scene, image: Pixels) -> tuple[Scene, Pixels]:
    """Return the scene and picture (H, W, 3) mirrored.

    They stay unmirrored if the mirror image would contradict the caption.
    """
    result = flip(scene, image)
    return (scene, image) if result is None else result


def _rendered(seed: int, recipe: Recipe, config: WorldConfig) -> RenderedScene:
    scene = sample_scene(seed, config)
    image = render(scene, recipe.size_px, recipe.oversampling)
    return RenderedScene(scene, image, subject_mask(scene, recipe.size_px))


def as_pixels(images: NDArray[np.uint8]) -> Tensor:
    """Convert (B, H, W, 3) uint8 RGB to (B, 3, H, W) float32 in -1..1, channels last."""
    pixels = torch.from_numpy(images.astype(np.float32) / 127.5 - 1.0).permute(0, 3, 1, 2)
    return pixels.contiguous(memory_format=torch.channels_last)

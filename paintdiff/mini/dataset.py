"""The training set: scenes rendered once, their latents cached once, captions drawn afresh each
time.

A folder holds `images.npy` (N, side, side, 3) uint8 RGB, `seeds.npy` (N,) int64, and after
`cache_latents` `latents.npy` (2, N, 4, latent side, latent side) float16: index 0 as painted, 1
mirrored.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paintdiff.errors import WorldError
from paintdiff.mini.recipe import Recipe
from paintdiff.mini.world import Scene, WorldConfig, flip, render, sample_scene

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
TRAINING, HELD_OUT = "training", "held out"


def is_held_out(scene: Scene, one_in: int) -> bool:
    """Whether the scene's composition (scenery, subject, colour, time of day) is kept from
    training.

    Decided by a hash of the composition, so it is the same for every seed and on every machine.
    """
    composition = f"{scene.scenery}|{scene.subject}|{scene.colour}|{scene.time_of_day}"
    return hashlib.sha256(composition.encode()).digest()[0] % one_in == 0


def scene_seeds(recipe: Recipe, part: str) -> Iterator[int]:
    """Endless seeds of scenes that belong to `part` (TRAINING or HELD_OUT), in a fixed order."""
    config, wanted = recipe.world.config(), part == HELD_OUT
    for seed in count(recipe.seed):
        if is_held_out(sample_scene(seed, config), recipe.held_out_one_in) == wanted:
            yield seed


def render_dataset(recipe: Recipe, folder: Path, workers: int) -> None:
    """Render `recipe.scenes` training scenes into `folder`, unless they are there already."""
    images_path, seeds_path = folder / "images.npy", folder / "seeds.npy"
    if images_path.exists() and seeds_path.exists():
        logger.info("%s is rendered already", folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    side = recipe.size_px
    unfinished = images_path.with_suffix(".partial")
    seeds = np.fromiter(islice(scene_seeds(recipe, TRAINING), recipe.scenes), np.int64)
    images = np.lib.format.open_memmap(
        unfinished, mode="w+", dtype=np.uint8, shape=(len(seeds), side, side, 3)
    )
    paint = partial(_painted, config=recipe.world.config(), size_px=side)
    with ProcessPoolExecutor(workers) as pool:
        for index, image in enumerate(pool.map(paint, seeds.tolist(), chunksize=64)):
            images[index] = image
            if index % 2000 == 0:
                logger.info("rendered %d of %d", index, len(seeds))
    images.flush()
    np.save(seeds_path, seeds)
    unfinished.replace(images_path)


def cache_masks(recipe: Recipe, folder: Path, workers: int) -> None:
    """Find out where the subject of each scene is, unless that is known already, by painting the
    scene once more without it.

    Writes `subjects.npy` (N, side, side / 8) uint8, a bit a pixel that the subject changes, and
    `masks.npy` (N, latent side, latent side) uint8, the share (of 255) of each latent.
    """
    subjects_path, masks_path = folder / "subjects.npy", folder / "masks.npy"
    if subjects_path.exists() and masks_path.exists():
        return
    data = open_dataset(recipe, folder)
    unpeopled = partial(_without_subject, config=data.config, size_px=recipe.size_px)
    side, latent_side = recipe.size_px, recipe.latent_side
    cell = side // latent_side
    subjects = np.zeros((len(data), side, side // 8), np.uint8)
    masks = np.zeros((len(data), latent_side, latent_side), np.uint8)
    with ProcessPoolExecutor(workers) as pool:
        empty = pool.map(unpeopled, data.seeds.tolist(), chunksize=64)
        for index, image in enumerate(empty):
            changed = np.abs(image.astype(np.int16) - data.images[index]).max(axis=2) > 12
            subjects[index] = np.packbits(changed, axis=1)
            cells = changed.reshape(latent_side, cell, latent_side, cell)
            masks[index] = 255 * cells.mean(axis=(1, 3))
    for path, values in ((subjects_path, subjects), (masks_path, masks)):
        partial_path = path.with_suffix(".partial.npy")
        np.save(partial_path, values)
        partial_path.replace(path)


@dataclass(frozen=True)
class Dataset:
    """The rendered scenes; see the module's text for shapes."""

    recipe: Recipe
    images: Pixels
    seeds: NDArray[np.int64]
    config: WorldConfig

    def __len__(self) -> int:
        return len(self.seeds)

    def scene(self, index: int) -> Scene:
        """The scene that picture `index` shows."""
        return sample_scene(int(self.seeds[index]), self.config)


def open_dataset(recipe: Recipe, folder: Path) -> Dataset:
    """Open what `render_dataset` wrote. Raises WorldError if it isn't there."""
    if not (folder / "images.npy").exists():
        raise WorldError(f"There are no rendered scenes in {folder}; run the render command first.")
    return Dataset(
        recipe=recipe,
        images=np.load(folder / "images.npy", mmap_mode="r"),
        seeds=np.load(folder / "seeds.npy"),
        config=recipe.world.config(),
    )


def mirrored(scene: Scene, image: Pixels) -> tuple[Scene, Pixels]:
    """The scene and picture (H, W, 3) mirrored, or as they were when the mirror image would belie
    the caption.
    """
    result = flip(scene, image)
    return (scene, image) if result is None else result


def _without_subject(seed: int, config: WorldConfig, size_px: int) -> Pixels:
    scene = sample_scene(seed, config)
    nobody = {"subject": None, "category": "scenery", "colour": None, "count": 0, "side": None}
    return render(replace(scene, **nobody), size_px)


def _painted(seed: int, config: WorldConfig, size_px: int) -> Pixels:
    return render(sample_scene(seed, config), size_px)

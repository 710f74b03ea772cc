"""The embedded upscaler: a compact ESRGAN that makes 4 x 4 pixels of each one.

SRVGGNetCompact (Wang et al. 2021, "Real-ESRGAN", arXiv:2107.10833), trained first for the absolute
and squared error, then as a GAN that adds the distance of the judge's features and a patch
discriminator with spectral normalisation. It learns from paintings of our world, and from dead
leaves for all other pictures. Its inputs are undamaged, randomly damaged, or come from the embedded
painter's own VAE.

A folder holds `pictures.npy` (N, side, side, 3) uint8 RGB, the paintings first, and `painted.npy`
(paintings, side / factor, side / factor, 3) uint8: each painting shrunk by `factor`, once through
the VAE and back.
"""

from __future__ import annotations

import logging
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from spandrel.architectures.Compact import Compact
from torch import Tensor, nn

from paintdiff.errors import WorldError
from paintdiff.mini.data.dataset import TRAINING, scene_seeds
from paintdiff.mini.data.degradations import degrade, shrink
from paintdiff.mini.data.leaves import dead_leaves
from paintdiff.mini.loop import Losses, Machine, TrainingLoop
from paintdiff.mini.networks.judge import Judge
from paintdiff.mini.networks.perceptual import Discriminator, adversarial_losses, weigh
from paintdiff.mini.recipe import Recipe, UpscalerRecipe
from paintdiff.mini.world import render, sample_scene

logger = logging.getLogger(__name__)

FILE_NAME = "mini-upscaler.safetensors"
_SIDES_SHOWN = (1, 1.5, 2)
"""How much larger than its crop in the training set a scene is painted: larger pictures have finer
details."""

_CHANGE_AT_START = 0.3

Pixels = NDArray[np.uint8]


def build_upscaler(recipe: UpscalerRecipe) -> Compact:
    """Build the untrained network: (B, 3, H, W), 0..1, to (B, 3, factor * H, factor * W).

    It has no skip connections, so each layer but the first starts near the identity. The last layer
    starts by adding nothing to the picture that the network enlarges by itself.
    """
    network = Compact(
        num_feat=recipe.num_feat, num_conv=recipe.num_conv, upscale=recipe.factor, act_type="prelu"
    )
    first, *middle, last = (layer for layer in network.body if isinstance(layer, nn.Conv2d))
    nn.init.kaiming_normal_(first.weight)
    for layer in middle:
        changed = nn.init.kaiming_normal_(torch.empty_like(layer.weight)) * _CHANGE_AT_START
        nn.init.dirac_(layer.weight).data.add_(changed)
    for layer in (first, *middle, last):
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.zeros_(last.weight)
    return network


def render_pictures(recipe: Recipe, folder: Path, workers: int) -> None:
    """Render the training set into `folder`, unless it is there already."""
    path = folder / "pictures.npy"
    if path.exists():
        logger.info("%s is rendered already", folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    ours = recipe.upscaler
    seeds = list(islice(scene_seeds(recipe, TRAINING), ours.paintings))
    unfinished = path.with_suffix(".partial")
    pictures = np.lib.format.open_memmap(
        unfinished,
        mode="w+",
        dtype=np.uint8,
        shape=(ours.paintings + ours.leaves, ours.side_px, ours.side_px, 3),
    )
    paint = partial(_part_of_scene, recipe=recipe)
    leaves = partial(dead_leaves, size_px=ours.side_px)
    with ProcessPoolExecutor(workers) as pool:
        for index, picture in enumerate(pool.map(paint, seeds, chunksize=16)):
            pictures[index] = picture
        logger.info("rendered %d paintings", ours.paintings)
        for index, picture in enumerate(pool.map(leaves, range(ours.leaves), chunksize=16)):
            pictures[ours.paintings + index] = picture
        logger.info("rendered %d of dead leaves", ours.leaves)
    pictures.flush()
    unfinished.replace(path)


def _part_of_scene(seed: int, recipe: Recipe) -> Pixels:
    """Render the scene, or an equally large crop of it painted larger."""
    side = recipe.upscaler.side_px
    random = np.random.default_rng(seed)
    picture = render(
        sample_scene(seed, recipe.world.config()), int(side * random.choice(_SIDES_SHOWN))
    )
    left, top = random.integers(0, picture.shape[0] - side + 1, 2)
    return picture[top : top + side, left : left + side]


@torch.no_grad()
def cache_painted(recipe: Recipe, folder: Path, machine: Machine, vae: AutoencoderKL) -> None:
    """Write `painted.npy`, the VAE's version of each painting, unless it exists."""
    path = folder / "painted.npy"
    if path.exists():
        return
    pictures = open_pictures(folder)[: recipe.upscaler.paintings]
    small: list[Pixels] = []
    network = machine.prepare(vae).eval()
    for start in range(0, len(pictures), 8):
        some = np.stack(
            [_small(picture, recipe.upscaler.factor) for picture in pictures[start : start + 8]]
        )
        small.append(_levels(through_vae(network, some).cpu()))
    unfinished = path.with_suffix(".partial.npy")
    np.save(unfinished, np.concatenate(small))
    unfinished.replace(path)


def through_vae(vae: Any, pictures: Pixels) -> Tensor:
    """Encode pictures (B, H, W, 3) uint8 and decode them again; (B, 3, H, W), 0..1."""
    pixels = (as_tensor(pictures) * 2 - 1).to(vae.device, vae.dtype)
    decoded = vae.decode(vae.encode(pixels).latent_dist.mode()).sample
    return (decoded.float() / 2 + 0.5).clamp(0, 1)


def open_pictures(folder: Path) -> Pixels:
    """Open the pictures that `render_pictures` wrote. Raises WorldError if they aren't there."""
    if not (folder / "pictures.npy").exists():
        raise WorldError(f"There are no pictures in {folder}; run render-upscaler first.")
    return np.load(folder / "pictures.npy", mmap_mode="r")


def as_floats(levels: Pixels) -> NDArray[np.float32]:
    """Convert 0 to 255 to 0..1."""
    return levels.astype(np.float32) / np.float32(255)


def as_tensor(pictures: Pixels) -> Tensor:
    """Convert (B, H, W, 3) uint8 to (B, 3, H, W) float, 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


def _levels(pixels: Tensor) -> Pixels:
    return (pixels * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def _small(picture: Pixels, factor: int) -> Pixels:
    return (shrink(as_floats(picture), factor) * 255).round().astype(np.uint8)


class _Pairs:
    """A source of crops of pictures, small and large."""

    def __init__(self, recipe: UpscalerRecipe, folder: Path) -> None:
        self._recipe = recipe
        self._pictures = open_pictures(folder)
        self._painted = np.load(folder / "painted.npy", mmap_mode="r")

    def batch(self, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw small (B, 3, crop, crop) and large (B, 3, factor * crop, factor * crop), 0..1."""
        pairs = [self._pair(random) for _ in range(self._recipe.plan.batch_size)]
        small, large = (np.stack(each) for each in zip(*pairs, strict=True))
        return tuple(
            torch.from_numpy(each).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
            for each in (small, large)
        )  # pyright: ignore[reportReturnType]

    def _pair(self, random: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        recipe, factor, crop = self._recipe, self._recipe.factor, self._recipe.crop_px
        index = int(random.integers(len(self._pictures)))
        top, left = random.integers(0, recipe.side_px // factor - crop + 1, 2)
        rows = slice(top * factor, (top + crop) * factor)
        columns = slice(left * factor, (left + crop) * factor)
        large = as_floats(self._pictures[index, rows, columns])
        kind = random.random()
        if kind < recipe.painted_share and index < len(self._painted):
            small = as_floats(self._painted[index, top : top + crop, left : left + crop])
        elif kind < recipe.painted_share + recipe.harmed_share:
            small = degrade(large, factor, random)
        else:
            small = shrink(large, factor, random)
        return _turned(small, large, random)


def _turned(
    small: NDArray[np.float32], large: NDArray[np.float32], random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mirror or turn both at random, in the same way."""
    down, across, swapped = random.random(3) < 0.5
    turned: list[NDArray[np.float32]] = []
    for each in (small, large):
        each = each[::-1] if down else each
        each = each[:, ::-1] if across else each
        turned.append(np.ascontiguousarray(each.transpose(1, 0, 2) if swapped else each))
    return turned[0], turned[1]


def train_upscaler(recipe: Recipe, folder: Path, machine: Machine, judge: Judge) -> Compact:
    """Train the upscaler, or resume its training; return the averaged weights."""
    ours = recipe.upscaler
    pairs = _Pairs(ours, folder)
    network = machine.prepare(build_upscaler(ours)).train()
    critic = machine.prepare(Discriminator(ours.discriminator_channels)).train()
    judge = machine.prepare(judge).eval().requires_grad_(False)
    loop = TrainingLoop(
        "upscaler", folder, {"network": network, "critic": critic}, ours.plan, recipe.seed
    )

    def losses(random: np.random.Generator, progress: float) -> Losses:
        small, large = (each.to(machine.device) for each in pairs.batch(random))
        with machine.autocast():
            made = network(small)
        difference = made.float() - large
        # With the absolute error alone it learns nothing: nearly all of a painting is plain, so
        # adding nothing anywhere is a local minimum that it doesn't leave.
        pixel = difference.abs().mean() + ours.squared_weight * difference.square().mean()
        if progress < ours.adversarial_from:
            # The critic gets no gradient yet, so its weights don't change.
            return {"loss": pixel, "pixel": pixel}
        with machine.autocast():
            parts = adversarial_losses(judge, critic, made, large)
        return {"loss": pixel + weigh(parts, ours), "pixel": pixel, **parts}

    loop.run(losses, machine.now)
    loop.use_average()
    return network.eval()


def export_upscaler(network: Compact, target: Path) -> None:
    """Write the network into `target`, in fp16, in the usual format of its architecture."""
    target.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, target / FILE_NAME)


def load_upscaler(recipe: UpscalerRecipe, folder: Path) -> Compact:
    """Load the exported network in fp32."""
    network = build_upscaler(recipe)
    network.load_state_dict(load_file(folder / FILE_NAME))
    return network.eval()


def lanczos(pictures: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Enlarge (B, H, W, 3), 0..1, by Lanczos, the baseline that every upscaler should beat."""
    size = (pictures.shape[2] * factor, pictures.shape[1] * factor)
    larger = [cv2.resize(each, size, interpolation=cv2.INTER_LANCZOS4) for each in pictures]
    return np.clip(np.stack(larger), 0, 1)

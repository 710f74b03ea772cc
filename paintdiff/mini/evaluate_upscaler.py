"""The figures of the upscaler's card: whether it comes nearer to the real picture than Lanczos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image
from spandrel.architectures.Compact import Compact

from paintdiff.mini.data.dataset import HELD_OUT, scene_seeds
from paintdiff.mini.data.degradations import degrade, shrink
from paintdiff.mini.evaluate import EVALUATION_OFFSET
from paintdiff.mini.networks.judge import Judge
from paintdiff.mini.networks.perceptual import feature_distance
from paintdiff.mini.networks.upscaler import as_floats, lanczos, through_vae
from paintdiff.mini.recipe import Recipe
from paintdiff.mini.world import render, sample_scene

PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "grass.png"),
    *("gravel.png", "hubble_deep_field.jpg", "motorcycle_left.png", "rocket.jpg"),
)
"""Photographs that come with scikit-image. None of them was used in training."""

Picture = NDArray[np.float32]
Pair = tuple[Picture, Picture]


@dataclass(frozen=True)
class UpscalerRow:
    """Means over `count` pictures of one kind: PSNR (dB, of RGB) and `feature_distance`."""

    name: str
    count: int
    psnr: float
    psnr_lanczos: float
    distance: float
    distance_lanczos: float


def upscaler_table(rows: list[UpscalerRow]) -> str:
    """Return a Markdown table."""
    lines = [
        "| pictures | PSNR | Lanczos | gain | feature distance | Lanczos |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row.count} {row.name} | {row.psnr:.2f} dB | {row.psnr_lanczos:.2f} dB "
            f"| {row.psnr - row.psnr_lanczos:+.2f} dB "
            f"| {row.distance:.3f} | {row.distance_lanczos:.3f} |"
            for row in rows
        ),
    ]
    return "\n".join(lines)


def evaluate_upscaler(
    recipe: Recipe, network: Compact, judge: Judge, vae: AutoencoderKL
) -> list[UpscalerRow]:
    """Enlarge small pictures and measure the results.

    The pictures are the recipe's number of held-out paintings: shrunk; shrunk and damaged; and
    through the painter's VAE. Then photographs, shrunk.
    """
    factor = recipe.upscaler.factor
    random = np.random.default_rng(recipe.seed)

    def harmed(picture: Picture) -> Picture:
        return degrade(picture, factor, random)

    def painted(picture: Picture) -> Picture:
        levels = (shrink(picture, factor) * 255).round().astype(np.uint8)
        with torch.no_grad():
            return through_vae(vae, levels[None])[0].permute(1, 2, 0).numpy()

    def of_paintings(small: Callable[[Picture], Picture]) -> Iterator[Pair]:
        return ((small(picture), picture) for picture in list_held_out_paintings(recipe))

    return [
        row_of("held-out paintings", of_paintings(lambda p: shrink(p, factor)), network, judge),
        row_of("of them, harmed", of_paintings(harmed), network, judge),
        row_of("of them, through the VAE", of_paintings(painted), network, judge),
        row_of(
            "photographs", ((shrink(p, factor), p) for p in photographs(factor)), network, judge
        ),
    ]


def row_of(name: str, pairs: Iterator[Pair], network: Compact, judge: Judge) -> UpscalerRow:
    """Compare the network's enlargement of the first picture of each pair with the second."""
    figures: list[tuple[float, ...]] = []
    for small, large in pairs:
        with torch.no_grad():
            made = network(_batch(small)).clamp(0, 1)
            plain = _batch(lanczos(small[None], large.shape[0] // small.shape[0])[0])
            real = _batch(large)
            distances = [float(feature_distance(judge, each, real)) for each in (made, plain)]
        figures.append((_psnr(made, real), _psnr(plain, real), *distances))
    return UpscalerRow(name, len(figures), *(float(each) for each in np.mean(figures, axis=0)))


def _psnr(made: torch.Tensor, real: torch.Tensor) -> float:
    return float(-10 * torch.log10((made - real).square().mean()))


def _batch(picture: Picture) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]


def list_held_out_paintings(recipe: Recipe) -> Iterator[Picture]:
    """Yield the recipe's number of paintings of scenes that no network learned from."""
    config = recipe.world.config()
    shifted = recipe.model_copy(update={"seed": recipe.seed + EVALUATION_OFFSET})
    for seed in islice(scene_seeds(shifted, HELD_OUT), recipe.evaluation.upscaled):
        picture = render(sample_scene(seed, config), recipe.upscaler.side_px)
        yield as_floats(picture)


def photographs(factor: int, names: Sequence[str] | None = None) -> Iterator[Picture]:
    """Yield photographs of scikit-image's (None: all of PHOTOGRAPHS).

    Their sides are cut to multiples of `factor`.
    """
    import skimage  # noqa: PLC0415 (slow to import, for its files only)

    folder = Path(skimage.__file__).parent / "data"
    for name in PHOTOGRAPHS if names is None else names:
        with Image.open(folder / name) as image:
            width, height = (side // factor * factor for side in image.size)
            part = image.convert("RGB").crop((0, 0, width, height))
        yield as_floats(np.asarray(part))

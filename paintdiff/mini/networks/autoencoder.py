"""The VAE: pixels into a few latent channels at an eighth or sixteenth of the side, and back.

Loss: absolute error + absolute error of the differences between neighbours (which keeps edges) + a
small Kullback-Leibler term, after Rombach et al. 2022 (arXiv:2112.10752) with the gradient in place
of a perceptual network, because no pretrained one is available. Two things make it learn in minutes
on a CPU: the first three channels start anchored to the mean colour that they stand for (by a loss
that fades), and the posterior starts narrow.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from paintdiff.mini.data.dataset import Dataset, as_pixels, mirror
from paintdiff.mini.data.leaves import dead_leaves
from paintdiff.mini.loop import Losses, Machine, TrainingLoop
from paintdiff.mini.networks.judge import Judge
from paintdiff.mini.networks.perceptual import Discriminator, adversarial_losses, weigh
from paintdiff.mini.recipe import AutoencoderRecipe

logger = logging.getLogger(__name__)

NARROW_LOG_VARIANCE = -5.0
ANCHOR_SCALE = 2.0
"""Latents per unit of colour: pictures then have latents of about unit variance."""


def build_autoencoder(recipe: AutoencoderRecipe, size_px: int) -> AutoencoderKL:
    """Build an untrained VAE of the recipe's shape."""
    levels = len(recipe.block_out_channels)
    # A dict, because diffusers' own annotations refuse more than one level.
    shape: dict[str, Any] = {
        "block_out_channels": recipe.block_out_channels,
        "layers_per_block": recipe.layers_per_block,
        "norm_num_groups": recipe.norm_num_groups,
        "latent_channels": recipe.latent_channels,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "mid_block_add_attention": False,
        "sample_size": size_px,
        "force_upcast": False,
    }
    vae = AutoencoderKL(**shape)
    moments: Any = vae.quant_conv
    with torch.no_grad():
        moments.weight[recipe.latent_channels :] = 0
        moments.bias[recipe.latent_channels :] = NARROW_LOG_VARIANCE
    return vae


class _Reconstruction(nn.Module):
    """A network from pixels to the reconstruction and the VAE's losses.

    It maps (B, 3, H, W) in -1..1 to (reconstruction, KL and colour error per latent number).
    """

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae: Any = vae

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        posterior = self.vae.encode(pixels).latent_dist
        latents = posterior.mean + posterior.std * torch.randn_like(posterior.mean)
        divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        colours = functional.adaptive_avg_pool2d(pixels, posterior.mean.shape[-2:])
        off_colour = (posterior.mean[:, :3] - ANCHOR_SCALE * colours).abs().mean()
        return self.vae.decode(latents).sample, divergence, off_colour


def edge_loss(painted: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute error of neighbour differences at full and half size.

    Both inputs are (B, 3, H, W).
    """
    total = painted.new_zeros(())
    for _ in range(2):
        for dim in (-1, -2):
            total = total + (painted.diff(dim=dim) - wanted.diff(dim=dim)).abs().mean()
        painted, wanted = functional.avg_pool2d(painted, 2), functional.avg_pool2d(wanted, 2)
    return total


def train_autoencoder(data: Dataset, folder: Path, machine: Machine) -> AutoencoderKL:
    """Train the VAE on random crops, then on whole pictures; return the averaged weights.

    Resumes a run that was stopped.
    """
    recipe = data.recipe.autoencoder
    vae = machine.prepare(build_autoencoder(recipe, data.recipe.size_px))
    loop = TrainingLoop("autoencoder", folder, {"vae": vae}, recipe.plan, data.recipe.seed)
    model = torch.compile(_Reconstruction(vae)) if machine.compile else _Reconstruction(vae)

    def losses(random: np.random.Generator, progress: float) -> Losses:
        whole = progress > 1 - recipe.whole_picture_share
        side = data.recipe.size_px if whole else recipe.crop_px
        # Fewer whole pictures make a batch, so that a step costs the same.
        batch = max(1, round(recipe.plan.batch_size * (recipe.crop_px / side) ** 2))
        pixels = draw_crops(data, random, batch, side).to(machine.device)
        with machine.autocast():
            painted, divergence, off_colour = model(pixels)
        painted = painted.float()
        error = (painted - pixels).abs().mean()
        edges = edge_loss(painted, pixels)
        anchor = recipe.anchor_weight * max(0.02, 1 - 2 * progress)
        loss = error + recipe.gradient_weight * edges + recipe.kl_weight * divergence.float()
        loss = loss + anchor * off_colour.float()
        parts = {"error": error, "edges": edges, "kl": divergence, "off_colour": off_colour}
        return {"loss": loss, **parts}

    loop.run(losses, machine.now)
    loop.use_average()
    return vae


def sharpen_decoder(
    data: Dataset, folder: Path, machine: Machine, vae: Any, judge: Judge | None = None
) -> Any:
    """Train the decoder alone on whole pictures.

    The latents keep their meaning, so a painter trained on them still fits.

    With a judge the distance of its features and a discriminator join the loss (Esser et al. 2021,
    arXiv:2012.09841), which makes edges crisp.
    """
    recipe = data.recipe.autoencoder
    vae = machine.prepare(vae)
    vae.requires_grad_(False)
    decoder = nn.ModuleList([vae.post_quant_conv, vae.decoder]).requires_grad_(True)
    modules: dict[str, nn.Module] = {"decoder": decoder}
    critic = machine.prepare(Discriminator(recipe.discriminator_channels)).train()
    if judge is not None:
        judge = machine.prepare(judge).eval().requires_grad_(False)
        modules["critic"] = critic
    loop = TrainingLoop("decoder", folder, modules, recipe.decoder_plan, data.recipe.seed)

    def losses(random: np.random.Generator, progress: float) -> Losses:
        pixels = draw_crops(data, random, recipe.decoder_plan.batch_size, data.recipe.size_px)
        pixels = pixels.to(machine.device)
        with machine.autocast():
            with torch.no_grad():
                latents = vae.encode(pixels).latent_dist.mode()
            painted = vae.decode(latents).sample
        painted = painted.float()
        error = (painted - pixels).abs().mean()
        edges = edge_loss(painted, pixels)
        loss = error + recipe.gradient_weight * edges
        parts: dict[str, Tensor] = {"error": error, "edges": edges}
        if judge is not None:
            with machine.autocast():
                parts |= adversarial_losses(judge, critic, painted / 2 + 0.5, pixels / 2 + 0.5)
            loss = loss + weigh(parts, recipe)
        return {"loss": loss, **parts}

    loop.run(losses, machine.now)
    loop.use_average()
    return vae


@torch.no_grad()
def cache_latents(data: Dataset, folder: Path, machine: Machine, vae: Any) -> None:
    """Encode every picture and its mirror image once into `folder/latents.npy`.

    Also set the scaling factor: one over the standard deviation of all latents, so that the painter
    sees about unit variance.
    """
    side = data.recipe.latent_side
    path = folder / "latents.npy"
    unfinished = path.with_suffix(".partial")
    shape = (2, len(data), data.recipe.autoencoder.latent_channels, side, side)
    latents = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float16, shape=shape)
    batch = 32
    for start in range(0, len(data), batch):
        rows = range(start, min(start + batch, len(data)))
        images = [data.image(row) for row in rows]
        mirrors = [mirror(data.scene(row), data.image(row))[1] for row in rows]
        for view, pictures in enumerate((images, mirrors)):
            pixels = as_pixels(np.stack(pictures)).to(machine.device)
            with machine.autocast():
                encoded = vae.encode(pixels).latent_dist.mode()
            latents[view, rows.start : rows.stop] = encoded.float().cpu().numpy()
        if start % 3200 == 0:
            logger.info("cached %d of %d", start, len(data))
    latents.flush()
    unfinished.replace(path)


def scaling_factor(latents: NDArray[np.float16]) -> float:
    """Return one over the standard deviation of (a sample of) the latents."""
    return float(1.0 / latents[0, :4000].astype(np.float32).std())


def draw_crops(data: Dataset, random: np.random.Generator, batch: int, side: int) -> Tensor:
    """Draw random crops as (batch, 3, side, side), some of them of dead leaves.

    Half of them are mirrored: pictures have no captions here.
    """
    leaves_share = data.recipe.autoencoder.leaves_share
    crops: list[NDArray[np.uint8]] = []
    for index in random.integers(len(data), size=batch).tolist():
        leaves = random.random() < leaves_share
        picture = dead_leaves(int(random.integers(2**31)), side) if leaves else data.image(index)
        room = picture.shape[0] - side
        top, left = (int(value) for value in random.integers(room + 1, size=2))
        crop = picture[top : top + side, left : left + side]
        crops.append(crop[:, ::-1] if random.random() < 0.5 else crop)
    return as_pixels(np.stack(crops))

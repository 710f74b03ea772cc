"""The embedded model's ControlNet: edges and scribbles to pictures.

After Zhang et al. 2023 (arXiv:2302.05543): a copy of the UNet's encoder sees the control map and
adds to the UNet's skip connections through layers that start at zero. The painter itself stays
unchanged. The copy omits the attention, because the painter already interprets the words; that
makes it a third as large. Every map is computed from a rendered picture each time: its Canny edges
or a scribble of it, often of the subject alone, as people draw.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

from paintdiff.mini.data.dataset import Dataset, Pixels
from paintdiff.mini.loop import Losses, Machine, TrainingLoop
from paintdiff.mini.networks.objective import (
    add_noise,
    build_scheduler,
    draw_timesteps,
    timestep_weights,
    weighted_mean,
)
from paintdiff.mini.networks.painter import Batch, CaptionedLatents, Painter
from paintdiff.mini.recipe import ControlRecipe, Recipe
from paintdiff.preprocessors.lines import detect_canny_edges, draw_scribble


def build_control(recipe: Recipe, unet: UNet2DConditionModel) -> ControlNetModel:
    """Build a ControlNet that starts with the UNet's weights of the same name and shape."""
    painter = recipe.painter
    control = ControlNetModel(
        in_channels=recipe.autoencoder.latent_channels,
        down_block_types=("DownBlock2D",) * len(painter.block_out_channels),
        mid_block_type="UNetMidBlock2D",
        block_out_channels=painter.block_out_channels,
        layers_per_block=painter.layers_per_block,
        cross_attention_dim=painter.text_encoder.hidden_size,
        conditioning_embedding_out_channels=recipe.control.conditioning_channels,
    )
    ours = control.state_dict()
    same = {
        name: value
        for name, value in unet.state_dict().items()
        if name in ours and ours[name].shape == value.shape
    }
    control.load_state_dict(same, strict=False)
    return control


class ControlMaps:
    """A source of control maps for a batch's pictures, as a person or a preprocessor draws them."""

    def __init__(self, data: Dataset) -> None:
        self.recipe, self.data = data.recipe.control, data

    def draw(self, batch: Batch, random: np.random.Generator) -> Tensor:
        """Draw the maps of a batch: (B, 3, side, side) float32 in 0..1, white on black."""
        maps = [
            self._map(int(row), view == 1, random)
            for row, view in zip(batch.rows, batch.views, strict=True)
        ]
        grey = torch.from_numpy(np.stack(maps).astype(np.float32) / 255)
        return grey.unsqueeze(1).expand(-1, 3, -1, -1)

    def _map(self, row: int, mirrored: bool, random: np.random.Generator) -> Pixels:
        picture, subject = self.data.image(row), self.data.mask(row).astype(np.uint8)
        if mirrored:
            picture, subject = picture[:, ::-1], subject[:, ::-1]
        picture = np.ascontiguousarray(picture)
        drawn = (
            draw_scribble if random.random() < self.recipe.scribble_share else detect_canny_edges
        )(picture)
        if subject.any() and random.random() < self.recipe.subject_share:
            drawn = drawn * _dilated(np.ascontiguousarray(subject), reach_px=1)
        if random.random() < self.recipe.rough_share:
            drawn = roughen(drawn, random)
        return drawn


def roughen(drawn: Pixels, random: np.random.Generator) -> Pixels:
    """Return a map (H, W), 0 or 255, as a less steady hand draws it.

    It is bent by a pixel or two, has a gap, or is drawn with a broader pen.
    """
    height, width = drawn.shape
    choice = random.integers(3)
    if choice == 0:
        return _dilated(drawn, reach_px=1)
    if choice == 1:
        side = int(random.integers(height // 8, height // 3))
        top, left = random.integers(height - side), random.integers(width - side)
        gapped = drawn.copy()
        gapped[top : top + side, left : left + side] = 0
        return gapped
    coarse = random.normal(0, 1.5, (2, 5, 5)).astype(np.float32)
    across, down = (
        np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC))
        for part in coarse
    )
    rows, columns = np.indices(drawn.shape, dtype=np.float32)
    bent = cv2.remap(drawn, columns + across, rows + down, cv2.INTER_LINEAR)
    return np.where(np.asarray(bent) > 96, 255, 0).astype(np.uint8)


def _dilated(drawn: Pixels, reach_px: int) -> Pixels:
    """Return the lines made broader by `reach_px` pixels on each side."""
    kernel = np.ones((2 * reach_px + 1, 2 * reach_px + 1), np.uint8)
    return np.asarray(cv2.dilate(drawn, kernel)).astype(np.uint8)


class _Controlled(nn.Module):
    """A network from noisy latents, timesteps, text and control maps to the predicted velocity.

    The text is the text encoder's output (B, 77, width).
    """

    def __init__(self, control: ControlNetModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.control, self.unet = control, unet

    def forward(self, noisy: Tensor, timesteps: Tensor, hidden: Tensor, maps: Tensor) -> Tensor:
        down, middle = self.control(noisy, timesteps, hidden, maps, return_dict=False)
        return self.unet(
            noisy,
            timesteps,
            hidden,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample


def train_control(
    data: Dataset, folder: Path, machine: Machine, painter: Painter
) -> ControlNetModel:
    """Train the painter's ControlNet; return the averaged weights.

    The painter isn't changed. Resumes a run that was stopped.
    """
    recipe: ControlRecipe = data.recipe.control
    for part in (painter.text_encoder, painter.unet):
        machine.prepare(part).requires_grad_(False).eval()
    control = machine.prepare(build_control(data.recipe, painter.unet)).train()
    loop = TrainingLoop("control", folder, {"control": control}, recipe.plan, data.recipe.seed)
    # The control map shows which way the subject faces.
    batches = CaptionedLatents(data, folder, painter.tokenizer, facing_anywhere=True)
    maps = ControlMaps(data)
    controlled = _Controlled(control, painter.unet)
    run = torch.compile(controlled) if machine.compile else controlled
    alphas_cumprod = build_scheduler(data.recipe.painter).alphas_cumprod.to(machine.device)
    sampling = data.recipe.painter.model_copy(update={"plan": recipe.plan, "middle_share": 0.0})

    def losses(random: np.random.Generator, progress: float) -> Losses:
        batch = batches.draw(random, recipe.plan.batch_size)
        control_maps = maps.draw(batch, random).to(machine.device)
        latents = batch.latents.to(machine.device).contiguous(memory_format=torch.channels_last)
        timesteps = draw_timesteps(random, sampling).to(machine.device)
        noisy, target = add_noise(latents, timesteps, alphas_cumprod, sampling.prediction)
        with machine.autocast():
            with torch.no_grad():
                hidden = painter.text_encoder(batch.tokens.to(machine.device)).last_hidden_state
            predicted = run(noisy, timesteps, hidden, control_maps)
        error = (predicted.float() - target).pow(2)
        subject = batch.subject.to(machine.device)
        weights = timestep_weights(timesteps, alphas_cumprod, sampling)
        return {
            "loss": weighted_mean(error * weights, subject, data.recipe.painter.subject_weight),
            "error": error.mean(),
        }

    loop.run(losses, machine.now)
    loop.use_average()
    return control


def export_control(control: ControlNetModel, target: Path) -> None:
    """Write the ControlNet as an ordinary diffusers folder in fp16 safetensors."""
    control.half().save_pretrained(target, safe_serialization=True)


def edge_overlap(drawn: Pixels, painted: Pixels, reach_px: int = 2) -> float:
    """Measure how well the edges of a painted picture (H, W, 3) match a drawing (H, W; 0 or 255).

    The result is the F1 score of two shares: the drawn edge pixels with a painted one within
    `reach_px`, and the painted ones with a drawn one. It is 0..1, NaN for an empty drawing.
    """
    if not drawn.any():
        return math.nan
    found = detect_canny_edges(painted)
    recall = _share(drawn, _dilated(found, reach_px))
    precision = _share(found, _dilated(drawn, reach_px))
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0


def _share(edges: Pixels, near: Pixels) -> float:
    """Return the share of edge pixels that lie where `near` is set; 0 without edge pixels."""
    count = int((edges > 0).sum())
    return int(((edges > 0) & (near > 0)).sum()) / count if count else 0.0

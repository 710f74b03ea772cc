"""Masks as an inpainting pipeline takes them. Imports torch: import it in a function."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image


def latent_mask(mask: Image.Image, factor: int) -> torch.Tensor:
    """(1, 1, height / factor, width / factor), float, 0 or 1: 1 where any of the pixels (L) that a
    latent stands for is above 0.
    """
    levels = torch.from_numpy(np.array(mask, dtype=np.float32))[None, None]
    return (torch.nn.functional.max_pool2d(levels, factor) > 0).float()


def soft_latent_mask(mask: Image.Image, factor: int) -> torch.Tensor:
    """The same shape, 0..1: the mean of the pixels that a latent stands for."""
    levels = torch.from_numpy(np.array(mask, dtype=np.float32) / 255)[None, None]
    return torch.nn.functional.avg_pool2d(levels, factor)


def mask_picture(latents_mask: torch.Tensor, factor: int) -> Image.Image:
    """A mask of latents (1, 1, height, width; 0 or 1) in pixels: mode L, 0 or 255."""
    cells = latents_mask[0, 0].numpy().astype(np.uint8) * 255
    return Image.fromarray(cells.repeat(factor, axis=0).repeat(factor, axis=1))


class SoftMask:
    """Lets go of each place of a mask at its own step: one of the grey level g is painted during
    the last g of the run, as if by image to image of that strength.

    Differential diffusion: Levin and Fried 2023 (arXiv:2306.00950), section 4. `levels` is what
    `soft_latent_mask` returns.
    """

    def __init__(self, levels: torch.Tensor) -> None:
        self._levels = levels

    def at(self, step: int, num_steps: int) -> torch.Tensor:
        """The hard mask that holds after step `step` (from 0) of `num_steps`: (1, 1, height,
        width), float, 0 or 1. What is 0 in the mask is never let go, what is 1 always.
        """
        return (self._levels > 1 - (step + 1) / num_steps).float()

    def after(self, pipeline: Any, index: int) -> torch.Tensor:
        """The mask for the step that follows `index`, as the pipeline's callback may return it."""
        num_steps = pipeline.num_timesteps
        mask = self.at(min(index + 1, num_steps - 1), num_steps)
        mask = mask.to(device=pipeline.unet.device, dtype=pipeline.unet.dtype)
        return torch.cat([mask] * 2) if pipeline.do_classifier_free_guidance else mask

"""Masks as an inpainting pipeline takes them. Imports torch: import it in a function."""

from __future__ import annotations

import functools
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image

from paintdiff.models.inference.latent_formats import Layout


def make_latent_mask(mask: Image.Image, factor: int) -> torch.Tensor:
    """(1, 1, height / factor, width / factor), float, 0 or 1: 1 where any of the pixels (L) that a
    latent stands for is above 0.
    """
    levels = torch.from_numpy(np.array(mask, dtype=np.float32))[None, None]
    return (torch.nn.functional.max_pool2d(levels, factor) > 0).float()


def make_soft_latent_mask(mask: Image.Image, factor: int) -> torch.Tensor:
    """The same shape, 0..1: the mean of the pixels that a latent stands for."""
    levels = torch.from_numpy(np.array(mask, dtype=np.float32) / 255)[None, None]
    return torch.nn.functional.avg_pool2d(levels, factor)


def make_mask_picture(latents_mask: torch.Tensor, factor: int) -> Image.Image:
    """A mask of latents (1, 1, height, width; 0 or 1) in pixels: mode L, 0 or 255."""
    cells = latents_mask[0, 0].numpy().astype(np.uint8) * 255
    return Image.fromarray(cells.repeat(factor, axis=0).repeat(factor, axis=1))


class SoftMask:
    """Lets go of each place of a mask at its own step: one of the grey level g is painted during
    the last g of the run, as if by image to image of that strength.

    Differential diffusion: Levin and Fried 2023 (arXiv:2306.00950), section 4. `levels` is what
    `make_soft_latent_mask` returns.
    """

    def __init__(self, levels: torch.Tensor) -> None:
        self._levels = levels
        self._layout: Layout | None = None
        self._held: torch.Tensor | None = None

    def at(self, step: int, num_steps: int) -> torch.Tensor:
        """The hard mask that holds after step `step` (from 0) of `num_steps`: (1, 1, height,
        width), float, 0 or 1. What is 0 in the mask is never let go, what is 1 always.
        """
        return (self._levels > 1 - (step + 1) / num_steps).float()

    @contextmanager
    def held(self, pipeline: Any, layout: Layout) -> Generator[None]:
        """While inside, `step_ended` changes the mask that the pipeline has prepared."""
        original = pipeline.prepare_mask_latents

        @functools.wraps(original)
        def prepare_mask_latents(*args: Any, **settings: Any) -> Any:
            mask, *others = original(*args, **settings)
            self._held = mask
            return (mask, *others)

        self._layout = layout
        pipeline.prepare_mask_latents = prepare_mask_latents
        try:
            yield
        finally:
            del pipeline.prepare_mask_latents  # the class's own is there again
            self._held = None

    def step_ended(self, index: int, num_steps: int) -> None:
        """Put the mask for the step that follows `index` into the one that is held: in place, since
        few pipelines take another from their callback.
        """
        if self._held is None or self._layout is None:
            return
        mask = self.at(min(index + 1, num_steps - 1), num_steps)
        if self._held.ndim == 3:  # packed: four of each latent's channels, so there are as many
            mask = self._layout.packed(mask.expand(-1, self._held.shape[-1] // 4, -1, -1))
        self._held.copy_(mask.to(self._held))

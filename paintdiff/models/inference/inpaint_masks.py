"""Masks for inpainting pipelines. Imports torch: import it in a function."""

from __future__ import annotations

import functools
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.inference.previews.latent_formats import Layout


def make_latent_mask(mask: Image.Image, latent_px: int) -> torch.Tensor:
    """Return the latents in which any pixel of a mask is above 0.

    Args:
        mask: Mode L, in pixels.
        latent_px: How many pixels wide a latent is.

    Returns:
        (1, 1, height / latent_px, width / latent_px), float, 0 or 1.
    """
    levels = torch.from_numpy(np.array(mask, dtype=np.float32))[None, None]
    return (torch.nn.functional.max_pool2d(levels, latent_px) > 0).float()


def make_soft_latent_mask(mask: Image.Image, latent_px: int) -> torch.Tensor:
    """Return the mean of each latent's pixels, 0..1; shapes are those of `make_latent_mask`."""
    levels = torch.from_numpy(np.array(mask, dtype=np.float32) / 255)[None, None]
    return torch.nn.functional.avg_pool2d(levels, latent_px)


def make_mask_picture(latents_mask: torch.Tensor, latent_px: int) -> Image.Image:
    """Draw a mask of latents (1, 1, height, width; 0 or 1) in pixels: mode L, 0 or 255."""
    cells = latents_mask[0, 0].numpy().astype(np.uint8) * 255
    return Image.fromarray(cells.repeat(latent_px, axis=0).repeat(latent_px, axis=1))


@dataclass(frozen=True)
class RunMasks:
    """The masks of one run.

    `settings` are arguments for the pipeline. `soft` is a mask that changes from step to step, None
    if none does. `emptied` (1, 1, height, width; float, 0 or 1; in latents) is where the latents
    are replaced before noise is added, None for nowhere.
    """

    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    soft: SoftMask | None = None
    emptied: torch.Tensor | None = None


def prepare_masks(run: Denoising, latent_px: int, *, sees_masks: bool) -> RunMasks:
    """Return the masks of a run; none if it doesn't repaint.

    A model that was trained to inpaint (`sees_masks`) takes no soft mask.
    """
    repainting = run.source.repainting if run.source is not None else None
    if repainting is None:
        return RunMasks()
    mask, soft = make_latent_mask(repainting.mask, latent_px), None
    if repainting.soft and not sees_masks:
        soft = SoftMask(make_soft_latent_mask(repainting.mask, latent_px))
        mask = soft.threshold(0, run.steps_run)
    emptied: torch.Tensor | None = None
    if repainting.latent_content != "original":
        emptied = make_latent_mask(repainting.mask, latent_px)
        if repainting.strokes is not None:
            emptied = emptied * (1 - make_latent_mask(repainting.strokes, latent_px))
    return RunMasks({"mask_image": make_mask_picture(mask, latent_px)}, soft, emptied)


class SoftMask:
    """A grey mask, of which each place begins to be painted at a step of its own.

    Where the mask's level is g, the last g of the run is painted, as if by image to image of that
    strength. Differential diffusion: Levin and Fried 2023 (arXiv:2306.00950), section 4. `levels`
    is what `make_soft_latent_mask` returns.
    """

    def __init__(self, levels: torch.Tensor) -> None:
        self._levels = levels
        self._layout: Layout | None = None
        self._held: torch.Tensor | None = None

    def threshold(self, step: int, num_steps: int) -> torch.Tensor:
        """Return the hard mask after step `step` (from 0) of `num_steps`.

        It is (1, 1, height, width), float, 0 or 1. Where the level is 0 it is always 0, and where
        the level is 1 always 1.
        """
        return (self._levels > 1 - (step + 1) / num_steps).float()

    @contextmanager
    def attach(self, pipeline: Any, layout: Layout) -> Generator[None]:
        """Let `update` change the mask that the pipeline prepares, inside the `with`."""
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
            del pipeline.prepare_mask_latents  # uncovers the class's own method
            self._held = None

    def update(self, index: int, num_steps: int) -> None:
        """Set the pipeline's mask for the step after `index` (from 0).

        This is done in place, since few pipelines take another mask from their callback.
        """
        if self._held is None or self._layout is None:
            return
        mask = self.threshold(min(index + 1, num_steps - 1), num_steps)
        if self._held.ndim == 3:  # packed: a patch of 2x2 has each channel four times
            mask = self._layout.pack(mask.expand(-1, self._held.shape[-1] // 4, -1, -1))
        self._held.copy_(mask.to(self._held))

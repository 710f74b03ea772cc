"""The shapes and scales of latents, by family. Imports torch: import it in a function.

Everywhere else latents are (batch, channels, height, width), scaled as the denoiser sees them.
Only this module knows of any other shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from paintdiff.imaging.geometry import Size
from paintdiff.models.registry.families import LatentLayout


@dataclass(frozen=True)
class Layout:
    """The layout in which a family's denoiser and VAE take latents.

    `pack` makes the denoiser's input of latents. `unpack` is the reverse, and gets the height and
    width in latents. With `frames` the VAE is one for videos: a picture is a single frame. With
    `decoded` the pipeline decodes by itself, so its "latents" are pixels (0..1).
    """

    pack: Callable[[torch.Tensor], torch.Tensor]
    unpack: Callable[[torch.Tensor, int, int], torch.Tensor]
    frames: bool = False
    decoded: bool = False


def _pack_nothing(latents: torch.Tensor) -> torch.Tensor:
    return latents


def _unpack_nothing(latents: torch.Tensor, _height: int, _width: int) -> torch.Tensor:
    return latents


def pack_patches(latents: torch.Tensor) -> torch.Tensor:
    """Arrange latents in a row for each patch of 2x2, as FLUX's and Qwen-Image's transformers do.

    Args:
        latents: (batch, channels, height, width), sides even.

    Returns:
        (batch, height / 2 * width / 2, channels * 4).
    """
    batch, channels, height, width = latents.shape
    patches = latents.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * 4)


def unpack_patches(patches: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Undo `pack_patches`. A tensor that isn't in rows of patches comes back unchanged."""
    if patches.ndim != 3:
        return patches
    batch, _rows, values = patches.shape
    latents = patches.reshape(batch, height // 2, width // 2, values // 4, 2, 2)
    return latents.permute(0, 3, 1, 4, 2, 5).reshape(batch, values // 4, height, width)


LAYOUTS: Mapping[LatentLayout, Layout] = MappingProxyType(
    {
        "plain": Layout(_pack_nothing, _unpack_nothing),
        "packed": Layout(pack_patches, unpack_patches),
        "packed_frames": Layout(pack_patches, unpack_patches, frames=True),
        "pixels": Layout(_pack_nothing, _unpack_nothing, decoded=True),
    }
)


@dataclass(frozen=True)
class LatentSpace:
    """The latents of one run: their layout, and their height and width in latents."""

    layout: Layout
    height: int
    width: int

    @classmethod
    def for_size(cls, layout: Layout, size: Size, latent_px: int) -> LatentSpace:
        """Return that of a picture of `size` in pixels; a latent is `latent_px` pixels wide."""
        return cls(layout, size.height // latent_px, size.width // latent_px)

    def unpack(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the denoiser's input or output as (batch, channels, height, width)."""
        return self.layout.unpack(latents, self.height, self.width)

    def apply(
        self, change: Callable[[torch.Tensor], torch.Tensor], latents: torch.Tensor
    ) -> torch.Tensor:
        """Apply `change`, which takes (batch, channels, height, width), to packed latents too.

        The result has the shape of `latents`.
        """
        if latents.ndim != 3:
            return change(latents)
        return self.layout.pack(change(self.unpack(latents)))


def unscale_latents(latents: torch.Tensor, vae: Any) -> torch.Tensor:
    """Return latents as the VAE decodes them, from latents as the denoiser sees them.

    Both are (batch, channels, height, width), in the VAE's precision. Scale and offset are those
    in the VAE's config.
    """
    config = vae.config
    mean, std = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
    factor: float | None = getattr(config, "scaling_factor", None)
    shift: float | None = getattr(config, "shift_factor", None)
    if mean is not None and std is not None:
        shape = (1, -1, 1, 1)
        scale = torch.tensor(std, device=latents.device, dtype=latents.dtype).view(shape)
        offset = torch.tensor(mean, device=latents.device, dtype=latents.dtype).view(shape)
        if factor is None:  # to the last bit as Qwen-Image's pipelines do it
            return latents / (1.0 / scale) + offset
        return latents * scale / factor + offset
    latents = latents if factor is None else latents / factor
    return latents if shift is None else latents + shift


def decode_latents(latents: torch.Tensor, vae: Any, layout: Layout) -> torch.Tensor:
    """Decode unscaled latents to (batch, 3, height, width), RGB, about -1..1."""
    with torch.no_grad():
        if layout.frames:
            return vae.decode(latents.unsqueeze(2), return_dict=False)[0][:, :, 0]
        return vae.decode(latents, return_dict=False)[0]


def upscale_latents(latents: torch.Tensor, size: Size, latent_px: int) -> torch.Tensor:
    """Interpolate latents (batch, channels, height, width) bilinearly, for `size` in pixels."""
    shape = (size.height // latent_px, size.width // latent_px)
    return torch.nn.functional.interpolate(latents, size=shape, mode="bilinear")

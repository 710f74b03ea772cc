"""How each family's denoiser takes latents, and how its VAE does. Imports torch: import it in a
function.

Ours are always (batch, channels, height, width), scaled as the denoiser sees them, so that only
this module knows of any other shape.
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
    """`packed` makes what the denoiser takes of latents, `unpacked` the reverse; that is told the
    height and width in latents.

    `frames` says that the VAE is one for videos, of which a picture is a single frame; `decoded`
    that the pipeline decodes by itself, so that its "latents" are pixels (0..1).
    """

    packed: Callable[[torch.Tensor], torch.Tensor]
    unpacked: Callable[[torch.Tensor, int, int], torch.Tensor]
    frames: bool = False
    decoded: bool = False


def _same(latents: torch.Tensor) -> torch.Tensor:
    return latents


def _same_back(latents: torch.Tensor, _height: int, _width: int) -> torch.Tensor:
    return latents


def pack_patches(latents: torch.Tensor) -> torch.Tensor:
    """(batch, channels, height, width), sides even, to (batch, height / 2 * width / 2, channels *
    4): a row for each patch of 2x2 latents, as FLUX's and Qwen-Image's transformers take them.
    """
    batch, channels, height, width = latents.shape
    patches = latents.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * 4)


def unpack_patches(patches: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The reverse of `pack_patches`. What is no row of patches comes back as it is."""
    if patches.ndim != 3:
        return patches
    batch, _rows, values = patches.shape
    latents = patches.reshape(batch, height // 2, width // 2, values // 4, 2, 2)
    return latents.permute(0, 3, 1, 4, 2, 5).reshape(batch, values // 4, height, width)


LAYOUTS: Mapping[LatentLayout, Layout] = MappingProxyType(
    {
        "plain": Layout(_same, _same_back),
        "packed": Layout(pack_patches, unpack_patches),
        "packed_frames": Layout(pack_patches, unpack_patches, frames=True),
        "pixels": Layout(_same, _same_back, decoded=True),
    }
)


@dataclass(frozen=True)
class LatentSpace:
    """One run's latents: their layout, and their height and width."""

    layout: Layout
    height: int
    width: int

    @classmethod
    def of(cls, layout: Layout, size: Size, factor: int) -> LatentSpace:
        """That of a picture of a size in pixels; `factor` is how many of them a latent is wide."""
        return cls(layout, size.height // factor, size.width // factor)

    def unpacked(self, latents: torch.Tensor) -> torch.Tensor:
        """What the denoiser takes or gives as (batch, channels, height, width)."""
        return self.layout.unpacked(latents, self.height, self.width)

    def changed(
        self, latents: torch.Tensor, change: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """What `change` makes of latents in whatever shape they are, in that shape."""
        if latents.ndim != 3:
            return change(latents)
        return self.layout.packed(change(self.unpacked(latents)))


def unscale_latents(latents: torch.Tensor, vae: Any) -> torch.Tensor:
    """What the VAE decodes, of latents as the denoiser sees them: both (batch, channels, height,
    width), in the VAE's precision. The figures are those of the VAE's configuration.
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


def latents_to_pixels(latents: torch.Tensor, vae: Any, layout: Layout) -> torch.Tensor:
    """(batch, 3, height, width), RGB, about -1..1, decoded from unscaled latents."""
    with torch.no_grad():
        if layout.frames:
            return vae.decode(latents.unsqueeze(2), return_dict=False)[0][:, :, 0]
        return vae.decode(latents, return_dict=False)[0]

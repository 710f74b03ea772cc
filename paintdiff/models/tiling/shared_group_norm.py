"""Tiles that a VAE decodes or encodes as parts of one picture and not as separate pictures.

Group normalisation uses the mean and variance of its input, so a tile of sky differs from the sky
in the whole picture. Here the VAE sees the whole picture once, small. Each layer records how every
tile's part of it differs from all of it, and corrects the full-size tile accordingly.

The method follows the "fast decoder" of multidiffusion-upscaler-for-automatic1111, which uses the
small picture's statistics directly. Correcting each tile's own statistics is more accurate
(benchmarks/RESULTS.md). Imports torch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL

from paintdiff.imaging.geometry import Box

_SMALL_LATENTS = 64
"""The longer side of the small whole picture in latents; at most a tile's."""


@dataclass
class _View:
    """The current input of a network.

    It is the small whole picture, of that height and width in latents, or (None) the tile of that
    number. `tiles` are the tiles' positions as fractions of the whole: left, top, right, bottom.
    """

    tiles: Sequence[tuple[float, float, float, float]]
    whole: tuple[int, int] | None = None
    number: int = 0


class _SharedNorm(torch.nn.Module):
    """A replacement for a network's group normalisation that shares its weights.

    For the small whole picture it normalises as usual, and records how each tile's part of it
    differs from all of it.
    """

    def __init__(self, norm: torch.nn.GroupNorm, view: _View) -> None:
        super().__init__()
        self._norm = norm
        self._view = view
        self._changes: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, sample: torch.Tensor) -> torch.Tensor:
        """Normalise (1, channels, height, width), or (1, channels, height * width) in attention."""
        if self._view.whole is not None:
            shape = sample.shape[-2:] if sample.ndim == 4 else self._view.whole
            self._measure(sample.reshape(*sample.shape[:2], *shape))
            return self._norm(sample)
        ratio, shift = self._changes[self._view.number]
        norm = self._norm
        weight, bias = norm.weight * ratio, norm.bias + norm.weight * shift
        return torch.nn.functional.group_norm(sample, norm.num_groups, weight, bias, norm.eps)

    def _measure(self, sample: torch.Tensor) -> None:
        """Measure the correction from a part's own normalisation to the whole's.

        It is linear: y' = y * ratio + shift.
        """
        height, width = sample.shape[-2:]
        mean, deviation = self._statistics(sample)
        self._changes = []
        for left, top, right, bottom in self._view.tiles:
            rows = slice(int(top * height), math.ceil(bottom * height))
            columns = slice(int(left * width), math.ceil(right * width))
            own_mean, own_deviation = self._statistics(sample[..., rows, columns])
            ratio, shift = own_deviation / deviation, (own_mean - mean) / deviation
            self._changes.append((self._per_channel(ratio), self._per_channel(shift)))

    def _statistics(self, sample: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean and the standard deviation of each group: (groups,), float32."""
        grouped = sample.float().reshape(self._norm.num_groups, -1)
        variance, mean = torch.var_mean(grouped, dim=1, correction=0)
        return mean, (variance + self._norm.eps).sqrt()

    def _per_channel(self, of_groups: torch.Tensor) -> torch.Tensor:
        each = self._norm.num_channels // self._norm.num_groups
        return of_groups.repeat_interleave(each).to(self._norm.weight.dtype)


class _Tiles:
    """The tiles of one picture, seen by one half of a VAE ("encoder" or "decoder").

    For one thread. The VAE is shared and isn't changed. `whole` is the input of that half, (1,
    channels, height, width), `tiles` lie in it, and a latent is `step` of its cells wide.
    """

    def __init__(
        self, vae: Any, half: str, whole: torch.Tensor, tiles: Sequence[Box], step: int
    ) -> None:
        height, width = whole.shape[-2:]
        parts = [
            (box.left / width, box.top / height, box.right / width, box.bottom / height)
            for box in tiles
        ]
        self._view = _View(parts)
        self._vae = _with_norms(vae, half, self._view)
        tile = tiles[0].size
        small = _shrunk(whole, min(step * _SMALL_LATENTS, max(tile.width, tile.height)), step)
        self._view.whole = (small.shape[-2] // step, small.shape[-1] // step)
        self._see(small)
        self._view.whole = None

    def seen(self, part: torch.Tensor, number: int) -> torch.Tensor:
        """Return the VAE's output for the tile of that number."""
        self._view.number = number
        return self._see(part)

    def _see(self, sample: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class TileDecoder(_Tiles):
    """A decoder of tiles to pixels (1, 3, height, width).

    `latents` are the whole picture's, (1, channels, height, width), unscaled; `tiles` lie in them.
    """

    def __init__(self, vae: Any, latents: torch.Tensor, tiles: Sequence[Box]) -> None:
        super().__init__(vae, "decoder", latents, tiles, 1)

    def _see(self, sample: torch.Tensor) -> torch.Tensor:
        return self._vae.decode(sample, return_dict=False)[0]


class TileEncoder(_Tiles):
    """An encoder of tiles to the means and log variances of their latents.

    The result is (1, 2 * channels, height, width). `pixels` are the whole picture's, (1, 3, height,
    width), -1..1; `tiles` lie in them, and a latent is `factor` pixels wide.
    """

    def __init__(self, vae: Any, pixels: torch.Tensor, tiles: Sequence[Box], factor: int) -> None:
        super().__init__(vae, "encoder", pixels, tiles, factor)

    def _see(self, sample: torch.Tensor) -> torch.Tensor:
        return self._vae.encode(sample).latent_dist.parameters


def can_share(vae: Any) -> bool:
    """Return whether a VAE's tiles can share statistics; other VAEs may normalise differently."""
    return isinstance(vae, AutoencoderKL)


def _with_norms(vae: AutoencoderKL, half: str, view: _View) -> Any:
    """Return a VAE with its own encoder or decoder over the same weights."""
    network = getattr(vae, half)
    tensors = (*network.parameters(), *network.buffers())
    network = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.GroupNorm):
                setattr(parent, name, _SharedNorm(child, view))
    made = copy.copy(vae)
    # The same kind of child module, so that moving the VAE to its device moves it too.
    vars(made)["_modules"] = {**vars(vae)["_modules"], half: network}
    return made


def _shrunk(whole: torch.Tensor, longest: int, step: int) -> torch.Tensor:
    """Return the whole at most `longest` a side, each side a multiple of `step`."""
    height, width = whole.shape[-2:]
    scale = min(1.0, longest / max(height, width))
    size = (_rounded(height * scale, step), _rounded(width * scale, step))
    small = torch.nn.functional.interpolate(
        whole.float(), size=size, mode="bilinear", antialias=True
    )
    return small.to(whole.dtype)


def _rounded(length: float, step: int) -> int:
    return max(1, round(length / step)) * step

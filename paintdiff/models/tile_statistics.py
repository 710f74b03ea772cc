"""Tiles that are decoded as parts of one picture and not as pictures of their own.

A decoder normalises by the mean and variance of what it sees (group normalisation), so a tile of
sky comes out otherwise than the sky in the whole picture. Here the whole is decoded once, small,
and each layer notes how every tile's part of it differs from all of it; in the tile itself, at full
size, the layer then makes up for that. After the "fast decoder" of multidiffusion-upscaler-for-
automatic1111, which takes the small picture's statistics as they are; a tile's own, corrected, are
closer (benchmarks/RESULTS.md). Imports torch: import it in a function.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL

from paintdiff.geometry import Box

_SMALL_LATENTS = 64
"""The longer side of the small whole, and no longer than a tile's."""


@dataclass
class _View:
    """What a decoder is looking at: the small whole, of that height and width in latents, or (None)
    the tile of that number. `tiles` are where tiles lie in the whole, as parts of it: left, top,
    right, bottom.
    """

    tiles: Sequence[tuple[float, float, float, float]]
    whole: tuple[int, int] | None = None
    number: int = 0


class _SharedNorm(torch.nn.Module):
    """Stands in for a decoder's group normalisation, whose weights it shares. In the small whole it
    normalises as ever, and notes how each tile's part of it differs from all of it.
    """

    def __init__(self, norm: torch.nn.GroupNorm, view: _View) -> None:
        super().__init__()
        self._norm = norm
        self._view = view
        self._changes: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, sample: torch.Tensor) -> torch.Tensor:
        """(1, channels, height, width), or (1, channels, height * width) as attention has it."""
        if self._view.whole is not None:
            shape = sample.shape[-2:] if sample.ndim == 4 else self._view.whole
            self._measure(sample.reshape(*sample.shape[:2], *shape))
            return self._norm(sample)
        ratio, shift = self._changes[self._view.number]
        norm = self._norm
        weight, bias = norm.weight * ratio, norm.bias + norm.weight * shift
        return torch.nn.functional.group_norm(sample, norm.num_groups, weight, bias, norm.eps)

    def _measure(self, sample: torch.Tensor) -> None:
        """How what is normalised by itself becomes what is normalised by the whole: y' = y * ratio
        + shift.
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
        """Of each group the mean and the standard deviation: (groups,), float32."""
        grouped = sample.float().reshape(self._norm.num_groups, -1)
        variance, mean = torch.var_mean(grouped, dim=1, correction=0)
        return mean, (variance + self._norm.eps).sqrt()

    def _per_channel(self, of_groups: torch.Tensor) -> torch.Tensor:
        each = self._norm.num_channels // self._norm.num_groups
        return of_groups.repeat_interleave(each).to(self._norm.weight.dtype)


class TileDecoder:
    """Decodes the tiles of one picture, by one thread; the VAE is shared and left as it is.

    `latents` are the whole's, (1, channels, height, width), unscaled; `tiles` lie in them.
    """

    def __init__(self, vae: Any, latents: torch.Tensor, tiles: Sequence[Box]) -> None:
        height, width = latents.shape[-2:]
        parts = [
            (box.left / width, box.top / height, box.right / width, box.bottom / height)
            for box in tiles
        ]
        self._view = _View(parts)
        self._vae = _with_norms(vae, self._view)
        tile = tiles[0].size
        small = _shrunk(latents, min(_SMALL_LATENTS, max(tile.width, tile.height)))
        self._view.whole = (small.shape[-2], small.shape[-1])
        self._vae.decode(small, return_dict=False)
        self._view.whole = None

    def decode(self, part: torch.Tensor, number: int) -> torch.Tensor:
        """The pixels of the latents of the tile of that number: (1, 3, height, width)."""
        self._view.number = number
        return self._vae.decode(part, return_dict=False)[0]


def can_share(vae: Any) -> bool:
    """Whether its tiles can be decoded so: of other VAEs nobody knows how they normalise."""
    return isinstance(vae, AutoencoderKL)


def _with_norms(vae: AutoencoderKL, view: _View) -> Any:
    """A VAE with a decoder of its own over the same weights."""
    tensors = (*vae.decoder.parameters(), *vae.decoder.buffers())
    decoder = copy.deepcopy(vae.decoder, {id(tensor): tensor for tensor in tensors})
    for parent in list(decoder.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, torch.nn.GroupNorm):
                setattr(parent, name, _SharedNorm(child, view))
    made = copy.copy(vae)
    # A child like the one that it was, so that what moves the VAE to its device moves it too.
    vars(made)["_modules"] = {**vars(vae)["_modules"], "decoder": decoder}
    return made


def _shrunk(latents: torch.Tensor, longest: int) -> torch.Tensor:
    height, width = latents.shape[-2:]
    scale = min(1.0, longest / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = torch.nn.functional.interpolate(
        latents.float(), size=size, mode="bilinear", antialias=True
    )
    return small.to(latents.dtype)

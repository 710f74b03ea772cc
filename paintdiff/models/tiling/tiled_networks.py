"""A network run on overlapping windows, its results blended: UNets at every step, VAEs once.

For the UNet this is MultiDiffusion: Bar-Tal et al. 2023 (arXiv:2302.08113), equation 5, with
weights that fade towards each window's edge. Imports torch: import it in a function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput

from paintdiff.imaging.geometry import Box, Size
from paintdiff.models.tiling.shared_group_norm import TileDecoder, TileEncoder, can_share
from paintdiff.models.tiling.windows import LARGEST_WHOLE_PX, cover_with_windows

_VAE_OVERLAP = 1 / 8


class Blend:
    """The weighted mean of a tensor's overlapping windows.

    Each window is weighted by a raised cosine, which is nearly 0 at its edge, so that no seam
    shows.

    `windows` are boxes of one size that cover (height, width), all in cells of the tensor. The
    weights are float32, and add up to 1 everywhere.
    """

    def __init__(self, windows: Sequence[Box], height: int, width: int) -> None:
        self.windows = tuple(windows)
        size = self.windows[0].size
        profile = torch.outer(_raised_cosine(size.height), _raised_cosine(size.width))
        total = torch.zeros(height, width)
        for box in self.windows:
            split_into_tiles(total, box).add_(profile)
        self._weights = [profile / split_into_tiles(total, box) for box in self.windows]
        self._shape = (height, width)

    def of(self, part: Callable[[int, Box], torch.Tensor]) -> torch.Tensor:
        """Return the blend of the results of `part` for each window's number and box.

        `part` returns (batch, channels, ..., height, width) of the window. Only one result is held
        at a time.
        """
        blended: torch.Tensor | None = None
        dtype = torch.float32
        for number, box in enumerate(self.windows):
            seen = part(number, box)
            if blended is None:
                dtype = seen.dtype
                blended = torch.zeros(
                    *seen.shape[:-2], *self._shape, dtype=torch.float32, device=seen.device
                )
            weight = self._weights[number].to(seen.device)
            split_into_tiles(blended, box).add_(seen.float() * weight)
        if blended is None:
            raise ValueError("there is no window to blend")
        return blended.to(dtype)


def split_into_tiles(tensor: torch.Tensor, box: Box) -> torch.Tensor:
    """Return that part of a tensor (..., height, width), as a view."""
    return tensor[..., box.top : box.bottom, box.left : box.right]


def _raised_cosine(length: int) -> torch.Tensor:
    """Return a raised cosine (length,), float32, above 0."""
    return torch.sin(math.pi * (torch.arange(length) + 0.5) / length) ** 2


class TiledUNet:
    """A stand-in for a pipeline's UNet during one run.

    It sees each sample through windows, one after the other, so that memory doesn't grow with the
    picture.

    `views` are the windows (boxes in pixels that cover `size`) and for each the UNet, or its
    stand-in for that window. `factor` is how many pixels a latent is wide. Prompt embeddings and
    everything else without a place in the picture are the same for every window. So are SDXL's
    sizes and crop coordinates, which stay those of the whole picture: a window with the sizes of a
    separate picture, or of a crop, would compose a picture of its own.
    """

    def __init__(
        self, unet: Any, views: Sequence[tuple[Box, Any]], size: Size, factor: int
    ) -> None:
        self._unet = unet
        self._unets = [seen for _box, seen in views]
        boxes = [_divided(box, factor) for box, _seen in views]
        self._blend = Blend(boxes, size.height // factor, size.width // factor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)

    def __call__(self, sample: torch.Tensor, timestep: Any, **settings: Any) -> tuple[torch.Tensor]:
        """Predict as the UNet does with `return_dict=False`, which is how pipelines call it.

        `sample` is (batch, channels, height, width): latents and the UNet's other input channels.
        """

        def predicted(number: int, box: Box) -> torch.Tensor:
            return self._unets[number](split_into_tiles(sample, box), timestep, **settings)[0]

        return (self._blend.of(predicted),)


def _divided(box: Box, factor: int) -> Box:
    return Box(*(side // factor for side in box.corners))


class TiledVAE:
    """A stand-in for a VAE that encodes and decodes by windows of `window_px` a side.

    None means LARGEST_WHOLE_PX. All other attributes are the VAE's.

    Each window is normalised by statistics that only approximate the whole picture's
    (`shared_group_norm.py`), so the pixels differ a little from those of the whole picture at once.
    That is why smaller pictures are never tiled.
    """

    def __init__(self, vae: Any, size: Size, factor: int, window_px: int | None = None) -> None:
        self._vae = vae
        side = window_px or LARGEST_WHOLE_PX
        window = Size(side, side)
        pixels = cover_with_windows(size, window, factor, _VAE_OVERLAP)
        latents = [_divided(box, factor) for box in pixels]
        self._pixels = pixels
        self._latents = latents
        self._factor = factor
        self._to_pixels = Blend(pixels, size.height, size.width)
        self._to_latents = Blend(latents, size.height // factor, size.width // factor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vae, name)

    def encode(self, pixels: torch.Tensor) -> Any:
        """Return the VAE's `latent_dist` of pixels (batch, 3, height, width), -1..1.

        The windows' means and log variances are blended.
        """
        shared = None
        if self._shares(pixels):
            shared = TileEncoder(self._vae, pixels, self._pixels, self._factor)

        def moments(number: int, _box: Box) -> torch.Tensor:
            part = split_into_tiles(pixels, self._pixels[number])
            if shared is not None:
                return shared.seen(part, number)
            return self._vae.encode(part).latent_dist.parameters

        return AutoencoderKLOutput(DiagonalGaussianDistribution(self._to_latents.of(moments)))

    def decode(self, latents: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor]:
        """Return the pixels of unscaled latents, as the VAE does with `return_dict=False`."""
        shared = None
        if self._shares(latents):
            shared = TileDecoder(self._vae, latents, self._latents)

        def decoded(number: int, _box: Box) -> torch.Tensor:
            part = split_into_tiles(latents, self._latents[number])
            if shared is not None:
                return shared.seen(part, number)
            return self._vae.decode(part, return_dict=return_dict)[0]

        return (self._to_pixels.of(decoded),)

    def _shares(self, sample: torch.Tensor) -> bool:
        """Return whether its windows share statistics as parts of one picture."""
        return len(self._pixels) > 1 and sample.shape[0] == 1 and can_share(self._vae)

"""Previews and quick decoding by a tiny autoencoder (TAESD and its kin), for those who have one.

It decodes latents as the denoiser sees them, far quicker than the VAE and far better than a linear
map. Imports torch: import it in a function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.vae import DecoderTiny
from PIL import Image

from paintdiff.errors import ModelLoadError, ModelNotFoundError
from paintdiff.imaging.geometry import Size, fit_within
from paintdiff.imaging.images import make_image
from paintdiff.models.formats.tensor_tables import read_tensor_table
from paintdiff.models.inference.previews import LONGEST_SIDE_PX
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.registry.families import Family

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_FACTOR = 8
"""How many pixels a latent becomes wide, in all of them."""

_BLOCKS = (3, 3, 3, 1)
_CHANNELS = (64, 64, 64, 64)
_DECODER = "decoder.layers."
_ORIGINAL = re.compile(r"(?:decoder\.)?(\d+)\.(.+)")


@dataclass(frozen=True)
class LoadedTinyAutoencoder:
    """A tiny autoencoder's decoder in memory; `weights_bytes` is what it takes."""

    decoder: DecoderTiny
    weights_bytes: int


def get_tiny_autoencoder(path: Path, family: Family) -> LoadedTinyAutoencoder:
    """What `load_tiny_autoencoder` gives, and how large it is."""
    decoder = load_tiny_autoencoder(path, family)
    size = sum(each.numel() * each.element_size() for each in decoder.parameters())
    return LoadedTinyAutoencoder(decoder, size)


def load_tiny_autoencoder(path: Path, family: Family) -> DecoderTiny:
    """The decoder of a tiny autoencoder for a family's latents, in float32 on the CPU.

    `path` is a file, in diffusers' layout or as it was first published, or a folder of diffusers
    with such a file. Raises ModelNotFoundError if there is none, UnsafeWeightsError if
    it is something else, ModelLoadError if it isn't one or is for latents of other channels.
    """
    file = path / _WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise ModelNotFoundError(f"There is no tiny autoencoder at {path.name}.")
    tensors = _decoder_tensors(read_tensor_table(file))
    first = tensors.get("layers.0.weight")
    if first is None or first.ndim != 4:
        raise ModelLoadError(f"{path.name} contains no decoder of a tiny autoencoder.")
    if first.shape[1] != family.latent_channels:
        raise ModelLoadError(
            f"The tiny autoencoder {path.name} is for latents of {first.shape[1]} channels, but "
            f"{family.title} has {family.latent_channels}."
        )
    decoder = DecoderTiny(family.latent_channels, 3, _BLOCKS, _CHANNELS, 2, "relu", "nearest")
    try:
        decoder.load_state_dict(tensors)
    except RuntimeError as error:
        raise make_load_error(f"{path.name} isn't a tiny autoencoder", error) from error
    return decoder.float().requires_grad_(False).eval()


def _decoder_tensors(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """With the names that DecoderTiny has. As first published the first layer clamps the latents,
    and has no weights; DecoderTiny does that by itself.
    """
    if any(name.startswith(_DECODER) for name in tensors):
        prefix = len("decoder.")
        return {name[prefix:]: each for name, each in tensors.items() if name.startswith(_DECODER)}
    found = {_ORIGINAL.fullmatch(name): each for name, each in tensors.items()}
    return {
        f"layers.{int(match[1]) - 1}.{match[2]}": each
        for match, each in found.items()
        if match is not None
    }


class TinyVAE:
    """Decodes in place of a VAE, or of one that works by tiles (`tiled.TiledVAE`); scaled latents,
    as the denoiser sees them.
    """

    def __init__(self, decoder: DecoderTiny, device: torch.device) -> None:
        self._decoder = move_to_device(decoder, device)

    def decode(self, latents: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor]:
        """(batch, 3, height, width) float32, RGB, about -1..1; `return_dict` has no effect."""
        dtype = next(self._decoder.parameters()).dtype
        with torch.no_grad():
            return (self._decoder(latents.to(dtype)).float(),)


def move_to_device(decoder: DecoderTiny, device: torch.device) -> DecoderTiny:
    """The decoder itself, where it works and in the precision that it has there."""
    return decoder.to(device, torch.float16 if device.type == "cuda" else torch.float32)


class TinyPreview:
    """Decodes latents by a tiny autoencoder, no larger than a preview is. A Preview.

    On CUDA it works on a stream of its own, beside the run, and a picture is ready some steps
    later; elsewhere at once, so that the governor counts its time.
    """

    def __init__(self, decoder: DecoderTiny, device: torch.device) -> None:
        self.beside = device.type == "cuda"
        self._decoder = move_to_device(decoder, device)
        self._stream: Any = torch.cuda.Stream(device) if self.beside else None
        self._pixels: torch.Tensor | None = None
        self._events: tuple[Any, Any] | None = None
        self.cost_seconds = 0.0

    @property
    def busy(self) -> bool:
        """As of Preview."""
        return self._events is not None and not self._events[1].query()

    def forget(self) -> None:
        """As of Preview."""
        if self._events is not None:
            self._events[1].synchronize()
        self._pixels = self._events = None

    def begin(self, latents: torch.Tensor, size: Size) -> None:
        """As of Preview."""
        if self._stream is None:
            self._pixels = self._decoded(latents, size)
            return
        self._stream.wait_stream(torch.cuda.current_stream(latents.device))
        started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.cuda.stream(self._stream):
            started.record()
            pixels = self._decoded(latents, size)
            latents.record_stream(self._stream)  # its memory isn't used again before that
            self._pixels = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
            self._pixels.copy_(pixels, non_blocking=True)
            ended.record()
        self._events = (started, ended)

    def ready(self) -> Image.Image | None:
        """As of Preview."""
        if self._pixels is None or self.busy:
            return None
        if self._events is not None:
            self.cost_seconds = self._events[0].elapsed_time(self._events[1]) / 1000
        picture = make_image(self._pixels.numpy().astype(np.float32))
        self._pixels = self._events = None
        return picture

    def _decoded(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        """(height, width, 3), -1..1, of the preview's size."""
        small = fit_within(size, LONGEST_SIDE_PX)
        seen = (-(-small.height // _FACTOR), -(-small.width // _FACTOR))
        dtype = next(self._decoder.parameters()).dtype
        with torch.no_grad():
            if seen[0] < latents.shape[-2] or seen[1] < latents.shape[-1]:
                latents = torch.nn.functional.interpolate(latents, seen, mode="area")
            pixels: torch.Tensor = self._decoder(latents.to(dtype)).float()
            shape = (small.height, small.width)
            if pixels.shape[-2:] != shape:
                pixels = torch.nn.functional.interpolate(pixels, shape, mode="bilinear")
        return pixels[0].permute(1, 2, 0)

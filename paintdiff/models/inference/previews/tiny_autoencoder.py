"""Previews and fast decoding by a tiny autoencoder, such as TAESD.

It decodes latents as the denoiser sees them, far faster than the VAE and far better than a linear
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
from paintdiff.models.formats.pickles.tensor_tables import read_tensor_table
from paintdiff.models.inference import messages
from paintdiff.models.inference.previews.preview import LONGEST_SIDE_PX
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.registry.families import Family

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_FACTOR = 8
"""How many pixels wide a latent is, in all of them."""

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
    """Load a tiny autoencoder and measure it; see `load_tiny_autoencoder`."""
    decoder = load_tiny_autoencoder(path, family)
    size = sum(each.numel() * each.element_size() for each in decoder.parameters())
    return LoadedTinyAutoencoder(decoder, size)


def load_tiny_autoencoder(path: Path, family: Family) -> DecoderTiny:
    """Load the decoder of a tiny autoencoder for a family's latents, in float32 on the CPU.

    Args:
        path: A file, in diffusers' layout or in the original one, or a folder of diffusers with
            such a file.
        family: The family of the model that it decodes for.

    Raises:
        ModelNotFoundError: There is no such file.
        UnsafeWeightsError: The file isn't in a format that is safe to read.
        ModelLoadError: It isn't a tiny autoencoder, or is for latents of other channels.
    """
    file = path / _WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise ModelNotFoundError(messages.no_tiny_autoencoder(path.name))
    tensors = _select_decoder(read_tensor_table(file))
    first = tensors.get("layers.0.weight")
    if first is None or first.ndim != 4:
        raise ModelLoadError(messages.without_decoder(path.name))
    if first.shape[1] != family.latent_channels:
        raise ModelLoadError(
            messages.other_channels(path.name, first.shape[1], family.title, family.latent_channels)
        )
    decoder = DecoderTiny(family.latent_channels, 3, _BLOCKS, _CHANNELS, 2, "relu", "nearest")
    try:
        decoder.load_state_dict(tensors)
    except RuntimeError as error:
        raise make_load_error(messages.not_a_tiny_autoencoder(path.name), error) from error
    return decoder.float().requires_grad_(False).eval()


def _select_decoder(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors under DecoderTiny's names.

    In the original layout the first layer clamps the latents and has no weights; DecoderTiny does
    that by itself.
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
    """Decodes scaled latents, as the denoiser sees them, in place of a VAE."""

    def __init__(self, decoder: DecoderTiny, device: torch.device) -> None:
        self._decoder = move_to_device(decoder, device)

    def decode(self, latents: torch.Tensor, return_dict: bool = False) -> tuple[torch.Tensor]:
        """Decode to (batch, 3, height, width), float32, RGB, about -1..1.

        `return_dict` has no effect.
        """
        dtype = next(self._decoder.parameters()).dtype
        with torch.no_grad():
            return (self._decoder(latents.to(dtype)).float(),)


def move_to_device(decoder: DecoderTiny, device: torch.device) -> DecoderTiny:
    """Return the decoder on `device`: in float16 on CUDA, in float32 elsewhere."""
    return decoder.to(device, torch.float16 if device.type == "cuda" else torch.float32)


class TinyPreview:
    """Draws latents with a tiny autoencoder, no larger than a preview is; a `Preview`.

    On CUDA it works on a stream of its own while the run goes on, and a picture is done some steps
    later. Elsewhere it is done at once, so the rate limit counts its time.
    """

    def __init__(self, decoder: DecoderTiny, device: torch.device) -> None:
        self.is_asynchronous = device.type == "cuda"
        self._decoder = move_to_device(decoder, device)
        self._stream: Any = torch.cuda.Stream(device) if self.is_asynchronous else None
        self._pixels: torch.Tensor | None = None
        self._events: tuple[Any, Any] | None = None
        self.cost_seconds = 0.0

    @property
    def busy(self) -> bool:
        """Return whether a picture that was begun isn't done yet."""
        return self._events is not None and not self._events[1].query()

    def forget(self) -> None:
        """Drop what was begun, once the device is done with it."""
        if self._events is not None:
            self._events[1].synchronize()
        self._pixels = self._events = None

    def begin(self, latents: torch.Tensor, size: Size) -> None:
        """Begin a picture; see `Preview.begin`."""
        if self._stream is None:
            self._pixels = self._decode(latents, size)
            return
        self._stream.wait_stream(torch.cuda.current_stream(latents.device))
        started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.cuda.stream(self._stream):
            started.record()
            pixels = self._decode(latents, size)
            latents.record_stream(self._stream)  # its memory isn't reused before
            self._pixels = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
            self._pixels.copy_(pixels, non_blocking=True)
            ended.record()
        self._events = (started, ended)

    def take(self) -> Image.Image | None:
        """Return the picture once it is done; see `Preview.take`."""
        if self._pixels is None or self.busy:
            return None
        if self._events is not None:
            self.cost_seconds = self._events[0].elapsed_time(self._events[1]) / 1000
        picture = make_image(self._pixels.numpy().astype(np.float32))
        self._pixels = self._events = None
        return picture

    def _decode(self, latents: torch.Tensor, size: Size) -> torch.Tensor:
        """Decode to (height, width, 3), -1..1, in the preview's size."""
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

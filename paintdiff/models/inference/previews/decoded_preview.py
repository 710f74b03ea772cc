"""Previews at full quality: the predicted clean latents of a step, decoded like a picture.

Imports torch: import it in a function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paintdiff.errors import NotFiniteError
from paintdiff.imaging.geometry import Size

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from paintdiff.models.inference.latent_decoder import LatentDecoder


class DecodedPreview:
    """Draws latents with the decoder of the finished pictures. See `previews.Preview`."""

    def __init__(self, decoder: LatentDecoder) -> None:
        self._decoder = decoder
        self._latest: Image.Image | None = None
        self.busy = self.is_asynchronous = False
        self.cost_seconds = 0.0

    def begin(self, latents: torch.Tensor, size: Size) -> None:
        """Decode at once. There is no picture of latents that give NaN values."""
        try:
            self._latest = self._decoder.decode(latents)
        except NotFiniteError:
            self._latest = None

    def take(self) -> Image.Image | None:
        """Return the picture, of the latents' own size."""
        latest, self._latest = self._latest, None
        return latest

    def forget(self) -> None:
        """Drop the picture."""
        self._latest = None

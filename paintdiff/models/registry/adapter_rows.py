"""Catalog rows of LoRAs, embeddings, VAEs, tiny autoencoders and IP-Adapters.

Importable without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.families import Family


class FittingRow(WeightsRow):
    """Weights that fit the models of some families, by name; none if unknown."""

    families: tuple[str, ...] = ()

    def fits(self, family: str) -> bool:
        """Return whether it fits that family's models, as far as known."""
        return family in self.families

    def is_offered_for(self, family: str) -> bool:
        """Return whether it is offered for models of that family."""
        return self.fits(family)

    @property
    def file(self) -> Path:
        """The file, or folder in the diffusers layout."""
        return Path(self.source)


class LoraRow(FittingRow):
    """A LoRA. `family` is the one it is for, None if unknown or unsupported.

    `trigger_words` activate it; each can be put into a prompt unchanged. `weight` is its author's
    preferred weight. `preview` is a picture beside the file.
    """

    what: ClassVar[str] = "LoRA"
    subfolder: ClassVar[str] = "loras"

    family: Family | None = None
    trigger_words: tuple[str, ...] = ()
    weight: float | None = None
    preview: Path | None = None

    def is_offered_for(self, family: str) -> bool:
        """Return whether it is offered: also if nobody knows its families."""
        return self.fits(family) or not self.families


class EmbeddingRow(FittingRow):
    """A textual inversion; its name is the token.

    `widths` are the widths of its vectors, one per text encoder, sorted.
    """

    what: ClassVar[str] = "embedding"
    subfolder: ClassVar[str] = "embeddings"

    widths: tuple[int, ...]
    trigger_words: tuple[str, ...] = ()
    preview: Path | None = None


class VaeRow(FittingRow):
    """A VAE that can replace a model's own."""

    what: ClassVar[str] = "VAE"
    subfolder: ClassVar[str] = "vae"

    latent_channels: int


class TinyAutoencoderRow(FittingRow):
    """A tiny autoencoder for previews. `parts` are those it has of "encoder" and "decoder"."""

    what: ClassVar[str] = "tiny autoencoder"
    subfolder: ClassVar[str] = "vae_approx"

    latent_channels: int
    parts: tuple[str, ...]


class IpAdapterRow(FittingRow):
    """An IP-Adapter. `image_encoder` is its encoder's folder or file, None if none was found."""

    what: ClassVar[str] = "IP-Adapter"
    subfolder: ClassVar[str] = "ipadapter"

    image_encoder: Path | None = None

"""What is put on top of a model, as the catalog knows it: LoRAs, embeddings, other VAEs, tiny
autoencoders and IP-Adapters. Importable without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.families import Family


class FittingRow(WeightsRow):
    """Something that fits the models of some families, by their names; of none if nobody knows."""

    families: tuple[str, ...] = ()

    def fits(self, family: str) -> bool:
        """Whether it fits the models of that family, as far as is known."""
        return family in self.families

    def is_offered_for(self, family: str) -> bool:
        """Return whether it is offered for models of that family."""
        return self.fits(family)

    @property
    def file(self) -> Path:
        """Where it lies: a file, or a folder in diffusers' layout."""
        return Path(self.source)


class LoraRow(FittingRow):
    """One LoRA. `family` is the one it is for, None if that isn't known or can't be painted with.

    `trigger_words` are what calls it up, each to be put into a prompt as it is; `weight` is the
    one that its author prefers. `preview` is a picture beside it.
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
    """One textual inversion; its name is the token. `widths` are how many numbers its vectors
    have, one for each text encoder, sorted.
    """

    what: ClassVar[str] = "embedding"
    subfolder: ClassVar[str] = "embeddings"

    widths: tuple[int, ...]
    trigger_words: tuple[str, ...] = ()
    preview: Path | None = None


class VaeRow(FittingRow):
    """One VAE that can take the place of a model's own."""

    what: ClassVar[str] = "VAE"
    subfolder: ClassVar[str] = "vae"

    latent_channels: int


class TinyAutoencoderRow(FittingRow):
    """One tiny autoencoder, for previews. `parts` are "encoder" and "decoder", as far as it has
    them.
    """

    what: ClassVar[str] = "tiny autoencoder"
    subfolder: ClassVar[str] = "vae_approx"

    latent_channels: int
    parts: tuple[str, ...]


class IpAdapterRow(FittingRow):
    """One IP-Adapter. `image_encoder` is the folder or file of the network that looks at the
    picture, None if none that fits was found.
    """

    what: ClassVar[str] = "IP-Adapter"
    subfolder: ClassVar[str] = "ipadapter"

    image_encoder: Path | None = None

"""LoRAs, embeddings, VAEs and IP-Adapters as the catalog knows them: rows of data.

Importable without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from paintdiff.models.families import Family
from paintdiff.models.sources import WeightsRow


class LoraRow(WeightsRow):
    """A LoRA; `source` is its file. `family` is None if its tensors don't tell."""

    what: ClassVar[str] = "LoRA"

    family: Family | None = None
    trigger_words: tuple[str, ...] = ()
    preview: Path | None = None
    size_bytes: int = Field(default=0, ge=0)


class EmbeddingRow(WeightsRow):
    """A textual inversion; its name is the word that stands for it. `widths` are those of its
    vectors, one for each text encoder; `families` the names of those it fits.
    """

    what: ClassVar[str] = "embedding"

    widths: tuple[int, ...] = ()
    families: tuple[str, ...] = ()
    preview: Path | None = None
    size_bytes: int = Field(default=0, ge=0)


class VaeRow(WeightsRow):
    """An autoencoder; `families` are the names of those it fits."""

    what: ClassVar[str] = "VAE"

    families: tuple[str, ...] = ()
    size_bytes: int = Field(default=0, ge=0)


class IpAdapterRow(WeightsRow):
    """An IP-Adapter; `image_encoder` is the folder of the CLIP that looks at its pictures."""

    what: ClassVar[str] = "IP-Adapter"

    families: tuple[str, ...] = ()
    image_encoder: Path | None = None
    size_bytes: int = Field(default=0, ge=0)

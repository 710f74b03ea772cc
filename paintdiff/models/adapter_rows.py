"""LoRAs, embeddings, VAEs and IP-Adapters as rows. A stand-in for the real module: shapes only."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from paintdiff.models.families import Family
from paintdiff.models.sources import WeightsRow


class LoraRow(WeightsRow):
    """One LoRA; `family` is None if it can't be told."""

    what: ClassVar[str] = "LoRA"

    family: Family | None = None
    trigger_words: tuple[str, ...] = ()
    preview: Path | None = None
    size_bytes: int = 0


class EmbeddingRow(WeightsRow):
    """One embedding; its name is its token."""

    what: ClassVar[str] = "embedding"

    widths: tuple[int, ...] = ()
    families: tuple[str, ...] = ()
    preview: Path | None = None
    size_bytes: int = 0


class VaeRow(WeightsRow):
    """One VAE."""

    what: ClassVar[str] = "VAE"

    families: tuple[str, ...] = ()
    size_bytes: int = 0


class IpAdapterRow(WeightsRow):
    """One IP-Adapter; without an `image_encoder` it can't be used."""

    what: ClassVar[str] = "IP-Adapter"

    families: tuple[str, ...] = ()
    image_encoder: Path | None = None

"""Rows of preprocessors' weights: named files in a folder or a Hugging Face repository.

Importable without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from paintdiff.models.hub.cache import find_snapshot
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry.base_rows import WeightsRow


class PreprocessorRow(WeightsRow):
    """The weights of a preprocessor: `files` in the folder or Hugging Face repository `source`.

    `size_bytes` is their approximate size in total.
    """

    what: ClassVar[str] = "preprocessor"

    files: tuple[str, ...]

    @property
    def folder(self) -> Path | None:
        """The folder on this machine, None if not downloaded. Never contacts Hugging Face."""
        if HUB_ID.fullmatch(self.source):
            return find_snapshot(self.source, "", self.files)
        return super().folder

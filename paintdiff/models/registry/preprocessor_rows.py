"""The weights of preprocessors as the manager knows them: files of known names, in a folder of this
machine or in a repository of the hub.

Importable without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from paintdiff.models.hub.cache import find_snapshot
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry.base_rows import WeightsRow


class PreprocessorRow(WeightsRow):
    """The weights of one preprocessor. `source` is a folder or a hub id, in which `files` lie; they
    take `size_bytes` together, about.
    """

    what: ClassVar[str] = "preprocessor"

    files: tuple[str, ...]

    @property
    def folder(self) -> Path | None:
        """Where they lie on this machine, None if they have to be fetched. Never asks the hub."""
        if HUB_ID.fullmatch(self.source):
            return find_snapshot(self.source, "", self.files)
        return super().folder

"""Estimates of the memory that weights will take, from their files. Importable without torch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.errors import ModelError
from paintdiff.models.manager.loaders import AnyLoader, LoaderTable, find_companions
from paintdiff.models.memory.plans import USUAL_PLAN, PartBytes, Plan
from paintdiff.models.memory.weight_sizes import measure_part_bytes

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.manager.device_memory import DeviceMemory
    from paintdiff.models.registry.base_rows import WeightsRow
    from paintdiff.models.registry.model_rows import ModelRow

logger = logging.getLogger(__name__)


class WeightEstimates:
    """Sizes of weights that aren't loaded.

    `get_catalog` returns the current catalog, in which the parts are found that a single file
    lacks. Safe to use from any thread.
    """

    def __init__(
        self, loaders: LoaderTable, memory: DeviceMemory, get_catalog: Callable[[], Catalog]
    ) -> None:
        self._loaders = loaders
        self._memory = memory
        self._get_catalog = get_catalog
        self._parts: dict[tuple[object, ...], PartBytes] = {}

    def measure(self, loader: AnyLoader, row: WeightsRow, plan: Plan = USUAL_PLAN) -> int | None:
        """Return the bytes that a row's weights take on the device, None if they aren't here yet.

        The files' headers are read at each call. Raises ModelError or OSError if they can't be.
        """
        folder = row.folder
        if folder is None or not folder.exists():
            return None
        files = loader.list_files(row, folder, find_companions(self._get_catalog()))
        return loader.estimate_bytes(row, plan, files, self._memory.bytes_per_number)

    def estimate(self, loader: AnyLoader, row: WeightsRow) -> int:
        """Return what `measure` does, but 0 for weights that aren't here or can't be read."""
        try:
            return self.measure(loader, row) or 0
        except (ModelError, OSError):
            logger.info("nobody knows how large %s is", row.name, exc_info=True)
            return 0

    def expected_bytes(self, row: WeightsRow) -> int:
        """Return the estimate for a row of any kind in the table."""
        return self.estimate(self._loaders[type(row)], row)

    def measure_parts(self, row: ModelRow) -> PartBytes | None:
        """Return what each part of a model takes, None if nobody knows. Headers are read once."""
        folder = row.folder
        if folder is None or not folder.exists():
            return None
        key = (row.name, row.source, row.fingerprint, self._memory.device)
        if key not in self._parts:
            try:
                self._parts[key] = self._read_parts(row, folder)
            except (ModelError, OSError):
                logger.info("nobody knows how large %s is", row.name, exc_info=True)
                return None
        return self._parts[key]

    def _read_parts(self, row: ModelRow, folder: Path) -> PartBytes:
        companions = find_companions(self._get_catalog())
        files = self._loaders[type(row)].list_files(row, folder, companions)
        return measure_part_bytes(files, self._memory.bytes_per_number)

"""Measurements of this machine, kept between two starts. Importable without torch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from paintdiff.system.atomic_files import new_file

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")

WORTH_IT = 0.95
"""A faster way that changes the picture is used only below this fraction of the usual time."""


class MeasurementFile(Generic[ValueT]):
    """Values by their keys in a JSON file (None: in memory only), which is read once.

    A file that can't be read counts as empty; one that can't be written is logged. Use it from one
    thread at a time.
    """

    def __init__(self, file: Path | None, kind: TypeAdapter[dict[str, ValueT]]) -> None:
        self._file = file
        self._kind = kind
        self._known: dict[str, ValueT] | None = None

    def get(self, key: str) -> ValueT | None:
        """Return the value of a key, None if it has none."""
        if self._known is None:
            self._known = self._read()
        return self._known.get(key)

    def set(self, key: str, value: ValueT) -> None:
        """Set the value of a key, and write the file."""
        if self._known is None:
            self._known = self._read()
        self._known[key] = value
        if self._file is None:
            return
        try:
            with new_file(self._file) as file:
                file.write(self._kind.dump_json(self._known))
        except OSError as error:
            logger.warning("measurements can't be kept in %s: %s", self._file, error)

    def _read(self) -> dict[str, ValueT]:
        if self._file is None or not self._file.exists():
            return {}
        try:
            return self._kind.validate_json(self._file.read_bytes())
        except (OSError, ValidationError) as error:
            logger.info("%s can't be read, so it is replaced: %s", self._file, error)
            return {}

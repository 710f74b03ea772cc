"""What was measured on this machine, kept between two starts. Importable without torch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from paintdiff.system.atomic_files import new_file

logger = logging.getLogger(__name__)

ValueT = TypeVar("ValueT")

WORTH_IT = 0.95
"""What takes more than this part of the usual time isn't worth another picture."""


class MeasurementFile(Generic[ValueT]):
    """Values by their keys in a file of JSON (None: in memory only), read once. What can't be read
    is forgotten, and that it can't be written is logged. To be used by one thread at a time.
    """

    def __init__(self, file: Path | None, kind: TypeAdapter[dict[str, ValueT]]) -> None:
        self._file = file
        self._kind = kind
        self._known: dict[str, ValueT] | None = None

    def get(self, key: str) -> ValueT | None:
        """None if nothing is known."""
        if self._known is None:
            self._known = self._read()
        return self._known.get(key)

    def set(self, key: str, value: ValueT) -> None:
        """Keep it."""
        if self._known is None:
            self._known = self._read()
        self._known[key] = value
        if self._file is None:
            return
        try:
            with new_file(self._file) as file:
                file.write(self._kind.dump_json(self._known))
        except OSError as error:
            logger.warning("what is quickest here can't be kept in %s: %s", self._file, error)

    def _read(self) -> dict[str, ValueT]:
        if self._file is None or not self._file.exists():
            return {}
        try:
            return self._kind.validate_json(self._file.read_bytes())
        except (OSError, ValidationError) as error:
            logger.info("%s is made anew: %s", self._file, error)
            return {}

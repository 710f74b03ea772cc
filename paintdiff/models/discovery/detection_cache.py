"""Caches what each weight file was detected as, so that a folder of thousands is listed at once.

A file is inspected again when its size or modification time has changed. Importable without torch.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paintdiff.models.discovery import messages
from paintdiff.models.discovery.header_reader import KNOWN, FileReader
from paintdiff.models.discovery.inspection import InspectedFile, make_unreadable
from paintdiff.models.discovery.scanning import FoundFile
from paintdiff.models.formats.tensor_inventory import UNET_WIDTHS
from paintdiff.system.atomic_files import new_file

RULES = 3
"""Increment this when `detection` or `sidecars` would return something else for the same file."""

MAX_FILES = 50_000
FILE_NAME = "known-files.json"

_WAITS = messages.NOT_READ_YET

logger = logging.getLogger(__name__)


class DetectionCache:
    """A table of detection results, saved in the folder `cache` (None: in memory only).

    `reader` inspects files that aren't cached yet. An unreadable cache is rebuilt; a failed write
    is logged. Not thread-safe.
    """

    def __init__(
        self,
        cache: Path | None = None,
        widths: Mapping[int, str] = UNET_WIDTHS,
        reader: FileReader | None = None,
    ) -> None:
        self._file = None if cache is None else cache / FILE_NAME
        self._reader = reader or FileReader(widths)
        self._version = [RULES, sorted(widths.items())]
        self._rows: dict[str, list[Any]] | None = None
        self._made: dict[str, tuple[int, int, InspectedFile]] = {}
        self._changed = False
        self.waiting = 0
        """The number of files left for the next scan."""

    def expect(self, files: Iterable[FoundFile]) -> None:
        """Announce the files to come, in this order, so that uncached ones are read ahead."""
        rows = self._load_rows()
        self._reader.expect(
            file.path
            for file in files
            if not _is_current(rows.get(str(file.path)), file)
            and self._made.get(str(file.path), ())[:2] != (file.size_bytes, file.mtime_ns)
        )

    def inspect(self, path: Path, size_bytes: int, mtime_ns: int) -> InspectedFile:
        """Return what the file of this size and time is; inspect it if it isn't cached.

        If unusable files have taken too much time already, the file is left for the next scan.
        """
        key = str(path)
        made = self._made.get(key)
        if made is not None and made[:2] == (size_bytes, mtime_ns):
            return made[2]
        known = self._find_row(key, size_bytes, mtime_ns)
        if known is None:
            if self._reader.gives_up:
                self.waiting += 1
                return make_unreadable(_WAITS)
            known = self._reader.inspect(path)
            self._load_rows()[key] = [size_bytes, mtime_ns, _serialize(known)]
            self._changed = True
        self._made[key] = (size_bytes, mtime_ns, known)
        return known

    def finish(self) -> None:
        """End a scan: save the table, and end the process that reads files."""
        self._reader.close()
        self._reader.wasted_seconds = 0.0
        self._save()

    def _save(self) -> None:
        """Save the table atomically if it has changed."""
        if self._file is None or not self._changed:
            return
        rows = self._load_rows()
        while len(rows) > MAX_FILES:
            del rows[next(iter(rows))]
        content = json.dumps({"version": self._version, "files": rows}, separators=(",", ":"))
        try:
            with new_file(self._file) as file:
                file.write(content.encode("utf-8"))
        except OSError as error:
            logger.warning("can't save what the models are in %s: %s", self._file, error)
        self._changed = False

    def _load_rows(self) -> dict[str, list[Any]]:
        if self._rows is None:
            self._rows = {} if self._file is None else self._read_rows(self._file)
        return self._rows

    def _read_rows(self, file: Path) -> dict[str, list[Any]]:
        try:
            content: object = json.loads(file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            logger.info("rebuilding %s: %s", file, error)
            return {}
        if not isinstance(content, dict) or content.get("version") != json.loads(  # pyright: ignore[reportUnknownMemberType]
            json.dumps(self._version)
        ):
            return {}
        files: object = content.get("files")  # pyright: ignore[reportUnknownMemberType]
        return files if isinstance(files, dict) else {}

    def _find_row(self, key: str, size_bytes: int, mtime_ns: int) -> InspectedFile | None:
        row: object = self._load_rows().get(key)
        if not isinstance(row, list) or row[:2] != [size_bytes, mtime_ns]:
            return None
        try:
            return KNOWN.validate_python(row[2])
        except (ValidationError, TypeError, IndexError) as error:
            logger.info("ignoring the cached row of %r: %s", key, error)
            return None


def _is_current(row: object, file: FoundFile) -> bool:
    """Return whether a row describes the file's current state."""
    return isinstance(row, list) and row[:2] == [file.size_bytes, file.mtime_ns]


def _serialize(known: InspectedFile) -> Any:
    """Serialize a result without default values, to keep the table small."""
    return KNOWN.dump_python(known, mode="json", exclude_defaults=True)

"""What every file of weights was found to be, kept between two starts so that a folder of thousands
is listed at once. A file is looked at again when its size or its time has changed.

Importable without torch.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from paintdiff.models.discovery.header_reader import KNOWN, FileReader
from paintdiff.models.discovery.inspection import Known, make_unreadable
from paintdiff.models.discovery.scanning import FoundFile
from paintdiff.models.formats.tensor_inventory import UNET_WIDTHS
from paintdiff.system.atomic_files import new_file

RULES = 2
"""Counted up whenever `recognition` or `sidecars` would say something else of the same file."""

MAX_FILES = 50_000
FILE_NAME = "known-files.json"

_WAITS = "it wasn't read yet, because unusable files took too long; rescan to read it"

logger = logging.getLogger(__name__)


class DetectionCache:
    """A table of what files were found to be, in `cache` (a folder; None keeps it in memory only).

    `reader` reads what isn't known yet. A cache that can't be read is made again, one that can't be
    written is logged. To be used by one thread at a time.
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
        self._made: dict[str, tuple[int, int, Known]] = {}
        self._changed = False
        self.waiting = 0
        """How many files have to wait for the next look."""

    def expect(self, files: Iterable[FoundFile]) -> None:
        """Say which files will be asked for, in this order: those that aren't known are read
        ahead.
        """
        kept = self._kept()
        self._reader.expect(
            file.path
            for file in files
            if not _is_of(kept.get(str(file.path)), file)
            and self._made.get(str(file.path), ())[:2] != (file.size_bytes, file.mtime_ns)
        )

    def known(self, path: Path, size_bytes: int, mtime_ns: int) -> Known:
        """What the file of this size and time is; reads its header if it isn't known yet.

        If files of no use have taken too much time already, it has to wait for the next look.
        """
        key = str(path)
        made = self._made.get(key)
        if made is not None and made[:2] == (size_bytes, mtime_ns):
            return made[2]
        known = self._remembered(key, size_bytes, mtime_ns)
        if known is None:
            if self._reader.gives_up:
                self.waiting += 1
                return make_unreadable(_WAITS)
            known = self._reader.known(path)
            self._kept()[key] = [size_bytes, mtime_ns, _written(known)]
            self._changed = True
        self._made[key] = (size_bytes, mtime_ns, known)
        return known

    def finish(self) -> None:
        """End a look: write the table, and end the process that reads files."""
        self._reader.close()
        self._reader.wasted_seconds = 0.0
        self._save()

    def _save(self) -> None:
        """Write the table, if there is anything new in it: all of it or nothing."""
        if self._file is None or not self._changed:
            return
        rows = self._kept()
        while len(rows) > MAX_FILES:
            del rows[next(iter(rows))]
        content = json.dumps({"version": self._version, "files": rows}, separators=(",", ":"))
        try:
            with new_file(self._file) as file:
                file.write(content.encode("utf-8"))
        except OSError as error:
            logger.warning("what the models are can't be kept in %s: %s", self._file, error)
        self._changed = False

    def _kept(self) -> dict[str, list[Any]]:
        if self._rows is None:
            self._rows = {} if self._file is None else self._loaded(self._file)
        return self._rows

    def _loaded(self, file: Path) -> dict[str, list[Any]]:
        try:
            content: object = json.loads(file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            logger.info("%s is made anew: %s", file, error)
            return {}
        if not isinstance(content, dict) or content.get("version") != json.loads(  # pyright: ignore[reportUnknownMemberType]
            json.dumps(self._version)
        ):
            return {}
        files: object = content.get("files")  # pyright: ignore[reportUnknownMemberType]
        return files if isinstance(files, dict) else {}

    def _remembered(self, key: str, size_bytes: int, mtime_ns: int) -> Known | None:
        row: object = self._kept().get(key)
        if not isinstance(row, list) or row[:2] != [size_bytes, mtime_ns]:
            return None
        try:
            return KNOWN.validate_python(row[2])
        except (ValidationError, TypeError, IndexError) as error:
            logger.info("what was kept of %r is no use: %s", key, error)
            return None


def _is_of(row: object, file: FoundFile) -> bool:
    """Whether a row of the table is of a file as it is now."""
    return isinstance(row, list) and row[:2] == [file.size_bytes, file.mtime_ns]


def _written(known: Known) -> Any:
    """As little as tells it: what is as usual is left out."""
    return KNOWN.dump_python(known, mode="json", exclude_defaults=True)

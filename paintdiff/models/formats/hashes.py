"""SHA-256 of weight files, cached on disk: hashing 4 GB takes seconds, and files rarely change.

Importable without torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats import messages
from paintdiff.system.regular_files import open_file

logger = logging.getLogger(__name__)

WORTH_REMEMBERING_BYTES = 64 * 2**20
"""Hashing a smaller file is faster than reading its cached hash from a slow disk."""

_BLOCK_BYTES = 4 * 2**20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Hashes:
    """A cache of SHA-256 hashes in a folder, one file per hash.

    The folder is created on first use. A hash is valid while the file's path, size and modification
    time stay the same.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sha256(self, path: Path, wanted: Callable[[], bool] = lambda: True) -> str:
        """Return a file's SHA-256 in hex.

        Raises:
            OSError: The file can't be read.
            ModelLoadError: `wanted` returned False while the file was being hashed.
        """
        status = path.stat()
        stamp = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
        key = hashlib.sha256(stamp.encode("utf-8", "surrogateescape")).hexdigest()
        note = self._folder / f"{key[:32]}.sha256.json"
        if status.st_size < WORTH_REMEMBERING_BYTES:
            return _hash_file(path, wanted)
        known = _read_note(note)
        if known is None:
            known = _hash_file(path, wanted)
            now = path.stat()
            if (now.st_size, now.st_mtime_ns) == (status.st_size, status.st_mtime_ns):
                _write_note(note, known, path)
        return known


def _hash_file(path: Path, wanted: Callable[[], bool]) -> str:
    found = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK_BYTES))
    with open_file(path, buffering=0) as opened:
        file: Any = opened
        while count := file.readinto(block):
            found.update(block[:count])
            if not wanted():
                raise ModelLoadError(messages.hashing_cancelled(path.name))
    return found.hexdigest()


def _read_note(note: Path) -> str | None:
    try:
        content: object = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # missing or incomplete
    known = content.get("sha256") if isinstance(content, dict) else None
    return known if isinstance(known, str) and _SHA256.fullmatch(known) else None


def _write_note(note: Path, sha256: str, path: Path) -> None:
    """Cache a hash. A failed write only costs time later, so it is logged."""
    part = note.with_name(f".{note.name}.{secrets.token_hex(4)}")
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"sha256": sha256, "name": os.fsdecode(path.name)}), "utf-8")
        part.replace(note)
    except (OSError, UnicodeEncodeError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        logger.warning("can't cache the hash of %s: %s", path.name, error)

"""Thumbnails of pictures: made when they are first needed, kept in a folder of limited size."""

from __future__ import annotations

import hashlib
import io
import logging
import threading
from contextlib import suppress
from pathlib import Path

from PIL import Image

from paintdiff.imaging.images import decode_image
from paintdiff.system.atomic_files import new_file

logger = logging.getLogger(__name__)

FOLDER_NAME = "thumbnails"
SIDE_PX = 384
"""The longest side of a thumbnail."""
MAX_BYTES = 512 * 2**20
_KEPT_SHARE = 0.9
"""How much of the limit stays when the oldest thumbnails are removed."""
_SHARE_AHEAD = 0.5
"""How much of the limit may be taken before thumbnails are only made when they are needed."""
_QUALITY = 80
_DIGITS = 40


class Thumbnails:
    """The thumbnails of an output folder, in `thumbnails/ab/ab12….webp`. Threads may share it.

    One is named by the picture's name in its record, and made again if it was removed. If all take
    more than `max_bytes`, the oldest are removed.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder / FOLDER_NAME
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._total_bytes: int | None = None

    def load(self, file: str, path: Path) -> bytes:
        """Return the thumbnail of a picture as WebP. `file` is its name, `path` where it lies.

        Raises:
            RequestError: The picture can't be read, or has too many pixels.
        """
        kept = self._path(file)
        with suppress(OSError):
            return kept.read_bytes()
        data = encode_thumbnail(path)
        self._keep(file, data)
        return data

    def has(self, file: str) -> bool:
        """Return whether the thumbnail of a picture is kept."""
        return self._path(file).is_file()

    def keep_ahead(self, file: str, data: bytes) -> bool:
        """Keep a thumbnail that nobody has asked for yet, unless half of the room is taken.

        Returns whether there was room.
        """
        with self._lock:
            if self._total_bytes is None:
                self._total_bytes = sum(size for _, size, _ in self._list())
            if self._total_bytes + len(data) > self._max_bytes * _SHARE_AHEAD:
                return False
        self._keep(file, data)
        return True

    def forget(self, file: str) -> None:
        """Remove the thumbnail of a picture, if it is kept.

        Raises:
            OSError: It can't be removed.
        """
        self._path(file).unlink(missing_ok=True)

    def _keep(self, file: str, data: bytes) -> None:
        try:
            with new_file(self._path(file)) as opened:
                opened.write(data)
        except OSError as error:  # it is made again next time
            logger.warning("a thumbnail can't be kept: %s", error.strerror)
        else:
            self._make_room(len(data))

    def _path(self, file: str) -> Path:
        name = hashlib.sha256(file.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
        return self._folder / name[:2] / f"{name}.webp"

    def _make_room(self, added_bytes: int) -> None:
        with self._lock:
            if self._total_bytes is None:
                self._total_bytes = sum(size for _, size, _ in self._list())
            else:
                self._total_bytes += added_bytes
            if self._total_bytes <= self._max_bytes:
                return
            kept = self._list()
            self._total_bytes = sum(size for _, size, _ in kept)
            for _, size, path in sorted(kept):
                if self._total_bytes <= self._max_bytes * _KEPT_SHARE:
                    return
                with suppress(OSError):
                    path.unlink(missing_ok=True)
                    self._total_bytes -= size

    def _list(self) -> list[tuple[int, int, Path]]:
        """Return the time, size and path of each."""
        found: list[tuple[int, int, Path]] = []
        for path in self._folder.glob("*/*.webp"):
            with suppress(OSError):
                state = path.stat()
                found.append((state.st_mtime_ns, state.st_size, path))
        return found


def encode_thumbnail(path: Path) -> bytes:
    """Encode a picture file as a small WebP; transparency stays.

    Raises:
        RequestError: It can't be read, or has too many pixels.
    """
    image = decode_image(path)
    image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=4)
    return buffer.getvalue()

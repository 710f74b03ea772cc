"""Reads picture files: their size, their hash, and the settings in them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import MetadataError, NoMetadataError, RequestError
from paintdiff.gallery import messages
from paintdiff.gallery.settings.metadata import read_settings
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.image_files import ImageFile, parse_image_file
from paintdiff.imaging.images import MAX_FILE_BYTES, read_header
from paintdiff.system.regular_files import open_file

if TYPE_CHECKING:
    from paintdiff.gallery.settings.found_settings import FoundSettings

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_START_BYTES = 32 * 2**20
"""How much of a large PNG is read for its settings, which come before its pixels."""
_PNG_START = b"\x89PNG\r\n\x1a\n"
_MOST_COMPRESSION = 1032
"""How many bytes one byte of a PNG's pixels can become; each has 8 pixels at most."""
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_HASH_CHUNK_BYTES = 2**20
MAX_PICTURE_BYTES = 4 * 2**30
"""Limit of a PNG; of others it is MAX_FILE_BYTES."""


@dataclass(frozen=True)
class PictureFile:
    """A readable picture file.

    `sha256` is lower-case hex. `settings` is None if it has none that can be used, and `reason`
    then says why ("" if there are none).
    """

    size: Size
    file_bytes: int
    sha256: str
    modified_at: datetime
    settings: FoundSettings | None
    reason: str = ""


def read_picture_file(path: Path) -> PictureFile:
    """Read an untrusted picture file: PNG, JPEG or WebP. Its pixels aren't decoded.

    A PNG may be larger than MAX_FILE_BYTES, because a picture of ours may be.

    Raises:
        RequestError: It isn't such a picture, it is damaged or cut off, or it can't be read.
    """
    try:
        with open_file(path) as file:
            start = file.read(_START_BYTES)
            state = os.fstat(file.fileno())
            most = MAX_PICTURE_BYTES if start.startswith(_PNG_START) else MAX_FILE_BYTES
            if state.st_size > most:
                raise RequestError(messages.file_too_large(path.name, format_byte_size(most)))
            digest = hashlib.sha256(start)
            last = start[-len(_PNG_END) :]
            while chunk := file.read(_HASH_CHUNK_BYTES):
                digest.update(chunk)
                last = (last + chunk)[-len(_PNG_END) :]
                if state.st_size <= MAX_FILE_BYTES:
                    start += chunk
    except OSError as error:
        raise RequestError(messages.unreadable(path.name, error.strerror)) from error
    parsed = parse_image_file(start)
    large = parsed is not None and parsed.format == "PNG"
    if large and last != _PNG_END:
        raise RequestError(messages.cut_off(path.name))
    size = _read_png_size(start, state.st_size) if large else read_header(start).size
    settings, reason = _find_settings(parsed if large else start)
    return PictureFile(
        size=size,
        file_bytes=state.st_size,
        sha256=digest.hexdigest(),
        modified_at=_read_time(state),
        settings=settings,
        reason=reason,
    )


def _read_time(state: os.stat_result) -> datetime:
    """Return when a file was changed; now, if that is outside of the years that can be computed."""
    try:
        time = datetime.fromtimestamp(state.st_mtime, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.now(UTC)
    # A year at either end may be another one in the local time zone.
    return time if MINYEAR < time.year < MAXYEAR else datetime.now(UTC)


def _read_png_size(data: bytes, file_bytes: int) -> Size:
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[12:16] != b"IHDR" or not width or not height:
        raise RequestError(messages.PICTURE_WITHOUT_SIZE)
    size = Size(width, height)
    if size.area > 8 * _MOST_COMPRESSION * file_bytes:
        raise RequestError(messages.fewer_pixels_than_it_says(size))
    return size


def _find_settings(source: bytes | ImageFile | None) -> tuple[FoundSettings | None, str]:
    assert source is not None
    try:
        return read_settings(source), ""
    except NoMetadataError:
        return None, ""
    except MetadataError as error:
        return None, str(error)

"""Writes PNG files strip by strip, for pictures that needn't fit into memory.

PNG (Portable Network Graphics) Specification, third edition, W3C 2025.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from paintdiff.imaging.rasters import Pixels, Raster

_START = b"\x89PNG\r\n\x1a\n"
SRGB = (b"sRGB", b"\0")
"""The chunk that declares sRGB (intent: perceptual) if there is no profile."""

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_SUB, _UP = 1, 2
_LEVEL = 4
"""Compression level: twice as fast as the default 6, and hardly larger."""
_CHUNK_BYTES = 2**20


def write_raster(
    file: BinaryIO, raster: Raster, ancillary: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Write a picture as PNG.

    `ancillary` are chunks (kind, data) before the pixels, such as texts.

    Raises:
        OSError: The file can't be written.
        ValueError: Rows of the picture are missing.
    """
    file.write(_START)
    size = struct.pack(">II", raster.size.width, raster.size.height)
    kind = bytes([raster.bits, _COLOUR_TYPES[raster.channels], 0, 0, 0])
    _write_chunk(file, b"IHDR", size + kind)
    if raster.icc_profile is not None:
        name = b"ICC Profile\0\0"
        _write_chunk(file, b"iCCP", name + zlib.compress(raster.icc_profile))
    else:
        _write_chunk(file, *SRGB)
    for name, data in ancillary:
        _write_chunk(file, name, data)
    for data in _compress(_filter_rows(raster.rows())):
        _write_chunk(file, b"IDAT", data)
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)))
    file.write(kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))


def _compress(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Compress in pieces of about _CHUNK_BYTES."""
    packer, waiting = zlib.compressobj(_LEVEL, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED), bytearray()
    for part in parts:
        waiting += packer.compress(part)
        if len(waiting) >= _CHUNK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    waiting += packer.flush()
    yield bytes(waiting)


def _filter_rows(strips: Iterator[Pixels]) -> Iterator[bytes]:
    """Filter each row with Sub (against the pixel to the left) or Up, whichever leaves less.

    The other filters are hardly better and cost more.
    """
    above: NDArray[np.uint8] = np.zeros(0, np.uint8)
    for strip in strips:
        pixel_bytes = strip.shape[2] * strip.itemsize
        big_endian = strip.astype(strip.dtype.newbyteorder(">"), copy=False)
        rows = np.ascontiguousarray(big_endian).view(np.uint8).reshape(len(strip), -1)
        if not len(above):
            above = np.zeros_like(rows[0])
        up = rows - np.concatenate((above[None], rows[:-1]))
        sub = rows.copy()
        sub[:, pixel_bytes:] -= rows[:, :-pixel_bytes]
        above = rows[-1].copy()
        up_is_less = _sum_distances(up) < _sum_distances(sub)
        made = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
        made[:, 0] = np.where(up_is_less, _UP, _SUB)
        made[:, 1:] = np.where(up_is_less[:, None], up, sub)
        yield made.tobytes()


def _sum_distances(differences: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the sum, per row, of each byte's distance from 0 in either direction."""
    return np.minimum(differences, -differences).sum(axis=1, dtype=np.int64)

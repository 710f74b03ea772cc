"""Pictures that may be larger than memory, stored by rows in a temporary file."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paintdiff.errors import StorageError
from paintdiff.imaging import messages
from paintdiff.imaging.geometry import Size, fit_within

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""(height, width, channels), 0 to 255 or 0 to 65535."""

Channels = Literal[1, 2, 3, 4]
"""Grey, grey and alpha, RGB, RGB and alpha."""

MODES: dict[int, str] = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Channels -> Pillow's mode."""

_IN_MEMORY_BYTES = 64 * 2**20
_STRIP_BYTES = 8 * 2**20


class Raster:
    """A picture that is written from the top down, then read any number of times.

    `size` is in pixels, `bits` is 8 or 16 for each channel. `icc_profile` describes the colours,
    None if unknown. More than a few megabytes are stored in a temporary file without a name, which
    disappears with the raster. Not thread-safe.
    """

    def __init__(
        self,
        size: Size,
        channels: Channels,
        bits: Literal[8, 16] = 8,
        icc_profile: bytes | None = None,
    ) -> None:
        self.size = size
        self.channels: Channels = channels
        self.bits: Literal[8, 16] = bits
        self.icc_profile = icc_profile
        self._row_bytes = size.width * channels * bits // 8
        self._rows = 0
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 (see `close`)
        self.close = weakref.finalize(self, self._file.close)
        """Release memory and file now, without waiting for garbage collection."""

    @classmethod
    def of(cls, pixels: Pixels, icc_profile: bytes | None = None) -> Raster:
        """Make a raster of an array (height, width, channels), uint8 or uint16."""
        height, width, channels = pixels.shape
        raster = cls(Size(width, height), channels, _find_bits(pixels), icc_profile)
        raster.append(pixels)
        return raster

    @property
    def complete(self) -> bool:
        """Return whether all rows have been written."""
        return self._rows == self.size.height

    @property
    def held_bytes(self) -> int:
        """Return the bytes of its rows, in memory or in a temporary file."""
        return self._rows * self._row_bytes if self.close.alive else 0

    def append(self, rows: Pixels) -> None:
        """Add rows (height, width, channels) at the bottom.

        Raises:
            ValueError: They have another width, number of channels or type, or are too many.
            StorageError: They can't be stored.
        """
        shape = (self.size.width, self.channels)
        if rows.shape[1:] != shape or _find_bits(rows) != self.bits:
            raise ValueError(
                f"rows of {rows.shape} {rows.dtype} in a raster of {shape}, {self.bits} bits"
            )
        if self._rows + len(rows) > self.size.height:
            raise ValueError(f"more than {self.size.height} rows")
        try:
            self._file.seek(self._rows * self._row_bytes)
            self._file.write(np.ascontiguousarray(rows).data)
        except OSError as error:
            raise StorageError(messages.no_room_for_picture(self.size, error.strerror)) from error
        self._rows += len(rows)

    def rows(self) -> Iterator[Pixels]:
        """Yield all rows from the top, in strips (height, width, channels) of some megabytes.

        Raises:
            ValueError: Rows are missing.
        """
        return self._strips(max(1, _STRIP_BYTES // self._row_bytes))

    def image(self, longest_px: int | None = None) -> Image.Image:
        """Return the picture with 8 bits a channel (L, LA, RGB or RGBA).

        It is reduced so that its longer side is at most `longest_px`.

        Raises:
            ValueError: Rows are missing.
        """
        size = self.size if longest_px is None else fit_within(self.size, longest_px)
        factor = max(1, min(self.size.width // size.width, self.size.height // size.height))
        rows_at_once = max(1, _STRIP_BYTES // self._row_bytes // factor) * factor
        strips = [_reduce(strip, factor) for strip in self._strips(rows_at_once)]
        image = raster_image(np.concatenate(strips))
        if self.icc_profile is not None:
            image.info["icc_profile"] = self.icc_profile
        if (image.width, image.height) == (size.width, size.height):
            return image
        return image.resize((size.width, size.height), Image.Resampling.LANCZOS)

    def _strips(self, rows_at_once: int) -> Iterator[Pixels]:
        if not self.complete:
            raise ValueError(f"only {self._rows} of {self.size.height} rows are there")
        for top in range(0, self.size.height, rows_at_once):
            count = min(rows_at_once, self.size.height - top)
            self._file.seek(top * self._row_bytes)
            data = self._file.read(count * self._row_bytes)
            pixels: Pixels = (
                np.frombuffer(data, np.uint8) if self.bits == 8 else np.frombuffer(data, np.uint16)
            )
            yield pixels.reshape(count, self.size.width, self.channels)


def raster_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """Make a Pillow picture (L, LA, RGB or RGBA) of an array (height, width, channels)."""
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def _find_bits(pixels: Pixels) -> Literal[8, 16]:
    if pixels.dtype == np.uint8:
        return 8
    if pixels.dtype == np.uint16:
        return 16
    raise ValueError(f"pixels of {pixels.dtype}; a raster has uint8 or uint16")


def _reduce(strip: Pixels, factor: int) -> NDArray[np.uint8]:
    """Average blocks of `factor` x `factor` pixels to 8 bits; those at the ends may be smaller."""
    levels = strip if strip.dtype == np.uint8 else ((strip.astype(np.uint32) + 128) // 257)
    levels = levels.astype(np.uint8, copy=False)
    if factor == 1:
        return levels
    image = raster_image(levels).reduce(factor)
    return np.asarray(image).reshape(image.height, image.width, strip.shape[2])

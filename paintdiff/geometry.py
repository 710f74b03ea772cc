"""Every sizing rule, as pure functions. All lengths are in pixels of the picture unless a name
says latents.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paintdiff.errors import SizeError

MIN_SIDE_PX = 32
MAX_SIDE_PX = 4096
MAX_AREA_PX = 2048 * 2048

_SIZE_TEXT = re.compile(r"\s*(\d{1,6})\s*[x×X*]\s*(\d{1,6})\s*", re.ASCII)  # noqa: RUF001 (the sign itself)


@dataclass(frozen=True, order=True)
class Size:
    """Width and height in pixels, both at least 1."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise SizeError(f"A size needs at least one pixel each way, not {self}.", field="width")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def area(self) -> int:
        """Width times height, in pixels."""
        return self.width * self.height

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read `"512x768"`. Raises SizeError for anything else."""
        match = _SIZE_TEXT.fullmatch(text)
        if match is None:
            raise SizeError(
                f"{text!r} is no size; write width x height, like 128x128.", field="size"
            )
        return cls(int(match[1]), int(match[2]))

    def swapped(self) -> Size:
        """The same size on its side."""
        return Size(self.height, self.width)


def checked(size: Size) -> Size:
    """Return the size unchanged if it is within what we paint.

    Raises SizeError if a side is under MIN_SIDE_PX or over MAX_SIDE_PX, or the area is over
    MAX_AREA_PX.
    """
    for field, side in (("width", size.width), ("height", size.height)):
        if not MIN_SIDE_PX <= side <= MAX_SIDE_PX:
            raise SizeError(
                f"{field} {side} is outside {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels.", field=field
            )
    if size.area > MAX_AREA_PX:
        raise SizeError(
            f"{size} has {size.area:,} pixels; at most {MAX_AREA_PX:,} can be painted at once. "
            "Paint smaller and upscale.",
            field="width",
        )
    return size


def rounded_to_multiple(size: Size, multiple: int) -> Size:
    """The nearest size whose sides are multiples of `multiple` (at least one multiple; halves
    round up).
    """

    def nearest(side: int) -> int:
        return max(multiple, (side + multiple // 2) // multiple * multiple)

    return Size(nearest(size.width), nearest(size.height))


def fitted_within(size: Size, longest_px: int) -> Size:
    """The size shrunk, never grown, so that its longer side is at most `longest_px`; aspect
    kept.
    """
    longest = max(size.width, size.height)
    if longest <= longest_px:
        return size
    scale = longest_px / longest
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))

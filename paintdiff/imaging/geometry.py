"""Every sizing rule, as pure functions.

All lengths are in pixels of the picture unless a name says latents.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from paintdiff.errors import SizeError
from paintdiff.imaging import messages

MIN_SIDE_PX = 32
MAX_SIDE_PX = 4096
MAX_AREA_PX = 2048 * 2048
MAX_UPSCALED_SIDE_PX = 16_384

ResizeMode = Literal["stretch", "crop", "pad"]
"""How a picture is fitted to another size: distorted, cropped, or with added edges."""

_UNSEEN_STRETCH = 0.05

_SIZE_TEXT = re.compile(r"\s*(\d{1,6})\s*[x×X*]\s*(\d{1,6})\s*", re.ASCII)  # noqa: RUF001 (the sign itself)


@dataclass(frozen=True, order=True)
class Size:
    """Width and height in pixels, both at least 1."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise SizeError(messages.size_without_pixels(self), field="width")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def area(self) -> int:
        """Return width times height, in pixels."""
        return self.width * self.height

    @classmethod
    def parse(cls, text: str) -> Size:
        """Parse `"512x768"`.

        Raises:
            SizeError: It is anything else.
        """
        match = _SIZE_TEXT.fullmatch(text)
        if match is None:
            raise SizeError(messages.not_a_size(text), field="size")
        return cls(int(match[1]), int(match[2]))

    def swap_sides(self) -> Size:
        """Return the size with width and height exchanged."""
        return Size(self.height, self.width)


def check_size(size: Size) -> Size:
    """Return the size unchanged if it is within the limits for painting.

    Raises:
        SizeError: A side is under MIN_SIDE_PX or over MAX_SIDE_PX, or the area is over MAX_AREA_PX.
    """
    for field, side in (("width", size.width), ("height", size.height)):
        if not MIN_SIDE_PX <= side <= MAX_SIDE_PX:
            raise SizeError(
                messages.side_out_of_range(field, MIN_SIDE_PX, MAX_SIDE_PX, side), field=field
            )
    if size.area > MAX_AREA_PX:
        raise SizeError(
            messages.area_too_large(size, size.area, MAX_AREA_PX),
            field="width",
        )
    return size


def round_to_multiple(size: Size, multiple: int) -> Size:
    """Return the nearest size whose sides are multiples of `multiple`.

    At least one multiple; halves round up.
    """

    def nearest(side: int) -> int:
        return max(multiple, (side + multiple // 2) // multiple * multiple)

    return Size(nearest(size.width), nearest(size.height))


def scale_size(size: Size, scale: float, field: str = "scale") -> Size:
    """Return the size `scale` times larger each way, rounded to pixels.

    Raises:
        SizeError: (for `field`) A side would exceed MAX_UPSCALED_SIDE_PX.
    """
    larger = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
    if max(larger.width, larger.height) > MAX_UPSCALED_SIDE_PX:
        most = math.floor(MAX_UPSCALED_SIDE_PX / max(size.width, size.height) * 100) / 100
        raise SizeError(
            messages.enlarged_too_much(size, scale, larger, MAX_UPSCALED_SIDE_PX, most),
            field=field,
        )
    return larger


def fit_within(size: Size, longest_px: int) -> Size:
    """Shrink the size, never enlarge it, so that its longer side is at most `longest_px`.

    Keeps the aspect ratio.
    """
    longest = max(size.width, size.height)
    if longest <= longest_px:
        return size
    scale = longest_px / longest
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels: `right` and `bottom` are the first outside."""

    left: int
    top: int
    right: int
    bottom: int

    def __post_init__(self) -> None:
        if self.right <= self.left or self.bottom <= self.top:
            raise SizeError(messages.box_without_pixels(self.corners))

    @property
    def size(self) -> Size:
        """Return its width and height."""
        return Size(self.right - self.left, self.bottom - self.top)

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Return left, top, right, bottom: Pillow's order."""
        return self.left, self.top, self.right, self.bottom

    def pad(self, padding_px: int, canvas: Size) -> Box:
        """Return the box grown by `padding_px` on each side, within the canvas."""
        return Box(
            max(0, self.left - padding_px),
            max(0, self.top - padding_px),
            min(canvas.width, self.right + padding_px),
            min(canvas.height, self.bottom + padding_px),
        )

    def grow_to_aspect(self, aspect: Size, canvas: Size) -> Box:
        """Return the box grown in one direction to the aspect ratio of `aspect`.

        It grows equally on both sides, is shifted to stay on the canvas, and stays narrower where
        the canvas ends.
        """
        width, height = self.size.width, self.size.height
        if width * aspect.height < height * aspect.width:
            width = min(canvas.width, round(height * aspect.width / aspect.height))
        else:
            height = min(canvas.height, round(width * aspect.height / aspect.width))
        width, height = max(width, self.size.width), max(height, self.size.height)
        left = _shift(self.left, self.size.width, width, canvas.width)
        top = _shift(self.top, self.size.height, height, canvas.height)
        return Box(left, top, left + width, top + height)


def _shift(start: int, old: int, new: int, end: int) -> int:
    return min(max(0, start - (new - old) // 2), end - new)


def choose_working_size(source: Size, native: Size, multiple: int) -> Size:
    """Return the size at which a model of size `native` paints a picture of size `source`.

    That is the picture's own size if its area is between half and twice the native area, else its
    proportions at the native area. Sides are multiples of `multiple` within MIN_SIDE_PX and
    MAX_SIDE_PX; extreme proportions are reduced to fit.
    """
    near = is_near_area(source, native)
    return size_for_area(source, source.area if near else native.area, multiple)


def is_near_area(size: Size, native: Size) -> bool:
    """Return whether the area is between half and twice the native one."""
    return native.area / 2 <= size.area <= native.area * 2


def size_for_area(aspect: Size, area_px: int, multiple: int) -> Size:
    """Return the size with about that area and the proportions of `aspect`.

    The limits are those of `choose_working_size`.
    """
    longest = min(area_px / MIN_SIDE_PX**2, MAX_SIDE_PX**2 / area_px)
    ratio = min(max(aspect.width / aspect.height, 1 / longest), longest)
    exact = Size(
        max(1, round(math.sqrt(area_px * ratio))), max(1, round(math.sqrt(area_px / ratio)))
    )
    rounded = round_to_multiple(exact, multiple)
    least = math.ceil(MIN_SIDE_PX / multiple) * multiple
    most = MAX_SIDE_PX // multiple * multiple

    def within(side: int) -> int:
        return min(max(side, least), most)

    return Size(within(rounded.width), within(rounded.height))


def crop_to_aspect(source: Size, aspect: Size) -> Box:
    """Return the largest centred box in `source` with the proportions of `aspect`."""
    scale = min(source.width / aspect.width, source.height / aspect.height)
    width = min(source.width, max(1, round(aspect.width * scale)))
    height = min(source.height, max(1, round(aspect.height * scale)))
    left, top = (source.width - width) // 2, (source.height - height) // 2
    return Box(left, top, left + width, top + height)


def pad_to_aspect(source: Size, target: Size) -> Box:
    """Return the centred box in `target` for a picture of size `source`.

    As large as it fits with its proportions kept.
    """
    return crop_to_aspect(target, source)


def describe_resize(source: Size, target: Size, mode: ResizeMode, *, done: bool = False) -> str:
    """Describe the effect of a resize mode, in advance or afterwards (`done`)."""
    if source == target:
        return messages.same_size(source, done)
    if mode == "crop":
        kept = crop_to_aspect(source, target)
        if kept.size != source:
            return messages.cropped(source, kept.size, _list_borders(source, kept), target, done)
    elif mode == "pad":
        inner = pad_to_aspect(source, target)
        if inner.size != target:
            return messages.padded(source, inner.size, _list_borders(target, inner), target, done)
    elif _have_different_aspects(source, target):
        return messages.stretched(source, target, done)
    return messages.resized(source, target, done)


def _have_different_aspects(one: Size, other: Size) -> bool:
    """Return whether proportions differ by more than rounding to a multiple causes."""
    ratio = (one.width * other.height) / (one.height * other.width)
    return max(ratio, 1 / ratio) > 1 + _UNSEEN_STRETCH


def _list_borders(outer: Size, inner: Box) -> tuple[int, int, int, int]:
    """Return the borders between a picture and a box in it: left, right, top, bottom."""
    return (inner.left, outer.width - inner.right, inner.top, outer.height - inner.bottom)


def choose_grid(count: int) -> tuple[int, int]:
    """Return a nearly square grid for a number of pictures: columns and rows."""
    columns = max(1, math.ceil(math.sqrt(count)))
    return columns, math.ceil(count / columns)


def grid_size(size: Size, count: int) -> Size:
    """Return the size in pixels of a grid of pictures."""
    columns, rows = choose_grid(count)
    return Size(columns * size.width, rows * size.height)

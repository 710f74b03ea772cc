"""Enlarges a picture by a network, tile by tile: from rows of a picture to rows of a larger one.

A network gets one part of the picture at a time. A tile contributes its core; around it is a margin
that is blended with the neighbours' (feathered), and around that as much context as the network
sees, which is discarded. So the result equals that of the whole picture at once, except for what
the network sees beyond its context. Memory depends on the picture's width, not on its height.

The path is a chain of stages, each of which maps rows to rows: the network as often as needed, then
resampling to the exact size. All of them use the whole picture's grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paintdiff.errors import MemoryBudgetError
from paintdiff.imaging.geometry import Box, Size

Floats = NDArray[np.float32]
"""(height, width, channels), 0..1: grey, grey and alpha, RGB, or RGB and alpha."""

RunNetwork = Callable[[Floats], Floats]
"""Enlarges a tile (height, width, 3) by the network's factor.

Raises MemoryBudgetError if there isn't enough memory for a tile of that size.
"""

FEATHER_PX = 4
"""Pixels of its input over which a tile is blended with the next."""

LEAST_TILE_PX = 32
_BAND_BYTES = 384 * 2**20
_STRIP_ROWS = 128
_LANCZOS_SUPPORT = 3


@dataclass(frozen=True)
class Network:
    """The properties of a network that tiling needs.

    It enlarges `factor` times. `margins` returns how many pixels far it sees, and the multiple at
    which tiles should start, so that a network that works in windows uses the same ones as for the
    whole picture. It is only called if there is more than one tile.
    """

    run: RunNetwork
    factor: int
    margins: Callable[[], tuple[int, int]] = lambda: (0, 1)

    def passes(self, scale: float) -> int:
        """Return how many passes reach `scale`; at least one."""
        count, reached = 1, self.factor
        while reached < scale and self.factor > 1:
            count, reached = count + 1, reached * self.factor
        return count


@dataclass(frozen=True)
class Tile:
    """A finished tile: `number` of `total`, counted from 1 over all passes.

    `box` is its place in the result, in pixels of the result, and `pixels` its content (coarser, if
    the network's factors exceed or haven't yet reached the scale).
    """

    number: int
    total: int
    box: Box
    pixels: Floats


OnTile = Callable[[Tile], None]
"""Receives each finished tile; may raise to stop."""


def network_scale(source: Size, target: Size) -> float:
    """Return how many times larger the target is, along the side where that is more."""
    return max(target.width / source.width, target.height / source.height)


@dataclass(frozen=True)
class Span:
    """A tile's extent along one axis, in pixels of its input.

    It keeps `start` to `end`, which overlaps with the neighbours', and reads `read_start` to
    `read_end`.
    """

    start: int
    end: int
    read_start: int
    read_end: int


def tile_spans(length: int, tile_px: int, context_px: int, multiple: int = 1) -> tuple[Span, ...]:
    """Divide an axis of `length` pixels into tiles.

    As few as possible of at most `tile_px` (without their margins), of nearly equal size.
    """
    count = -(-length // max(1, tile_px))
    cuts = [round(length * number / count) for number in range(count + 1)]
    # Feathers of neighbouring cuts mustn't meet.
    feather = min(FEATHER_PX, max(1, min(after - before for before, after in pairwise(cuts))))
    made: list[Span] = []
    for before, after in pairwise(cuts):
        start = before if before == 0 else before - feather // 2
        end = after if after == length else after + feather - feather // 2
        read_start = max(0, start - context_px) // multiple * multiple
        read_end = min(length, -(-(end + context_px) // multiple) * multiple)
        made.append(Span(start, end, read_start, read_end))
    return tuple(made)


class Enlargement:
    """The way a network enlarges a picture of size `source` to `target`.

    `tile_px` is the side of a tile's core in the input of a pass. When memory is short, tiles are
    halved while it runs.
    """

    def __init__(self, source: Size, target: Size, network: Network, tile_px: int) -> None:
        self.source = source
        self.target = target
        self.tile_px = max(LEAST_TILE_PX, tile_px)
        self._network = network
        self.passes = network.passes(network_scale(source, target))
        grown = (network.factor**number for number in range(self.passes))
        self._stages = [
            _NetworkStage(Size(source.width * by, source.height * by), network, self.tile_px)
            for by in grown
        ]

    @property
    def total_tiles(self) -> int:
        """Return the number of tiles over all passes."""
        return sum(stage.count for stage in self._stages)

    @property
    def smallest_tile_px(self) -> int:
        """Return the side of the smallest tile used: less than `tile_px` if memory was short."""
        return min(stage.limit_px for stage in self._stages)

    def rows(self, picture: Iterator[Floats], on_tile: OnTile) -> Iterator[Floats]:
        """Yield the result in strips from the top, as tiles are finished.

        `picture` yields the source's rows (height, width, channels), in strips of any height.
        Exceptions of `on_tile` propagate, and so does a MemoryBudgetError at the smallest tile.
        """
        number, total, rows = 0, self.total_tiles, picture

        def report(box: Box, pixels: Floats, stage: Size) -> None:
            nonlocal number
            number += 1
            on_tile(Tile(number, total, _scale_box(box, stage, self.target), pixels))

        for stage in self._stages:
            rows = stage.rows(rows, report)
        reached = self._stages[-1].output
        return rows if reached == self.target else resample(rows, reached, self.target)


def _scale_box(box: Box, from_size: Size, to_size: Size) -> Box:
    across, down = to_size.width / from_size.width, to_size.height / from_size.height
    left, top = int(box.left * across), int(box.top * down)
    right, bottom = round(box.right * across), round(box.bottom * down)
    return Box(left, top, max(left + 1, right), max(top + 1, bottom))


class _Window:
    """A sliding view of some rows of a stream."""

    def __init__(self, rows: Iterator[Floats]) -> None:
        self._stream = rows
        self._kept: Floats | None = None
        self._top = 0

    def rows(self, top: int, bottom: int) -> Floats:
        """Return rows `top` to `bottom`, and drop those above `top`."""
        strips: list[Floats] = []
        have = self._top
        if self._kept is not None:
            self._kept = self._kept[top - self._top :]
            strips.append(self._kept)
            have = top + len(self._kept)
        while have < bottom:
            strip = next(self._stream)
            strips.append(strip[max(0, top - have) :])
            have += len(strip)
        self._kept = strips[0] if len(strips) == 1 else np.concatenate(strips)
        self._top = top
        return self._kept[: bottom - top]


_Report = Callable[[Box, Floats, Size], None]


class _NetworkStage:
    """One pass of a network over a picture."""

    def __init__(self, size: Size, network: Network, tile_px: int) -> None:
        factor = network.factor
        self.size = size
        self.output = Size(size.width * factor, size.height * factor)
        self.limit_px = tile_px
        self._network = network
        row_bytes = self.output.width * factor * 4 * np.dtype(np.float32).itemsize
        tile_rows = max(LEAST_TILE_PX, min(tile_px, _BAND_BYTES // row_bytes))
        single = size.width <= tile_px and size.height <= tile_rows
        margins = (0, 1) if single else network.margins()
        self._columns = tile_spans(size.width, tile_px, *margins)
        self._bands = tile_spans(size.height, tile_rows, *margins)

    @property
    def count(self) -> int:
        return len(self._columns) * len(self._bands)

    def rows(self, picture: Iterator[Floats], report: _Report) -> Iterator[Floats]:
        window, factor = _Window(picture), self._network.factor
        carried: Floats | None = None  # the overlap of this band with the next
        for index, band in enumerate(self._bands):
            source = window.rows(band.read_start, band.read_end)
            made = self._band(index, source, report)
            if carried is not None:
                made[: len(carried)] += carried
            last = index + 1 == len(self._bands)
            done = len(made) if last else (self._bands[index + 1].start - band.start) * factor
            for top in range(0, done, _STRIP_ROWS):
                yield np.clip(made[top : min(done, top + _STRIP_ROWS)], 0, 1)
            carried = made[done:].copy()

    def _band(self, index: int, source: Floats, report: _Report) -> Floats:
        """Combine a row of tiles, weighted where it overlaps with those above and below."""
        band, factor = self._bands[index], self._network.factor
        height, channels = (band.end - band.start) * factor, source.shape[2]
        made = np.zeros((height, self.output.width, channels), np.float32)
        down = _weights(self._bands, index, factor)[:, None, None]
        for number, column in enumerate(self._columns):
            part = source[:, column.read_start : column.read_end]
            pixels = self._evaluated(part, band, column)
            box = Box(column.start, band.start, column.end, band.end)
            report(box, pixels, self.size)
            across = _weights(self._columns, number, factor)[None, :, None]
            place = slice(column.start * factor, column.end * factor)
            made[:, place] += pixels * down * across
        return made

    def _evaluated(self, part: Floats, rows: Span, columns: Span) -> Floats:
        """Return what the tile keeps; in quarters if memory is too short for the whole."""
        side = max(rows.end - rows.start, columns.end - columns.start)
        if side <= self.limit_px + FEATHER_PX:
            try:
                return self._kept(part, rows, columns)
            except MemoryBudgetError:
                if side <= LEAST_TILE_PX:
                    raise
                self.limit_px = (side + 1) // 2
        quarters = [
            [
                self._evaluated(_cut(part, rows, columns, down, across), down, across)
                for across in self._halves(columns)
            ]
            for down in self._halves(rows)
        ]
        return np.concatenate([np.concatenate(row, axis=1) for row in quarters])

    def _halves(self, span: Span) -> list[Span]:
        """Split the span in two without overlap, with the same margins."""
        if span.end - span.start <= self.limit_px + FEATHER_PX:
            return [span]
        middle = (span.start + span.end) // 2
        context, multiple = self._network.margins()
        ends = -(-(middle + context) // multiple) * multiple
        starts = max(span.read_start, (middle - context) // multiple * multiple)
        return [
            Span(span.start, middle, span.read_start, min(span.read_end, ends)),
            Span(middle, span.end, starts, span.read_end),
        ]

    def _kept(self, part: Floats, rows: Span, columns: Span) -> Floats:
        factor = self._network.factor
        made = run_tiled(part, self._network)
        top, left = rows.start - rows.read_start, columns.start - columns.read_start
        bottom, right = rows.end - rows.read_start, columns.end - columns.read_start
        return made[top * factor : bottom * factor, left * factor : right * factor]


def _cut(part: Floats, rows: Span, columns: Span, down: Span, across: Span) -> Floats:
    top, left = rows.read_start, columns.read_start
    return part[
        down.read_start - top : down.read_end - top,
        across.read_start - left : across.read_end - left,
    ]


def _weights(axis: tuple[Span, ...], index: int, factor: int) -> Floats:
    """Return a tile's weight at each pixel of its output along an axis.

    It is 1, or a ramp between 0 and 1 where the tile overlaps with a neighbour, which has the rest.
    """
    span = axis[index]
    weights = np.ones((span.end - span.start) * factor, np.float32)
    if index > 0:
        weights *= _ramp(len(weights), (axis[index - 1].end - span.start) * factor)
    if index + 1 < len(axis):
        shared = (span.end - axis[index + 1].start) * factor
        weights *= 1 - _ramp(len(weights), shared, before=len(weights) - shared)
    return weights


def _ramp(length: int, rising: int, before: int = 0) -> Floats:
    """Return 0 for `before` pixels, then a ramp to 1 over `rising`."""
    place = np.arange(length, dtype=np.float32) - before
    return np.clip((place + np.float32(0.5)) / np.float32(max(1, rising)), 0, 1)


def run_tiled(tile: Floats, network: Network) -> Floats:
    """Run a tile (height, width, channels), 0..1, of any channels through a network for RGB.

    Alpha passes through it as grey, clamped to the range of its neighbourhood, so that opaque areas
    stay opaque and nothing rings. Constant alpha is repeated.
    """
    colours, alpha = tile[..., : 1 if tile.shape[2] < 3 else 3], None
    if tile.shape[2] in (2, 4):
        alpha = tile[..., -1:]
    made = network.run(np.repeat(colours, 3 // colours.shape[2], axis=2))
    if colours.shape[2] == 1:
        made = made.mean(axis=2, keepdims=True)
    if alpha is None:
        return made
    low, high = (_repeat(_find_extreme(alpha, take), network.factor) for take in (np.min, np.max))
    if low.min() == high.max():
        enlarged = low
    else:
        grey = network.run(np.repeat(alpha, 3, axis=2)).mean(axis=2, keepdims=True)
        enlarged = np.clip(grey, low, high)
    return np.concatenate((made, enlarged), axis=2)


def _find_extreme(alpha: Floats, take: Callable[..., Floats]) -> Floats:
    """Return the minimum or maximum of each pixel and its eight neighbours."""
    padded = np.pad(alpha, ((1, 1), (1, 1), (0, 0)), mode="edge")
    for axis in (0, 1):
        views = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=axis)
        padded = take(views, axis=-1)
    return padded


def _repeat(pixels: Floats, factor: int) -> Floats:
    return np.repeat(np.repeat(pixels, factor, axis=0), factor, axis=1)


def resample(rows: Iterator[Floats], source: Size, target: Size) -> Iterator[Floats]:
    """Resample rows of a picture of size `source` to size `target` (Lanczos).

    Equal to resampling the whole picture: each strip uses all the rows that it needs.
    """
    window, down = _Window(rows), source.height / target.height
    reach = int(np.ceil(_LANCZOS_SUPPORT * max(1.0, down))) + 1
    for top in range(0, target.height, _STRIP_ROWS):
        bottom = min(target.height, top + _STRIP_ROWS)
        first = max(0, int(top * down) - reach)
        last = min(source.height, int(np.ceil(bottom * down)) + reach)
        part = window.rows(first, last)
        box = (0, top * down - first, source.width, min(bottom * down - first, last - first))
        size = (target.width, bottom - top)
        channels = [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(part[..., index])).resize(
                    size, Image.Resampling.LANCZOS, box=box
                )
            )
            for index in range(part.shape[2])
        ]
        yield np.clip(np.stack(channels, axis=2), 0, 1)

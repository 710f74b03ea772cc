"""Preprocessors that need no weights, as plain functions on arrays.

Each takes a picture (height, width, 3), uint8, RGB, and returns a map of the same height and width:
(height, width) or (height, width, 3), uint8. The same picture gives the same map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_CANNY_LOW, _CANNY_HIGH = 100, 200
_SHUFFLE_SEED = 0
_TILE_FACTOR = 8


def invert(picture: Pixels) -> Pixels:
    """Return the picture in grey, inverted: dark lines on light paper become white on black."""
    return 255 - _to_grey(picture)


def detect_canny_edges(picture: Pixels) -> Pixels:
    """Detect edges, one pixel wide: (height, width), 0 or 255.

    Canny 1986, with the thresholds (100, 200) that ControlNets were trained with.
    """
    return _as_uint8(cv2.Canny(_to_grey(picture), _CANNY_LOW, _CANNY_HIGH))


def draw_scribble(picture: Pixels) -> Pixels:
    """Draw a few broad strokes, as if by hand: (height, width), 0 or 255.

    They are 3 pixels wide where the shorter side is 512, in proportion for other sizes, and at
    least 2. They follow the edges of the blurred picture; very short ones are left out.
    """
    side = min(picture.shape[:2])
    sigma = max(1.0, side / 256)
    blurred = cv2.GaussianBlur(_to_grey(picture), (0, 0), sigma)
    # Blurring makes a step less steep in proportion to sigma.
    edges = cv2.Canny(blurred, 80 / sigma, 160 / sigma)
    width = max(2, round(3 * side / 512))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return _as_uint8(cv2.dilate(_remove_specks(_as_uint8(edges), side // 32), kernel))


def draw_line_art(picture: Pixels) -> Pixels:
    """Draw in white what is darker than its surroundings: (height, width).

    As in controlnet-aux's LineartStandardDetector (sigma 6, threshold 8).
    """
    colours = picture.astype(np.float32)
    darker = (cv2.GaussianBlur(colours, (0, 0), 6.0) - colours).min(axis=2).clip(0, 255)
    shown = darker[darker > 8]
    scale = max(16.0, float(np.median(shown))) if shown.size else 16.0
    return (darker * 127 / scale).clip(0, 255).astype(np.uint8)


def detect_lines(picture: Pixels) -> Pixels:
    """Detect straight edges, one pixel wide: (height, width), 0 or 255.

    Grompone von Gioi et al. 2010, "LSD: a fast line segment detector with a false detection
    control".
    """
    detector: Any = cv2.createLineSegmentDetector()
    found = detector.detect(_to_grey(picture))[0]  # None without lines
    drawn = np.zeros(picture.shape[:2], np.uint8)
    least = min(picture.shape[:2]) / 32
    for x0, y0, x1, y1 in [] if found is None else _as_uint8(found).reshape(-1, 4).astype(float):
        if np.hypot(x1 - x0, y1 - y0) >= least:
            cv2.line(drawn, (round(x0), round(y0)), (round(x1), round(y1)), 255, 1)
    return drawn


def blur_tile(picture: Pixels) -> Pixels:
    """Blur the details, so that they are painted again: (height, width, 3)."""
    height, width = picture.shape[:2]
    small = (max(1, width // _TILE_FACTOR), max(1, height // _TILE_FACTOR))
    shrunk = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return _as_uint8(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC))


def shuffle(picture: Pixels) -> Pixels:
    """Shuffle the picture by a smooth random flow, always the same: (height, width, 3).

    As in controlnet-aux's ContentShuffleDetector.
    """
    height, width = picture.shape[:2]
    rng = np.random.default_rng(_SHUFFLE_SEED)
    x, y = (_make_smooth_noise(height, width, rng) * (side - 1) for side in (width, height))
    return _as_uint8(cv2.remap(picture, x, y, cv2.INTER_LINEAR))


WEIGHTLESS: Mapping[str, Callable[[Pixels], Pixels]] = MappingProxyType(
    {
        "invert": invert,
        "canny": detect_canny_edges,
        "scribble": draw_scribble,
        "lineart_standard": draw_line_art,
        "lines": detect_lines,
        "tile": blur_tile,
        "shuffle": shuffle,
    }
)
"""The functions of this module by their names in PREPROCESSORS."""


def _to_grey(picture: Pixels) -> Pixels:
    return _as_uint8(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))


def _remove_specks(edges: Pixels, least_px: int) -> Pixels:
    """Keep only connected lines (0 or 255) of at least so many pixels."""
    _count, labels, stats, _centres = cv2.connectedComponentsWithStats(edges, connectivity=8)
    long = np.asarray(stats)[:, cv2.CC_STAT_AREA] >= least_px
    long[0] = False  # the ground
    kept: NDArray[np.bool_] = long[np.asarray(labels, dtype=np.intp)]
    return np.where(kept, np.uint8(255), np.uint8(0))


def _make_smooth_noise(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return noise (height, width), 0 to 1, with bumps about half as large as the shorter side."""
    bump = max(1, min(height, width) // 2)
    rows, columns = height // bump + 3, width // bump + 3
    coarse = rng.random((rows, columns), dtype=np.float32)
    fine = cv2.resize(coarse, (columns * bump, rows * bump), interpolation=cv2.INTER_CUBIC)
    noise = np.asarray(fine)[bump : bump + height, bump : bump + width]
    low, high = float(noise.min()), float(noise.max())
    return ((noise - low) / max(high - low, 1e-6)).astype(np.float32)


def _as_uint8(pixels: object) -> Pixels:
    """Return what OpenCV has returned as an array of uint8, which its own types don't promise."""
    return np.asarray(pixels).astype(np.uint8, copy=False)

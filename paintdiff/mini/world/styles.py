"""Styles: what is done to the finished raster. Every effect scales with the picture."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Style = Callable[[Image, np.random.Generator], Image]

_PAPER = np.array([252, 248, 238], np.float32)
_PIXEL_GRID = 32
_PIXEL_LEVELS = 11


def grain(random: np.random.Generator, cells: int, size_px: int) -> Floats:
    """Return smooth noise of shape (size, size), about -1..1, with ``cells`` bumps a side."""
    coarse = random.standard_normal((cells, cells)).astype(np.float32) * 0.5
    return cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def smoothed(image: Image, share: float) -> Floats:
    """Return the picture with details below ``share`` of its side flattened, edges kept."""
    diameter = max(3, int(image.shape[0] * share) | 1)
    flat = cv2.medianBlur(image, min(diameter, 31))
    return flat.astype(np.float32)


def edges(image: Image, share: float) -> Floats:
    """Return how far each pixel is the dark side of an edge, shape (size, size), in 0..1.

    The difference of two Gaussians (Marr and Hildreth 1980); ``share`` is the line's width as a
    fraction of the picture's side.
    """
    sigma = max(0.6, image.shape[0] * share)
    blurred = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float32)
    wider = cv2.GaussianBlur(image, (0, 0), sigma * 1.8).astype(np.float32)
    return np.clip((wider - blurred).max(axis=2) / 15.0 - 0.12, 0, 1).astype(np.float32)


def watercolour(image: Image, random: np.random.Generator) -> Image:
    """Washes that pool at their edges, on bright paper with a ragged border."""
    size = image.shape[0]
    wash = smoothed(image, 0.035)
    pooled = 1.0 + 0.10 * grain(random, 7, size) + 0.06 * grain(random, 40, size)
    pooled -= 0.28 * edges(image, 0.008)
    paint = np.clip(wash * pooled[..., None], 0, 255)
    paint = _PAPER + (paint - _PAPER) * 0.84
    axis = np.minimum(np.arange(size), np.arange(size)[::-1]).astype(np.float32) / size
    border = np.minimum(axis[:, None], axis[None, :]) - 0.035 + 0.016 * grain(random, 20, size)
    cover = np.clip(border * 60, 0, 1)[..., None]
    return _finish(_PAPER * (1 - cover) + paint * cover)


def oil_painting(image: Image, random: np.random.Generator) -> Image:
    """Thick strokes with light on their ridges and fuller colours."""
    size = image.shape[0]
    paint = smoothed(image, 0.03)
    length = max(3, size // 20)
    kernel = np.eye(length, dtype=np.float32) / length
    noise = grain(random, min(size, 110), size)
    strokes = cv2.filter2D(noise, -1, kernel) * 2.2
    relief = strokes - np.roll(strokes, (max(1, size // 128), -max(1, size // 128)), (0, 1))
    mean = paint.mean(axis=2, keepdims=True)
    paint = mean + (paint - mean) * 1.18
    return _finish(paint * (1 + 0.04 * strokes[..., None]) + 9 * relief[..., None])


def ink_drawing(image: Image, random: np.random.Generator) -> Image:
    """Dark outlines over a pale wash of the colours."""
    size = image.shape[0]
    wash = smoothed(image, 0.03)
    pale = _PAPER + (wash - _PAPER) * 0.5
    line = np.clip(edges(image, 0.006) * 1.5, 0, 1)[..., None]
    tooth = 1 + 0.03 * grain(random, 60, size)[..., None]
    ink = np.array([34, 32, 46], np.float32)
    return _finish(pale * tooth * (1 - line) + ink * line)


def pixel_art(image: Image, random: np.random.Generator) -> Image:
    """32 x 32 blocks in few colours."""
    del random
    size = image.shape[0]
    small = cv2.resize(image, (_PIXEL_GRID, _PIXEL_GRID), interpolation=cv2.INTER_AREA)
    step = 255 / (_PIXEL_LEVELS - 1)
    mean = small.astype(np.float32).mean(axis=2, keepdims=True)
    vivid = mean + (small - mean) * 1.12
    flat = (np.round(np.clip(vivid, 0, 255) / step) * step).astype(np.float32)
    return _finish(cv2.resize(flat, (size, size), interpolation=cv2.INTER_NEAREST))


def pastel(image: Image, random: np.random.Generator) -> Image:
    """Chalk: light, soft colours with slanted strokes and the paper's tooth."""
    size = image.shape[0]
    soft = cv2.GaussianBlur(image, (0, 0), max(0.5, size * 0.007)).astype(np.float32)
    chalk = soft + (np.array([255, 246, 240], np.float32) - soft) * 0.36
    length = max(3, size // 14)
    kernel = np.fliplr(np.eye(length, dtype=np.float32)) / length
    strokes = cv2.filter2D(grain(random, min(size, 128), size), -1, kernel) * 2.5
    return _finish(chalk * (1 + 0.06 * strokes[..., None]))


def _finish(values: NDArray[np.floating]) -> Image:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


RASTER_STYLES: Mapping[str, Style] = MappingProxyType(
    {
        "watercolour": watercolour,
        "oil painting": oil_painting,
        "ink drawing": ink_drawing,
        "pixel art": pixel_art,
        "pastel": pastel,
    }
)
"""For every name in ``STYLES`` the function that turns a plain picture into it.

Each takes an RGB picture of shape (size, size, 3), uint8, and a seeded generator, and returns a
new one of the same shape.
"""

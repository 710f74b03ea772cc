"""Dead leaves: generated pictures with the statistics of photographs.

Shapes of all sizes lie over one another. The number of those of radius r falls with r squared, and
each has its own colour, grain and fading. Source: Lee, Mumford and Huang 2001, "Occlusion models
for natural images". Achddou, Gousseau and Ladjal 2021 (arXiv:2101.04393) showed that restoration
networks can learn the statistics of photographs from them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SMALLEST_PX, _LARGEST_PX = 4.0, 220.0
_SHAPES = 900
_OVERSAMPLING = 2


def dead_leaves(seed: int, size_px: int) -> NDArray[np.uint8]:
    """Return a picture of dead leaves, (size_px, size_px, 3), uint8, RGB.

    The same seed and size give the same picture.
    """
    random = np.random.default_rng(seed)
    side = size_px * _OVERSAMPLING
    picture = np.full((side, side, 3), random.uniform(0.1, 0.9), np.float32)
    palette = _palette(int(random.integers(3, 9)), random)
    # Partly sorted from the largest to the smallest: a random order would bury nearly all small
    # ones.
    radii = _radii(random)
    radii = radii[np.argsort(-radii * np.exp(random.normal(0, 0.7, len(radii))))]
    for radius in radii:
        _lay_leaf(picture, radius * _OVERSAMPLING, palette, random)
    small = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return (small.clip(0, 1) * 255).round().astype(np.uint8)


def _palette(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Draw colours, (count, 3): light and dark, some greyer, some less."""
    light = random.beta(0.9, 0.9, size=(count, 1))
    tint = random.normal(0, random.uniform(0.03, 0.25), size=(count, 3))
    return np.clip(light + tint, 0, 1).astype(np.float32)


def _radii(random: np.random.Generator) -> NDArray[np.float64]:
    """Draw radii with a density of r to the minus 2.

    The usual exponent is 3, which leaves hardly a large one.
    """
    return 1 / random.uniform(1 / _LARGEST_PX, 1 / _SMALLEST_PX, _SHAPES)


def _lay_leaf(
    picture: NDArray[np.float32],
    radius: float,
    palette: NDArray[np.float32],
    random: np.random.Generator,
) -> None:
    side = picture.shape[0]
    centre = random.uniform(-0.1, 1.1, 2) * side
    reach = int(radius * 1.5) + 2
    left, top = (max(0, int(each) - reach) for each in centre)
    right, bottom = (min(side, int(each) + reach + 1) for each in centre)
    if right <= left or bottom <= top:
        return
    mask = np.zeros((bottom - top, right - left), np.uint8)
    outline = _outline(centre - (left, top), radius, random)
    cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, shift=4)
    opacity = (mask.astype(np.float32) / 255)[..., None]
    if random.random() < 0.15 and radius > 8:  # out of focus
        opacity = cv2.GaussianBlur(opacity, (0, 0), radius * 0.15)[..., None]
    colour = palette[random.integers(len(palette))] + random.normal(0, 0.06, 3)
    part = picture[top:bottom, left:right]
    part += opacity * (_surface(mask.shape, colour, random) - part)


def _outline(
    centre: NDArray[np.float64], radius: float, random: np.random.Generator
) -> NDArray[np.int32]:
    """Return a blob, an ellipse or a polygon, as corners in sixteenths of a pixel."""
    corners = int(random.choice((3, 4, 5, 24)))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + random.uniform(0, 2 * np.pi)
    reach = radius * (1 + (random.uniform(-0.25, 0.25, corners) if corners < 24 else 0.0))
    if corners == 24 and random.random() < 0.5:
        reach = reach * (1 + 0.2 * np.sin(angles * random.integers(2, 6)))
    squeezed = random.uniform(0.3, 1)
    x, y = reach * np.cos(angles), reach * np.sin(angles) * squeezed
    turn = random.uniform(0, np.pi)
    turned = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], 1)
    return ((centre + turned) * 16).round().astype(np.int32)


def _surface(
    shape: tuple[int, ...], colour: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.float32]:
    """Return a colour that fades to one side, with stripes or the grain of a material.

    The grain is noise whose power falls with its frequency.
    """
    height, width = shape
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    fading = random.normal(0, 0.08) * x + random.normal(0, 0.08) * y
    kind = random.random()
    if kind < 0.6:
        fading = fading + random.uniform(0, 0.22) * _grain(height, width, random)
    elif kind < 0.75:
        wave = random.uniform(5, 40), random.uniform(5, 40)
        stripes = np.sin(x * wave[0] * width / 200 + y * wave[1] * height / 200)
        fading = fading + random.uniform(0, 0.15) * np.sign(stripes)
    return (colour.astype(np.float32) + fading[..., None]).astype(np.float32)


def _grain(height: int, width: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Return noise of unit strength.

    It sums octaves, the finest first; each is stronger than the last by a constant factor.
    """
    share = random.uniform(0.8, 1.8)
    total = np.zeros((height, width), np.float32)
    strength = 1.0
    for octave in range(5):
        rows, columns = max(2, height >> octave), max(2, width >> octave)
        noise = random.standard_normal((rows, columns), dtype=np.float32)
        total += strength * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        strength *= share
    return total / max(1e-6, float(total.std()))

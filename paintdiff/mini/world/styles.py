"""Styles: effects on the finished raster. Every effect scales with the picture."""

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
    """Paint washes that pool at their edges, on bright paper with a ragged border."""
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
    """Paint thick strokes with light on their ridges and fuller colours."""
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
    """Draw dark outlines over a pale wash of the colours."""
    size = image.shape[0]
    wash = smoothed(image, 0.03)
    pale = _PAPER + (wash - _PAPER) * 0.5
    line = np.clip(edges(image, 0.006) * 1.5, 0, 1)[..., None]
    tooth = 1 + 0.03 * grain(random, 60, size)[..., None]
    ink = np.array([34, 32, 46], np.float32)
    return _finish(pale * tooth * (1 - line) + ink * line)


def pixel_art(image: Image, random: np.random.Generator) -> Image:
    """Return 32 x 32 blocks in few colours."""
    del random
    size = image.shape[0]
    small = cv2.resize(image, (_PIXEL_GRID, _PIXEL_GRID), interpolation=cv2.INTER_AREA)
    step = 255 / (_PIXEL_LEVELS - 1)
    mean = small.astype(np.float32).mean(axis=2, keepdims=True)
    vivid = mean + (small - mean) * 1.12
    flat = (np.round(np.clip(vivid, 0, 255) / step) * step).astype(np.float32)
    return _finish(cv2.resize(flat, (size, size), interpolation=cv2.INTER_NEAREST))


def pastel(image: Image, random: np.random.Generator) -> Image:
    """Draw with chalk: light, soft colours with slanted strokes and the paper's tooth."""
    size = image.shape[0]
    soft = cv2.GaussianBlur(image, (0, 0), max(0.5, size * 0.007)).astype(np.float32)
    chalk = soft + (np.array([255, 246, 240], np.float32) - soft) * 0.36
    length = max(3, size // 14)
    kernel = np.fliplr(np.eye(length, dtype=np.float32)) / length
    strokes = cv2.filter2D(grain(random, min(size, 128), size), -1, kernel) * 2.5
    return _finish(chalk * (1 + 0.06 * strokes[..., None]))


def woodcut(image: Image, random: np.random.Generator) -> Image:
    """Print black lines on paper: broader slanted cuts for darker places; two faint inks."""
    size = image.shape[0]
    wash = smoothed(image, 0.03)
    grey = wash.mean(axis=2) / 255
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    bend = 0.012 * grain(random, 5, size)
    waves = 0.5 + 0.5 * np.sin(2 * np.pi * 30 * (rows + 0.35 * columns + bend))
    ink = np.clip((waves - np.clip(grey * 1.25 - 0.08, 0, 1)) * 7, 0, 1)
    ink = np.maximum(ink, np.clip(edges(image, 0.007) * 2.2, 0, 1))[..., None]
    paper = np.array([240, 226, 196], np.float32)
    tinted = paper + (wash - wash.mean(axis=2, keepdims=True)) * 0.45
    return _finish(tinted * (1 - ink) + np.array([28, 22, 26], np.float32) * ink)


def neon(image: Image, random: np.random.Generator) -> Image:
    """Paint glowing tubes along the edges, in full colours, on a dark wall."""
    del random
    size = image.shape[0]
    flat = cv2.medianBlur(image, max(3, int(size * 0.02) | 1))
    lines = np.zeros(image.shape[:2], np.float32)
    for channel in cv2.split(flat):
        across = cv2.Scharr(channel, cv2.CV_32F, 1, 0)
        down = cv2.Scharr(channel, cv2.CV_32F, 0, 1)
        lines = np.maximum(lines, np.hypot(across, down))
    tube = np.clip(cv2.GaussianBlur(lines, (0, 0), size / 256) / 900 - 0.12, 0, 1)
    hues = cv2.cvtColor(cv2.dilate(flat, np.ones((5, 5), np.uint8)), cv2.COLOR_RGB2HSV)
    hues[..., 1] = np.maximum(hues[..., 1], 150)
    hues[..., 2] = 255
    glow = cv2.cvtColor(hues, cv2.COLOR_HSV2RGB).astype(np.float32)
    light = glow * tube[..., None]
    halo = cv2.GaussianBlur(light, (0, 0), size * 0.022) * 1.3
    wall = np.array([16, 10, 32], np.float32) + image.astype(np.float32) * 0.10
    core = 255 * np.clip(tube - 0.55, 0, 1)[..., None] * 0.9
    return _finish(wall + halo + light + core)


def paper_cut(image: Image, random: np.random.Generator) -> Image:
    """Lay a few sheets of coloured paper over one another, each with a soft shadow below it."""
    size = image.shape[0]
    flat = cv2.medianBlur(cv2.medianBlur(image, max(3, int(size * 0.03) | 1)), 7)
    lab = cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).astype(np.float32)
    steps = np.array([30, 22, 22], np.float32)
    quantised = np.clip((np.floor(lab / steps) + 0.5) * steps, 0, 255).astype(np.uint8)
    sheets = cv2.cvtColor(quantised, cv2.COLOR_LAB2RGB)
    sheets = cv2.medianBlur(sheets, max(3, int(size * 0.02) | 1)).astype(np.float32)
    height = sheets.mean(axis=2)
    reach = max(1, round(size * 0.014))
    above = np.roll(height, (reach, reach), (0, 1))
    shadow = cv2.GaussianBlur(np.clip(np.abs(above - height) / 26, 0, 1), (0, 0), size * 0.007)
    lit = np.clip(np.roll(height, (-2, -2), (0, 1)) - height, 0, 40)[..., None] * 0.3
    fibre = 1 + 0.035 * grain(random, min(size, 128), size)[..., None]
    return _finish(sheets * (1 - 0.5 * shadow[..., None]) * fibre + lit)


def comic(image: Image, random: np.random.Generator) -> Image:
    """Draw bold black outlines, few bright colours and printed dots in the shadows."""
    del random
    size = image.shape[0]
    flat = smoothed(image, 0.025)
    mean = flat.mean(axis=2, keepdims=True)
    vivid = np.clip(mean + (flat - mean) * 1.55, 0, 255)
    level = np.round(vivid / 255 * 4) / 4 * 255
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) * (np.pi * 32 / size)
    dots = np.sin(rows + columns) * np.sin(rows - columns) > mean[..., 0] / 255 * 1.7 - 0.75
    shaded = level * np.where(dots, 0.72, 1.0)[..., None]
    line = np.clip(edges(image, 0.008) * 3.2, 0, 1)[..., None]
    return _finish(shaded * (1 - line) + 14 * line)


def chalk(image: Image, random: np.random.Generator) -> Image:
    """Draw with chalk on a blackboard: pale lines and rubbed colours on dark green."""
    size = image.shape[0]
    board = np.array([34, 52, 46], np.float32) * (1 + 0.10 * grain(random, 6, size)[..., None])
    wash = smoothed(image, 0.03)
    line = np.clip(edges(255 - image, 0.006) * 1.7 + edges(image, 0.006) * 1.2, 0, 1)
    tooth = np.clip(0.62 + 0.55 * grain(random, min(size, 72), size), 0, 1)
    pale = 255 - (255 - wash) * 0.75
    rubbed = (0.24 + 0.22 * wash.mean(axis=2) / 255) * tooth
    cover = np.clip(rubbed + line * (0.55 + 0.45 * tooth), 0, 0.95)[..., None]
    return _finish(board * (1 - cover) + pale * cover)


def stained_glass(image: Image, random: np.random.Generator) -> Image:
    """Return panes of one bright colour each, held by dark lead."""
    size, cells = image.shape[0], 15
    spots = np.indices((cells, cells)).reshape(2, -1).T + random.uniform(0.1, 0.9, (cells**2, 2))
    seeds = np.full((size, size), 255, np.uint8)
    places = np.clip((spots * size / cells).astype(int), 0, size - 1)
    seeds[places[:, 0], places[:, 1]] = 0
    _, nearest = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = nearest.astype(np.int64)
    counts = np.maximum(np.bincount(labels.ravel()), 1)
    panes = np.stack(
        [np.bincount(labels.ravel(), image[..., c].ravel()) / counts for c in range(3)], axis=1
    )[labels]
    mean = panes.mean(axis=2, keepdims=True)
    glass = (mean + (panes - mean) * 1.5) * (1.04 + 0.06 * grain(random, 60, size)[..., None])
    lead = np.zeros((size, size), np.uint8)
    lead[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    lead[1:] |= labels[1:] != labels[:-1]
    thick = max(1, round(size / 170))
    lead = cv2.dilate(lead, np.ones((thick, thick), np.uint8))
    contour = np.clip(edges(image, 0.008) * 2.5, 0, 1)
    dark = np.maximum(lead.astype(np.float32) * 0.85, contour)[..., None]
    return _finish(glass * (1 - dark) + 18 * dark)


def pencil_sketch(image: Image, random: np.random.Generator) -> Image:
    """Draw grey lines and hatching on white paper."""
    size = image.shape[0]
    grey = smoothed(image, 0.02).mean(axis=2) / 255
    line = np.clip(edges(image, 0.005) * 1.9, 0, 1)
    length = max(3, size // 16)
    kernel = np.fliplr(np.eye(length, dtype=np.float32)) / length
    hatch = cv2.filter2D(grain(random, min(size, 150), size), -1, kernel) * 2.2
    shade = np.clip((1 - grey) * 0.62 + hatch * 0.28 * (1 - grey), 0, 0.8)
    tone = 1 - np.maximum(shade, line * 0.85)
    paper = np.array([250, 249, 245], np.float32)
    return _finish(paper * tone[..., None])


def _finish(values: NDArray[np.floating]) -> Image:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


RASTER_STYLES: Mapping[str, Style] = MappingProxyType(
    {
        "watercolour": watercolour,
        "oil painting": oil_painting,
        "ink drawing": ink_drawing,
        "pixel art": pixel_art,
        "pastel": pastel,
        "woodcut": woodcut,
        "neon": neon,
        "paper cut": paper_cut,
        "comic": comic,
        "chalk": chalk,
        "stained glass": stained_glass,
        "pencil sketch": pencil_sketch,
    }
)
"""For every name in ``STYLES`` the function that turns a plain picture into it.

Each takes an RGB picture of shape (size, size, 3), uint8, and a seeded generator, and returns a
new one of the same shape.
"""

"""Random damage to a picture before upscaling: blur, resizing, noise and compression, twice.

The second-order model of Wang et al. 2021, "Real-ESRGAN" (arXiv:2107.10833), section 3, with
gentler parameters: most pictures to enlarge come from a painter and not from an old phone. Pictures
are (height, width, 3), float32, RGB, 0..1.
"""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

Picture = NDArray[np.float32]

_RESAMPLINGS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
_SINC_PROBABILITY = 0.1


def shrink(picture: Picture, factor: int, random: np.random.Generator | None = None) -> Picture:
    """Shrink the picture by `factor` without other damage.

    It takes averages. With `random`, half of the time it smooths the picture and then interpolates
    it cubically.
    """
    size = (picture.shape[1] // factor, picture.shape[0] // factor)
    if random is None or random.random() < 0.5:
        return _clipped(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.4 * factor)
    return _clipped(cv2.resize(smooth, size, interpolation=cv2.INTER_CUBIC))


def degrade(picture: Picture, factor: int, random: np.random.Generator) -> Picture:
    """Shrink the picture by `factor` and damage it."""
    height, width = picture.shape[0] // factor, picture.shape[1] // factor
    first = _blurred(picture, random, strongest_px=2.0)
    first = _resized_by_lot(first, random, 1 / factor, 1.2)
    first = _compressed(_noisy(first, random, strongest=0.06), random, worst=45)
    second = first
    if random.random() < 0.7:
        second = _blurred(first, random, strongest_px=1.0)
    second = _resized(second, (width, height), random)
    second = _noisy(second, random, strongest=0.04)
    if random.random() < 0.5:
        second = _compressed(second, random, worst=50)
    return second


def _blurred(picture: Picture, random: np.random.Generator, strongest_px: float) -> Picture:
    """Blur by an elongated Gaussian, or by a cut-off sinc, which rings."""
    if random.random() < _SINC_PROBABILITY:
        return _clipped(cv2.filter2D(picture, -1, _sinc(random.uniform(np.pi / 3, np.pi))))
    along, across = random.uniform(0.2, strongest_px, size=2)
    if random.random() < 0.5:
        across = along
    kernel = _gaussian(along, across, random.uniform(0, np.pi))
    return _clipped(cv2.filter2D(picture, -1, kernel))


def _gaussian(along_px: float, across_px: float, angle: float, radius: int = 6) -> Picture:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    u = x * np.cos(angle) + y * np.sin(angle)
    v = -x * np.sin(angle) + y * np.cos(angle)
    kernel = np.exp(-0.5 * ((u / along_px) ** 2 + (v / across_px) ** 2))
    return (kernel / kernel.sum()).astype(np.float32)


def _sinc(cutoff: float, radius: int = 6) -> Picture:
    """Return a separable low pass that stops at `cutoff` (radians a pixel)."""
    x = np.arange(-radius, radius + 1)
    row = np.sinc(cutoff * x / np.pi) * np.hanning(2 * radius + 3)[1:-1]
    kernel = np.outer(row, row)
    return (kernel / kernel.sum()).astype(np.float32)


def _resized_by_lot(
    picture: Picture, random: np.random.Generator, least: float, most: float
) -> Picture:
    scale = np.exp(random.uniform(np.log(max(least, 0.3)), np.log(most)))
    size = (max(8, round(picture.shape[1] * scale)), max(8, round(picture.shape[0] * scale)))
    return _resized(picture, size, random)


def _resized(picture: Picture, size: tuple[int, int], random: np.random.Generator) -> Picture:
    resampling = int(random.choice(_RESAMPLINGS))
    return _clipped(cv2.resize(picture, size, interpolation=resampling))


def _noisy(picture: Picture, random: np.random.Generator, strongest: float) -> Picture:
    """Add Gaussian noise, or shot noise (stronger where it is brighter), per channel or grey."""
    if random.random() < 0.3:
        return picture
    shape = picture.shape if random.random() < 0.6 else (*picture.shape[:2], 1)
    noise = random.standard_normal(shape, dtype=np.float32) * random.uniform(0, strongest)
    if random.random() < 0.4:
        noise = noise * np.sqrt(picture)
    return _clipped(picture + noise)


def _compressed(picture: Picture, random: np.random.Generator, worst: int) -> Picture:
    """Compress the picture as a JPEG of a random quality from `worst` to 95."""
    quality = int(random.integers(worst, 96))
    levels = (picture[..., ::-1] * 255).round().astype(np.uint8)
    done, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
    if read is None:
        raise AssertionError("OpenCV wrote a JPEG that it can't read")
    return np.ascontiguousarray(read[..., ::-1]).astype(np.float32) / np.float32(255)


def _clipped(picture: MatLike) -> Picture:
    return np.clip(picture, 0, 1).astype(np.float32, copy=False)

"""Pixel operations of inpainting.

Masks are pictures of mode L, 8 bits, white (255) where something is repainted. Pure functions; they
change no argument.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from paintdiff.imaging.geometry import Box, Size

_BAND_PX = 512


def make_mask(image: Image.Image) -> Image.Image:
    """Make a mask of a picture (RGB or RGBA): its brightness.

    For a transparent picture it is the alpha if all visible pixels have one colour (strokes of any
    colour on an empty canvas), else the brightness times the alpha.
    """
    grey = image.convert("L")
    if image.mode == "RGB":
        return grey
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return grey
    shown = np.asarray(image)[np.asarray(alpha) > 0][:, :3]
    if not shown.size or (shown == shown[0]).all():
        return alpha
    return ImageChops.multiply(grey, alpha)


def blur_mask(mask: Image.Image, sigma_px: float) -> Image.Image:
    """Blur a mask with a Gaussian of that standard deviation, truncated after a few of them."""
    return mask.filter(ImageFilter.GaussianBlur(sigma_px)) if sigma_px else mask


def grow_canvas(image: Image.Image, inner: Box, size: Size) -> Image.Image:
    """Place a picture (any mode) at `inner` on a canvas of that size.

    The surroundings repeat its edge, so that nothing bleeds in when the canvas is shrunk.
    """
    pixels = np.asarray(image)
    around = [
        (inner.top, size.height - inner.bottom),
        (inner.left, size.width - inner.right),
    ] + [(0, 0)] * (pixels.ndim - 2)
    return Image.fromarray(np.pad(pixels, around, mode="edge"))


def place_mask(mask: Image.Image, inner: Box, size: Size) -> Image.Image:
    """Place a mask at `inner` on a black canvas of that size."""
    canvas = Image.new("L", (size.width, size.height), 0)
    canvas.paste(mask, inner.corners)
    return canvas


def mask_weights(
    mask: Image.Image, sigma_px: float, added: Image.Image | None = None
) -> Image.Image:
    """Return the weight of the new picture at each pixel: the blurred mask.

    `added` is the mask of outpainted borders. There is nothing to blend with, so their weight is
    255, and the blur is twice as strong on the picture's side: 255 at the seam.
    """
    soft = blur_mask(mask, sigma_px)
    if added is None:
        return soft
    seam = blur_mask(added, sigma_px).point([min(255, 2 * level) for level in range(256)])
    return ImageChops.lighter(ImageChops.lighter(soft, seam), added)


def find_box(mask: Image.Image) -> Box | None:
    """Return the smallest box around everything that isn't black, None if all is."""
    corners = mask.getbbox()
    return None if corners is None else Box(*corners)


def spread_mask(mask: Image.Image, box: Box, size: Size) -> Image.Image:
    """Crop a mask to `box` and scale it to `size`: 255 wherever it isn't black, else 0.

    Even tiny spots survive.
    """
    levels = mask.crop(box.corners).convert("F")
    scaled = levels.resize((size.width, size.height), Image.Resampling.BOX)
    return Image.fromarray(np.where(np.asarray(scaled) > 0, np.uint8(255), np.uint8(0)))


def scale_mask(image: Image.Image, box: Box, size: Size) -> Image.Image:
    """Crop a picture (RGB) or grey mask (L) to `box` and scale it to `size`."""
    part = image.crop(box.corners)
    if part.size == (size.width, size.height):
        return part
    # Lanczos would ring, which a mask's edge shouldn't.
    filter_ = Image.Resampling.BILINEAR if image.mode == "L" else Image.Resampling.LANCZOS
    return part.resize((size.width, size.height), filter_)


def fill_masked(image: Image.Image, unknown: Image.Image) -> Image.Image:
    """Fill everything under `unknown` (above 0) in a picture (RGB) from the colours around it.

    Mid-grey if that is all of it. Push-pull: Gortler et al. 1996, "The Lumigraph", section 3.4.3.
    """
    known = (np.asarray(unknown) == 0).astype(np.float32)[:, :, None]
    colours = np.asarray(image).astype(np.float32)
    if not known.any():
        return Image.new("RGB", image.size, (128, 128, 128))
    return Image.fromarray(_push_pull(colours, known).round().clip(0, 255).astype(np.uint8))


def _push_pull(colours: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill colours (height, width, 3) where weight (height, width, 1), 0..1, is below 1.

    They come from the picture at half the size.
    """
    height, width = weight.shape[:2]
    if weight.min() >= 1 or height == width == 1:
        return colours
    even = ((0, height % 2), (0, width % 2), (0, 0))
    sums = [
        padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, -1).sum(axis=(1, 3))
        for padded in (np.pad(colours * weight, even), np.pad(weight, even))
    ]
    half = _push_pull(sums[0] / np.maximum(sums[1], 1e-6), np.minimum(sums[1], 1))
    levels = Image.fromarray(half.round().clip(0, 255).astype(np.uint8))
    below = np.asarray(levels.resize((width, height), Image.Resampling.BILINEAR))
    mixed = colours * weight + below.astype(np.float32) * (1 - weight)
    return mixed.astype(np.float32)


def draw_strokes(image: Image.Image, sketch: Image.Image) -> Image.Image:
    """Draw a sketch's (RGBA) strokes over a picture (RGB)."""
    return Image.alpha_composite(image.convert("RGBA"), sketch).convert("RGB")


def composite(original: Image.Image, painted: Image.Image, weight: Image.Image) -> Image.Image:
    """Blend `painted` over `original` (both RGB) by `weight` (L): 0 keeps a pixel exactly."""
    return Image.composite(painted, original, weight)


def count_changed_outside(original: Image.Image, result: Image.Image, weight: Image.Image) -> int:
    """Count the pixels that differ where `weight` (L) is 0, by comparing all of them."""
    count = 0
    for top in range(0, original.height, _BAND_PX):  # a large picture's arrays take much memory
        band = (0, top, original.width, min(top + _BAND_PX, original.height))
        before, after, weights_ = (
            np.asarray(image.crop(band)) for image in (original, result, weight)
        )
        count += int(np.count_nonzero((before != after).any(axis=2) & (weights_ == 0)))
    return count

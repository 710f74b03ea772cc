"""Enlarge a picture with a leased upscaler, tile by tile, and report the progress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import paintdiff.tasks.messages as messages
from paintdiff.imaging.geometry import Size, fit_within
from paintdiff.imaging.rasters import Pixels, Raster, raster_image
from paintdiff.imaging.tiles import Enlargement, Floats, Network, Tile, network_scale
from paintdiff.tasks.faces import FaceRestoration, RestoredFaces, restore_faces
from paintdiff.tasks.steps import OnStep, Step

if TYPE_CHECKING:
    from paintdiff.models.upscaling.upscaler import LeasedUpscaler

STAGE = "upscaling"

_PREVIEW_PX = 256
_PREVIEW_SECONDS = 0.2
_STRIP_ROWS = 256
_NOT_YET = 0.35
"""Brightness of the preview where no tile is done yet."""


@dataclass(frozen=True)
class Enlarged:
    """An enlarged picture. `notes` are sentences to show about how it was made."""

    raster: Raster
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Extras:
    """Optional settings of an enlargement.

    `tile_px` is as in `Upscaling`; None chooses by the free memory. `faces` is how faces are
    restored; None leaves them unchanged.
    """

    tile_px: int | None = None
    faces: FaceRestoration | None = None


def upscale_raster(
    pixels: Pixels,
    target: Size,
    upscaler: LeasedUpscaler,
    on_step: OnStep,
    index: int,
    extras: Extras = Extras(),
) -> Enlarged:
    """Enlarge a picture (height, width, channels; grey, RGB, either with alpha) to `target`.

    It keeps its channels and bits. Faces are restored first: see `restore_faces`. Each tile is
    reported as a step of the stage "upscaling" of picture `index`, after a step 0; errors from
    `on_step` pass through unchanged. Raises ModelError, or StorageError if it can't be stored.
    """
    height, width, channels = pixels.shape
    source = Size(width, height)
    network = Network(
        upscaler.enlarge,
        upscaler.scale,
        # A single tile has no neighbours, and measuring these takes a moment.
        lambda: (upscaler.context_px, upscaler.multiple),
    )
    tile_px = extras.tile_px
    if tile_px is None:  # one for all passes: that of the last, the largest
        grown = network.factor ** (network.passes(network_scale(source, target)) - 1)
        tile_px = upscaler.tile_px(Size(width * grown, height * grown))
    work = Enlargement(source, target, network, tile_px)
    bits = 8 if pixels.dtype == np.uint8 else 16
    raster = Raster(target, channels, bits)
    filled = _fill_transparent(pixels) if channels in (2, 4) else pixels
    restored = RestoredFaces()
    if extras.faces is not None:
        restored = restore_faces(filled, target, extras.faces, on_step, index)
    preview = _Preview(pixels, target)
    on_step(Step(0, work.total_tiles, index, STAGE))

    def report_tile(tile: Tile) -> None:
        on_step(Step(tile.number, tile.total, index, STAGE, preview.add_tile(tile)))

    in_half = upscaler.half
    for rows in restored.lay_over(work.rows(_read_strips(filled), report_tile)):
        raster.append(_to_levels(rows, bits))
    notes = [messages.upscaled(source, target, upscaler.row.title)]
    if work.smallest_tile_px < work.tile_px:
        notes.append(messages.smaller_tiles(work.smallest_tile_px, work.tile_px))
    if in_half and not upscaler.half:
        notes.append(messages.upscaled_in_float32(upscaler.row.title))
    return Enlarged(raster, (*notes, *restored.notes))


def image_to_array(image: Image.Image) -> Pixels:
    """Return a Pillow picture (L, LA, RGB or RGBA) as an array (height, width, channels), uint8."""
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _read_strips(pixels: Pixels, rows_at_once: int = _STRIP_ROWS) -> Iterator[Floats]:
    """Yield the picture in strips from the top, as numbers from 0 to 1."""
    most = np.float32(np.iinfo(pixels.dtype).max)
    for top in range(0, len(pixels), rows_at_once):
        yield pixels[top : top + rows_at_once].astype(np.float32) / most


def _to_levels(rows: Floats, bits: int) -> Pixels:
    if bits == 8:
        return np.rint(rows * np.float32(255)).astype(np.uint8)
    return np.rint(rows * np.float32(65535)).astype(np.uint16)


def _fill_transparent(pixels: Pixels) -> Pixels:
    """Give fully transparent pixels the colour of the nearest visible one.

    Otherwise the colours stored there (mostly black) would bleed in at the edges.
    """
    hidden = pixels[..., -1] == 0
    if not hidden.any() or hidden.all():
        return pixels
    import cv2  # noqa: PLC0415 (for transparent pictures only)

    _distance, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    del _distance
    colours = pixels[..., :-1]
    visible = ~hidden
    of_label = np.zeros((labels.max() + 1, colours.shape[2]), pixels.dtype)
    of_label[labels[visible]] = colours[visible]
    filled = pixels.copy()
    for row, (unseen, names) in enumerate(zip(hidden, labels, strict=True)):
        filled[row, unseen, :-1] = of_label[names[unseen]]
    return filled


class _Preview:
    """A small, dim copy of the picture that gets bright where tiles are done."""

    def __init__(self, pixels: Pixels, target: Size) -> None:
        height, width = pixels.shape[:2]
        self._target = target
        self._size = fit_within(target, _PREVIEW_PX)
        step = max(1, min(width // self._size.width, height // self._size.height))
        levels = pixels[::step, ::step]
        small = _flatten_to_rgb(next(_read_strips(levels, rows_at_once=len(levels))))
        small = small.resize((self._size.width, self._size.height), Image.Resampling.BILINEAR)
        self._picture = Image.blend(Image.new("RGB", small.size), small, _NOT_YET)
        self._told = time.monotonic()

    def add_tile(self, tile: Tile) -> Image.Image | None:
        """Add a tile. Returns the preview, None if it is too soon to show it again."""
        across = self._size.width / self._target.width
        down = self._size.height / self._target.height
        left, top = int(tile.box.left * across), int(tile.box.top * down)
        width = max(1, round(tile.box.right * across) - left)
        height = max(1, round(tile.box.bottom * down) - top)
        step = max(1, min(tile.pixels.shape[1] // width, tile.pixels.shape[0] // height))
        small = _flatten_to_rgb(tile.pixels[::step, ::step])
        self._picture.paste(small.resize((width, height), Image.Resampling.BILINEAR), (left, top))
        now = time.monotonic()
        if now - self._told < _PREVIEW_SECONDS and tile.number < tile.total:
            return None
        self._told = now
        return self._picture.copy()


def _flatten_to_rgb(pixels: Floats) -> Image.Image:
    """Return the pixels (0 to 1) as a picture, RGB, 8 bits, laid on white if transparent."""
    image = raster_image(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    if image.mode in ("LA", "RGBA"):
        ground = Image.new("RGBA", image.size, "#ffffff")
        return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")

"""A job's events, in order: Queued, Loading*, Progress*, then Finished, Failed or Cancelled.

A grid's cells are painted one after the other, each with Loading* and Progress*, and CellDone at
its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from paintdiff.imaging.geometry import Size
from paintdiff.imaging.rasters import Raster
from paintdiff.jobs.provenance import Provenance
from paintdiff.jobs.requests import Request

MAX_IMAGE_PIXELS = 2048 * 2048
"""A picture with more pixels is returned as a raster, with a reduced copy as its image."""

REDUCED_SIDE_PX = 2048
"""Longer side of the image of a larger picture, in pixels."""


@dataclass(frozen=True)
class Queued:
    """The job is waiting. `position` is the number of jobs before it, 0 when it is next."""

    position: int


@dataclass(frozen=True)
class Loading:
    """Weights are being loaded: those of the model or upscaler of that name.

    `message` is a sentence to show, such as "Loading mini".
    """

    model: str
    message: str


@dataclass(frozen=True)
class Progress:
    """A step is done.

    `stage` is "denoising", "decoding", "faces" (a step for each restored face) or "upscaling" (a
    step for each tile). `step` counts from 1 to `total_steps` over one picture's stage,
    `image_index` from 0. `preview` is the predicted clean picture, or while upscaling the part of
    the enlarged one that is done: small, 8-bit RGB, or None at steps without one. `seconds_left` is
    for the whole job, None while unknown.

    `together` counts the pictures, from `image_index` on, that are denoised as a batch; their
    previews are tiled into one (`geometry.grid`).
    """

    step: int
    total_steps: int
    image_index: int
    num_images: int
    stage: str = "denoising"
    preview: Image.Image | None = None
    seconds_left: float | None = None
    together: int = 1


@dataclass(frozen=True)
class Picture:
    """One finished picture.

    `image` has 8 bits a channel. It is RGB, or, if enlarged, L, LA, RGB or RGBA like its source. If
    it isn't the whole picture (which has more than MAX_IMAGE_PIXELS, or 16 bits), that is in
    `raster` until it is saved to `path`, and `whole_size` is its size in pixels.

    `request` is resolved and describes this picture alone (`num_images` is 1, `seed` its own), so
    submitting it paints the picture again. `path` is where it was saved, None if it wasn't.
    `model_hash` is the first ten hex digits of the SHA-256 that identifies the model's weights (the
    upscaler's for an enlarged picture), "" if unknown; `hashes` identify its adapters ("LoRA name",
    "embedding name", "VAE", "refiner"), as far as known. `notes` tell people how it was made, such
    as "0 pixels changed outside the mask". `engine` is the backend that ran the denoiser
    ("OpenVINO"), "" for torch alone. `seconds` is the time since the job began or its previous
    picture was finished. `device`, `processor` and `libraries` are as in `Provenance`. `id` is the
    picture's in the gallery, "" if it isn't in one. `cell` is its number in the grid that it
    belongs to, None if in none; a grid's sheet has the grid as its request.
    """

    image: Image.Image
    request: Request
    model_hash: str = ""
    path: Path | None = None
    notes: tuple[str, ...] = ()
    raster: Raster | None = None
    whole_size: Size | None = None
    hashes: Mapping[str, str] = field(default_factory=dict[str, str])
    engine: str = ""
    seconds: float | None = None
    device: str = ""
    processor: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict[str, str])
    id: str = ""
    cell: int | None = None

    @classmethod
    def of_raster(
        cls, raster: Raster, request: Request, model_hash: str = "", notes: tuple[str, ...] = ()
    ) -> Picture:
        """Make a picture of a raster, which is closed if the picture doesn't need it."""
        if raster.bits == 8 and raster.size.area <= MAX_IMAGE_PIXELS:
            image = raster.image()
            raster.close()
            return cls(image, request, model_hash, notes=notes)
        image = raster.image(REDUCED_SIDE_PX if raster.size.area > MAX_IMAGE_PIXELS else None)
        return cls(image, request, model_hash, None, notes, raster, raster.size)

    @property
    def provenance(self) -> Provenance:
        """Return what painted it, besides its request."""
        return Provenance(
            self.model_hash,
            self.hashes,
            self.engine,
            self.device,
            self.processor,
            self.libraries,
        )

    @property
    def held_bytes(self) -> int:
        """Return the bytes it holds: the image, and the raster if any."""
        image = self.image.width * self.image.height * len(self.image.getbands())
        return image + (0 if self.raster is None else self.raster.held_bytes)

    @property
    def size(self) -> Size:
        """Return the size of the whole picture, in pixels."""
        return self.whole_size or Size(self.image.width, self.image.height)

    @property
    def is_reduced(self) -> bool:
        """Return whether `image` is smaller than the picture."""
        return self.size != Size(self.image.width, self.image.height)


@dataclass(frozen=True)
class CellDone:
    """A cell of a grid is done. `error` says why it has no picture, None if it has one."""

    cell: int
    picture: Picture | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Finished:
    """All pictures are done. Those of a grid are its cells, as they were painted, then its sheet.

    `seconds` counts from leaving the queue to the last picture, loading included;
    `steps_per_second` counts denoising alone. `warnings` are sentences to show.
    """

    pictures: tuple[Picture, ...]
    warnings: tuple[str, ...]
    seconds: float
    steps_per_second: float


@dataclass(frozen=True)
class Failed:
    """The job ended with `error`. Show the message of a PaintError; others are internal."""

    error: Exception


@dataclass(frozen=True)
class Cancelled:
    """The job was cancelled; `pictures` are those finished before."""

    pictures: tuple[Picture, ...] = ()


Event = Queued | Loading | Progress | CellDone | Finished | Failed | Cancelled
TERMINAL = (Finished, Failed, Cancelled)
"""The events that end a job."""

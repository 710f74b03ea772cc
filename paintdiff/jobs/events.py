"""What a job says, in order: Queued, Loading*, Progress*, then one of Finished, Failed,
Cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from paintdiff.imaging.geometry import Size
from paintdiff.imaging.rasters import Raster
from paintdiff.jobs.requests import Request

MAX_IMAGE_PIXELS = 2048 * 2048
"""A picture of more is handed out in a raster, and a reduced one of it as an image."""

REDUCED_SIDE_PX = 2048
"""The longer side of the image of a picture that is larger than that, in pixels."""


@dataclass(frozen=True)
class Queued:
    """The job waits. `position` is the number of jobs before it, 0 when it is next."""

    position: int


@dataclass(frozen=True)
class Loading:
    """Weights are being loaded: those of the model or upscaler of that name. `message` is a
    sentence for people, such as "Loading mini".
    """

    model: str
    message: str


@dataclass(frozen=True)
class Progress:
    """A step is done.

    `stage` is "denoising", "decoding", "faces", in which each face that is restored is a step, or
    "upscaling", in which each tile is one. `step` counts from 1 to `total_steps` over one picture's
    stage, `image_index` from 0. `preview` is the predicted clean picture, or while upscaling what
    there is of the enlarged one: small, RGB (8 bits), or None at steps without one. `seconds_left`
    is for the whole job, None until it can be told.

    `together` counts the pictures from `image_index` on that are denoised that far, because they
    were at once; their previews lie in one, as `geometry.grid` says.
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

    `image` has 8 bits a channel, and is RGB, or of an enlarged picture L, LA, RGB or RGBA as that
    was. Where it isn't the whole picture (because that has more than MAX_IMAGE_PIXELS, or 16 bits)
    this is in `raster` until it has been saved to `path`, and `whole_size` is its size in pixels.

    `request` is settled, and describes this picture alone (`num_images` is 1, `seed` its own), so
    submitting it again paints it again. `path` is where it was saved, None if it wasn't.
    `model_hash` is the first ten hex digits of the SHA-256 that identifies the model's weights (of
    an enlarged picture the upscaler's), "" if unknown; `hashes` identify what else it was painted
    with ("LoRA name", "embedding name", "VAE", "refiner"), as far as known. `notes` are sentences
    for people about how it was made, such as "0 pixels changed outside the mask". `engine` is what
    computed the denoiser ("OpenVINO"), "" for torch alone.
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

    @classmethod
    def of_raster(
        cls, raster: Raster, request: Request, model_hash: str = "", notes: tuple[str, ...] = ()
    ) -> Picture:
        """A picture that is in a raster, which is closed if the picture has no need of it."""
        if raster.bits == 8 and raster.size.area <= MAX_IMAGE_PIXELS:
            image = raster.image()
            raster.close()
            return cls(image, request, model_hash, notes=notes)
        image = raster.image(REDUCED_SIDE_PX if raster.size.area > MAX_IMAGE_PIXELS else None)
        return cls(image, request, model_hash, None, notes, raster, raster.size)

    @property
    def held_bytes(self) -> int:
        """What it keeps: the image, and the raster if it has one."""
        image = self.image.width * self.image.height * len(self.image.getbands())
        return image + (0 if self.raster is None else self.raster.held_bytes)

    @property
    def size(self) -> Size:
        """Of the whole picture, in pixels."""
        return self.whole_size or Size(self.image.width, self.image.height)

    @property
    def reduced(self) -> bool:
        """Whether `image` is smaller than the picture."""
        return self.size != Size(self.image.width, self.image.height)


@dataclass(frozen=True)
class Finished:
    """All pictures are done. `seconds` is from leaving the queue to the last picture, loading
    included; `steps_per_second` is of the denoising alone. `warnings` are sentences for people."""

    pictures: tuple[Picture, ...]
    warnings: tuple[str, ...]
    seconds: float
    steps_per_second: float


@dataclass(frozen=True)
class Failed:
    """The job ended in `error`. Its text is fit for people if it is a PaintError."""

    error: Exception


@dataclass(frozen=True)
class Cancelled:
    """The job was cancelled; `pictures` are those that were already finished."""

    pictures: tuple[Picture, ...] = ()


Event = Queued | Loading | Progress | Finished | Failed | Cancelled
TERMINAL = (Finished, Failed, Cancelled)
"""The events after which a job says nothing more."""

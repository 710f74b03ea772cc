"""What a job says, in order: Queued, Loading*, Progress*, then one of Finished, Failed,
Cancelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from paintdiff.requests import Request


@dataclass(frozen=True)
class Queued:
    """The job waits. `position` is the number of jobs before it, 0 when it is next."""

    position: int


@dataclass(frozen=True)
class Loading:
    """Weights are being loaded; `message` is a sentence for people, such as "Loading mini"."""

    model: str
    message: str


@dataclass(frozen=True)
class Progress:
    """One denoising step is done.

    `step` counts from 1 to `total_steps` over one picture, `image_index` from 0. `preview` is the
    predicted clean picture, small, RGB (8 bits), or None at steps without one. `seconds_left` is
    for the whole job, None until it can be told. `stage` is "denoising" or "decoding".
    """

    step: int
    total_steps: int
    image_index: int
    num_images: int
    stage: str = "denoising"
    preview: Image.Image | None = None
    seconds_left: float | None = None


@dataclass(frozen=True)
class Picture:
    """One finished picture.

    `image` is RGB, 8 bits. `request` is settled, and describes this picture alone (`num_images` is
    1, `seed` its own), so submitting it again paints it again. `path` is where it was saved, None
    if it wasn't. `model_hash` is the first ten hex digits of the SHA-256 that identifies the
    model's weights, "" if unknown. `notes` are sentences for people about how it was made, such as
    "0 pixels changed outside the mask".
    """

    image: Image.Image
    request: Request
    model_hash: str = ""
    path: Path | None = None
    notes: tuple[str, ...] = ()


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

"""What a task reports while it paints, and what it yields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Step:
    """A step has ended, or with stage "decoding" the last stage of a picture begins.

    `step` counts from 1 to `total_steps` over one picture, `image_index` from 0. `preview` is
    small, RGB.
    """

    step: int
    total_steps: int
    image_index: int
    stage: str = "denoising"
    preview: Image.Image | None = None


OnStep = Callable[[Step], None]
"""Told each step; may raise JobCancelledError to end the task there."""


@dataclass(frozen=True)
class Painted:
    """A finished picture: RGB, 8 bits. `notes` are sentences for people about how it was made."""

    image: Image.Image
    notes: tuple[str, ...] = ()


class StepCounter:
    """Numbers the steps of one picture over all its denoising runs, `total_steps` together."""

    def __init__(self, on_step: OnStep, image_index: int, total_steps: int) -> None:
        self._on_step = on_step
        self._image_index = image_index
        self._total_steps = total_steps
        self._before = 0

    def ended(self, step: int, preview: Image.Image | None) -> None:
        """A step of the run has ended; `step` counts from 1 within the run."""
        number = self._before + step
        self._on_step(Step(number, self._total_steps, self._image_index, preview=preview))

    def run_ended(self, steps: int) -> None:
        """A run of so many steps is over. After the last one the decoding begins."""
        self._before += steps
        if self._before == self._total_steps:
            total = self._total_steps
            self._on_step(Step(total, total, self._image_index, stage="decoding"))

"""What a task reports while it paints, and what it yields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Step:
    """A step has ended, or with stage "decoding" the last stage of a picture begins.

    `step` counts from 1 to `total_steps` over one picture, `image_index` from 0. `preview` is
    small, RGB. `together` counts the pictures from that one on that are denoised that far (1 in
    other stages than these two).
    """

    step: int
    total_steps: int
    image_index: int
    stage: str = "denoising"
    preview: Image.Image | None = None
    together: int = 1


OnStep = Callable[[Step], None]
"""Told each step; may raise JobCancelledError to end the task there."""


UNCHANGED = "At a strength of 0 nothing is painted."
"""The note of a picture that no step has changed."""


@dataclass(frozen=True)
class Painted:
    """A finished picture: RGB, 8 bits. `notes` are sentences for people about how it was made, and
    `engine` is what computed the denoiser, "" for torch alone.
    """

    image: Image.Image
    notes: tuple[str, ...] = ()
    engine: str = ""


class StepCounter:
    """Numbers the steps of one picture over all its denoising runs, `total_steps` in all; or of
    several that are denoised at once, `together` of them from `image_index` on.
    """

    def __init__(
        self, on_step: OnStep, image_index: int, total_steps: int, together: int = 1
    ) -> None:
        self._on_step = on_step
        self._image_index = image_index
        self._total_steps = total_steps
        self._together = together
        self._before = 0

    def ended(self, step: int, preview: Image.Image | None) -> None:
        """A step of the run has ended; `step` counts from 1 within the run."""
        number = self._before + step
        self._tell(number, "denoising", preview)

    def run_ended(self, steps: int) -> None:
        """A run of so many steps is over. After the last one the decoding begins."""
        self._before += steps
        if self._before == self._total_steps:
            self._tell(self._total_steps, "decoding")

    def next_picture(self) -> None:
        """The decoding of the next of several begins."""
        self._image_index += 1
        self._together -= 1
        self._tell(self._total_steps, "decoding")

    def _tell(self, number: int, stage: str, preview: Image.Image | None = None) -> None:
        index, together = self._image_index, self._together
        self._on_step(Step(number, self._total_steps, index, stage, preview, together))

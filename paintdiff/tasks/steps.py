"""The steps that a task reports while it paints, and the pictures that it yields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Step:
    """A step that has ended; with the stage "decoding", the start of a picture's last stage.

    `step` counts from 1 to `total_steps` over one picture, `image_index` from 0. `preview` is
    small, RGB. `together` is how many pictures, from that one on, are being denoised at once (1 in
    stages other than "denoising" and "decoding").
    """

    step: int
    total_steps: int
    image_index: int
    stage: str = "denoising"
    preview: Image.Image | None = None
    together: int = 1


OnStep = Callable[[Step], None]
"""Gets each step; may raise JobCancelledError to end the task there."""


@dataclass(frozen=True)
class Painted:
    """A finished picture: RGB, 8 bits.

    `notes` are sentences to show about how it was made. `engine` is what computed the denoiser, ""
    for torch alone.
    """

    image: Image.Image
    notes: tuple[str, ...] = ()
    engine: str = ""


class StepCounter:
    """Numbers the steps of one picture over all its denoising runs, `total_steps` in all.

    Of several pictures that are denoised at once there are `together`, from `image_index` on.
    """

    def __init__(
        self, on_step: OnStep, image_index: int, total_steps: int, together: int = 1
    ) -> None:
        self._on_step = on_step
        self._image_index = image_index
        self._total_steps = total_steps
        self._together = together
        self._before = 0

    def report_step(self, step: int, preview: Image.Image | None) -> None:
        """Report that a step of the run has ended; `step` counts from 1 within the run."""
        number = self._before + step
        self._report(number, "denoising", preview)

    def end_run(self, steps: int) -> None:
        """End a run of so many steps. After the last run report that decoding begins."""
        self._before += steps
        if self._before == self._total_steps:
            self._report(self._total_steps, "decoding")

    def begin_next_picture(self) -> None:
        """Report that decoding of the next of several pictures begins."""
        self._image_index += 1
        self._together -= 1
        self._report(self._total_steps, "decoding")

    def _report(self, number: int, stage: str, preview: Image.Image | None = None) -> None:
        index, together = self._image_index, self._together
        self._on_step(Step(number, self._total_steps, index, stage, preview, together))

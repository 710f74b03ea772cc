"""What a task reports while it paints."""

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

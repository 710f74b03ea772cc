"""What one denoising run is, and who hears of its steps. Importable without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from paintdiff.geometry import Size

StepListener = Callable[[int, Image.Image | None], None]
"""Called after each denoising step with the step's number, from 1, and its preview or None.

It may raise to stop the run.
"""


@dataclass(frozen=True)
class Denoising:
    """One denoising run. `size` is in pixels; `sampler` is a name in SAMPLERS."""

    prompt: str
    negative_prompt: str
    size: Size
    num_inference_steps: int
    guidance_scale: float
    sampler: str
    seed: int

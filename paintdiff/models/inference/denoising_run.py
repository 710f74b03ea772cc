"""What one denoising run is, and who hears of its steps. Importable without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PIL import Image

from paintdiff.imaging.geometry import Box, Size

if TYPE_CHECKING:
    from torch import Tensor

StepListener = Callable[[int, Image.Image | None], None]
"""Called after each denoising step with the step's number, from 1, and its preview or None.

It may raise to stop the run.
"""


def count_steps_run(num_inference_steps: int, strength: float) -> int:
    """How many steps are run from a picture, by diffusers' rule: the last `strength` of them."""
    return min(int(num_inference_steps * strength), num_inference_steps)


@dataclass(frozen=True)
class Variation:
    """The noise is turned by `strength` (0..1) of the way towards the noise of `seed`."""

    seed: int
    strength: float


@dataclass(frozen=True)
class Repainting:
    """Where an inpainting run paints.

    `mask` (L, the run's size) is repainted where it is above 0; with `soft` the darker it is the
    later a place is let go, so the more of the picture it keeps. A `latent_content` of "noise" or
    "empty" takes the place of the picture's latents there before noise is added, save where
    `strokes` (L, the run's size, None: nowhere) is above 0.
    """

    mask: Image.Image
    soft: bool = False
    latent_content: Literal["original", "noise", "empty"] = "original"
    strokes: Image.Image | None = None


@dataclass(frozen=True)
class Source:
    """The picture a run starts from: `image` is RGB and has the run's size, `strength` is 0..1.

    For image to image it may be latents instead: (1, channels, height / f, width / f), scaled.
    `repainting` is for an inpainting pipeline, and None for an image-to-image one. `handed` are the
    latents that another model has brought to where an inpainting run begins, None if none has.
    """

    image: Image.Image | Tensor
    strength: float
    repainting: Repainting | None = None
    handed: Tensor | None = None


def is_guided(call: int, num_calls: int, start: float, end: float) -> bool:
    """Whether a ControlNet acts at the model's call number `call` (from 0) of a run of `num_calls`,
    by diffusers' rule: the whole call has to lie between `start` and `end`, parts of the run.
    """
    return not (call / num_calls < start or (call + 1) / num_calls > end)


@dataclass(frozen=True)
class Control:
    """A map (RGB, the run's size) that the run follows by the ControlNet of that name.

    `conditioning_scale` is how strictly; `guidance_start` to `guidance_end` is the part of the run
    in which it does, 0..1.
    """

    controlnet: str
    map: Image.Image
    conditioning_scale: float = 1.0
    guidance_start: float = 0.0
    guidance_end: float = 1.0


@dataclass(frozen=True)
class Denoising:
    """One denoising run. `size` is in pixels; `sampler` is a name in SAMPLERS.

    `source` is None for a run from pure noise, which needs a text-to-image pipeline. The
    ControlNets of `controls` have to be on loan with the pipeline. Through `windows` (in pixels, of
    one size, covering `size`, corners on multiples of the VAE's factor) the model sees the picture
    part by part at every step; () is as a whole.

    `clip_skip` counts the text encoder's last layers: 1 uses all. Each of `ip_pictures` (RGB) is
    for one of the lease's IP-Adapters. `switch_at` is where the lease's refiner takes over, a part
    of the way from noise to picture; 1 is nowhere. `begins_at` to `ends_at` is the part of that way
    which this run goes.
    """

    prompt: str
    negative_prompt: str
    size: Size
    num_inference_steps: int
    guidance_scale: float
    sampler: str
    seed: int
    variation: Variation | None = None
    source: Source | None = None
    controls: tuple[Control, ...] = ()
    windows: tuple[Box, ...] = ()
    clip_skip: int = 1
    ip_pictures: tuple[Image.Image, ...] = ()
    switch_at: float = 1.0
    begins_at: float = 0.0
    ends_at: float = 1.0

    @property
    def steps_run(self) -> int:
        """How many of the steps are really run."""
        strength = 1.0 if self.source is None else self.source.strength
        return count_steps_run(self.num_inference_steps, strength)

    @property
    def from_pure_noise(self) -> bool:
        """Whether nothing but noise goes in. (Image to image at full strength still adds the
        picture's last trace, as diffusers does; inpainting doesn't.)
        """
        if self.source is None:
            return True
        return self.source.repainting is not None and self.source.strength == 1.0

"""The description of one denoising run, as values. Importable without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from PIL import Image

from paintdiff.imaging.geometry import Box, Size
from paintdiff.models.conditioning.prompt_plan import (
    ALONE,
    PLAIN_READING,
    PromptReading,
    PromptTiming,
)

if TYPE_CHECKING:
    from torch import Tensor

StepListener = Callable[[int, Image.Image | None], None]
"""Called after each denoising step with the step's number, from 1, and its preview or None.

It may raise to stop the run.
"""


def count_steps_run(num_inference_steps: int, strength: float) -> int:
    """Count the steps run from a picture, by diffusers' rule: the last `strength` of them."""
    return min(int(num_inference_steps * strength), num_inference_steps)


@dataclass(frozen=True)
class Variation:
    """Noise that is turned by `strength` (0..1) of the way towards the noise of `seed`."""

    seed: int
    strength: float


@dataclass(frozen=True)
class Repainting:
    """The part of a picture that an inpainting run paints.

    `mask` (L, the run's size) is repainted where it is above 0. With `soft`, a darker place is
    painted in fewer of the last steps, so it keeps more of the picture. A `latent_content` of
    "noise" or "empty" replaces the picture's latents there before noise is added, except where
    `strokes` (L, the run's size, None: nowhere) is above 0.
    """

    mask: Image.Image
    soft: bool = False
    latent_content: Literal["original", "noise", "empty"] = "original"
    strokes: Image.Image | None = None


@dataclass(frozen=True)
class Source:
    """The picture a run starts from.

    `image` is RGB and has the run's size; for image to image it may also be latents (1, channels,
    height / f, width / f), scaled. `strength` is 0..1. `repainting` is for an inpainting pipeline,
    None for an image-to-image one. `handed` are the latents from which an inpainting run continues
    another model's run, None if it doesn't.
    """

    image: Image.Image | Tensor
    strength: float
    repainting: Repainting | None = None
    handed: Tensor | None = None


def is_guided(call: int, num_calls: int, start: float, end: float) -> bool:
    """Return whether a ControlNet acts at call `call` (from 0) of a run of `num_calls`.

    By diffusers' rule the whole call has to lie between `start` and `end`, fractions of the run.
    """
    return not (call / num_calls < start or (call + 1) / num_calls > end)


@dataclass(frozen=True)
class Control:
    """A map (RGB, the run's size) that a ControlNet makes the run follow.

    `conditioning_scale` is how strictly. It acts from `guidance_start` to `guidance_end`, fractions
    of the run, 0..1.
    """

    controlnet: str
    map: Image.Image
    conditioning_scale: float = 1.0
    guidance_start: float = 0.0
    guidance_end: float = 1.0


@dataclass(frozen=True)
class RunBranch:
    """The settings of a run after its first `after_step` steps.

    `seed` is that of the noise which the sampler adds from there on; None goes on with the run's.
    """

    after_step: int
    prompt: str
    negative_prompt: str
    guidance_scale: float
    seed: int | None = None


@dataclass(frozen=True)
class Denoising:
    """One denoising run. `size` is in pixels; `sampler` is a name in SAMPLERS.

    `source` is None for a run from pure noise, which needs a text-to-image pipeline. The
    ControlNets of `controls` have to be on loan with the pipeline. With `windows` (in pixels, of
    one size, covering `size`, corners on multiples of a latent's width) the model sees the picture
    part by part at every step; () is as a whole.

    `clip_skip` counts from the text encoder's last layer: 1 uses all. Each of `ip_pictures` (RGB)
    is for one of the lease's IP-Adapters. At `switch_at`, a fraction of the way from noise to
    picture, the lease's refiner takes over; 1 is never. The run goes from `begins_at` to `ends_at`
    on that way. `reading` is how the prompts are read, `timing` where the run lies in the steps
    that their schedules count. `branches` change settings on the way, in the order of their
    steps.
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
    reading: PromptReading = PLAIN_READING
    timing: PromptTiming = ALONE
    branches: tuple[RunBranch, ...] = ()

    @property
    def changes_prompts(self) -> bool:
        """Return whether a branch has other prompts."""
        own = self.prompt, self.negative_prompt
        return any((each.prompt, each.negative_prompt) != own for each in self.branches)

    def after_branches(self) -> Denoising:
        """Return a run with the settings that this one ends with."""
        if not self.branches:
            return self
        last = self.branches[-1]
        return replace(
            self,
            prompt=last.prompt,
            negative_prompt=last.negative_prompt,
            guidance_scale=last.guidance_scale,
            branches=(),
        )

    @property
    def steps_run(self) -> int:
        """Count the steps that are really run."""
        strength = 1.0 if self.source is None else self.source.strength
        return count_steps_run(self.num_inference_steps, strength)

    @property
    def scheduled_steps(self) -> int:
        """Count the steps that the prompts' schedules count."""
        return self.steps_run if self.timing.steps is None else self.timing.steps

    @property
    def from_pure_noise(self) -> bool:
        """Return whether the run starts from nothing but noise.

        Image to image at full strength still adds a trace of the picture, as diffusers does;
        inpainting doesn't.
        """
        if self.source is None:
            return True
        return self.source.repainting is not None and self.source.strength == 1.0

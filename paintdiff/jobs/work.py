"""The work that a resolved request is: denoising steps, by the size of the picture."""

from __future__ import annotations

from dataclasses import dataclass

from paintdiff.jobs.requests import Inpaint, Painting, PaintingRequest, TextToImage
from paintdiff.prompts.syntax import count_subprompts

_CONTROLNET = 0.4
"""A ControlNet's share of a step: half of a UNet, without its decoder."""


@dataclass(frozen=True)
class DenoisingPass:
    """Denoising steps at one size. `factor` compares a step with a guided one without extras."""

    steps: int
    area_px: int
    factor: float = 1.0


def compare_step(request: PaintingRequest, guidance_scale: float) -> float:
    """Return how long a step takes, as a multiple of a guided one without extras.

    The model is called for each prompt between `AND`, and once for guidance.
    """
    calls = count_subprompts(request.prompt, request.prompt_syntax) + (guidance_scale > 1)
    return calls / 2 * (1.0 + _CONTROLNET * len(request.controls))


def list_passes(request: Painting) -> tuple[DenoisingPass, ...]:
    """Return the denoising runs of one picture of a resolved request."""
    sampling = request.sampling()
    area, steps = sampling.size.area, sampling.num_inference_steps
    factor = compare_step(request, sampling.guidance_scale)
    if isinstance(request, TextToImage):
        hires = request.hires
        first = DenoisingPass(steps, area, factor)
        if hires is None:
            return (first,)
        second = (hires.num_inference_steps or steps) * (hires.strength or 1.0)
        return first, DenoisingPass(max(1, int(second)), round(area * hires.scale**2), factor)
    strengths = (request.strength,) if isinstance(request, Inpaint) else request.strengths()
    return tuple(DenoisingPass(max(1, int(steps * each)), area, factor) for each in strengths)

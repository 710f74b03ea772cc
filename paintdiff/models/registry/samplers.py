"""The samplers: our names for diffusers' schedulers, which `inference/schedulers.py` builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from paintdiff.config.presets import make_unknown_name_error

SamplerKind = Literal["diffusion", "flow", "own"]
"""What a sampler is for: models that were trained to take noise off ("diffusion"), or to follow the
straight line from noise to picture ("flow"; Lipman et al. 2022, arXiv:2210.02747). "own" is
whatever a model's folder names, and all that is known of models of an unknown family."""

MOST_STEPS = 1000
"""As many as models are trained with: every timestep, one after the other."""


@dataclass(frozen=True)
class Sampler:
    """A diffusers scheduler class and the settings that make it this sampler.

    `variance_exploding` says in which space its `step` takes the sample: x0 + sigma * noise if true
    (the k-diffusion family), sqrt(alpha_bar) * x0 + sqrt(1 - alpha_bar) * noise if false.
    `max_steps` is the most steps it can take, `kind` what it is for. One that `follows_model` takes
    its schedule from the model's own scheduler (`models/inference/flow_schedulers.py`).
    `knows_zero_snr` says that it can start from pure noise.
    """

    class_name: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    variance_exploding: bool = False
    max_steps: int = MOST_STEPS
    kind: SamplerKind = "diffusion"
    follows_model: bool = False
    knows_zero_snr: bool = True


# Latents are not limited to -1..1, so clipping the predicted sample there would ruin them.
_UNCLIPPED: Mapping[str, Any] = {"clip_sample": False}
_FLOW: Mapping[str, Any] = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}

SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "DDIM": Sampler("DDIMScheduler", _UNCLIPPED),
        "DDPM": Sampler("DDPMScheduler", _UNCLIPPED),
        # The Runge-Kutta warm-up knows no v-prediction, and Stable Diffusion never used it.
        "PNDM": Sampler("PNDMScheduler", {"skip_prk_steps": True}, knows_zero_snr=False),
        "Euler": Sampler("EulerDiscreteScheduler", variance_exploding=True),
        # What few-step models are made for: steps that end on the training's last ("SGM uniform").
        "Euler SGM Uniform": Sampler(
            "EulerDiscreteScheduler", {"timestep_spacing": "trailing"}, variance_exploding=True
        ),
        "Euler a": Sampler("EulerAncestralDiscreteScheduler", variance_exploding=True),
        "DPM++ 2M": Sampler(
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "dpmsolver++", "use_karras_sigmas": False},
        ),
        "DPM++ 2M Karras": Sampler(
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True},
        ),
        "DPM++ 2M SDE": Sampler(
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": False},
        ),
        "UniPC": Sampler("UniPCMultistepScheduler"),
        "Heun": Sampler(
            "HeunDiscreteScheduler", _UNCLIPPED, variance_exploding=True, knows_zero_snr=False
        ),
        "LMS": Sampler("LMSDiscreteScheduler", variance_exploding=True, knows_zero_snr=False),
        "LCM": Sampler("LCMScheduler", _UNCLIPPED, max_steps=50),
        "Flow Euler": Sampler("FlowMatchEulerDiscreteScheduler", kind="flow"),
        "Flow Heun": Sampler("FlowMatchHeunDiscreteScheduler", kind="flow", follows_model=True),
        "Flow DPM++ 2M": Sampler(
            "DPMSolverMultistepScheduler", _FLOW, kind="flow", follows_model=True
        ),
        "Flow UniPC": Sampler("UniPCMultistepScheduler", _FLOW, kind="flow", follows_model=True),
        "Model's own": Sampler("", kind="own"),
    }
)


def sampler_names() -> tuple[str, ...]:
    """The samplers' names, in the order in which they are offered."""
    return tuple(SAMPLERS)


def find_samplers(kind: SamplerKind) -> tuple[str, ...]:
    """The names of the samplers of that kind, in the order in which they are offered."""
    return tuple(name for name, row in SAMPLERS.items() if row.kind == kind)


def check_sampler(name: str) -> str:
    """The name as it stands in SAMPLERS; capitals don't matter. Raises UnknownNameError."""
    wanted = name.strip().casefold()
    for known in SAMPLERS:
        if known.casefold() == wanted:
            return known
    raise make_unknown_name_error("sampler", name, SAMPLERS)

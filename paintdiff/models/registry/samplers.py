"""The samplers: our names for diffusers' schedulers, which `inference/schedulers.py` builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from paintdiff.config.presets import make_unknown_name_error

SamplerKind = Literal["diffusion", "flow", "own"]
"""The kind of models that a sampler is for.

"diffusion" models remove noise; "flow" models follow the straight line from noise to picture
(Lipman et al. 2022, arXiv:2210.02747). "own" is the scheduler in a model's folder, the only one for
models of an unknown family.
"""

MOST_STEPS = 1000
"""The number of timesteps that models are trained with."""


@dataclass(frozen=True)
class Sampler:
    """A diffusers scheduler class and the settings that make it this sampler.

    `variance_exploding` is the space of `step`'s sample: x0 + sigma * noise if true (the
    k-diffusion family), else sqrt(alpha_bar) * x0 + sqrt(1 - alpha_bar) * noise. `max_steps` is the
    most steps it can take, `kind` the kind of models it is for. With `follows_model` its schedule
    is that of the model's own scheduler (`models/inference/flow_schedulers.py`). `knows_zero_snr`
    means that it can start from pure noise. `adds_noise` means that it draws noise at each step,
    from the run's seed.
    """

    class_name: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    variance_exploding: bool = False
    max_steps: int = MOST_STEPS
    kind: SamplerKind = "diffusion"
    follows_model: bool = False
    knows_zero_snr: bool = True
    adds_noise: bool = False


# Latents exceed -1..1, so clipping the predicted sample there would ruin them.
_UNCLIPPED: Mapping[str, Any] = {"clip_sample": False}
_FLOW: Mapping[str, Any] = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}

SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "DDIM": Sampler("DDIMScheduler", _UNCLIPPED),
        "DDPM": Sampler("DDPMScheduler", _UNCLIPPED, adds_noise=True),
        # The Runge-Kutta warm-up doesn't support v-prediction, and Stable Diffusion never used it.
        "PNDM": Sampler("PNDMScheduler", {"skip_prk_steps": True}, knows_zero_snr=False),
        "Euler": Sampler("EulerDiscreteScheduler", variance_exploding=True),
        # For few-step models: steps that end on training's last timestep ("SGM uniform").
        "Euler SGM Uniform": Sampler(
            "EulerDiscreteScheduler", {"timestep_spacing": "trailing"}, variance_exploding=True
        ),
        "Euler a": Sampler(
            "EulerAncestralDiscreteScheduler", variance_exploding=True, adds_noise=True
        ),
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
            adds_noise=True,
        ),
        "UniPC": Sampler("UniPCMultistepScheduler"),
        "Heun": Sampler(
            "HeunDiscreteScheduler", _UNCLIPPED, variance_exploding=True, knows_zero_snr=False
        ),
        "LMS": Sampler("LMSDiscreteScheduler", variance_exploding=True, knows_zero_snr=False),
        "LCM": Sampler("LCMScheduler", _UNCLIPPED, max_steps=50, adds_noise=True),
        "Flow Euler": Sampler("FlowMatchEulerDiscreteScheduler", kind="flow"),
        "Flow Heun": Sampler("FlowMatchHeunDiscreteScheduler", kind="flow", follows_model=True),
        "Flow DPM++ 2M": Sampler(
            "DPMSolverMultistepScheduler", _FLOW, kind="flow", follows_model=True
        ),
        "Flow UniPC": Sampler("UniPCMultistepScheduler", _FLOW, kind="flow", follows_model=True),
        "Model's own": Sampler("", kind="own"),
    }
)


def list_samplers() -> tuple[str, ...]:
    """List the samplers' names in the order shown."""
    return tuple(SAMPLERS)


def find_samplers(kind: SamplerKind) -> tuple[str, ...]:
    """List the names of the samplers of a kind, in the order shown."""
    return tuple(name for name, row in SAMPLERS.items() if row.kind == kind)


def check_sampler(name: str) -> str:
    """Return a name's spelling in SAMPLERS, ignoring case. Raise UnknownNameError."""
    wanted = name.strip().casefold()
    for known in SAMPLERS:
        if known.casefold() == wanted:
            return known
    raise make_unknown_name_error("sampler", name, SAMPLERS)

"""The samplers: our names for diffusers' schedulers, each built from the model's own noise
schedule.

Importable without torch; `scheduler_for` imports diffusers when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from paintdiff.presets import unknown_name

NOISE_SCHEDULE_KEYS = frozenset(
    {
        "num_train_timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "trained_betas",
        "prediction_type",
        "rescale_betas_zero_snr",
    }
)
"""What a model was trained with. It is never left to another scheduler's defaults."""


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
    its schedule from the model's own scheduler (`models/flow.py`). `knows_zero_snr` says that it
    can start from pure noise.
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


def samplers_for(kind: SamplerKind) -> tuple[str, ...]:
    """The names of the samplers of that kind, in the order in which they are offered."""
    return tuple(name for name, row in SAMPLERS.items() if row.kind == kind)


def checked_sampler(name: str) -> str:
    """The name as it stands in SAMPLERS; capitals don't matter. Raises UnknownNameError."""
    wanted = name.strip().casefold()
    for known in SAMPLERS:
        if known.casefold() == wanted:
            return known
    raise unknown_name("sampler", name, SAMPLERS)


def scheduler_for(
    name: str,
    model_config: Mapping[str, Any],
    model_class: str = "",
    num_inference_steps: int = 1,
) -> Any:
    """Make a scheduler object: the named sampler over the noise schedule in `model_config`, for a
    run of that many steps.

    `model_config` is the config of the scheduler that came with the model, `model_class` its class
    in diffusers, which only the model's own sampler needs. A value that its file leaves out was, by
    diffusers' rule, used with that class's default; the noise schedule is passed on all the same,
    because another class has other defaults. Raises UnknownNameError.
    """
    import diffusers  # noqa: PLC0415 (takes three seconds; the page is served before)

    row = SAMPLERS[checked_sampler(name)]
    if row.kind == "own":
        return getattr(diffusers, model_class).from_config(dict(model_config))
    if row.follows_model:
        from paintdiff.models.flow import following  # noqa: PLC0415 (imports torch)

        return following(getattr(diffusers, row.class_name), row.settings, model_config)
    config = dict(model_config)
    defaulted = config.pop("_use_default_values", [])
    config["_use_default_values"] = [key for key in defaulted if key not in NOISE_SCHEDULE_KEYS]
    scheduler = getattr(diffusers, row.class_name).from_config(config, **row.settings)
    spacing: object = scheduler.config.get("timestep_spacing")
    possible = _possible_spacing(spacing, num_inference_steps, scheduler.config.num_train_timesteps)
    if possible == spacing:
        return scheduler
    return type(scheduler).from_config(scheduler.config, timestep_spacing=possible)


def _possible_spacing(spacing: object, steps: int, training_steps: int) -> object:
    """The way of spreading steps over the training's timesteps, another one where diffusers' code
    for that breaks.
    """
    if spacing == "leading" and steps > training_steps - 2:
        spacing = "trailing"  # else timestep 1000 of 0 to 999 (DDIM), or nothing but 0 (DPM++)
    if spacing == "trailing":
        steps_made = len(np.arange(training_steps, 0, -training_steps / steps))
        return spacing if steps_made == steps else "linspace"  # else one more, at timestep -1
    return spacing

"""Schedulers of diffusers, built from a sampler's name and the model's own noise schedule.

Imports torch and diffusers: import it in a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffusers
import numpy as np

from paintdiff.models.inference.flow_schedulers import make_following_scheduler
from paintdiff.models.registry.samplers import SAMPLERS, check_sampler

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


def make_scheduler(
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
    row = SAMPLERS[check_sampler(name)]
    if row.kind == "own":
        return getattr(diffusers, model_class).from_config(dict(model_config))
    if row.follows_model:
        return make_following_scheduler(
            getattr(diffusers, row.class_name), row.settings, model_config
        )
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

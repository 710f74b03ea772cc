"""Schedulers of diffusers, built from a sampler's name and the model's own noise schedule.

Imports torch and diffusers: import it in a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
"""The part of a config that a model was trained with: another class's defaults never replace it."""


@dataclass(frozen=True)
class ModelScheduler:
    """The scheduler that came with a model: its class in diffusers, and its config."""

    class_name: str
    config: Mapping[str, Any]

    @classmethod
    def of(cls, scheduler: Any) -> ModelScheduler:
        """Describe a scheduler object of diffusers."""
        return cls(type(scheduler).__name__, dict(scheduler.config))

    def make(self, sampler: str, num_inference_steps: int) -> Any:
        """Make a scheduler for one run; see `make_scheduler`."""
        return make_scheduler(sampler, self.config, self.class_name, num_inference_steps)


def make_scheduler(
    name: str,
    model_config: Mapping[str, Any],
    model_class: str = "",
    num_inference_steps: int = 1,
) -> Any:
    """Make a diffusers scheduler: the named sampler over a model's noise schedule.

    Where the model's file leaves a value out, diffusers used that class's default. The noise
    schedule is passed on all the same, because another class has other defaults.

    Args:
        name: A key of `SAMPLERS`.
        model_config: The config of the scheduler that came with the model.
        model_class: Its class in diffusers. Only the model's own sampler needs it.
        num_inference_steps: How many steps the run has.

    Raises:
        UnknownNameError: There is no such sampler.
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
    possible = _choose_spacing(spacing, num_inference_steps, scheduler.config.num_train_timesteps)
    if possible == spacing:
        return scheduler
    return type(scheduler).from_config(scheduler.config, timestep_spacing=possible)


def _choose_spacing(spacing: object, steps: int, training_steps: int) -> object:
    """Return how steps are spread over the training's timesteps.

    It is another way than `spacing` where diffusers' code for that breaks.
    """
    if spacing == "leading" and steps > training_steps - 2:
        spacing = "trailing"  # else timestep 1000 of 0 to 999 (DDIM), or nothing but 0 (DPM++)
    if spacing == "trailing":
        steps_made = len(np.arange(training_steps, 0, -training_steps / steps))
        return spacing if steps_made == steps else "linspace"  # else one more, at timestep -1
    return spacing

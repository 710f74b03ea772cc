"""Solvers that follow a flow model's own schedule.

diffusers' solvers make flow schedules of their own, which differ from what a model was trained
with, and its pipelines pass arguments that some of them don't take. So the model's own scheduler
makes the schedule (its shift, dynamic or not), and the solver follows it.

Imports torch: import it in a function.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

# The multistep solvers take log(1 - sigma), which is minus infinity at 1. diffusers does the same.
_LARGEST_SIGMA = 1 - 1e-6


def make_following_scheduler(
    class_: Any, settings: Mapping[str, Any], model_config: Mapping[str, Any]
) -> Any:
    """Make a scheduler that takes its sigmas from the model's own schedule.

    It has `scale_noise`, which flow pipelines call to start from a picture, and the config entries
    that they read.

    Args:
        class_: A scheduler class of diffusers.
        settings: Its arguments.
        model_config: The config of the model's own scheduler.
    """
    config = {key: value for key, value in model_config.items() if not key.startswith("_")}
    known = inspect.signature(class_.__init__).parameters
    shared = {key: value for key, value in config.items() if key in known}
    solver = class_(**{**shared, **settings})
    solver.register_to_config(**{key: config[key] for key in config if key not in known})
    _follow(solver, model_config)
    return solver


def _follow(solver: Any, model_config: Mapping[str, Any]) -> None:
    model: Any = FlowMatchEulerDiscreteScheduler.from_config(dict(model_config))
    own, second_order = solver.set_timesteps, solver.order == 2

    def set_timesteps(
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        sigmas: Any = None,
        mu: float | None = None,
        timesteps: Any = None,
    ) -> None:
        if sigmas is None and timesteps is None and mu is not None and num_inference_steps:
            # FLUX's pipeline doesn't pass its sigmas to multistep solvers.
            sigmas = np.linspace(1.0, 1 / num_inference_steps, num_inference_steps)
        model.set_timesteps(num_inference_steps, device, sigmas, mu, timesteps)
        steps, noise = model.timesteps, model.sigmas
        solver.num_inference_steps = len(steps)
        if second_order:
            own(len(steps), device)  # sets up the state it keeps from step to step
            steps = torch.cat([steps[:1], steps[1:].repeat_interleave(2)])
            noise = torch.cat([noise[:1], noise[1:-1].repeat_interleave(2), noise[-1:]])
        else:
            noise = noise.clamp(max=_LARGEST_SIGMA)
        solver.timesteps, solver.sigmas = steps, noise.to("cpu")

    def scale_noise(sample: torch.Tensor, timestep: Any, noise: torch.Tensor) -> torch.Tensor:
        return solver.add_noise(sample, noise, timestep)

    solver.set_timesteps = set_timesteps
    if not hasattr(solver, "scale_noise"):
        solver.scale_noise = scale_noise

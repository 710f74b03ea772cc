"""Guidance in a part of the run only; in the rest the network predicts half as much.

Kynkäänniemi et al. 2024, "Applying guidance in a limited interval improves sample and distribution
quality in diffusion models" (arXiv:2404.07724). Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


class GuidanceInterval:
    """Replaces a denoiser during one run of `pictures` pictures, and limits its guidance.

    Before the fraction `start` of its calls, and from the fraction `end` on, the prediction with
    the prompt is returned for both halves of the batch (the first is without the prompt, as in
    diffusers). Their difference is 0, so no guidance scale adds anything. Attributes it lacks are
    the denoiser's.
    """

    def __init__(
        self, denoiser: Any, pipeline: Any, start: float, end: float, pictures: int = 1
    ) -> None:
        self._denoiser = denoiser
        self._pipeline = pipeline
        self._start, self._end = start, end
        self._guided_batch = 2 * pictures
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Predict as the denoiser does with `return_dict=False`, which is how pipelines call it."""
        part = self._calls / _count_calls(self._pipeline)
        self._calls += 1
        sample = args[0] if args else settings["hidden_states"]
        if self._start <= part < self._end or len(sample) != self._guided_batch:
            return self._denoiser(*args, **settings)
        given = take_second_half((args, settings), self._guided_batch)
        predicted = self._denoiser(*given[0], **given[1])[0]
        return (torch.cat([predicted, predicted]),)


def take_second_half(value: Any, guided_batch: int) -> Any:
    """Return values with the first half of each guided batch removed from their tensors."""
    if isinstance(value, torch.Tensor):
        guided = value.ndim > 0 and len(value) == guided_batch
        return value[guided_batch // 2 :] if guided else value
    if isinstance(value, Mapping):
        return {key: take_second_half(each, guided_batch) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(take_second_half(each, guided_batch) for each in value)
    return value


def _count_calls(pipeline: Any) -> int:
    """Count how often a run of the pipeline calls the denoiser."""
    timesteps = getattr(pipeline, "num_timesteps", None)
    return timesteps or len(pipeline.scheduler.timesteps)

"""Guidance in a part of the run only; outside of it the network is asked for half as much.

Kynkäänniemi et al. 2024, "Applying guidance in a limited interval improves sample and distribution
quality in diffusion models" (arXiv:2404.07724). Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


class GuidanceInterval:
    """Stands in for a denoiser during one run of so many `pictures`: before the part `start` of its
    calls and from the part `end` on, what it predicts with the words stands for both halves of the
    batch (first without words, as diffusers puts them together), so that whatever scale the
    difference is multiplied by, nothing is added.

    What isn't its own is the denoiser's.
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
        """As the denoiser's with `return_dict=False`, which is how pipelines call it."""
        part = self._calls / _num_calls(self._pipeline)
        self._calls += 1
        sample = args[0] if args else settings["hidden_states"]
        if self._start <= part < self._end or len(sample) != self._guided_batch:
            return self._denoiser(*args, **settings)
        with_words = self._second_half(args)
        predicted = self._denoiser(*with_words, **self._second_half(settings))[0]
        return (torch.cat([predicted, predicted]),)

    def _second_half(self, value: Any) -> Any:
        """Tensors of a guided batch without their first half, also inside of other values."""
        if isinstance(value, torch.Tensor):
            guided = value.ndim > 0 and len(value) == self._guided_batch
            return value[self._guided_batch // 2 :] if guided else value
        if isinstance(value, Mapping):
            return {key: self._second_half(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._second_half(each) for each in value)
        return value


def _num_calls(pipeline: Any) -> int:
    """How often the denoiser is asked in a run of the pipeline."""
    timesteps = getattr(pipeline, "num_timesteps", None)
    return timesteps or len(pipeline.scheduler.timesteps)

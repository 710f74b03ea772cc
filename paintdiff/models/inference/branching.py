"""Branches of a run: guidance and noise change while the pipeline goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.registry.families import GuidanceKind


class BranchSwitch:
    """Sets a pipeline's guidance and reseeds its generators where its run's branches begin.

    diffusers' pipelines read their guidance scale at each step, and samplers draw from the
    generator that the pipeline got. Prompts change elsewhere (`BranchedConditioning`).
    """

    def __init__(self, pipeline: Any, kind: GuidanceKind, run: Denoising, generator: Any) -> None:
        self._pipeline = pipeline
        self._kind = kind
        self._run = run
        self._generators: Sequence[Any] = generator if isinstance(generator, list) else [generator]
        self._guidance_scale = run.guidance_scale
        self._left = list(run.branches)

    def begin_call(self, call: int, num_calls: int) -> None:
        """Take the branches that begin before the model's call of that number (from 0)."""
        run = self._run
        step = run.timing.find_step(call, num_calls, run.scheduled_steps)
        while self._left and self._left[0].after_step < step:
            branch = self._left.pop(0)
            if branch.guidance_scale != self._guidance_scale:
                self._set_guidance(branch.guidance_scale)
            for generator in self._generators if branch.seed is not None else ():
                generator.manual_seed(branch.seed)

    def _set_guidance(self, scale: float) -> None:
        self._guidance_scale = scale
        beyond_one = self._kind == "beyond_one"
        self._pipeline._guidance_scale = max(0.0, scale - 1) if beyond_one else scale

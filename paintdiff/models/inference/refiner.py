"""A second model takes over a run before its end, as SDXL's refiner does.

Podell et al. 2023, "SDXL" (arXiv:2307.01952), section 2.5. Imports torch: import it in a function.
"""

from __future__ import annotations

import functools
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from paintdiff.models.inference.denoising_run import (
    Denoising,
    Source,
    StepListener,
    count_steps_run,
)


class DenoisingPipeline(Protocol):
    """A pipeline on loan."""

    def denoise(self, run: Denoising, on_step: StepListener) -> torch.Tensor:
        """Return the latents of a run."""
        ...

    def for_task(self, task: str) -> DenoisingPipeline:
        """Return a pipeline for another task over the same weights."""
        ...


@dataclass(frozen=True)
class HandOver:
    """The numbers of steps that are the model's own and its refiner's."""

    own_steps: int
    refiner_steps: int

    @property
    def happens(self) -> bool:
        """Return whether both have steps to run."""
        return self.own_steps > 0 and self.refiner_steps > 0


def count_steps_between(own: Any, refiner: Any, run: Denoising, strength: float) -> HandOver:
    """Count the steps of a model and of its refiner in a run.

    diffusers switches at a level of noise, not at a number of steps. `own` and `refiner` are
    schedulers of the two models, and are changed. `strength` (0..1) is that of a run from a
    picture, 1 without one.
    """
    total = count_steps_run(run.num_inference_steps, strength)
    if not 0 < run.switch_at < 1:
        return HandOver(total if run.switch_at >= 1 else 0, 0)
    for scheduler in (own, refiner):
        scheduler.set_timesteps(run.num_inference_steps)
    order: int = getattr(own, "order", 1)
    begin = max(run.num_inference_steps - total, 0) * order
    seen = own.timesteps[begin:]
    kept = int((seen >= _find_cutoff(own, run.switch_at)).sum())
    return HandOver(kept, int((refiner.timesteps < _find_cutoff(refiner, run.switch_at)).sum()))


def _find_cutoff(scheduler: Any, part: float) -> int:
    total: int = scheduler.config.num_train_timesteps
    return round(total - part * total)


def hand_over_latents(
    base: DenoisingPipeline,
    refiner: DenoisingPipeline,
    run: Denoising,
    steps: HandOver,
    on_step: StepListener,
) -> torch.Tensor:
    """Return the latents of a run that the refiner ends. The steps count as those of one run.

    The refiner gets the same prompts, but neither controls nor image prompts: those belong to the
    base model.
    """
    total = run.steps_run
    share = steps.own_steps / (steps.own_steps + steps.refiner_steps)
    own = min(max(1, round(total * share)), max(1, total - 1))
    timing = replace(run.timing, steps=run.scheduled_steps)
    latents = base.denoise(
        replace(
            run,
            switch_at=1.0,
            ends_at=run.switch_at,
            timing=replace(timing, calls_after=steps.refiner_steps),
        ),
        lambda step, preview: on_step(max(1, step * own // total), preview),
    )
    if run.source is not None and run.source.repainting is not None:
        task, source = "inpaint", replace(run.source, handed=latents)
    else:
        task, source = "image_to_image", Source(latents, 1.0)
    rest = replace(
        run,
        source=source,
        controls=(),
        ip_pictures=(),
        switch_at=1.0,
        begins_at=run.switch_at,
        timing=replace(timing, calls_before=steps.own_steps),
    )
    return refiner.for_task(task).denoise(
        rest,
        lambda step, preview: on_step(own + step * (total - own) // rest.steps_run, preview),
    )


def build_span_settings(run: Denoising) -> dict[str, Any]:
    """Return the arguments for SDXL's pipelines of a run that goes only a part of the way."""
    settings: dict[str, Any] = {}
    if run.begins_at > 0:
        settings["denoising_start"] = run.begins_at
    if run.ends_at < 1:
        settings["denoising_end"] = run.ends_at
    return settings


@contextmanager
def adapt_handed_latents(pipeline: Any, run: Denoising) -> Generator[None]:
    """Let an inpainting pipeline continue from the latents handed to it, inside the `with`.

    By itself it would take them for the clean picture too, and blend them in outside the mask.
    """
    handed = run.source.handed if run.source is not None else None
    if handed is None:
        yield
        return
    before = vars(pipeline).get("prepare_latents")
    original = pipeline.prepare_latents

    @functools.wraps(original)
    def prepare_latents(*args: Any, **settings: Any) -> Any:
        first, *others = original(*args, **settings)
        return (handed.to(first), *others)

    pipeline.prepare_latents = prepare_latents
    try:
        yield
    finally:
        if before is None:
            del pipeline.prepare_latents  # uncovers the class's own method
        else:
            pipeline.prepare_latents = before

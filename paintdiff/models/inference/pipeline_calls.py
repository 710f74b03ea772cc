"""How each family's pipelines are called. Imports torch: import it in a function.

What differs is told from a family's row and from the parameters that a pipeline's `__call__` has;
there is no other place that knows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.inference.noise import make_noise_generator
from paintdiff.models.loading.pipeline_signature import list_parameters
from paintdiff.models.registry.families import Family, GuidanceKind

STEP_CALLBACK = "callback_on_step_end"
_COUNT = "num_images_per_prompt"

StepEnded = Callable[[int, int], None]
"""Told the model's call (from 0) that has been worked in, and how many there will be."""

# Pipelines of flow models run the steps that are left when the others are rounded down; less than
# this short of a whole number of steps, it is that number.
_SLACK = 1e-6


def _classifier_free(_denoiser: Any, run: Denoising) -> dict[str, Any]:
    """Ho and Salimans 2022 (arXiv:2207.12598), in diffusers' usual form: w, of which 1 is none.
    What a pipeline understands by no negative prompt is left to it.
    """
    settings: dict[str, Any] = {"guidance_scale": run.guidance_scale}
    return settings | _negative(run)


def _true_scale(_denoiser: Any, run: Denoising) -> dict[str, Any]:
    """The same, for pipelines in which `guidance_scale` is something else; without a negative
    prompt these would leave the guidance out.
    """
    if run.guidance_scale <= 1:
        return {"true_cfg_scale": 1.0}
    return {"true_cfg_scale": run.guidance_scale, "negative_prompt": run.negative_prompt or " "}


def _embedded(denoiser: Any, run: Denoising) -> dict[str, Any]:
    """The scale is an input of the network, distilled from guided steps (Meng et al. 2022,
    arXiv:2210.03142). A network without that input was distilled further, so nothing guides it
    unless there is a negative prompt.
    """
    if _takes_guidance(denoiser):
        return {"guidance_scale": run.guidance_scale}
    return _true_scale(denoiser, run) if run.negative_prompt else {"true_cfg_scale": 1.0}


def _beyond_one(_denoiser: Any, run: Denoising) -> dict[str, Any]:
    """For pipelines that add `guidance_scale` times the difference to the prediction, so that w is
    one more than what they take.
    """
    settings: dict[str, Any] = {"guidance_scale": max(0.0, run.guidance_scale - 1)}
    return settings | _negative(run)


def _unguided(_denoiser: Any, _run: Denoising) -> dict[str, Any]:
    return {}


def _negative(run: Denoising) -> dict[str, Any]:
    return {"negative_prompt": run.negative_prompt} if run.negative_prompt else {}


_GUIDANCE: Mapping[GuidanceKind, Callable[[Any, Denoising], dict[str, Any]]] = MappingProxyType(
    {
        "classifier_free": _classifier_free,
        "true_scale": _true_scale,
        "embedded": _embedded,
        "beyond_one": _beyond_one,
        "none": _unguided,
    }
)


def is_guided_by_prompt(pipeline: Any, family: Family, denoiser: Any) -> bool:
    """Whether a negative prompt can have an effect: the pipeline takes one, and the guidance isn't
    an input of the network.
    """
    return "negative_prompt" in list_parameters(pipeline) and not (
        family.guidance == "embedded" and _takes_guidance(denoiser)
    )


def without_guidance(
    family: Family, denoiser: Any, guidance_scale: float, negative_prompt: str
) -> bool:
    """Whether a guidance scale that asks for guidance has no effect: a network that was to take it
    doesn't, and there is no negative prompt to guide away from.
    """
    lacking = family.guidance == "embedded" and not _takes_guidance(denoiser)
    return lacking and guidance_scale > 1 and not negative_prompt


def _takes_guidance(denoiser: Any) -> bool:
    return bool(getattr(denoiser.config, "guidance_embeds", False))


def build_call_settings(
    pipeline: Any,
    family: Family,
    denoiser: Any,
    run: Denoising,
    output_type: str,
    other_seeds: Sequence[int] = (),
) -> dict[str, Any]:
    """What a pipeline is called with, but for the mask and the listener to its steps. With
    `other_seeds` it paints so many pictures more at once, each with the noise of its seed.

    What its class has no parameter for is left out: image-to-image pipelines that take their size
    from the picture, text-to-image pipelines without guidance.
    """
    optional: dict[str, Any] = {"width": run.size.width, "height": run.size.height}
    optional |= _GUIDANCE[family.guidance](denoiser, run)
    optional |= family.call
    known = list_parameters(pipeline)
    settings: dict[str, Any] = {name: optional[name] for name in optional if name in known}
    if run.source is not None:
        settings |= {"image": run.source.image, "strength": _strength(family, run)}
    if other_seeds:
        settings[_COUNT] = 1 + len(other_seeds)
    return settings | {
        "prompt": run.prompt,
        "num_inference_steps": run.num_inference_steps,
        "generator": _generators(run.seed, other_seeds),
        "output_type": output_type,
    }


def _generators(seed: int, others: Sequence[int]) -> Any:
    return (
        list(map(make_noise_generator, (seed, *others))) if others else make_noise_generator(seed)
    )


def can_paint_several(pipeline: Any) -> bool:
    """Whether a pipeline can paint several pictures of one prompt at once."""
    return _COUNT in list_parameters(pipeline)


def _strength(family: Family, run: Denoising) -> float:
    """The strength at which a pipeline runs exactly `run.steps_run` steps."""
    strength = 1.0 if run.source is None else run.source.strength
    if family.samplers != "flow" or strength == 1.0:
        return strength
    return (run.steps_run - _SLACK) / run.num_inference_steps


def build_listener_settings(pipeline: Any, step_ended: StepEnded) -> dict[str, Any]:
    """What makes a pipeline tell of its steps, once its scheduler is the run's own. What
    `step_ended` raises ends the run.
    """
    if STEP_CALLBACK not in list_parameters(pipeline):
        _tell_steps(pipeline.scheduler, step_ended)
        return {}

    def callback(
        running: Any, index: int, _timestep: object, _tensors: object
    ) -> dict[str, object]:
        step_ended(index, running.num_timesteps)
        return {}

    return {STEP_CALLBACK: callback, f"{STEP_CALLBACK}_tensor_inputs": []}


def _tell_steps(scheduler: Any, step_ended: StepEnded) -> None:
    original = scheduler.step
    calls = 0

    @functools.wraps(original)  # the pipeline looks at the signature to know what it may pass
    def step(*args: Any, **settings: Any) -> Any:
        nonlocal calls
        result = original(*args, **settings)
        calls += 1
        step_ended(calls - 1, len(scheduler.timesteps))
        return result

    scheduler.step = step

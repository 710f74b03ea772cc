"""The arguments for each family's pipelines. Imports torch: import it in a function.

How families differ is read from their rows and from the parameters of a pipeline's `__call__`, and
only here.
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

OnStepEnd = Callable[[int, int], None]
"""Called after each call of the model, with its number (from 0) and how many there will be."""

# Pipelines of flow models round the number of skipped steps down. A strength that is this much
# short of a whole number of steps runs exactly that number.
_SLACK = 1e-6


def _set_classifier_free(_denoiser: Any, run: Denoising) -> dict[str, Any]:
    """Guide classifier-free, in diffusers' usual form: a scale w, where 1 is no guidance.

    Ho and Salimans 2022 (arXiv:2207.12598). A missing negative prompt is left to the pipeline.
    """
    settings: dict[str, Any] = {"guidance_scale": run.guidance_scale}
    return settings | _set_negative_prompt(run)


def _set_true_scale(_denoiser: Any, run: Denoising) -> dict[str, Any]:
    """Do the same for pipelines in which `guidance_scale` is something else.

    Without a negative prompt these would leave the guidance out.
    """
    if run.guidance_scale <= 1:
        return {"true_cfg_scale": 1.0}
    return {"true_cfg_scale": run.guidance_scale, "negative_prompt": run.negative_prompt or " "}


def _set_embedded(denoiser: Any, run: Denoising) -> dict[str, Any]:
    """Pass the scale to the network, which was distilled from guided steps.

    Meng et al. 2022 (arXiv:2210.03142). A network without that input was distilled further, so only
    a negative prompt guides it.
    """
    if _takes_guidance(denoiser):
        return {"guidance_scale": run.guidance_scale}
    return _set_true_scale(denoiser, run) if run.negative_prompt else {"true_cfg_scale": 1.0}


def _set_beyond_one(_denoiser: Any, run: Denoising) -> dict[str, Any]:
    """Set w - 1, for pipelines that add the difference that often to the guided prediction."""
    settings: dict[str, Any] = {"guidance_scale": max(0.0, run.guidance_scale - 1)}
    return settings | _set_negative_prompt(run)


def _set_nothing(_denoiser: Any, _run: Denoising) -> dict[str, Any]:
    return {}


def _set_negative_prompt(run: Denoising) -> dict[str, Any]:
    return {"negative_prompt": run.negative_prompt} if run.negative_prompt else {}


_GUIDANCE: Mapping[GuidanceKind, Callable[[Any, Denoising], dict[str, Any]]] = MappingProxyType(
    {
        "classifier_free": _set_classifier_free,
        "true_scale": _set_true_scale,
        "embedded": _set_embedded,
        "beyond_one": _set_beyond_one,
        "none": _set_nothing,
    }
)


def is_guided_by_prompt(pipeline: Any, family: Family, denoiser: Any) -> bool:
    """Return whether a negative prompt can have an effect.

    It can if the pipeline takes one, and the guidance isn't an input of the network.
    """
    return "negative_prompt" in list_parameters(pipeline) and not (
        family.guidance == "embedded" and _takes_guidance(denoiser)
    )


def ignores_guidance(
    family: Family, denoiser: Any, guidance_scale: float, negative_prompt: str
) -> bool:
    """Return whether a guidance scale above 1 has no effect.

    It has none if the network doesn't take it as its family's do, and there is no negative prompt
    to guide away from.
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
    """Return a pipeline's arguments, without those for a mask and the listener to its steps.

    Each of `other_seeds` adds a picture to the batch, with the noise of that seed. What the
    pipeline has no parameter for is left out: some image-to-image pipelines take their size from
    the picture, some text-to-image pipelines have no guidance.
    """
    optional: dict[str, Any] = {"width": run.size.width, "height": run.size.height}
    optional |= _GUIDANCE[family.guidance](denoiser, run)
    optional |= family.call
    known = list_parameters(pipeline)
    settings: dict[str, Any] = {name: optional[name] for name in optional if name in known}
    if run.source is not None:
        settings |= {"image": run.source.image, "strength": _compute_strength(family, run)}
    if other_seeds:
        settings[_COUNT] = 1 + len(other_seeds)
    return settings | {
        "prompt": run.prompt,
        "num_inference_steps": run.num_inference_steps,
        "generator": _make_generators(run.seed, other_seeds),
        "output_type": output_type,
    }


def _make_generators(seed: int, others: Sequence[int]) -> Any:
    return (
        list(map(make_noise_generator, (seed, *others))) if others else make_noise_generator(seed)
    )


def can_paint_several(pipeline: Any) -> bool:
    """Return whether a pipeline can paint several pictures of one prompt at once."""
    return _COUNT in list_parameters(pipeline)


def _compute_strength(family: Family, run: Denoising) -> float:
    """Return the strength at which a pipeline runs exactly `run.steps_run` steps."""
    strength = 1.0 if run.source is None else run.source.strength
    if family.samplers != "flow" or strength == 1.0:
        return strength
    return (run.steps_run - _SLACK) / run.num_inference_steps


def build_listener_settings(pipeline: Any, on_step_end: OnStepEnd) -> dict[str, Any]:
    """Return the arguments that make a pipeline call `on_step_end`.

    The pipeline's scheduler has to be the run's own. What `on_step_end` raises ends the run.
    """
    if STEP_CALLBACK not in list_parameters(pipeline):
        _wrap_step(pipeline.scheduler, on_step_end)
        return {}

    def callback(
        running: Any, index: int, _timestep: object, _tensors: object
    ) -> dict[str, object]:
        on_step_end(index, running.num_timesteps)
        return {}

    return {STEP_CALLBACK: callback, f"{STEP_CALLBACK}_tensor_inputs": []}


def _wrap_step(scheduler: Any, on_step_end: OnStepEnd) -> None:
    original = scheduler.step
    calls = 0

    @functools.wraps(original)  # pipelines inspect the signature
    def step(*args: Any, **settings: Any) -> Any:
        nonlocal calls
        result = original(*args, **settings)
        calls += 1
        on_step_end(calls - 1, len(scheduler.timesteps))
        return result

    scheduler.step = step

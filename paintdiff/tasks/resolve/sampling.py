"""Fills what a request leaves open: from the model's row, the quality preset, and the dice."""

from __future__ import annotations

import math
import secrets

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size, check_size, round_to_multiple
from paintdiff.jobs.messages import FieldMessage
from paintdiff.jobs.requests import MAX_SEED, PaintingRequest
from paintdiff.models.inference.denoising_run import count_steps_run
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.samplers import SAMPLERS, check_sampler


def resolve_sampling(
    request: PaintingRequest, row: ModelRow
) -> tuple[dict[str, object], tuple[str, ...]]:
    """What fills every None but the size's, and what a person should know about it.

    Raises RequestError or UnknownNameError, with the field in `field`.
    """
    figures = row.figures(request.quality)
    sampler = resolve_sampler(request.sampler, row)
    steps, warnings = resolve_steps(request.num_inference_steps, request.quality, sampler, row)
    guidance = figures.guidance_scale if request.guidance_scale is None else request.guidance_scale
    if row.zero_terminal_snr and not SAMPLERS[sampler].knows_zero_snr:
        warnings += (
            f"{row.title} starts from pure noise, which {sampler} doesn't support, so the picture "
            "may look washed out. Use DDIM or Euler.",
        )
    warnings += _negative_warnings(request, guidance, row)
    seed, variation_seed, seed_warnings = resolve_seeds(request)
    return {
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "sampler": sampler,
        "seed": seed,
        "variation_seed": variation_seed,
    }, warnings + seed_warnings


def _negative_warnings(
    request: PaintingRequest, guidance_scale: float, row: ModelRow
) -> tuple[str, ...]:
    if not request.negative_prompt.strip():
        return ()
    if not row.family.supports_negative_prompt:
        why = f": {row.family.title} doesn't support it."
    elif guidance_scale <= 1:
        why = f" at a guidance scale of {guidance_scale:g}; it needs more than 1."
    else:
        return ()
    return (FieldMessage(f"The negative prompt has no effect{why}", "negative_prompt"),)


def resolve_seeds(request: PaintingRequest) -> tuple[int, int | None, tuple[str, ...]]:
    """The first picture's seed and variation seed, drawn where they were left open. The second
    stays None if it was and the variation strength is 0.

    Raises RequestError if the last picture's is too large.
    """
    if request.variation_strength > 0:
        seed = resolve_seed(request.seed, 1)
        variation_seed = resolve_seed(
            request.variation_seed, request.num_images, field="variation_seed"
        )
        return seed, variation_seed, ()
    warnings: tuple[str, ...] = ()
    if request.variation_seed is not None:
        sentence = "The variation seed has no effect at a variation strength of 0."
        warnings = (FieldMessage(sentence, "variation_seed"),)
    return resolve_seed(request.seed, request.num_images), request.variation_seed, warnings


def check_strength(strength: float, num_inference_steps: int, field: str = "strength") -> None:
    """Raise RequestError, for `field`, if the strength leaves no step to run, though it isn't 0,
    which means no change.
    """
    if strength and count_steps_run(num_inference_steps, strength) < 1:
        least = least_strength(num_inference_steps)
        raise RequestError(
            f"A strength of {strength:g} leaves none of the {num_inference_steps} steps to run. "
            f"Use {least:g} or more, more steps, or 0 for no change.",
            field=field,
        )


def least_strength(num_inference_steps: int) -> float:
    """The least strength, to two or more decimals, at which there is a step to run."""
    decimals = 10 ** max(2, len(str(num_inference_steps)))
    return math.ceil(decimals / num_inference_steps) / decimals


def resolve_size(
    width: int | None, height: int | None, row: ModelRow
) -> tuple[Size, tuple[str, ...]]:
    """The size to paint, and a warning if it had to be rounded. Raises SizeError."""
    wanted = Size(width or row.native_size.width, height or row.native_size.height)
    check_size(wanted)
    size = round_to_multiple(wanted, row.family.size_multiple)
    check_size(size)
    if size == wanted:
        return size, ()
    return size, (
        f"The size {wanted} became {size}: {row.title} paints in multiples of "
        f"{row.family.size_multiple} pixels.",
    )


def resolve_steps(
    asked: int | None, quality: str, sampler: str, row: ModelRow
) -> tuple[int, tuple[str, ...]]:
    """The number of steps, and a warning if the preset has more than the sampler can take.

    Raises UnknownNameError for the quality, RequestError if more were asked for than the sampler
    can take.
    """
    steps = asked if asked is not None else row.figures(quality).num_inference_steps
    most = SAMPLERS[sampler].max_steps
    if steps <= most:
        return steps, ()
    if asked is not None:
        raise RequestError(
            f"{sampler} takes at most {most} steps, not {asked}.", field="num_inference_steps"
        )
    return most, (f"{sampler} takes at most {most} steps, so {most} were used instead of {steps}.",)


def resolve_sampler(asked: str | None, row: ModelRow) -> str:
    """The sampler's name as it stands in the table.

    Raises UnknownNameError, and RequestError if it is for models of another kind.
    """
    if asked is None:
        return row.sampler
    sampler, fitting = check_sampler(asked), row.family.sampler_names()
    if sampler not in fitting:
        raise RequestError(
            f"{sampler} can't be used with {row.title} ({row.family.title}), which takes "
            f"{', '.join(fitting)}.",
            field="sampler",
        )
    return sampler


def resolve_seed(asked: int | None, num_images: int, field: str = "seed") -> int:
    """The first picture's seed, drawn if it was left open.

    Raises RequestError, for `field`, if the last one's is too large.
    """
    largest = MAX_SEED - (num_images - 1)
    if asked is None:
        return secrets.randbelow(largest + 1)
    if asked > largest:
        raise RequestError(
            f"Picture {num_images} would have the {field.replace('_', ' ')} "
            f"{asked + num_images - 1}; the largest is {MAX_SEED}. Start at {largest} or less.",
            field=field,
        )
    return asked

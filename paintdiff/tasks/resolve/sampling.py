"""Sampling settings: from the model's row, the quality preset, and drawn seeds."""

from __future__ import annotations

import math
import secrets

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size, check_size, round_to_multiple
from paintdiff.jobs.requests import MAX_SEED, PaintingRequest
from paintdiff.models.inference.denoising_run import count_steps_run
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.samplers import SAMPLERS, check_sampler
from paintdiff.tasks.resolve import messages
from paintdiff.tasks.resolve.context import ResolveContext


def resolve_sampling(request: PaintingRequest, row: ModelRow) -> dict[str, object]:
    """Return the values of all open fields except the size.

    Raises RequestError or UnknownNameError, with the field in `field`.
    """
    figures = row.figures(request.quality)
    sampler = resolve_sampler(request.sampler, row)
    steps = resolve_steps(request.num_inference_steps, request.quality, sampler, row)
    guidance = figures.guidance_scale if request.guidance_scale is None else request.guidance_scale
    seed, variation_seed = resolve_seeds(request)
    return {
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "sampler": sampler,
        "seed": seed,
        "variation_seed": variation_seed,
    }


def warn_of_sampling(
    request: PaintingRequest, resolved: PaintingRequest, context: ResolveContext
) -> None:
    """Warn of sampling settings that were changed, have no effect, or don't suit the model.

    `request` is what was asked for.
    """
    row, sampling = context.model, resolved.sampling()
    preset = row.figures(request.quality).num_inference_steps
    most = SAMPLERS[sampling.sampler].max_steps
    if request.num_inference_steps is None and preset > most:
        context.warn(messages.fewer_steps_used(sampling.sampler, most, preset))
    if row.zero_terminal_snr and not SAMPLERS[sampling.sampler].knows_zero_snr:
        context.warn(messages.washed_out(row.title, sampling.sampler))
    _warn_of_negative_prompt(request, sampling.guidance_scale, context)
    if request.variation_seed is not None and request.variation_strength == 0:
        context.warn(messages.VARIATION_SEED_WITHOUT_EFFECT, "variation_seed")


def _warn_of_negative_prompt(
    request: PaintingRequest, guidance_scale: float, context: ResolveContext
) -> None:
    family = context.model.family
    if not request.negative_prompt.strip():
        return
    if not family.supports_negative_prompt:
        warning = messages.negative_prompt_not_supported(family.title)
    elif guidance_scale <= 1:
        warning = messages.negative_prompt_without_guidance(guidance_scale)
    else:
        return
    context.warn(warning, "negative_prompt")


def resolve_seeds(request: PaintingRequest) -> tuple[int, int | None]:
    """Return the first picture's seed and variation seed, drawn where they were left open.

    An open variation seed stays None at a variation strength of 0. Raises RequestError if the last
    picture's seed would be too large.
    """
    if request.variation_strength > 0:
        seed = resolve_seed(request.seed, 1)
        variation_seed = resolve_seed(
            request.variation_seed, request.num_images, field="variation_seed"
        )
        return seed, variation_seed
    return resolve_seed(request.seed, request.num_images), request.variation_seed


def check_strength(strength: float, num_inference_steps: int, field: str = "strength") -> None:
    """Raise RequestError, for `field`, if the strength leaves no step to run.

    A strength of 0 is allowed: it means no change.
    """
    if strength and count_steps_run(num_inference_steps, strength) < 1:
        least = find_least_strength(num_inference_steps)
        raise RequestError(
            messages.strength_leaves_no_steps(strength, num_inference_steps, least),
            field=field,
        )


def find_least_strength(num_inference_steps: int) -> float:
    """Return the smallest strength, to two or more decimals, that leaves a step to run."""
    decimals = 10 ** max(2, len(str(num_inference_steps)))
    return math.ceil(decimals / num_inference_steps) / decimals


def resolve_size(width: int | None, height: int | None, context: ResolveContext) -> Size:
    """Return the size to paint, in pixels; warn if it was rounded. Raises SizeError."""
    row = context.model
    wanted = Size(width or row.native_size.width, height or row.native_size.height)
    check_size(wanted)
    size = round_to_multiple(wanted, row.family.size_multiple)
    check_size(size)
    if size != wanted:
        context.warn(messages.size_rounded(wanted, size, row.title, row.family.size_multiple))
    return size


def resolve_steps(asked: int | None, quality: str, sampler: str, row: ModelRow) -> int:
    """Return the number of steps: the preset's, at most the sampler's, unless one was asked for.

    Raises UnknownNameError for the quality, and RequestError if more steps were asked for than the
    sampler can take.
    """
    most = SAMPLERS[sampler].max_steps
    if asked is None:
        return min(most, row.figures(quality).num_inference_steps)
    if asked > most:
        raise RequestError(
            messages.too_many_steps(sampler, most, asked), field="num_inference_steps"
        )
    return asked


def resolve_sampler(asked: str | None, row: ModelRow) -> str:
    """Return the sampler's name as the table spells it.

    Raises UnknownNameError, and RequestError if it is for models of another kind.
    """
    if asked is None:
        return row.sampler
    sampler, fitting = check_sampler(asked), row.family.sampler_names()
    if sampler not in fitting:
        raise RequestError(
            messages.sampler_not_supported(
                sampler, row.title, row.family.title, ", ".join(fitting)
            ),
            field="sampler",
        )
    return sampler


def resolve_seed(asked: int | None, num_images: int, field: str = "seed") -> int:
    """Return the first picture's seed, drawn if it was left open.

    Raises RequestError, for `field`, if the last picture's seed would be too large.
    """
    largest = MAX_SEED - (num_images - 1)
    if asked is None:
        return secrets.randbelow(largest + 1)
    if asked > largest:
        raise RequestError(
            messages.seed_too_large(
                num_images, field.replace("_", " "), asked + num_images - 1, MAX_SEED, largest
            ),
            field=field,
        )
    return asked

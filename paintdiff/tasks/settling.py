"""Fills what a request leaves open: from the model's row, the quality preset, and the dice."""

from __future__ import annotations

import secrets

from paintdiff.errors import RequestError
from paintdiff.geometry import Size, checked, rounded_to_multiple
from paintdiff.models.catalog import ModelRow
from paintdiff.models.samplers import SAMPLERS, checked_sampler
from paintdiff.requests import MAX_SEED


def settled_size(
    width: int | None, height: int | None, row: ModelRow
) -> tuple[Size, tuple[str, ...]]:
    """The size to paint, and a warning if it had to be rounded. Raises SizeError."""
    wanted = Size(width or row.native_size.width, height or row.native_size.height)
    checked(wanted)
    size = rounded_to_multiple(wanted, row.family.size_multiple)
    checked(size)
    if size == wanted:
        return size, ()
    return size, (
        f"The size {wanted} became {size}: {row.title} paints in multiples of "
        f"{row.family.size_multiple} pixels.",
    )


def settled_steps(
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
    return most, (
        f"{sampler} takes at most {most} steps, so it paints with {most} instead of {steps}.",
    )


def settled_sampler(asked: str | None, row: ModelRow) -> str:
    """The sampler's name as it stands in the table. Raises UnknownNameError."""
    return checked_sampler(asked) if asked is not None else row.sampler


def settled_seed(asked: int | None, num_images: int) -> int:
    """The first picture's seed, drawn if it was left open.

    Raises RequestError if the last one's is too large.
    """
    largest = MAX_SEED - (num_images - 1)
    if asked is None:
        return secrets.randbelow(largest + 1)
    if asked > largest:
        raise RequestError(
            f"Picture {num_images} would have the seed {asked + num_images - 1}; the largest is "
            f"{MAX_SEED}. Start at {largest} or less.",
            field="seed",
        )
    return asked

"""Choose steps, speed profile and size so that the pictures are done within a time.

The choice follows what was measured on this machine. What the request sets stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from paintdiff.imaging.geometry import MIN_SIDE_PX, Size, round_to_multiple
from paintdiff.jobs.requests import ImageToImage, Inpaint, PaintingRequest, TextToImage
from paintdiff.jobs.work import compare_step
from paintdiff.models.registry.samplers import SAMPLERS
from paintdiff.tasks.resolve import messages
from paintdiff.tasks.resolve.sampling import resolve_sampler

if TYPE_CHECKING:
    from paintdiff.models.registry.model_rows import ModelRow

SMALLER_SIZES = (1.0, 0.75, 0.5)
"""Sides that are tried, as fractions of the model's native ones."""
MOST_OF_HIGH = 4
"""More steps than so many times those of the quality "high" are never chosen."""

PaintingT = TypeVar("PaintingT", bound=PaintingRequest)

FindTime = Callable[[str, str, int], "tuple[float, float] | None"]
"""Returns the seconds of a step, and of what is beside the steps of a picture.

The arguments are a model, a profile and an area in pixels; None if that model wasn't measured.
"""


@dataclass(frozen=True)
class _Choice:
    profile: str
    size: Size
    steps: int
    seconds: float


def choose_for_budget(
    request: PaintingT, row: ModelRow, profiles: tuple[str, ...], find_time: FindTime | None
) -> tuple[PaintingT, str | None]:
    """Return a request whose open values keep its time budget, and a sentence about the choice.

    `profiles` are the names that may be chosen, the preferred one first. Of the sizes, the native
    one is preferred; of profiles and sizes the first counts with which there are as many steps as
    the quality "fast" has. A request without a budget is returned as it is.
    """
    budget = request.time_budget_seconds
    if budget is None:
        return request, None
    request = request.model_copy(update={"time_budget_seconds": None})
    if request.profile is not None:
        profiles = (request.profile,)
    choices = [] if find_time is None else list(_choices(request, row, profiles, find_time, budget))
    if not choices:
        return request, messages.speed_unknown(row.title)
    draft = request.num_inference_steps or row.figures("fast").num_inference_steps
    enough = (each for each in choices if each.steps >= draft and each.seconds <= budget)
    chosen = next(enough, None) or max(choices, key=lambda each: (each.steps, -each.seconds))
    update: dict[str, object] = {"profile": chosen.profile, "num_inference_steps": chosen.steps}
    if isinstance(request, TextToImage):
        update |= {"width": chosen.size.width, "height": chosen.size.height}
    said = messages.chosen_for_budget(
        chosen.steps, chosen.profile, chosen.size, chosen.seconds, budget
    )
    return request.model_copy(update=update), said


def _choices(
    request: PaintingRequest,
    row: ModelRow,
    profiles: tuple[str, ...],
    find_time: FindTime,
    budget: float,
) -> Iterator[_Choice]:
    """Yield what can be painted in the time, by size, then by profile; at least one step."""
    most = min(
        SAMPLERS[resolve_sampler(request.sampler, row)].max_steps,
        MOST_OF_HIGH * row.figures("high").num_inference_steps,
    )
    guidance = request.guidance_scale
    factor = compare_step(
        request, row.figures("fast").guidance_scale if guidance is None else guidance
    )
    for size in _list_sizes(request, row):
        for profile in profiles:
            step, beside = 0.0, 0.0
            for scale, part in _list_parts(request):
                times = find_time(row.name, profile, round(size.area * scale))
                if times is None:
                    break
                step += part * factor * times[0]
                beside += times[1]
            else:
                per_picture = budget / request.num_images
                steps = request.num_inference_steps or int((per_picture - beside) / step)
                steps = max(1, min(steps, most if request.num_inference_steps is None else steps))
                yield _Choice(profile, size, steps, (steps * step + beside) * request.num_images)


def _list_sizes(request: PaintingRequest, row: ModelRow) -> list[Size]:
    native, multiple = row.native_size, row.family.size_multiple
    if request.width is not None or request.height is not None:
        given = Size(request.width or native.width, request.height or native.height)
        return [round_to_multiple(given, multiple)]
    if not isinstance(request, TextToImage):
        return [native]  # the picture's size isn't known yet; it is near the native area
    sizes = (
        round_to_multiple(Size(round(native.width * each), round(native.height * each)), multiple)
        for each in SMALLER_SIZES
    )
    return [each for each in dict.fromkeys(sizes) if min(each.width, each.height) >= MIN_SIDE_PX]


def _list_parts(request: PaintingRequest) -> list[tuple[float, float]]:
    """Return the denoising runs of a picture: their area and their steps, as parts of the first."""
    if isinstance(request, ImageToImage):
        return [(1.0, strength) for strength in request.strengths()]
    if isinstance(request, Inpaint):
        return [(1.0, request.strength)]
    parts = [(1.0, 1.0)]
    if isinstance(request, TextToImage) and request.hires is not None:
        hires = request.hires
        parts.append((hires.scale**2, 0.5 if hires.strength is None else hires.strength))
    return parts

"""Text to image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from paintdiff.jobs.requests import TextToImage
from paintdiff.tasks.controls import prepare_controls
from paintdiff.tasks.hires import SecondPass
from paintdiff.tasks.resolve.context import ResolveContext
from paintdiff.tasks.resolve.sampling import resolve_sampling, resolve_size, warn_of_sampling
from paintdiff.tasks.runs import build_runs, paint_runs
from paintdiff.tasks.steps import OnStep, Painted
from paintdiff.tasks.task_context import TaskContext

if TYPE_CHECKING:
    from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline


def resolve(request: TextToImage, context: ResolveContext) -> TextToImage:
    """Fill in the sampling settings and the size.

    Raises RequestError, SizeError or UnknownNameError, with the field in `field`.
    """
    sampling = resolve_sampling(request, context.model)
    size = resolve_size(request.width, request.height, context)
    update = {**sampling, "width": size.width, "height": size.height}
    resolved = request.model_copy(update=update)
    warn_of_sampling(request, resolved, context)
    return resolved


def paint(
    request: TextToImage, leased: LeasedPipeline, tools: TaskContext, on_step: OnStep
) -> Iterator[Painted]:
    """Yield the pictures one by one.

    Picture i is the single picture of the seed + i: to the last bit, except with profiles that
    denoise several at once. Errors from `tools` and `on_step` pass through unchanged.
    """
    controls = prepare_controls(request, tools)
    runs = build_runs(request, tools, controls=controls)
    if request.hires is None:
        yield from paint_runs(runs, leased, tools, on_step)
        return
    second = SecondPass(request, leased, tools)
    for index, run in enumerate(runs):
        yield second.paint(run, on_step, index)

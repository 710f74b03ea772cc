"""From words to pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from paintdiff.jobs.requests import TextToImage
from paintdiff.tasks.controls import prepare_controls
from paintdiff.tasks.hires import SecondPass
from paintdiff.tasks.resolve.sampling import resolve_sampling, resolve_size
from paintdiff.tasks.runs import build_run, paint_run
from paintdiff.tasks.steps import OnStep, Painted
from paintdiff.tasks.task_context import TaskContext

if TYPE_CHECKING:
    from paintdiff.models.inference.leased_pipeline import LeasedPipeline
    from paintdiff.models.registry.model_rows import ModelRow


def resolve(request: TextToImage, row: ModelRow) -> tuple[TextToImage, tuple[str, ...]]:
    """Fill every None. Returns the settled request and what a person should know about it.

    Raises RequestError, SizeError or UnknownNameError, with the field in `field`.
    """
    sampling, warnings = resolve_sampling(request, row)
    size, size_warnings = resolve_size(request.width, request.height, row)
    update = {**sampling, "width": size.width, "height": size.height}
    return request.model_copy(update=update), size_warnings + warnings


def paint(
    request: TextToImage, leased: LeasedPipeline, tools: TaskContext, on_step: OnStep
) -> Iterator[Painted]:
    """Yield the pictures one by one. Picture i is that of the seed + i alone; to the last bit, but
    for profiles that let several be denoised at once.

    What `tools` and `on_step` raise comes out unchanged.
    """
    controls = prepare_controls(request, tools.make_map)
    runs = [
        build_run(request.for_image(index), controls=controls)
        for index in range(request.num_images)
    ]
    if request.hires is None:
        yield from paint_run(runs, leased, tools, on_step)
        return
    second = SecondPass(request, leased, tools)
    for index, run in enumerate(runs):
        yield second.after(run, on_step, index)

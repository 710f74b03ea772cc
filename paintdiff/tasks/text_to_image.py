"""From words to pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from paintdiff.requests import TextToImage
from paintdiff.tasks.controls import controls_of
from paintdiff.tasks.hires import SecondPass
from paintdiff.tasks.runs import painted, run_of
from paintdiff.tasks.settling import settled_sampling, settled_size
from paintdiff.tasks.steps import OnStep, Painted
from paintdiff.tasks.tools import Tools

if TYPE_CHECKING:
    from paintdiff.models.lease import LeasedPipeline
    from paintdiff.models.model_rows import ModelRow


def settle(request: TextToImage, row: ModelRow) -> tuple[TextToImage, tuple[str, ...]]:
    """Fill every None. Returns the settled request and what a person should know about it.

    Raises RequestError, SizeError or UnknownNameError, with the field in `field`.
    """
    sampling, warnings = settled_sampling(request, row)
    size, size_warnings = settled_size(request.width, request.height, row)
    update = {**sampling, "width": size.width, "height": size.height}
    return request.model_copy(update=update), size_warnings + warnings


def paint(
    request: TextToImage, leased: LeasedPipeline, tools: Tools, on_step: OnStep
) -> Iterator[Painted]:
    """Yield the pictures one by one. Picture i is that of the seed + i alone; to the last bit, but
    for profiles that let several be denoised at once.

    What `tools` and `on_step` raise comes out unchanged.
    """
    controls = controls_of(request, tools.make_map)
    runs = [run_of(request.alone(index), controls=controls) for index in range(request.num_images)]
    if request.hires is None:
        yield from painted(runs, leased, tools, on_step)
        return
    second = SecondPass(request, leased, tools)
    for index, run in enumerate(runs):
        yield second.after(run, on_step, index)

"""What a request asks of memory, and the same request at half its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from paintdiff.imaging.geometry import MIN_SIDE_PX, Size, round_to_multiple
from paintdiff.jobs.requests import ImageToImage, Painting, TextToImage
from paintdiff.models.memory.plans import RunFacts
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.tiling.windows import choose_windows, sees_through_windows
from paintdiff.tasks.adapters import collect_adapters
from paintdiff.tasks.controls import find_controlnets
from paintdiff.tasks.resolve.hires import compute_hires_size

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.registry.base_rows import WeightsRow


def gather_run_facts(
    settled: Painting, catalog: Catalog, bytes_of: Callable[[WeightsRow], int]
) -> RunFacts:
    """Of a settled request, the largest of its passes. `bytes_of` says what weights that act along
    will take.
    """
    model = catalog.find(ModelRow, settled.model)
    sampling = settled.sampling()
    size = sampling.size
    seen = size.area
    hires = settled.hires if isinstance(settled, TextToImage) else None
    if hires is not None:
        size = compute_hires_size(size, hires.scale, model)
        seen = max(seen, _seen_px(size, model, tiled=bool(hires.tiled)))
    elif isinstance(settled, ImageToImage):
        seen = _seen_px(size, model, tiled=bool(settled.tiled))
    adapters, controlnets = collect_adapters(settled, catalog), find_controlnets(settled)
    beside: list[WeightsRow] = [
        catalog.find(ControlNetRow, name) for name in dict.fromkeys(controlnets)
    ]
    if adapters.refiner is not None:
        beside.append(catalog.find(ModelRow, adapters.refiner))
    alone = not controlnets and adapters.refiner is None and adapters.vae is None
    return RunFacts(
        size,
        seen,
        batch=2 if sampling.guidance_scale > 1 else 1,
        beside_bytes=sum(map(bytes_of, beside)),
        plain=alone and not adapters.loras and not adapters.ip_adapters,
        # Without its second pass a hires fix is smaller already.
        may_shrink=hires is None and min(size.width, size.height) >= 2 * MIN_SIDE_PX,
    )


def gather_foreseen_facts(model: ModelRow, size: Size, refined: Size | None = None) -> RunFacts:
    """Of what a page is about to ask for: a picture of that size, painted a second time at
    `refined`, with guidance and nothing beside the model.
    """
    largest = refined or size
    tiled = refined is not None and sees_through_windows(None, refined, model)
    return RunFacts(largest, max(size.area, _seen_px(largest, model, tiled=tiled)))


def halve_facts(settled: Painting, model: ModelRow) -> Painting:
    """The request at half its width and height, rounded to what the model can paint."""
    size = settled.sampling().size
    half = round_to_multiple(
        Size(max(1, size.width // 2), max(1, size.height // 2)), model.family.size_multiple
    )
    return settled.model_copy(update={"width": half.width, "height": half.height})


def _seen_px(size: Size, model: ModelRow, *, tiled: bool) -> int:
    return choose_windows(size, model)[0].size.area if tiled else size.area

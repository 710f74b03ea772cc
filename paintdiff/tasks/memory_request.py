"""The facts about a request that memory plans are made from, and the request at half its size."""

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
    resolved: Painting,
    model: ModelRow,
    catalog: Catalog,
    bytes_of: Callable[[WeightsRow], int],
) -> RunFacts:
    """Return the facts about the largest pass of a resolved request.

    `bytes_of` says how much memory the weights beside the model will take.
    """
    sampling = resolved.sampling()
    size = sampling.size
    seen = size.area
    hires = resolved.hires if isinstance(resolved, TextToImage) else None
    if hires is not None:
        size = compute_hires_size(size, hires.scale, model)
        seen = max(seen, _count_seen_px(size, model, tiled=bool(hires.tiled)))
    elif isinstance(resolved, ImageToImage):
        seen = _count_seen_px(size, model, tiled=bool(resolved.tiled))
    adapters, controlnets = collect_adapters(resolved, model, catalog), find_controlnets(resolved)
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
        # A hires fix gets smaller by leaving its second pass out.
        may_shrink=hires is None and min(size.width, size.height) >= 2 * MIN_SIDE_PX,
    )


def predict_run_facts(model: ModelRow, size: Size, refined: Size | None = None) -> RunFacts:
    """Return the facts about a picture of that size, before there is a request for it.

    It is painted a second time at `refined`, if that is given, with guidance and without adapters.
    """
    largest = refined or size
    tiled = refined is not None and sees_through_windows(None, refined, model)
    return RunFacts(largest, max(size.area, _count_seen_px(largest, model, tiled=tiled)))


def halve_request(resolved: Painting, model: ModelRow) -> Painting:
    """Return the request at half its width and height, rounded to what the model can paint."""
    size = resolved.sampling().size
    half = round_to_multiple(
        Size(max(1, size.width // 2), max(1, size.height // 2)), model.family.size_multiple
    )
    return resolved.model_copy(update={"width": half.width, "height": half.height})


def _count_seen_px(size: Size, model: ModelRow, *, tiled: bool) -> int:
    return choose_windows(size, model)[0].size.area if tiled else size.area

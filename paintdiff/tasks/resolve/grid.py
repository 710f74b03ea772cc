"""Resolve a grid: its cells, each like any request, in the order that switches models least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from paintdiff.errors import RequestError
from paintdiff.jobs import messages as job_messages
from paintdiff.jobs.axes import RANDOM, find_axis
from paintdiff.jobs.grid_cells import Cell, GridPlan, count_cells, plan_cells
from paintdiff.jobs.request_parts import Axis
from paintdiff.jobs.requests import Grid, Painting
from paintdiff.tasks.resolve import messages
from paintdiff.tasks.resolve.sampling import resolve_seed

MAX_WARNINGS = 8
"""The most different warnings of all cells together that are shown."""

ResolvePainting = Callable[[Painting], tuple[Painting, list[str]]]
"""Resolves a request to paint, and returns it with its warnings."""


def resolve_grid(
    grid: Grid, resolve_painting: ResolvePainting
) -> tuple[Grid, tuple[Cell, ...], tuple[str, ...]]:
    """Draw a grid's seeds, and resolve its cells, all of them before one is painted.

    Returns the grid, the cells in the order in which to paint them, and the warnings.

    Raises:
        RequestError: (for "x", "y" or "z") A cell can't be painted.
    """
    count_cells(grid)  # before anything that an unknown axis would stop
    grid = _draw_seeds(grid)
    plan = plan_cells(grid)
    cells: list[Cell] = []
    warnings: list[str] = []
    for cell in plan.cells:
        try:
            request, said = resolve_painting(cell.request)
        except RequestError as error:
            raise _blame_value(plan, cell, error) from error
        cells.append(replace(cell, request=request))
        warnings += (each for each in said if each not in warnings)
    shown = warnings[:MAX_WARNINGS]
    if len(warnings) > MAX_WARNINGS:
        shown.append(messages.more_warnings(len(warnings) - MAX_WARNINGS))
    return grid, order_cells(cells), tuple(shown)


def order_cells(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Sort cells so that what takes longest to exchange is exchanged least: the model above all.

    Otherwise they keep their order, and so do models: the first cell's comes first.
    """
    ranks: list[dict[object, int]] = [{} for _ in _list_weights(cells[0].request)]
    for cell in cells:
        for rank, weights in zip(ranks, _list_weights(cell.request), strict=True):
            rank.setdefault(weights, len(rank))

    def place(cell: Cell) -> list[int]:
        weights = _list_weights(cell.request)
        return [rank[each] for rank, each in zip(ranks, weights, strict=True)]

    return tuple(sorted(cells, key=place))


def _list_weights(request: Painting) -> tuple[object, ...]:
    """Return what a request needs in memory, the costliest to exchange first."""
    return (
        request.model,
        None if request.refiner is None else request.refiner.model,
        request.vae,
        request.profile,
        tuple(each.controlnet for each in request.controls),
        tuple(each.name for each in request.ip_adapters),
        request.loras,
        None if request.upscaling is None else request.upscaling.upscaler,
    )


def _draw_seeds(grid: Grid) -> Grid:
    """Draw the seeds that are left open, so that the grid paints the same cells again."""
    base: dict[str, object] = {}
    if grid.base.seed is None:
        base["seed"] = resolve_seed(None, 1)
    varied = {find_axis(axis.field).name for axis in grid.axes.values()}
    if grid.base.variation_seed is None and (
        grid.base.variation_strength > 0 or "variation_strength" in varied
    ):
        base["variation_seed"] = resolve_seed(None, 1)
    drawn = {name: _draw_axis(axis) for name, axis in grid.axes.items()}
    return grid.model_copy(update={"base": grid.base.model_copy(update=base), **drawn})


def _draw_axis(axis: Axis) -> Axis:
    if not find_axis(axis.field).name.endswith("seed"):
        return axis
    values = tuple(
        str(resolve_seed(None, 1)) if value.strip().casefold() in RANDOM else value
        for value in axis.values
    )
    return axis.model_copy(update={"values": values})


def _blame_value(plan: GridPlan, cell: Cell, error: RequestError) -> RequestError:
    """Return the error of the axis that changes the field of the error, else of the whole cell."""
    field = error.field or ""
    for axis, value in zip(plan.axes, cell.values, strict=True):
        if any(field == each or field.split(".")[0] == each for each in axis.row.fields):
            return axis.error(value, str(error))
    return RequestError(job_messages.cell_value(plan.describe(cell), str(error)), field=field)

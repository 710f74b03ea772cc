"""The cells of a grid: its base request with the values of the axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from paintdiff.errors import RequestError
from paintdiff.jobs import messages
from paintdiff.jobs.axes import AxisRow, find_axis
from paintdiff.jobs.requests import Grid, Painting
from paintdiff.prompts.matrix import combine_parts, split_matrix

MAX_CELLS = 500
_ADDING = ("prompt_replace", "prompt_append")


@dataclass(frozen=True)
class AxisPlan:
    """An axis with its values one by one. `name` is "x", "y" or "z"."""

    name: str
    row: AxisRow
    values: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the values as a sheet shows them."""
        return tuple(self.row.label(value) for value in self.values)

    def error(self, value: str, reason: str) -> RequestError:
        """Return the error of a value that can't be used."""
        if self.row.kind == "lines":
            number = self.values.index(value) + 1
            return RequestError(messages.axis_line(number, value, reason), field=self.name)
        return RequestError(messages.axis_value(self.row.title, value, reason), field=self.name)


@dataclass(frozen=True)
class Cell:
    """A picture of a grid. `index` counts from 0 along x, then y, then z.

    `values` are those of the axes that the grid has, in the order x, y, z.
    """

    index: int
    values: tuple[str, ...]
    request: Painting


@dataclass(frozen=True)
class GridPlan:
    """A grid's axes, x first, and its cells by index."""

    axes: tuple[AxisPlan, ...]
    cells: tuple[Cell, ...]

    def describe(self, cell: Cell) -> str:
        """Return a cell's values with the names of their axes."""
        named = zip(self.axes, cell.values, strict=True)
        return ", ".join(f"{axis.row.title} {value!r}" for axis, value in named)


def list_labels(grid: Grid) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the labels along x, y and z; one empty label along an axis that isn't there.

    Raises:
        RequestError: (for "x", "y" or "z") A range can't be used.
    """
    labels = {axis.name: axis.labels for axis in _plan_axes(grid)}
    nothing = ("",)
    return labels["x"], labels.get("y", nothing), labels.get("z", nothing)


def count_cells(grid: Grid) -> int:
    """Return the number of a grid's cells.

    Raises:
        RequestError: (for "x", "y" or "z") A range can't be used, or there are too many cells.
    """
    return _check_count(_plan_axes(grid))


def plan_cells(grid: Grid) -> GridPlan:
    """Return a grid's cells. Their requests are checked, but names aren't looked up.

    Raises:
        RequestError: (for "x", "y" or "z") A value can't be used, or there are too many cells.
    """
    axes = _plan_axes(grid)
    _check_count(axes)
    backwards = [axis.values for axis in reversed(axes)]  # x runs fastest
    cells = [
        Cell(index, values[::-1], _build_request(grid.base, axes, values[::-1]))
        for index, values in enumerate(product(*backwards))
    ]
    return GridPlan(axes, tuple(cells))


def make_matrix(base: Painting) -> Grid:
    """Return the grid of a prompt matrix, `a house|in snow|at night`.

    Half of the parts after the first one are added along x, the others along y.

    Raises:
        RequestError: (for "prompt") The prompt isn't one, or has too many parts.
    """
    first, *parts = split_matrix(base.prompt)
    half = (len(parts) + 1) // 2
    added = {"x": combine_parts(tuple(parts[:half]))}
    if parts[half:]:
        added["y"] = combine_parts(tuple(parts[half:]))
    axes = {name: {"field": "prompt_append", "values": values} for name, values in added.items()}
    return Grid.parse({"base": base.model_copy(update={"prompt": first}), **axes})


def _plan_axes(grid: Grid) -> tuple[AxisPlan, ...]:
    plans: list[AxisPlan] = []
    for name, axis in grid.axes.items():
        try:
            row = find_axis(axis.field)
            plans.append(AxisPlan(name, row, row.expand(axis.values)))
        except RequestError as error:
            raise RequestError(str(error), field=name) from None
    for index, axis in enumerate(plans):
        other = next((each for each in plans[:index] if _collide(axis.row, each.row)), None)
        if other is not None:
            words = messages.axes_collide(other.row.title, axis.row.title)
            raise RequestError(words, field=axis.name)
    return tuple(plans)


def _collide(one: AxisRow, other: AxisRow) -> bool:
    """Return whether one of the two would hide the other; changes of words add up."""
    same = one.order == other.order and set(one.fields) & set(other.fields)
    return bool(same) and one.name not in _ADDING


def _check_count(axes: Sequence[AxisPlan]) -> int:
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MAX_CELLS:
        raise RequestError(messages.too_many_cells(count, MAX_CELLS), field="x")
    return count


def _build_request(base: Painting, axes: Sequence[AxisPlan], values: Sequence[str]) -> Painting:
    request = base
    pairs = sorted(zip(axes, values, strict=True), key=lambda pair: pair[0].row.order)
    for axis, value in pairs:
        try:
            request = axis.row.change(request, value, axis.values)
        except RequestError as error:
            raise axis.error(value, str(error)) from None
    return request

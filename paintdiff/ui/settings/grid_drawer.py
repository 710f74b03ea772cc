"""Grids in a drawer: axes of settings, combinations of a prompt's parts, or prompts by line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.errors import PaintError, RequestError
from paintdiff.jobs.axes import AXES, AxisRow
from paintdiff.jobs.grid_cells import count_cells, make_matrix
from paintdiff.jobs.request_parts import PROMPT_LINE
from paintdiff.jobs.requests import REQUEST_KINDS, Grid, Painting, Request, TextToImage
from paintdiff.models.registry.samplers import list_samplers
from paintdiff.ui.common import message_markup, widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.settings import messages

OFF, BY_AXES, MATRIX, LINES = "off", "axes", "matrix", "lines"
NAMES = ("x", "y", "z")
NOTHING = ""

_KINDS = (
    (messages.GRID_OFF, OFF),
    (messages.GRID_AXES, BY_AXES),
    (messages.GRID_MATRIX, MATRIX),
    (messages.GRID_LINES, LINES),
)
_ELSEWHERE = (PROMPT_LINE, "prompt", "width", "height")
"""Axes that the page doesn't offer: it has a box for lines, and sizes have both sides."""


class GridDrawer:
    """The components that make a grid of a tab's request."""

    def __init__(self, context: PageContext, ids: Ids) -> None:
        self._context = context
        self._ids = ids
        self._notes: dict[str, Note] = {}
        self._axes: dict[str, tuple[gr.Dropdown, gr.Textbox]] = {}
        fields = REQUEST_KINDS.get(ids.tab, TextToImage).model_fields
        self._rows = [
            row
            for row in AXES.values()
            if row.name not in _ELSEWHERE
            and all(field.split(".")[0] in fields for field in row.fields)
        ]

    def add(self) -> None:
        """Add the drawer to the page."""
        with widgets.drawer(messages.GRID, self._ids("grid-drawer")):
            self.kind = gr.Radio(
                list(_KINDS),
                value=OFF,
                show_label=False,
                container=False,
                label=messages.GRID,
                elem_id=self._ids("grid-kind"),
                elem_classes=["segments"],
            )
            self._notes["grid"] = add_note(self._ids, "grid")
            with gr.Column(elem_classes=["grid-axes"], visible=False) as self.axes_group:
                for name, label in zip(NAMES, messages.AXIS_LABELS, strict=True):
                    self._add_axis(name, label)
            self.lines = gr.Textbox(
                label=messages.PROMPT_LINES,
                info=messages.PROMPT_LINES_INFO,
                lines=4,
                max_lines=12,
                visible=False,
                elem_id=self._ids("grid-lines"),
                placeholder=messages.PROMPT_LINES_EXAMPLE,
            )
            self._notes["lines"] = add_note(self._ids, "grid-lines")
            self.matrix_help = widgets.static_html(
                message_markup.aside(messages.MATRIX_INFO), self._ids("matrix-help"), "matrix-help"
            )
            self.matrix_help.visible = False
            self.forecast = widgets.static_html("", self._ids("grid-forecast"), "foreseen-place")

    def _add_axis(self, name: str, label: str) -> None:
        choices = [(messages.NO_AXIS, NOTHING), *((row.title, row.name) for row in self._rows)]
        with gr.Row(elem_classes=["pair", "axis"]):
            field = gr.Dropdown(
                choices,
                value=NOTHING,
                label=label,
                min_width=0,
                scale=2,
                elem_id=self._ids(f"grid-{name}"),
            )
            values = gr.Textbox(
                label=messages.AXIS_VALUES,
                min_width=0,
                scale=3,
                placeholder=messages.AXIS_VALUES_EXAMPLE,
                elem_id=self._ids(f"grid-{name}-values"),
            )
        self._notes[name] = add_note(self._ids, f"grid-{name}")
        self._axes[name] = (field, values)

    def wire(self, model: gr.Dropdown, quick: Mapping[str, Any]) -> None:
        """Show what belongs to the chosen kind; offer an axis's values."""
        self.kind.change(
            self._show_kind, [self.kind], [self.axes_group, self.lines, self.matrix_help], **quick
        )
        for field, values in self._axes.values():
            field.input(self._offer_values, [field, values, model], [values], **quick)

    def _show_kind(self, kind: object) -> tuple[Any, ...]:
        return (
            gr.Column(visible=kind == BY_AXES),
            gr.Textbox(visible=kind == LINES),
            gr.HTML(visible=kind == MATRIX),
        )

    def _offer_values(self, field: object, values: object, model: object) -> gr.Textbox:
        """Fill in all names of a setting that has few, and show how values are written."""
        row = AXES.get(str(field))
        if row is None:
            return gr.Textbox(placeholder=messages.AXIS_VALUES_EXAMPLE)
        placeholder = _EXAMPLES.get(row.name) or messages.EXAMPLE_OF_KIND[row.kind]
        names = self._list_names(row, model)
        if not str(values or "").strip() and names:
            return gr.Textbox(value=", ".join(names), placeholder=placeholder)
        return gr.Textbox(placeholder=placeholder)

    def _list_names(self, row: AxisRow, model: object) -> list[str]:
        context = self._context
        match row.name:
            case "sampler":
                fitting = context.model(model).family.sampler_names()
                return [name for name in list_samplers() if name in fitting]
            case "quality":
                return [title for _, title in context.qualities]
            case "profile":
                return list(context.profiles.names())
            case "upscaling.upscaler" | "hires.upscaler":
                return [each.name for each in context.upscalers()]
            case "controls.0.controlnet":
                return [each.name for each in context.controlnets(model)]
            case "model":
                return [each.name for each in context.models if each.is_here]
            case _:
                return []

    def inputs(self) -> dict[str, Component]:
        """Return the components, by the keys of their storage."""
        boxes: dict[str, Component] = {"grid_kind": self.kind, "grid_lines": self.lines}
        for name, (field, values) in self._axes.items():
            boxes |= {f"grid_{name}": field, f"grid_{name}_values": values}
        return boxes

    def events(self) -> list[Any]:
        """Return the events after which the grid may be another one; not one for each key."""
        events: list[Any] = [self.kind.change, self.lines.blur]
        for field, values in self._axes.values():
            events += [field.change, values.blur, values.submit]
        return events

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        return {
            "grid": self._notes["grid"],
            "grid.lines": self._notes["lines"],
            **{name: self._notes[name] for name in NAMES},
        }

    def has_prompts(self, values: Values) -> bool:
        """Return whether the grid has prompts of its own, so that the tab needs none."""
        return values[self.kind] == LINES

    def build(self, painting: Painting, values: Values) -> Request:
        """Return the grid of a request, or the request itself if there is to be none.

        Raises:
            RequestError: A value is invalid; `field` is "x", "y", "z" or "grid".
        """
        kind = values[self.kind]
        if kind not in (BY_AXES, MATRIX, LINES):
            return painting
        if painting.num_images != 1:
            raise RequestError(messages.ONE_PICTURE_A_CELL, field="num_images")
        if kind == MATRIX:
            return make_matrix(painting)
        if kind == LINES:
            return self._build_lines(painting, values)
        axes = {
            name: {"field": values[field], "values": str(values[box] or "")}
            for name, (field, box) in self._axes.items()
            if values[field]
        }
        if "x" not in axes:
            raise RequestError(messages.CHOOSE_AXIS, field="x")
        return _parse_grid(painting, axes)

    def _build_lines(self, painting: Painting, values: Values) -> Grid:
        lines = str(values[self.lines] or "")
        if not lines.strip():
            raise RequestError(messages.NO_LINES, field="grid.lines")
        try:
            grid = _parse_grid(painting, {"x": {"field": PROMPT_LINE, "values": lines}})
            count_cells(grid)
        except RequestError as error:
            raise RequestError(str(error), field="grid.lines") from error
        return grid

    def describe(self, request: Request) -> str:
        """Describe how many pictures a grid has and how long they take, as markup."""
        if not isinstance(request, Grid):
            return ""
        try:
            forecast = self._context.engine.forecast_time(request)
        except PaintError as error:
            return message_markup.note([str(error)], "warning")
        said = messages.pictures_to_paint(forecast.pictures, forecast.seconds)
        return message_markup.aside(said)

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings, each checked."""
        kind = memory.settings.get("grid_kind")
        kind = kind if kind in (OFF, BY_AXES, MATRIX, LINES) else OFF
        names = {row.name for row in self._rows}
        updates = self._show(str(kind))
        updates[self.lines] = gr.Textbox(value=memory.text("grid_lines"), visible=kind == LINES)
        for name, (field, box) in self._axes.items():
            stored = memory.settings.get(f"grid_{name}")
            updates[field] = stored if stored in names else NOTHING
            updates[box] = memory.text(f"grid_{name}_values")
        return updates

    def fill(self, request: Request) -> Updates:
        """Return updates with the axes of an earlier grid; a picture alone switches it off."""
        if not isinstance(request, Grid):
            return {self.kind: OFF, **self._hide(OFF)}
        lines = next((a for a in request.axes.values() if a.field == PROMPT_LINE), None)
        kind = BY_AXES if lines is None else LINES
        updates: Updates = {self.kind: kind, **self._hide(kind)}
        if lines is not None:
            updates[self.lines] = gr.Textbox(value="\n".join(lines.values), visible=True)
        for name, (field, box) in self._axes.items():
            axis = request.axes.get(name)
            known = axis is not None and any(row.name == axis.field for row in self._rows)
            updates[field] = axis.field if known and axis is not None else NOTHING
            updates[box] = _write_values(axis.values) if known and axis is not None else ""
        return updates

    def _show(self, kind: str) -> Updates:
        return {self.kind: kind, **self._hide(kind)}

    def _hide(self, kind: str) -> Updates:
        shown = (self.axes_group, self.lines, self.matrix_help)
        return dict(zip(shown, self._show_kind(kind), strict=True))

    def extra_outputs(self) -> list[Any]:
        """Return what `restore` and `fill` change besides the inputs."""
        return [self.axes_group, self.matrix_help]


_EXAMPLES = {
    "prompt_replace": messages.REPLACE_EXAMPLE,
    "prompt_append": messages.APPEND_EXAMPLE,
    "size": messages.SIZES_EXAMPLE,
    "lora": messages.LORA_EXAMPLE,
}


def _parse_grid(painting: Painting, axes: Mapping[str, object]) -> Grid:
    return Grid.parse({"base": painting, **axes})


def _write_values(values: tuple[str, ...]) -> str:
    """Write values as one text that is read as the same ones."""

    def quote(value: str) -> str:
        if value and not set(value) & set(',"\n'):
            return value
        doubled = value.replace('"', '""')
        return f'"{doubled}"'

    return ", ".join(map(quote, values))

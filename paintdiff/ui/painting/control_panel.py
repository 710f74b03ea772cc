"""The settings of one ControlNet: a picture with its map, and how strictly to follow it.

The ControlNet tab shows all of it, other tabs put it in a drawer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import gradio as gr
from gradio.components import Component

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import ResizeMode
from paintdiff.jobs.request_parts import MAX_CONDITIONING_SCALE, ControlInput
from paintdiff.jobs.requests import PaintingRequest
from paintdiff.preprocessors.table import PREPROCESSORS
from paintdiff.ui.common import messages as common
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.painting import messages
from paintdiff.ui.painting.tab_inputs import FormTab
from paintdiff.ui.settings.control_map import (
    FIRST_PREPROCESSOR,
    FOR_A_MAP,
    ControlMap,
    SizeOf,
    choose_preprocessor,
)

RESIZE_MODES = tuple((title, mode) for mode, title in common.RESIZE_MODES.items())


class ControlPanel:
    """The components of a request's control number `index`.

    `name`, if any, prefixes their ids and the keys of their storage. The tab decides where they go:
    first the map (`add_map`, or `add_well` with a picture of its own), then the numbers.
    """

    def __init__(self, context: PageContext, ids: Ids, *, name: str = "", index: int = 0) -> None:
        self.context = context
        self._ids = ids
        self._index = index
        self._element = f"{name}-" if name else ""
        self._remembered = f"{name}_" if name else ""
        self._figures: dict[str, Component] = {}
        self._notes: dict[str, Note] = {}

    # Layout

    def add_map(self, picture: gr.HTML, note: Note, keep: str = messages.EDIT_MAP) -> None:
        """Add preprocessor and map for an existing canvas."""
        self.map = ControlMap.build(
            self.context, self._ids, self._element, canvas=picture, note=note, keep=keep
        )

    def add_well(self) -> None:
        """Add a place for a picture, with preprocessor and map below it.

        Its button `take` copies the tab's own picture.
        """
        well = canvas.paint_canvas(self._ids(f"{self._element}canvas"), tools=False)
        self.take = gr.Button(
            messages.USE_THIS_TABS_PICTURE,
            elem_id=self._ids(f"{self._element}take"),
            elem_classes=["quiet"],
            min_width=0,
        )
        note = add_note(self._ids, f"{self._element}image")
        self.add_map(well, note, keep=messages.USE_THIS_MAP)

    def add_figures(self) -> None:
        """Add the choice of ControlNet and its strength."""
        self.controlnet = self._add(
            "controlnet",
            gr.Dropdown,
            filterable=False,
            label=messages.CONTROLNET,
            **self.offer(self.context.default_model, None),
        )
        self._add(
            "conditioning_scale",
            gr.Slider,
            0,
            MAX_CONDITIONING_SCALE,
            1,
            step=0.05,
            label=messages.STRICTNESS,
            info=messages.STRICTNESS_INFO,
        )

    def add_reach(self) -> None:
        """Add start and end of control, and how the picture is fitted."""
        self._add(
            "guidance_start",
            gr.Slider,
            0,
            1,
            0,
            step=0.05,
            label=messages.START,
            info=messages.START_INFO,
        )
        self._add(
            "guidance_end",
            gr.Slider,
            0,
            1,
            1,
            step=0.05,
            label=messages.END,
            info=messages.END_INFO,
        )
        self.mode = self._add(
            "resize_mode",
            gr.Radio,
            list(RESIZE_MODES),
            value="crop",
            label=messages.IF_PROPORTIONS_DIFFER,
        )

    def _add(self, name: str, component: Any, *arguments: Any, **settings: Any) -> Any:
        """Make a component with an id and a place for an error below it."""
        element = self._element + name.replace("_", "-")
        made = component(*arguments, elem_id=self._ids(element), **settings)
        self._figures[name] = made
        self._notes[name] = add_note(self._ids, element)
        return made

    # Part of a tab's inputs

    @property
    def canvas(self) -> gr.HTML:
        """Return the canvas that holds the picture."""
        return self.map.canvas

    def inputs(self) -> dict[str, Component]:
        """Return the components, by the keys of their storage."""
        named = {
            "picture": self.canvas,
            "preprocessor": self.map.preprocessor,
            **self._figures,
        }
        return {f"{self._remembered}{name}": component for name, component in named.items()}

    def self_storing_inputs(self) -> frozenset[str]:
        """Return the key of the canvas, which stores its picture itself."""
        return frozenset({f"{self._remembered}picture"})

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        places = {"": self.map.notes["image"], **self._notes, **self.map.notes}
        path = f"controls.{self._index}"
        return {f"{path}.{field}".rstrip("."): note for field, note in places.items()}

    def read(self, values: Values) -> list[dict[str, object]]:
        """Return the value of a request's `controls`: one control, or none without a picture.

        Raises:
            RequestError: A value is invalid; its field is in `controls`.
        """
        try:
            picture = self.map.read(values)
        except RequestError as error:
            raise RequestError(str(error), field=f"controls.{self._index}.image") from error
        if picture is None:
            return []
        figures = {name: values[component] for name, component in self._figures.items()}
        return [{"image": picture, "preprocessor": values[self.map.preprocessor], **figures}]

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings, each checked."""

        def stored(name: str) -> str:
            return f"{self._remembered}{name}"

        figures = self._figures
        preprocessor = memory.choice(
            stored("preprocessor"), list(PREPROCESSORS), FIRST_PREPROCESSOR
        )
        model = self.context.model(memory.settings.get("model")).name
        chosen = memory.settings.get(stored("controlnet"))
        scale = memory.number(stored("conditioning_scale"), 1, 0, MAX_CONDITIONING_SCALE)
        return {
            self.map.preprocessor: gr.Dropdown(**choose_preprocessor(preprocessor)),
            self.controlnet: gr.Dropdown(**self.offer(model, chosen)),
            figures["conditioning_scale"]: scale,
            figures["guidance_start"]: memory.number(stored("guidance_start"), 0, 0, 1),
            figures["guidance_end"]: memory.number(stored("guidance_end"), 1, 0, 1),
            self.mode: memory.choice(stored("resize_mode"), get_args(ResizeMode), "crop"),
        }

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with the settings of an earlier picture.

        Its control's picture is unknown, and so is the preprocessor for the next one.
        """
        if self._index >= len(request.controls):
            return {}
        control: ControlInput = request.controls[self._index]
        updates: Updates = {
            component: getattr(control, name) for name, component in self._figures.items()
        }
        known = any(row.name == request.model for row in self.context.models)
        fitting = self.offer(request.model, control.controlnet) if known else None
        updates[self.controlnet] = gr.Dropdown(**fitting) if fitting is not None else gr.skip()
        return updates

    def wire(
        self,
        tab: FormTab,
        quick: Mapping[str, Any],
        *,
        size: SizeOf,
        inputs: set[Any],
        flushed: Sequence[gr.HTML] = (),
    ) -> None:
        """Register events.

        `size` returns the size that would be painted; it reads `inputs` and the canvases `flushed`.
        """
        self.map.wire(quick, mode=self.mode, size=size, inputs=inputs, flushed=flushed)
        gr.on(
            [tab.form.model.change, self.controlnet.input],
            lambda model, chosen: gr.Dropdown(**self.offer(model, chosen)),
            [tab.form.model, self.controlnet],
            [self.controlnet],
            **quick,
        )

    def offer(self, model: object, chosen: object) -> dict[str, Any]:
        """Return the ControlNet dropdown's properties for a model (a name).

        It offers the ControlNets that fit, and selects `chosen` if that fits, else the first.
        """
        rows = {row.name: row for row in self.context.controlnets(model)}
        if not rows:
            info = messages.no_controlnet(self.context.model(model).title)
            return {"choices": [], "value": None, "interactive": False, "info": info}
        name = chosen if isinstance(chosen, str) and chosen in rows else next(iter(rows))
        made_for = [
            PREPROCESSORS[each].title for each in rows[name].preprocessors if each != FOR_A_MAP
        ]
        return {
            "choices": [(row.title, row.name) for row in rows.values()],
            "value": name,
            "interactive": True,
            "info": messages.made_for(made_for) if made_for else "",
        }

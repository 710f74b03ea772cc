"""The ControlNet tab: a prompt fills in a drawing."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import PaintingRequest, TextToImage
from paintdiff.ui.common import widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note
from paintdiff.ui.common.updates import QUICK, Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.painting.control_drawer import ControlDrawer
from paintdiff.ui.painting.control_panel import ControlPanel
from paintdiff.ui.painting.picture_input import PictureInput
from paintdiff.ui.painting.tab_inputs import FormTab, Sizing, TabInputs
from paintdiff.ui.settings.control_map import FIRST_PREPROCESSOR
from paintdiff.ui.settings.form import Form
from paintdiff.ui.settings.hires_drawer import HiresDrawer
from paintdiff.ui.tabs import messages


class ControlInputs(TabInputs):
    """A drawing, or the map of a picture; a second control in a drawer."""

    ids = Ids("controlnet")
    prompt_needed = False
    title = messages.DRAWING_BECOMES_A_PAINTING
    text = messages.HOW_TO_CONTROL

    def __init__(self, context: PageContext) -> None:
        super().__init__(context)
        self.control = ControlPanel(context, self.ids)
        self.second = ControlDrawer(
            context, self.ids, title=messages.SECOND_PICTURE, name="second", index=1
        )
        self.hires = HiresDrawer(context, self.ids)

    def add_controls(self) -> None:
        """Add the ControlNet settings, and drawers for more of them and for a second one."""
        self.control.add_figures()
        with widgets.drawer(messages.MORE_CONTROL_SETTINGS, self.ids("control-more")):
            self.control.add_reach()
        self.second.add()

    def add_settings(self) -> None:
        """Add the hires fix in a drawer."""
        self.hires.add()

    def add_canvas(self) -> None:
        """Add the canvas beside the result, and its control map."""
        with gr.Column(elem_classes=["canvas-side"], min_width=0):
            self.picture = PictureInput.build(self.context, self.ids, tools=True, masks=False)
            with gr.Column(elem_classes=["group", "map-group"], scale=0):
                self.control.add_map(self.picture.canvas, self.picture.note)

    def _panels(self) -> tuple[ControlPanel, ControlPanel]:
        return self.control, self.second.panel

    def inputs(self) -> dict[str, Component]:
        """Return the components, by the keys of their storage."""
        panels = {name: item for panel in self._panels() for name, item in panel.inputs().items()}
        return {**panels, **self.hires.inputs()}

    def self_storing_inputs(self) -> frozenset[str]:
        """Return the keys of the canvases."""
        return frozenset().union(*(panel.self_storing_inputs() for panel in self._panels()))

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        panels = {name: note for panel in self._panels() for name, note in panel.notes().items()}
        return {**panels, **self.hires.notes()}

    def canvases(self) -> tuple[gr.HTML, ...]:
        """Return the drawing, and the second control's picture."""
        return tuple(panel.canvas for panel in self._panels())

    def wire(self, tab: FormTab) -> None:
        """Register the events of the control maps, and match the size of a blank canvas."""
        form = tab.form
        self.picture.wire(tab, QUICK)
        self.hires.wire(form.model, QUICK)
        sides: list[Any] = [form.width, form.height]
        size: dict[str, Any] = {"size": self.form_size(form), "inputs": {form.model, *sides}}
        self.control.wire(tab, QUICK, **size)
        self.second.wire(tab, QUICK, picture=self.picture, **size)
        name = self.picture.canvas.elem_id
        script = f"(...size) => paintdiff.canvas.blankFor('{name}', ...size)"
        gr.on([side.change for side in sides], None, sides, None, js=script)

    def sizing(self, form: Form) -> Sizing:
        """Return the size of the form and the hires fix."""
        painted = super().sizing(form)
        return Sizing(painted.size, painted.inputs.union(self.hires.inputs().values()))

    def refined_size(self, values: Values, form: Form, size: Size) -> Size | None:
        """Return the size of the hires fix."""
        multiple = self.context.model(values[form.model]).family.size_multiple
        return self.hires.refined_size(values, size, multiple)

    def request(self, fields: dict[str, object], values: Values) -> TextToImage:
        """Build the request.

        Raises:
            RequestError: A value is invalid.
        """
        first = self.control.read(values)
        if not first:
            raise RequestError(messages.NO_DRAWING, field="controls.0.image")
        controls = [*first, *self.second.panel.read(values)]
        hires = self.hires.read(values, fields["model"])
        return TextToImage.parse({**fields, "controls": controls, "hires": hires})

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings, each checked."""
        panels = {
            key: each for panel in self._panels() for key, each in panel.restore(memory).items()
        }
        return {**panels, **self.hires.restore(memory)}

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with an earlier picture's control settings."""
        panels = {
            key: each for panel in self._panels() for key, each in panel.fill(request).items()
        }
        return {**panels, **self.hires.fill(request)}

    def receive(self, picture: Picture) -> Updates:
        """Take a finished picture, to use its edges."""
        return {
            **self.picture.receive(picture),
            self.control.map.preprocessor: FIRST_PREPROCESSOR,
        }

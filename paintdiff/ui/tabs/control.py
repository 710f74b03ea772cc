"""The tab where words become a picture whose lines are drawn: ControlNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from paintdiff.ui.painting.painting_tab import Sizing, TabInputs
from paintdiff.ui.painting.picture_input import PictureInput
from paintdiff.ui.settings.control_map import FIRST_PREPROCESSOR
from paintdiff.ui.settings.form import Form
from paintdiff.ui.settings.hires_drawer import HiresDrawer

if TYPE_CHECKING:
    from paintdiff.ui.painting.painting_tab import PaintingTab


class ControlInputs(TabInputs):
    """A drawing, or what a preprocessor finds in a picture; a second one in a drawer."""

    ids = Ids("controlnet")
    prompt_needed = False
    title = "Your drawing becomes a painting"
    text = "Draw lines on the canvas or open a picture, describe the result, and generate."

    def __init__(self, parts: PageContext) -> None:
        super().__init__(parts)
        self.control = ControlPanel(parts, self.ids)
        self.second = ControlDrawer(
            parts, self.ids, title="A second picture", name="second", index=1
        )
        self.hires = HiresDrawer(parts, self.ids)

    def add_controls(self) -> None:
        """Which ControlNet and how strictly; more, and a second one, in drawers."""
        self.control.add_figures()
        with widgets.drawer("More control settings", self.ids("control-more")):
            self.control.add_reach()
        self.second.add()

    def add_settings(self) -> None:
        """The hires fix, in a drawer."""
        self.hires.add()

    def add_canvas(self) -> None:
        """The canvas, beside the result, with what is made of it."""
        with gr.Column(elem_classes=["canvas-side"], min_width=0):
            self.picture = PictureInput.built(self.parts, self.ids, tools=True, masks=False)
            with gr.Column(elem_classes=["group", "map-group"], scale=0):
                self.control.add_map(self.picture.canvas, self.picture.note)

    def _panels(self) -> tuple[ControlPanel, ControlPanel]:
        return self.control, self.second.panel

    def inputs(self) -> dict[str, Component]:
        """The components, by the names under which they are remembered."""
        panels = {name: item for panel in self._panels() for name, item in panel.inputs().items()}
        return {**panels, **self.hires.inputs()}

    def remembered_by_itself(self) -> frozenset[str]:
        """The canvases keep what is on them."""
        return frozenset().union(*(panel.remembered_by_itself() for panel in self._panels()))

    def notes(self) -> dict[str, Note]:
        """Places for errors."""
        panels = {name: note for panel in self._panels() for name, note in panel.notes().items()}
        return {**panels, **self.hires.notes()}

    def canvases(self) -> tuple[gr.HTML, ...]:
        """The drawing, and the other controls'."""
        return tuple(panel.canvas for panel in self._panels())

    def wire(self, studio: PaintingTab) -> None:
        """Let the maps be shown, and a blank canvas be as the picture will be."""
        form = studio.form
        self.picture.wire(studio, QUICK)
        self.hires.wire(form.model, QUICK)
        sides: list[Any] = [form.width, form.height]
        size: dict[str, Any] = {"size": self.size_in(form), "inputs": {form.model, *sides}}
        self.control.wire(studio, QUICK, **size)
        self.second.wire(studio, QUICK, picture=self.picture, **size)
        name = self.picture.canvas.elem_id
        script = f"(...size) => paintdiff.canvas.blankFor('{name}', ...size)"
        gr.on([side.change for side in sides], None, sides, None, js=script)

    def sizing(self, form: Form) -> Sizing:
        """As the form and the hires fix say."""
        painted = super().sizing(form)
        return Sizing(painted.size, painted.inputs.union(self.hires.inputs().values()))

    def refined(self, values: Values, form: Form, size: Size) -> Size | None:
        """As the hires fix says."""
        multiple = self.parts.model(values[form.model]).family.size_multiple
        return self.hires.refined(values, size, multiple)

    def request(self, fields: dict[str, object], values: Values) -> TextToImage:
        """Raises RequestError."""
        first = self.control.requested(values)
        if not first:
            raise RequestError("Draw or open a picture first.", field="controls.0.image")
        controls = [*first, *self.second.panel.requested(values)]
        hires = self.hires.requested(values, fields["model"])
        return TextToImage.parsed({**fields, "controls": controls, "hires": hires})

    def restored(self, memory: BrowserState) -> Updates:
        """The settings as they were."""
        panels = {
            key: each for panel in self._panels() for key, each in panel.restored(memory).items()
        }
        return {**panels, **self.hires.restored(memory)}

    def filled(self, request: PaintingRequest) -> Updates:
        """How strictly a picture's controls were followed."""
        panels = {
            key: each for panel in self._panels() for key, each in panel.filled(request).items()
        }
        return {**panels, **self.hires.filled(request)}

    def received(self, picture: Picture) -> Updates:
        """Take a finished picture: its edges, as it is no drawing."""
        return {
            **self.picture.received(picture),
            self.control.map.preprocessor: FIRST_PREPROCESSOR,
        }

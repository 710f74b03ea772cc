"""The tab where words become a picture whose lines are drawn: ControlNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from paintdiff.errors import RequestError
from paintdiff.events import Picture
from paintdiff.geometry import Size, checked, rounded_to_multiple
from paintdiff.requests import Request, TextToImage
from paintdiff.ui import canvas, widgets
from paintdiff.ui.control_drawer import ControlDrawer
from paintdiff.ui.control_map import FIRST_PREPROCESSOR, SizeOf
from paintdiff.ui.control_panel import ControlPanel
from paintdiff.ui.easel import Values
from paintdiff.ui.form import Form, Updates
from paintdiff.ui.parts import Parts
from paintdiff.ui.picture_input import PictureInput
from paintdiff.ui.remembered import Remembered
from paintdiff.ui.studio import QUICK, Ingredients
from paintdiff.ui.widgets import Ids

if TYPE_CHECKING:
    from paintdiff.ui.studio import Studio


class FromDrawing(Ingredients):
    """A drawing, or what a preprocessor finds in a picture; a second one in a drawer."""

    ids = Ids("controlnet")
    prompt_needed = False
    title = "Draw it, and have it painted"
    text = "Draw lines on the canvas or open a picture, say what it should become, and generate."

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.control = ControlPanel(parts, self.ids)
        self.second = ControlDrawer(
            parts, self.ids, title="A second picture", name="second", index=1
        )

    def add_controls(self) -> None:
        """Which ControlNet and how strictly; more, and a second one, in drawers."""
        self.control.add_figures()
        with widgets.drawer("More about the control", self.ids("control-more")):
            self.control.add_reach()
        self.second.add()

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
        return {name: item for panel in self._panels() for name, item in panel.inputs().items()}

    def remembered_by_itself(self) -> frozenset[str]:
        """The canvases keep what is on them."""
        return frozenset().union(*(panel.remembered_by_itself() for panel in self._panels()))

    def notes(self) -> dict[str, gr.HTML]:
        """Places for errors."""
        return {name: note for panel in self._panels() for name, note in panel.notes().items()}

    def before_start(self, inputs: list[Component]) -> str:
        """Send the last stroke first."""
        return canvas.flush_js(inputs, *(panel.canvas for panel in self._panels()))

    def wire(self, studio: Studio) -> None:
        """Let the maps be shown, and a blank canvas be as the picture will be."""
        form = studio.form
        self.picture.wire(studio, QUICK)
        sides: list[Any] = [form.width, form.height]
        size: dict[str, Any] = {"size": self._size_in(form), "inputs": {form.model, *sides}}
        self.control.wire(studio, QUICK, **size)
        self.second.wire(studio, QUICK, picture=self.picture, **size)
        name = self.picture.canvas.elem_id
        script = f"(...size) => paintdiff.canvas.blankFor('{name}', ...size)"
        gr.on([side.change for side in sides], None, sides, None, js=script)

    def _size_in(self, form: Form) -> SizeOf:
        def size(values: Values) -> Size:
            multiple = self.parts.model(values[form.model]).family.size_multiple
            chosen = Size(int(values[form.width] or 0), int(values[form.height] or 0))
            return rounded_to_multiple(checked(chosen), multiple)

        return size

    def request(self, fields: dict[str, object], values: Values) -> TextToImage:
        """Raises RequestError."""
        first = self.control.requested(values)
        if not first:
            raise RequestError("Draw or open a picture first.", field="controls.0.image")
        return TextToImage.parsed(
            {**fields, "controls": [*first, *self.second.panel.requested(values)]}
        )

    def restored(self, memory: Remembered) -> Updates:
        """The settings as they were."""
        return {
            key: each for panel in self._panels() for key, each in panel.restored(memory).items()
        }

    def filled(self, request: Request) -> Updates:
        """How strictly a picture's controls were followed."""
        return {
            key: each for panel in self._panels() for key, each in panel.filled(request).items()
        }

    def received(self, picture: Picture) -> Updates:
        """Take a finished picture: its edges, as it is no drawing."""
        return {
            **self.picture.received(picture),
            self.control.map.preprocessor: FIRST_PREPROCESSOR,
        }

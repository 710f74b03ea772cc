"""The inpainting tab: repaint a masked part of a picture, starting from a sketch."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.imaging.geometry import Size, choose_working_size
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import MAX_OUTPAINT_PX
from paintdiff.jobs.requests import MAX_MASK_BLUR_PX, MAX_PADDING_PX, Inpaint, PaintingRequest
from paintdiff.ui.common import messages as common
from paintdiff.ui.common import widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.updates import QUICK, Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.painting.control_drawer import ControlDrawer
from paintdiff.ui.painting.picture_input import PictureInput
from paintdiff.ui.painting.tab_inputs import FormTab, Sizing, TabInputs
from paintdiff.ui.settings.form import Form
from paintdiff.ui.tabs import messages

FIRST_STRENGTH = 0.75
FIRST_BLUR_PX = 4
FIRST_PADDING_PX = 32
MASKED_CONTENTS = tuple((title, name) for name, title in common.MASKED_CONTENTS.items())
SIDES = ("left", "top", "right", "bottom")


class InpaintInputs(TabInputs):
    """A picture with a mask and colour strokes."""

    ids = Ids("inpaint")
    sized = False
    prompt_needed = False
    title = messages.RESULT_APPEARS_HERE
    text = messages.HOW_TO_INPAINT

    def __init__(self, context: PageContext) -> None:
        super().__init__(context)
        self._inputs: dict[str, Component] = {}
        self._notes: dict[str, Note] = {}
        self.control = ControlDrawer(context, self.ids)

    def add_canvas(self) -> None:
        """Add the canvas beside the result."""
        with gr.Column(elem_classes=["canvas-side"], min_width=0):
            self.picture = PictureInput.build(self.context, self.ids, tools=True)

    def add_controls(self) -> None:
        """Add the settings of the masked part; more in a drawer."""
        self._add(
            "strength",
            gr.Slider,
            0,
            1,
            FIRST_STRENGTH,
            step=0.05,
            label=messages.STRENGTH,
            info=messages.KEEP_OR_REPAINT_MASKED,
        )
        self._add("only_masked", gr.Checkbox, False, label=messages.ONLY_MASKED)
        with self._drawer(messages.MORE_MASK_SETTINGS, "mask-more"):
            self._add_mask_settings()
        with self._drawer(messages.GROW_THE_PICTURE, "outpaint"):
            self._add_outpaint()
        self.control.add()

    def _drawer(self, title: str, name: str) -> gr.Accordion:
        return gr.Accordion(title, open=False, elem_id=self.ids(name), elem_classes=["more"])

    def _add(self, name: str, component: Any, *arguments: Any, **settings: Any) -> None:
        """Make a component with an id and a place for an error below it."""
        elem_id = self.ids(name.replace("_", "-"))
        self._inputs[name] = component(*arguments, elem_id=elem_id, **settings)
        self._notes[name] = add_note(self.ids, name)

    def _add_mask_settings(self) -> None:
        blur = {"label": messages.MASK_BLUR, "info": messages.MASK_BLUR_INFO}
        self._add("mask_blur_px", gr.Slider, 0, MAX_MASK_BLUR_PX, FIRST_BLUR_PX, step=1, **blur)
        padding = {
            "label": messages.PADDING,
            "info": messages.PADDING_INFO,
        }
        self._add("padding_px", gr.Slider, 0, MAX_PADDING_PX, FIRST_PADDING_PX, step=4, **padding)
        starts = messages.MASKED_CONTENT
        contents = list(MASKED_CONTENTS)
        self._add("masked_content", gr.Radio, contents, value="original", label=starts)
        self._add("soft", gr.Checkbox, False, label=messages.SOFT)
        self._add("invert_mask", gr.Checkbox, False, label=messages.INVERT)
        self._add("background", gr.ColorPicker, "#ffffff", label=messages.BACKGROUND)

    def _add_outpaint(self) -> None:
        with gr.Row(elem_classes=["pair"]):
            for side in SIDES:
                self._inputs[side] = gr.Number(
                    0,
                    label=side.capitalize(),
                    elem_id=self.ids(f"grow-{side}"),
                    min_width=0,
                )
        self._notes["outpaint"] = add_note(self.ids, "outpaint")

    def inputs(self) -> dict[str, Component]:
        """Return the components, named as in the request where possible."""
        return {
            "picture": self.picture.canvas,
            **self._inputs,
            **self.control.panel.inputs(),
        }

    def self_storing_inputs(self) -> frozenset[str]:
        """Return the keys of the canvases."""
        return frozenset({"picture"}) | self.control.panel.self_storing_inputs()

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        sides = {f"outpaint.{side}": self._notes["outpaint"] for side in SIDES}
        images = dict.fromkeys(("image", "mask", "sketch"), self.picture.note)
        return {**images, **self._notes, **sides, **self.control.panel.notes()}

    def canvases(self) -> tuple[gr.HTML, ...]:
        """Return the picture with its strokes, and the control's."""
        return self.picture.canvas, self.control.panel.canvas

    def wire(self, tab: FormTab) -> None:
        """Register the events of the picture and the control's map."""
        self.picture.wire(tab, QUICK)
        sizing = self.sizing(tab.form)
        size, inputs = sizing.painted or sizing.size, set(sizing.inputs)
        self.control.wire(tab, QUICK, picture=self.picture, size=size, inputs=inputs)

    def sizing(self, form: Form) -> Sizing:
        """Return the picture's size plus outpainting, and the size at which the model paints it."""

        def size(values: Values) -> Size:
            content = self.picture.read(values)
            left, top, right, bottom = (int(values[self._inputs[side]] or 0) for side in SIDES)
            return Size(left + content.width + right, top + content.height + bottom)

        def painted(values: Values) -> Size:
            row = self.context.model(values[form.model])
            return choose_working_size(size(values), row.native_size, row.family.size_multiple)

        sides = (self._inputs[side] for side in SIDES)
        return Sizing(size, frozenset({form.model, *sides}), (self.picture.canvas,), painted)

    def request(self, fields: dict[str, object], values: Values) -> Inpaint:
        """Build the request.

        Raises:
            RequestError: A value is invalid.
        """
        content = self.picture.read(values)
        own: dict[str, Any] = {name: values[item] for name, item in self._inputs.items()}
        outpaint = {side: own.pop(side) or 0 for side in SIDES}
        own["background"] = widgets.hex_colour(own["background"])
        layers = {"image": content.image, "mask": content.mask, "sketch": content.sketch}
        pictures = {name: InputImage(data=data) for name, data in layers.items() if data}
        controls = self.control.panel.read(values)
        return Inpaint.parse(
            {**fields, **own, **pictures, "outpaint": outpaint, "controls": controls}
        )

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored values, each checked."""
        item = self._inputs
        contents = [content for _, content in MASKED_CONTENTS]
        return {
            item["strength"]: memory.number("strength", FIRST_STRENGTH, 0, 1),
            item["mask_blur_px"]: memory.number("mask_blur_px", FIRST_BLUR_PX, 0, MAX_MASK_BLUR_PX),
            item["padding_px"]: memory.number("padding_px", FIRST_PADDING_PX, 0, MAX_PADDING_PX),
            item["masked_content"]: memory.choice("masked_content", contents, "original"),
            item["background"]: memory.colour("background", "#ffffff"),
            **{item[name]: memory.switch(name) for name in ("only_masked", "soft", "invert_mask")},
            **{item[side]: memory.number(side, 0, 0, MAX_OUTPAINT_PX) for side in SIDES},
            **self.control.panel.restore(memory),
        }

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with an earlier picture's control settings."""
        return self.control.panel.fill(request)

    def receive(self, picture: Picture) -> Updates:
        """Take a finished picture as the one to repaint."""
        return self.picture.receive(picture)

"""The Image to image tab."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components import Component

from paintdiff.errors import PaintError
from paintdiff.imaging.geometry import Size, choose_working_size, describe_resize
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import ImageToImage, PaintingRequest
from paintdiff.ui.common import message_markup, widgets
from paintdiff.ui.common import messages as common
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.updates import QUICK, Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.painting.control_drawer import ControlDrawer
from paintdiff.ui.painting.picture_input import PictureInput
from paintdiff.ui.painting.tab_inputs import FormTab, Sizing, TabInputs
from paintdiff.ui.settings.form import Form
from paintdiff.ui.tabs import messages

FIRST_STRENGTH = 0.6
MAX_PASSES = 8
AS_PICTURE = "as_picture"
RESIZE_MODES = (
    (messages.KEEP_PROPORTIONS, AS_PICTURE),
    *((title, mode) for mode, title in common.RESIZE_MODES.items()),
)


class ImageToImageInputs(TabInputs):
    """A picture, and how much to change it."""

    ids = Ids("image_to_image")
    size_shown = False
    prompt_needed = False
    title = messages.RESULT_APPEARS_HERE
    text = messages.HOW_TO_CHANGE_A_PICTURE

    def __init__(self, context: PageContext) -> None:
        super().__init__(context)
        self._notes: dict[str, Note] = {}
        self.control = ControlDrawer(context, self.ids)

    def add_controls(self) -> None:
        """Add the picture, strength and sizing; more in a drawer."""
        self.picture = PictureInput.build(self.context, self.ids, tools=False)
        self.strength = gr.Slider(
            0,
            1,
            FIRST_STRENGTH,
            step=0.05,
            label=messages.STRENGTH,
            info=messages.KEEP_OR_REPAINT_PICTURE,
            elem_id=self.ids("strength"),
        )
        self._notes["strength"] = add_note(self.ids, "strength")
        self.resize = gr.Radio(
            list(RESIZE_MODES),
            value=AS_PICTURE,
            label=messages.SIZE_OF_THE_RESULT,
            elem_id=self.ids("resize"),
        )
        self.foreseen = widgets.static_html("", self.ids("foreseen"), "foreseen-place")
        with gr.Accordion(
            messages.MORE_PICTURE_SETTINGS,
            open=False,
            elem_id=self.ids("picture-more"),
            elem_classes=["more"],
        ):
            self.loopback = gr.Slider(
                1,
                MAX_PASSES,
                1,
                step=1,
                label=messages.PASSES,
                info=messages.PASSES_INFO,
                elem_id=self.ids("loopback"),
            )
            self.factor = gr.Slider(
                0.5,
                1.5,
                1,
                step=0.05,
                label=messages.STRENGTH_FACTOR,
                info=messages.STRENGTH_FACTOR_INFO,
                elem_id=self.ids("loopback-factor"),
            )
            self.background = gr.ColorPicker(
                "#ffffff",
                label=messages.BACKGROUND,
                elem_id=self.ids("background"),
            )
        self.control.add()

    def inputs(self) -> dict[str, Component]:
        """Return the components, named as in the request where possible."""
        return {
            "picture": self.picture.canvas,
            "strength": self.strength,
            "resize": self.resize,
            "loopback": self.loopback,
            "loopback_strength_factor": self.factor,
            "background": self.background,
            **self.control.panel.inputs(),
        }

    def self_storing_inputs(self) -> frozenset[str]:
        """Return the keys of the canvases."""
        return frozenset({"picture"}) | self.control.panel.self_storing_inputs()

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        return {"image": self.picture.note, **self._notes, **self.control.panel.notes()}

    def canvases(self) -> tuple[gr.HTML, ...]:
        """Return the picture, and the control's."""
        return self.picture.canvas, self.control.panel.canvas

    def wire(self, tab: FormTab) -> None:
        """Register the events that describe the final size in advance."""
        self.picture.wire(tab, QUICK)
        form = tab.form
        self.resize.change(
            lambda mode: gr.Column(visible=mode != AS_PICTURE),
            [self.resize],
            [form.size_group],
            **QUICK,
        )
        sizing = self.sizing(form)
        asked: set[Any] = {self.picture.canvas, *sizing.inputs}
        self.control.wire(
            tab, QUICK, picture=self.picture, size=sizing.size, inputs=set(sizing.inputs)
        )
        gr.on(
            [
                self.picture.canvas.upload,
                self.picture.canvas.clear,
                self.resize.change,
                form.width.change,
                form.height.change,
                form.model.change,
            ],
            self.describe_size(form),
            asked,
            [self.foreseen],
            js=canvas.flush_js(asked, self.picture.canvas),
            trigger_mode="always_last",
            **QUICK,
        )

    def describe_size(self, form: Form) -> Callable[[Values], str]:
        """Return a handler that describes what happens to the picture's size, as markup."""
        size_in = self.sizing(form).size

        def words(values: Values) -> str:
            try:
                content = self.picture.read(values)
                mode = "stretch" if values[self.resize] == AS_PICTURE else values[self.resize]
                source = Size(content.width, content.height)
                return message_markup.aside(describe_resize(source, size_in(values), mode))
            except PaintError:
                return ""  # no picture, or no size: Generate says what is wrong

        return words

    def sizing(self, form: Form) -> Sizing:
        """Return the size of the picture, or of the form."""
        in_form = super().sizing(form)

        def size(values: Values) -> Size:
            if values[self.resize] != AS_PICTURE:
                return in_form.size(values)
            row, content = self.context.model(values[form.model]), self.picture.read(values)
            source = Size(content.width, content.height)
            return choose_working_size(source, row.native_size, row.family.size_multiple)

        return Sizing(size, in_form.inputs | {self.resize}, (self.picture.canvas,))

    def request(self, fields: dict[str, object], values: Values) -> ImageToImage:
        """Build the request.

        Raises:
            RequestError: A value is invalid.
        """
        content = self.picture.read(values)
        mode = values[self.resize]
        if mode == AS_PICTURE:
            fields |= {"width": None, "height": None, "resize_mode": "stretch"}
        else:
            fields["resize_mode"] = mode
        return ImageToImage.parse(
            {
                **fields,
                "image": InputImage(data=content.image),
                "strength": values[self.strength],
                "loopback": values[self.loopback],
                "loopback_strength_factor": values[self.factor],
                "background": widgets.hex_colour(values[self.background]),
                "controls": self.control.panel.read(values),
            }
        )

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored values, each checked."""
        return {
            self.strength: memory.number("strength", FIRST_STRENGTH, 0, 1),
            self.resize: memory.choice("resize", [mode for _, mode in RESIZE_MODES], AS_PICTURE),
            self.loopback: memory.number("loopback", 1, 1, MAX_PASSES),
            self.factor: memory.number("loopback_strength_factor", 1, 0.5, 1.5),
            self.background: memory.colour("background", "#ffffff"),
            **self.control.panel.restore(memory),
        }

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with an earlier picture's control settings."""
        return self.control.panel.fill(request)

    def receive(self, picture: Picture) -> Updates:
        """Take a finished picture as the one to change."""
        return self.picture.receive(picture)

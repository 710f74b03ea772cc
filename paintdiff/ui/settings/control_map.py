"""A picture for a ControlNet, and the control map that a preprocessor makes from it.

The map can be shown before painting, used instead of the picture, and downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from paintdiff.errors import PaintError, RequestError
from paintdiff.imaging.geometry import ResizeMode, Size, describe_resize
from paintdiff.imaging.images import decode_image, flatten_image
from paintdiff.jobs.input_images import InputImage
from paintdiff.preprocessors.table import PREPROCESSORS
from paintdiff.ui.common import markup, message_markup, widgets
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note, clear_notes, listen
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.settings import messages

FIRST_PREPROCESSOR = "canny"
FOR_A_MAP = "none"
FOR_A_DRAWING = "invert"
SHOW = messages.SHOW_MAP

SizeOf = Callable[[Values], Size]
"""Returns the size, in pixels, at which the page's values would be painted.

Raises PaintError.
"""


@dataclass(frozen=True)
class ControlMap:
    """The components.

    `canvas` holds the picture; `notes` has places for errors about "image" and "preprocessor";
    `keep` is the label of the button that puts the map onto the canvas.
    """

    context: PageContext
    canvas: gr.HTML
    preprocessor: gr.Dropdown
    show: gr.Button
    place: gr.HTML
    keep: str
    notes: Mapping[str, Note]

    @classmethod
    def build(
        cls, context: PageContext, ids: Ids, prefix: str, *, canvas: gr.HTML, note: Note, keep: str
    ) -> ControlMap:
        """Add the components below their canvas.

        `prefix` starts their ids; `note` is the place for errors about the picture.
        """
        with gr.Row(elem_classes=["pair", "map-row"]):
            preprocessor = gr.Dropdown(
                **choose_preprocessor(FIRST_PREPROCESSOR),
                label=messages.PREPROCESSOR,
                elem_id=ids(f"{prefix}preprocessor"),
                filterable=False,
            )
            show = gr.Button(SHOW, elem_id=ids(f"{prefix}show-map"), min_width=0, scale=0)
        notes = {"image": note, "preprocessor": add_note(ids, f"{prefix}preprocessor")}
        place = widgets.clickable_html("", ids(f"{prefix}map"), "map-place", keep="click")
        return cls(context, canvas, preprocessor, show, place, keep, notes)

    def wire(
        self,
        quick: Mapping[str, Any],
        *,
        mode: gr.Radio,
        size: SizeOf,
        inputs: set[Any],
        flushed: Sequence[gr.HTML],
    ) -> None:
        """Register events.

        `mode` is how the picture is fitted to `size`, which reads `inputs` and the canvases
        `flushed`.
        """
        asked: set[Any] = {self.canvas, self.preprocessor, mode, *inputs}
        quiet: dict[str, Any] = {**quick, "queue": True}

        def made(values: Values) -> Iterator[Updates]:
            yield from self.make(values, values[mode], size)

        listen(
            self.show.click,
            made,
            asked,
            [self.show, self.place, *self.notes.values()],
            js=canvas.flush_js(asked, self.canvas, *flushed),
            **quiet,
        )
        self.place.click(self.use_map, None, [self.place, self.canvas, self.preprocessor], **quick)
        self.canvas.upload(find_suited_preprocessor, None, [self.preprocessor], **quick)
        chosen = [self.preprocessor, self.notes["preprocessor"]]
        listen(self.preprocessor.change, self.describe, [self.preprocessor], chosen, **quick)
        changes = [self.canvas.upload, self.canvas.clear, self.canvas.input]
        names = f"'{self.place.elem_id}', '{self.canvas.elem_id}'"
        script = f"(...chosen) => paintdiff.checkMap({names}, ...chosen)"
        chosen_of = [self.preprocessor, mode]
        gr.on([*changes, *(each.change for each in chosen_of)], None, chosen_of, None, js=script)

    def read(self, values: Values) -> InputImage | None:
        """Return the canvas's picture with its strokes; None if it is empty.

        Raises:
            RequestError: Its content is invalid.
        """
        if canvas.is_empty(values[self.canvas]):
            return None
        return has_strokes(canvas.read_canvas(values[self.canvas], self.context.uploads))

    # Handlers

    def describe(self, name: str | None) -> Updates:
        """Describe the chosen preprocessor, if any, and clear the last error."""
        described = gr.Dropdown(
            info=preprocessor_text(name) if name and name in PREPROCESSORS else ""
        )
        return {self.preprocessor: described, self.notes["preprocessor"]: ""}

    def make(self, values: Values, mode: ResizeMode, size: SizeOf) -> Iterator[Updates]:
        """Show the map that painting would use, or why it can't be made."""
        idle = {self.show: gr.Button(SHOW, interactive=True)}
        cleared = clear_notes(self.notes.values())
        yield {self.show: gr.Button(messages.MAKING_MAP, interactive=False)}
        try:
            shown = {**cleared, self.place: self._make(values, mode, size(values))}
        except PaintError as error:
            field = error.field if isinstance(error, RequestError) else None
            note = self.notes.get(field or "", self.notes["preprocessor"])
            shown = {**cleared, self.place: "", note: message_markup.note([str(error)])}
        except Exception:
            yield idle
            raise
        yield {**idle, **shown}

    def _make(self, values: Values, mode: ResizeMode, size: Size) -> str:
        if canvas.is_empty(values[self.canvas]):
            raise RequestError(messages.NOTHING_TO_MAP, field="image")
        content = canvas.read_canvas(values[self.canvas], self.context.uploads)
        name = str(values[self.preprocessor])
        drawn = has_strokes(content)
        image = self.context.engine.control_map(drawn, name, size, mode)
        kept = InputImage.from_image(image, source=drawn)
        upload = self.context.uploads.add(kept.data or b"")
        words = describe_resize(Size(content.width, content.height), size, mode)
        made_of = f"{values[self.canvas].get('version')} {name} {mode}"
        return markup.control_map(upload.id, size, words, self.keep, made_of=made_of)

    def use_map(self, event: gr.EventData) -> Updates:
        """Put the map onto the canvas."""
        upload = self.context.uploads.get(str(getattr(event, "keep", "")))
        if upload is None:
            raise gr.Error(messages.MAP_GONE, print_exception=False)
        return {
            self.canvas: canvas.show_image(upload),
            self.preprocessor: FOR_A_MAP,
            self.place: "",
        }


def has_strokes(content: canvas.CanvasContent) -> InputImage:
    """Return the canvas's picture with its strokes; the original file if it has none.

    Raises:
        RequestError: The picture can't be used.
    """
    opened = InputImage(data=content.image)
    if content.sketch is None:
        return opened
    ground = flatten_image(decode_image(content.image), "#ffffff").convert("RGBA")
    strokes = decode_image(content.sketch).convert("RGBA")
    drawn = Image.alpha_composite(ground, strokes).convert("RGB")
    return InputImage.from_image(drawn, source=opened)


def preprocessor_title(name: str) -> str:
    """Return a preprocessor's title in a list, with the size of its download."""
    row = PREPROCESSORS[name]
    return row.title if row.weights is None else f"{row.title}, {row.weights.size_text}"


def preprocessor_text(name: str) -> str:
    """Describe a preprocessor and its download."""
    row = PREPROCESSORS[name]
    if row.weights is None:
        return row.info
    return messages.preprocessor_text(row.info, row.weights.size_text, row.weights.repo)


def choose_preprocessor(name: str) -> dict[str, Any]:
    """Return the dropdown's properties with one choice selected."""
    choices = [(preprocessor_title(each), each) for each in PREPROCESSORS]
    return {"choices": choices, "value": name, "info": preprocessor_text(name)}


def find_suited_preprocessor(event: gr.EventData) -> Any:
    """Return the preprocessor for a new picture on the canvas.

    Lines are drawn on a blank canvas; a picture that replaces it needs another preprocessor.
    """
    origin, replaced = getattr(event, "origin", ""), getattr(event, "replaced", "")
    if origin == "blank":
        return FOR_A_MAP if getattr(event, "dark", False) else FOR_A_DRAWING
    return FIRST_PREPROCESSOR if (origin, replaced) == ("file", "blank") else gr.skip()

"""A picture for a ControlNet, and the control map that a preprocessor makes of it: shown before
anything is painted, kept as it is, downloaded."""

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
from paintdiff.ui.common import markup, widgets
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note, clear_notes, listen
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas

FIRST_PREPROCESSOR = "canny"
FOR_A_MAP = "none"
FOR_A_DRAWING = "invert"
SHOW = "Show the map"

SizeOf = Callable[[Values], Size]
"""The size, in pixels, at which the page's values would be painted. Raises PaintError."""


@dataclass(frozen=True)
class ControlMap:
    """The components. `canvas` holds the picture; `notes` has places for errors about "image" and
    "preprocessor"; `keep` is what the button is called that puts the map onto the canvas.
    """

    parts: PageContext
    canvas: gr.HTML
    preprocessor: gr.Dropdown
    show: gr.Button
    place: gr.HTML
    keep: str
    notes: Mapping[str, Note]

    @classmethod
    def built(
        cls, parts: PageContext, ids: Ids, prefix: str, *, canvas: gr.HTML, note: Note, keep: str
    ) -> ControlMap:
        """Lay it out where we are, below its canvas. Ids begin with `prefix`; `note` has room for
        an error about the picture."""
        with gr.Row(elem_classes=["pair", "map-row"]):
            preprocessor = gr.Dropdown(
                **choose_preprocessor(FIRST_PREPROCESSOR),
                label="Preprocessor",
                elem_id=ids(f"{prefix}preprocessor"),
                filterable=False,
            )
            show = gr.Button(SHOW, elem_id=ids(f"{prefix}show-map"), min_width=0, scale=0)
        notes = {"image": note, "preprocessor": add_note(ids, f"{prefix}preprocessor")}
        place = widgets.clickable("", ids(f"{prefix}map"), "map-place", keep="click")
        return cls(parts, canvas, preprocessor, show, place, keep, notes)

    def wire(
        self,
        quick: Mapping[str, Any],
        *,
        mode: gr.Radio,
        size: SizeOf,
        inputs: set[Any],
        flushed: Sequence[gr.HTML],
    ) -> None:
        """Let it live. `mode` says how the picture is fitted to `size`; `inputs` and the canvases
        `flushed` are what `size` looks at."""
        asked: set[Any] = {self.canvas, self.preprocessor, mode, *inputs}
        quiet: dict[str, Any] = {**quick, "queue": True}

        def made(values: Values) -> Iterator[Updates]:
            yield from self.made(values, values[mode], size)

        listen(
            self.show.click,
            made,
            asked,
            [self.show, self.place, *self.notes.values()],
            js=canvas.flush_js(asked, self.canvas, *flushed),
            **quiet,
        )
        self.place.click(self.kept, None, [self.place, self.canvas, self.preprocessor], **quick)
        self.canvas.upload(find_suited_preprocessor, None, [self.preprocessor], **quick)
        chosen = [self.preprocessor, self.notes["preprocessor"]]
        listen(self.preprocessor.change, self.described, [self.preprocessor], chosen, **quick)
        changes = [self.canvas.upload, self.canvas.clear, self.canvas.input]
        names = f"'{self.place.elem_id}', '{self.canvas.elem_id}'"
        script = f"(...chosen) => paintdiff.checkMap({names}, ...chosen)"
        chosen_of = [self.preprocessor, mode]
        gr.on([*changes, *(each.change for each in chosen_of)], None, chosen_of, None, js=script)

    def picture(self, values: Values) -> InputImage | None:
        """What is on the canvas, strokes and all; None if nothing is. Raises RequestError."""
        if canvas.is_empty(values[self.canvas]):
            return None
        return has_strokes(canvas.read_canvas(values[self.canvas], self.parts.uploads))

    # What a click does

    def described(self, name: str | None) -> Updates:
        """Say what that preprocessor does, if one is chosen, and clear the error about the last."""
        described = gr.Dropdown(
            info=preprocessor_text(name) if name and name in PREPROCESSORS else ""
        )
        return {self.preprocessor: described, self.notes["preprocessor"]: ""}

    def made(self, values: Values, mode: ResizeMode, size: SizeOf) -> Iterator[Updates]:
        """Show the map that painting would use, or say why there is none."""
        idle = {self.show: gr.Button(SHOW, interactive=True)}
        cleared = clear_notes(self.notes.values())
        yield {self.show: gr.Button("Making the map…", interactive=False)}
        try:
            shown = {**cleared, self.place: self._made(values, mode, size(values))}
        except PaintError as error:
            field = error.field if isinstance(error, RequestError) else None
            note = self.notes.get(field or "", self.notes["preprocessor"])
            shown = {**cleared, self.place: "", note: markup.note([str(error)])}
        except Exception:
            yield idle
            raise
        yield {**idle, **shown}

    def _made(self, values: Values, mode: ResizeMode, size: Size) -> str:
        if canvas.is_empty(values[self.canvas]):
            raise RequestError("Draw or open a picture first.", field="image")
        content = canvas.read_canvas(values[self.canvas], self.parts.uploads)
        name = str(values[self.preprocessor])
        image = self.parts.engine.control_map(has_strokes(content), name, size, mode)
        upload = self.parts.uploads.add(InputImage.from_image(image).data or b"")
        words = describe_resize(Size(content.width, content.height), size, mode)
        made_of = f"{values[self.canvas].get('version')} {name} {mode}"
        return markup.control_map(upload.id, size, words, self.keep, made_of=made_of)

    def kept(self, event: gr.EventData) -> Updates:
        """Put the map onto the canvas, to be used as it is."""
        upload = self.parts.uploads.get(str(getattr(event, "keep", "")))
        if upload is None:
            raise gr.Error("This map is no longer available. Show it again.", print_exception=False)
        return {
            self.canvas: canvas.show_image(upload),
            self.preprocessor: FOR_A_MAP,
            self.place: "",
        }


def has_strokes(content: canvas.CanvasContent) -> InputImage:
    """The picture on a canvas with its strokes laid over it; its own file if there are none.

    Raises RequestError.
    """
    if content.sketch is None:
        return InputImage(data=content.image)
    ground = flatten_image(decode_image(content.image), "#ffffff").convert("RGBA")
    strokes = decode_image(content.sketch).convert("RGBA")
    return InputImage.from_image(Image.alpha_composite(ground, strokes).convert("RGB"))


def preprocessor_title(name: str) -> str:
    """What a preprocessor is called in a list, with how much it would have to fetch."""
    row = PREPROCESSORS[name]
    return row.title if row.weights is None else f"{row.title}, {row.weights.size_text}"


def preprocessor_text(name: str) -> str:
    """What a preprocessor does, and what it would have to fetch."""
    row = PREPROCESSORS[name]
    if row.weights is None:
        return row.info
    return f"{row.info} Downloads {row.weights.size_text} from {row.weights.repo} on first use."


def choose_preprocessor(name: str) -> dict[str, Any]:
    """The properties of the dropdown with one of its choices."""
    choices = [(preprocessor_title(each), each) for each in PREPROCESSORS]
    return {"choices": choices, "value": name, "info": preprocessor_text(name)}


def find_suited_preprocessor(event: gr.EventData) -> Any:
    """The preprocessor for what has come onto a canvas: a blank one is for lines to be drawn on,
    and a picture that takes its place isn't."""
    origin, replaced = getattr(event, "origin", ""), getattr(event, "replaced", "")
    if origin == "blank":
        return FOR_A_MAP if getattr(event, "dark", False) else FOR_A_DRAWING
    return FIRST_PREPROCESSOR if (origin, replaced) == ("file", "blank") else gr.skip()

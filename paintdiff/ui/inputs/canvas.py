"""The painting canvas: open a picture, paint colour strokes on it, and mask it.

The canvas itself is script (`assets/canvas*.js`); this module adds it to a page and reads its
value. The value is small: ids of uploads and a size, `{"image", "sketch", "mask", "width",
"height"}`, with null for an empty layer; with an event also a `version`, which differs after each
change. The pixels travel through `paintdiff.ui.common.uploads`, and only when an event requests
them with `flush_js`, so a click right after the last stroke sends that stroke, too.

This module calls `gr.HTML` and doesn't subclass it: Gradio writes a stub file beside the source of
every subclass when it is imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import gradio as gr

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.images import MAX_PIXELS, read_header
from paintdiff.ui.common.assets import ASSETS
from paintdiff.ui.common.uploads import MAX_UPLOAD_BYTES, Upload, Uploads
from paintdiff.ui.inputs import messages

BLANK = Size(512, 512)
SCRIPTS = (
    "messages.js",
    "canvas-pixels.js",
    "canvas-png.js",
    "canvas-picture.js",
    "canvas-place.js",
    "canvas-view.js",
    "canvas-memory.js",
    "canvas-tools.js",
    "canvas-hand.js",
    "canvas.js",
)
"""In the order in which they must run."""

_ELEM_ID = re.compile(r"[A-Za-z][\w-]{0,63}", re.ASCII)
_MAX_ID_CHARACTERS = 64

# The scripts may load before or after this runs: whichever is second finds the other.
_ON_LOAD = """
(window.paintdiffCanvases ??= []).push({ element, props, trigger, watch });
window.paintdiff?.canvas?.mountAll?.();
"""


@dataclass(frozen=True)
class CanvasContent:
    """The content of a canvas. All of it is `width` x `height` pixels.

    `image` is the picture's file as it was opened (PNG, JPEG or WebP; EXIF orientation not applied
    yet). `sketch` is a PNG, 8 bits a channel, RGBA with straight alpha, or None without colour
    strokes. `mask` is a PNG, 8-bit grey, 255 = repaint, or None if nothing is masked.
    """

    image: bytes
    sketch: bytes | None
    mask: bytes | None
    width: int
    height: int


def paint_canvas(
    elem_id: str, *, tools: bool = True, masks: bool = True, blank: Size = BLANK
) -> gr.HTML:
    """Add a canvas to the page.

    `elem_id` is its id on the page and the key of its storage in the browser. With `tools=False` it
    only takes a picture: open, drop, paste, replace, clear. With `masks=False` it has no mask, and
    the brush draws lines: thin, black on light and white on dark until another colour is chosen.
    `blank` is the size in pixels of a new blank canvas.

    `read_canvas` reads its value, if the event has `flush_js`. Setting it to `show_image(upload)`
    shows that picture and drops its layers; None empties it. Events: `clear` (the picture is gone),
    `input` (a layer changed), and `upload` (a picture arrived) with `width`, `height`, and, unless
    it was restored, `origin`: "file", "blank" or "app"; `replaced`: the origin of the picture
    before, or ""; and `dark`: whether white is easier to see on it (without masks).

    Raises:
        ValueError: `elem_id` isn't a valid id.
    """
    if not _ELEM_ID.fullmatch(elem_id):
        raise ValueError(
            f"elem_id {elem_id!r} isn't made of letters, digits, _ and - after a letter."
        )
    # In the template: an update that arrives before the component is on the page drops the
    # component's own properties (Gradio 6.31).
    figures = {
        "name": elem_id,
        "tools": "yes" if tools else "",
        "masks": "yes" if masks else "",
        "most-bytes": MAX_UPLOAD_BYTES,
        "most-pixels": MAX_PIXELS,
        "blank-width": blank.width,
        "blank-height": blank.height,
    }
    data = " ".join(f'data-{name}="{figure}"' for name, figure in figures.items())
    return gr.HTML(
        None,
        html_template=f'<div class="paint-place" {data}></div>',
        js_on_load=_ON_LOAD,
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=["paint-block", *([] if tools else ["paint-block-well"])],
    )


def flush_js(inputs: Sequence[Any] | AbstractSet[Any], *canvases: gr.HTML) -> str:
    """Return the `js=` of an event that reads canvases or picture lists.

    It uploads their current content, then lets the event go on. `inputs` are the event's inputs
    exactly as passed to it (a set or a sequence), and include all of `canvases`. If the upload
    fails, the canvas says why and the event doesn't happen.

    Raises:
        ValueError: A canvas is not among the inputs.
    """
    # Gradio passes the values of a set in the order in which its components were made.
    ordered = (
        sorted(inputs, key=lambda component: component._id)
        if isinstance(inputs, AbstractSet)
        else list(inputs)
    )
    places: dict[int, str] = {}
    for canvas in canvases:
        if not any(item is canvas for item in ordered):
            raise ValueError(f"canvas {canvas.elem_id!r} is not among the event's inputs")
        place = next(place for place, item in enumerate(ordered) if item is canvas)
        places[place] = str(canvas.elem_id)
    flushed = "".join(
        f" values[{place}] = await paintdiff.canvas.flush({json.dumps(name)});"
        for place, name in places.items()
    )
    return f"async (...values) => {{{flushed} return values; }}"


def show_image(upload: Upload) -> dict[str, object]:
    """Return the value that makes a canvas show a picture without strokes."""
    return {"image": upload.id, "width": upload.width, "height": upload.height}


def is_empty(value: object) -> bool:
    """Return whether the canvas that sent `value` has no picture."""
    return value is None or value == "" or (isinstance(value, Mapping) and not value.get("image"))


def read_canvas(value: object, uploads: Uploads) -> CanvasContent:
    """Read the content of a canvas from its untrusted `value`.

    Raises:
        RequestError: (field "image" or "mask") There is no picture, a part of it was dropped, or
            the
        value isn't one that a canvas sends.
    """
    if is_empty(value):
        raise RequestError(messages.NO_PICTURE, field="image")
    if not isinstance(value, Mapping):
        raise RequestError(messages.UNREADABLE_CANVAS, field="image")
    image = _upload(value.get("image"), uploads, "image")
    size = Size(image.width, image.height)
    if (value.get("width"), value.get("height")) != (size.width, size.height):
        raise RequestError(
            messages.canvas_of_another_size(size),
            field="image",
        )
    return CanvasContent(
        image=image.data,
        sketch=_layer(value.get("sketch"), uploads, size, "RGBA", "image"),
        mask=_layer(value.get("mask"), uploads, size, "L", "mask"),
        width=size.width,
        height=size.height,
    )


def canvas_head() -> str:
    """Return the canvas's stylesheet and scripts, for the page's head after the page's own."""
    style = (ASSETS / "canvas.css").read_text(encoding="utf-8")
    scripts = "\n".join(
        f"<script>\n{(ASSETS / name).read_text(encoding='utf-8')}\n</script>" for name in SCRIPTS
    )
    return f"<style>\n{style}\n</style>\n{scripts}"


def _upload(upload_id: object, uploads: Uploads, field: str) -> Upload:
    if not isinstance(upload_id, str) or len(upload_id) > _MAX_ID_CHARACTERS:
        raise RequestError(messages.UNREADABLE_CANVAS, field=field)
    upload = uploads.get(upload_id)
    if upload is None:
        raise RequestError(
            messages.DRAWING_GONE,
            field=field,
        )
    return upload


def _layer(upload_id: object, uploads: Uploads, size: Size, mode: str, field: str) -> bytes | None:
    """Return a layer's PNG, checked for size and mode; None if the layer is empty."""
    if upload_id is None:
        return None
    upload = _upload(upload_id, uploads, field)
    if (upload.width, upload.height) != (size.width, size.height):
        raise RequestError(
            messages.layer_of_another_size(upload.width, upload.height, size),
            field=field,
        )
    header = read_header(upload.data, field)
    if header.format != "PNG" or header.mode != mode:
        raise RequestError(
            messages.wrong_layer(mode, header.format, header.mode),
            field=field,
        )
    return upload.data

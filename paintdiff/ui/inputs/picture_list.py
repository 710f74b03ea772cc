"""A list of pictures to be worked on one after the other: files, pasted pictures, whole folders.

The list itself is script (`assets/picture-list.js`); this module puts it on a page and reads what
it sends: `{"pictures": [ids of uploads]}`. It is flushed like a canvas (`canvas.flush_js`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gradio as gr

from paintdiff.errors import RequestError
from paintdiff.imaging.images import MAX_PIXELS
from paintdiff.jobs.requests import MAX_IMAGES
from paintdiff.ui.common.uploads import MAX_TOTAL_BYTES, MAX_UPLOAD_BYTES, Upload, Uploads

# The script may come before or after this runs: whichever is second finds the other.
_ON_LOAD = """
(window.paintdiffLists ??= []).push({ element, props, trigger, watch });
window.paintdiff?.canvas?.mountLists?.();
"""


def picture_list(elem_id: str) -> gr.HTML:
    """A list of up to MAX_IMAGES pictures where we are in the page.

    `elem_id` names it on the page, and names what the browser remembers of it. Its value is what
    `read_pictures` reads, if the event has `canvas.flush_js`. Set to
    `show_pictures(uploads)` it has those pictures and no others. Its
    event `input` says that it has changed.
    """
    figures = {
        "name": elem_id,
        "most-pictures": MAX_IMAGES,
        "most-bytes": MAX_UPLOAD_BYTES,
        "most-bytes-together": MAX_TOTAL_BYTES,
        "most-pixels": MAX_PIXELS,
    }
    data = " ".join(f'data-{name}="{figure}"' for name, figure in figures.items())
    return gr.HTML(
        None,
        html_template=f'<div class="pile-place" {data}></div>',
        js_on_load=_ON_LOAD,
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=["pile-block"],
    )


def show_pictures(uploads: Sequence[Upload]) -> dict[str, object]:
    """The value that makes a list have these pictures."""
    return {"pictures": [upload.id for upload in uploads]}


def read_pictures(value: object, uploads: Uploads) -> tuple[Upload, ...]:
    """The pictures in the list that sent `value`, which is untrusted; at least one.

    Raises RequestError (field "images") if there is none, if one has been forgotten, or if the
    value isn't what a list sends.
    """
    ids = value.get("pictures") if isinstance(value, Mapping) else value
    if not ids:
        raise RequestError("Open or drop a picture first.", field="images")
    if not isinstance(ids, list) or len(ids) > MAX_IMAGES:
        raise RequestError(
            "The list of pictures can't be read. Reload the page and try again.",
            field="images",
        )
    found = [uploads.get(each) if isinstance(each, str) else None for each in ids]
    known = tuple(upload for upload in found if upload is not None)
    if len(known) < len(found):
        raise RequestError(
            "The app was restarted and no longer has a picture of the list. Try again: the "
            "list sends it again.",
            field="images",
        )
    return known

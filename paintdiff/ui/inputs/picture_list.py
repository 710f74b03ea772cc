"""A list of pictures to process one by one: files, pasted pictures, whole folders.

The list itself is script (`assets/picture-list.js`); this module adds it to a page and reads its
value: `{"pictures": [ids of uploads]}`. It is flushed like a canvas (`canvas.flush_js`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import gradio as gr

from paintdiff.errors import RequestError
from paintdiff.imaging.images import MAX_PIXELS
from paintdiff.jobs.requests import MAX_IMAGES
from paintdiff.ui.common.uploads import MAX_TOTAL_BYTES, MAX_UPLOAD_BYTES, Upload, Uploads
from paintdiff.ui.inputs import messages

# The script may load before or after this runs: whichever is second finds the other.
_ON_LOAD = """
(window.paintdiffLists ??= []).push({ element, props, trigger, watch });
window.paintdiff?.canvas?.mountLists?.();
"""


def picture_list(elem_id: str) -> gr.HTML:
    """Add a list of up to MAX_IMAGES pictures to the page.

    `elem_id` is its id on the page and the key of its storage in the browser. `read_pictures` reads
    its value, if the event has `canvas.flush_js`. Setting it to `show_pictures(uploads)` replaces
    its pictures. Its event `input` reports a change.
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
    """Return the value that makes a list hold these pictures."""
    return {"pictures": [upload.id for upload in uploads]}


def read_pictures(value: object, uploads: Uploads) -> tuple[Upload, ...]:
    """Read the pictures of a list, at least one, from its untrusted `value`.

    Raises:
        RequestError: (field "images") It is empty, a picture was dropped, or the value isn't one
            that
        a list sends.
    """
    ids = value.get("pictures") if isinstance(value, Mapping) else value
    if not ids:
        raise RequestError(messages.NO_PICTURE, field="images")
    if not isinstance(ids, list) or len(ids) > MAX_IMAGES:
        raise RequestError(
            messages.UNREADABLE_LIST,
            field="images",
        )
    found = [uploads.get(each) if isinstance(each, str) else None for each in ids]
    known = tuple(upload for upload in found if upload is not None)
    if len(known) < len(found):
        raise RequestError(
            messages.PICTURE_OF_LIST_GONE,
            field="images",
        )
    return known

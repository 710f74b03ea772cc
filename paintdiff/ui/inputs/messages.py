"""Errors of the canvas and of the list of pictures."""

from __future__ import annotations

# Nothing to work on yet.

NO_PICTURE = "Open or drop a picture first."


# A canvas or list that a page doesn't send, or whose pictures were dropped.

UNREADABLE_CANVAS = "The canvas can't be read. Reload the page and try again."
DRAWING_GONE = (
    "The app was restarted and no longer has this drawing. Try again: the canvas sends it again."
)


def canvas_of_another_size(size: object) -> str:
    return f"The canvas and its picture of {size} differ in size. Open the picture again."


def layer_of_another_size(width: int, height: int, picture: object) -> str:
    return f"The layer is {width}x{height}, the picture {picture}: they must match."


def wrong_layer(wanted: str, format_name: object, mode: str) -> str:
    return f"A layer must be a PNG of mode {wanted}, not {format_name} of mode {mode}."


UNREADABLE_LIST = "The list of pictures can't be read. Reload the page and try again."
PICTURE_OF_LIST_GONE = (
    "The app was restarted and no longer has a picture of the list. Try again: the list sends it "
    "again."
)

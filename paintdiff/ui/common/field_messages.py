"""Messages next to settings.

Gradio's script does work for every component while a page loads, so a component for each message
would slow it down. All messages of a tab pass through one component, its *board*, and `notes.js`
puts each below its setting.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.context import get_blocks_context, get_render_context

from paintdiff.ui.common import message_markup
from paintdiff.ui.common.widgets import Ids

# The script that shows them may load later; it then reads the board itself.
_SHOWN = """
const show = () => {
  const notes = window.paintdiff?.notes;
  if (notes) notes.show(props.value, element);
  else (window.paintdiffNotes ??= []).push([props.value, element]);
};
show();
watch("value", show);
"""

_numbers = count()
_boards: WeakKeyDictionary[Any, dict[str, gr.HTML]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Note:
    """A place for a message; it takes no room while it is empty.

    It stands for a component in what handlers return, if they are registered with `listen`.
    `elem_id` is the id of the place, `beside` that of the element above it.
    """

    board: gr.HTML
    elem_id: str
    beside: str


def add_note(ids: Ids, name: str) -> Note:
    """Add a place for messages below the component that was added last."""
    page, block = get_blocks_context(), get_render_context()
    if page is None or block is None:
        raise RuntimeError("there is no page to lay anything out in")
    boards = _boards.setdefault(page, {})
    setting = [each for each in block.children if each is not boards.get(ids.tab)][-1]
    elem_id = ids(f"note-{name}")
    if setting.elem_id is None:
        setting.elem_id = f"above-{elem_id}"
    if ids.tab not in boards:
        boards[ids.tab] = gr.HTML(
            "",
            html_template="",
            elem_id=ids("note-board"),
            elem_classes=["note-board"],
            js_on_load=_SHOWN,
            apply_default_css=False,
        )
    return Note(boards[ids.tab], elem_id, setting.elem_id)


def clear_notes(places: Iterable[Note]) -> dict[Any, str]:
    """Return the updates that clear every message."""
    return dict.fromkeys(places, "")


def show_notes(
    places: Mapping[str, Note], field: str | None, message: str, choices: str = ""
) -> dict[Any, str]:
    """Return the updates that show one message beside the setting `field`, and clear all others.

    The markup of `choices` follows the message. `places[""]` takes messages about no setting, or
    about one that isn't on the page. Beside its setting a message needn't name the field.
    """
    place = places.get(field or "")
    if place is None:
        place = places[""]
    else:
        message = message.removeprefix(f"{field}: ")
    return {**clear_notes(places.values()), place: message_markup.note([message]) + choices}


def listen(
    event: Callable[..., Any],
    handler: Callable[..., Any],
    inputs: Any,
    outputs: Iterable[Any],
    **settings: Any,
) -> Any:
    """Register a handler whose updates may have notes among the components.

    Updates are dictionaries. Returns Gradio's event.
    """
    return event(_wrap(handler), inputs, add_boards(outputs), **settings)


def add_boards(outputs: Iterable[Any]) -> list[Any]:
    """Replace the notes among the outputs by their boards, each once."""
    found = (each.board if isinstance(each, Note) else each for each in outputs)
    return list(dict.fromkeys(found))


def write_on_boards(updates: Mapping[Any, Any]) -> dict[Any, Any]:
    """Convert updates to Gradio's form: each board receives its changed notes only.

    A counter makes every message differ: Gradio ignores a value that equals the one before.
    """
    said: dict[gr.HTML, dict[str, list[str]]] = {}
    rest: dict[Any, Any] = {}
    for place, update in updates.items():
        if isinstance(place, Note):
            said.setdefault(place.board, {})[place.elem_id] = [place.beside, update]
        else:
            rest[place] = update
    boards = {
        board: json.dumps({"number": next(_numbers), "notes": each}) for board, each in said.items()
    }
    return {**rest, **boards}


def _wrap(handler: Callable[..., Any]) -> Callable[..., Any]:
    # Gradio inspects the kind of function and its arguments.
    if inspect.isasyncgenfunction(handler):

        @wraps(handler)
        async def turns(*values: Any) -> AsyncIterator[dict[Any, Any]]:
            async for updates in handler(*values):
                yield write_on_boards(updates)

        return turns

    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def steps(*values: Any) -> Iterator[dict[Any, Any]]:
            for updates in handler(*values):
                yield write_on_boards(updates)

        return steps

    @wraps(handler)
    def once(*values: Any) -> dict[Any, Any]:
        return write_on_boards(handler(*values))

    return once

"""Sentences next to settings.

A page spends a good part of its beginning on what Gradio's script does for every component, so the
places for sentences are none: all sentences of a tab come through one component, its *board*, and
`notes.js` puts each below its setting.
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

from paintdiff.ui.common import markup
from paintdiff.ui.common.widgets import Ids

# The script that shows them may come after this; it then looks for itself.
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
    """Room for a sentence; it takes none while it is empty. It stands for a component in what
    handlers return, as long as they are registered by `listen`.

    `elem_id` is the place's, `beside` that of the element it stands below.
    """

    board: gr.HTML
    elem_id: str
    beside: str


def add_note(ids: Ids, name: str) -> Note:
    """Room below what was laid out last where we are."""
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
    """Updates that take every note away."""
    return dict.fromkeys(places, "")


def show_notes(
    places: Mapping[str, Note], field: str | None, message: str, choices: str = ""
) -> dict[Any, str]:
    """Updates that say `message` next to the setting `field`, with the markup of `choices` below
    it, and nothing anywhere else.

    `places[""]` takes what is about no setting, or about one that isn't on the page.
    """
    place = places.get(field or "", places[""])
    return {**clear_notes(places.values()), place: markup.note([message]) + choices}


def listen(
    event: Callable[..., Any],
    handler: Callable[..., Any],
    inputs: Any,
    outputs: Iterable[Any],
    **settings: Any,
) -> Any:
    """Register a handler whose updates, dictionaries, may have notes among the components. Returns
    what Gradio does.
    """
    return event(_through_boards(handler), inputs, add_boards(outputs), **settings)


def add_boards(outputs: Iterable[Any]) -> list[Any]:
    """The same with each note's board in its place, once."""
    found = (each.board if isinstance(each, Note) else each for each in outputs)
    return list(dict.fromkeys(found))


def write_on_boards(updates: Mapping[Any, Any]) -> dict[Any, Any]:
    """The updates as Gradio takes them: a board is told of its notes that change, and of no others.

    What it is told has a number, because the same as before would be no change to Gradio.
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


def _through_boards(handler: Callable[..., Any]) -> Callable[..., Any]:
    # Gradio looks at what kind of function it is, and at its arguments.
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

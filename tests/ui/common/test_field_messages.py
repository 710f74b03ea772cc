"""Sentences next to settings, which all of a tab's settings get through one component."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import gradio as gr
import pytest

from paintdiff.ui.common.field_messages import (
    Note,
    add_boards,
    add_note,
    clear_notes,
    listen,
    show_notes,
    write_on_boards,
)
from paintdiff.ui.common.widgets import Ids
from tests.loops import inside_a_loop

IDS, OTHER = Ids("tab"), Ids("other")


@pytest.fixture
def laid_out() -> tuple[dict[str, Note], gr.Slider]:
    def build() -> tuple[dict[str, Note], gr.Slider]:
        with gr.Blocks():
            strength = gr.Slider(0, 1, elem_id="tab-strength")
            notes = {"strength": add_note(IDS, "strength")}
            with gr.Row():
                gr.Number()
            notes |= {"width": add_note(IDS, "width"), "height": add_note(IDS, "height")}
            with gr.Column(elem_id="drawer"):
                gr.Number(elem_id="seed")
                notes |= {"seed": add_note(IDS, "seed"), "": add_note(OTHER, "run")}
        return notes, strength

    return inside_a_loop(build)


def told(board: Any, updates: dict[Any, Any]) -> dict[str, list[str]]:
    """The messages on a board, by the places' ids."""
    return json.loads(updates[board])["notes"]


def test_a_note_stands_below_what_was_laid_out_last(
    laid_out: tuple[dict[str, Note], gr.Slider],
) -> None:
    notes, _ = laid_out
    assert (notes["strength"].elem_id, notes["strength"].beside) == (
        "tab-note-strength",
        "tab-strength",
    )
    assert notes["width"].beside == notes["height"].beside == "above-tab-note-width"
    assert notes["seed"].beside == notes[""].beside == "seed", "a board is nothing to see"
    boards = {note.board for note in notes.values()}
    assert boards == {notes["strength"].board, notes[""].board}, "one a tab"
    with pytest.raises(RuntimeError, match="no page"):
        add_note(IDS, "nowhere")


def test_beside_its_setting_a_message_does_not_name_the_field(
    laid_out: tuple[dict[str, Note], gr.Slider],
) -> None:
    notes, _ = laid_out
    message = "width: must be at least 32, not -5."
    assert ">Must be at least 32" in show_notes(notes, "width", message)[notes["width"]]
    elsewhere = show_notes({"": notes[""]}, "width", message)
    assert ">Width: must be at least 32" in elsewhere[notes[""]]


def test_boards_are_told_of_what_changes(laid_out: tuple[dict[str, Note], gr.Slider]) -> None:
    notes, strength = laid_out
    first, second = notes["strength"].board, notes[""].board
    assert add_boards([strength, *notes.values()]) == [strength, first, second]
    updates = write_on_boards(
        {strength: 0.5, notes["strength"]: "<p>Too much.</p>", notes["seed"]: ""}
    )
    assert set(updates) == {strength, first} and updates[strength] == 0.5
    assert told(first, updates) == {
        "tab-note-strength": ["tab-strength", "<p>Too much.</p>"],
        "tab-note-seed": ["seed", ""],
    }
    again = write_on_boards({notes["strength"]: "<p>Too much.</p>", notes["seed"]: ""})
    assert again[first] != updates[first], "else Gradio would see no change"
    assert told(first, again) == told(first, updates)


def test_one_is_said_and_the_others_are_cleared(
    laid_out: tuple[dict[str, Note], gr.Slider],
) -> None:
    notes, _ = laid_out
    said = show_notes(notes, "width", "7 < 32 & odd")
    assert said[notes["width"]] == ('<p class="note error" role="alert">7 &lt; 32 &amp; odd</p>')
    assert {note: "" for note in notes.values() if note is not notes["width"]} == {
        note: text for note, text in said.items() if text == ""
    }
    assert show_notes(notes, "no such field", "Hm.")[notes[""]]
    assert set(clear_notes(notes.values()).values()) == {""}


def handlers(note: Note) -> list[Callable[..., Any]]:
    """One of each kind."""

    def plain(text: str) -> dict[Any, Any]:
        return {note: text}

    def steps(text: str) -> Iterator[dict[Any, Any]]:
        yield {note: ""}
        yield {note: text}

    async def turns(text: str) -> AsyncIterator[dict[Any, Any]]:
        for each in ("", text):
            await asyncio.sleep(0)
            yield {note: each}

    return [plain, steps, turns]


@pytest.mark.parametrize("kind", range(3))
def test_a_handler_of_every_kind_reaches_the_board(kind: int) -> None:
    def build() -> tuple[gr.Blocks, Note]:
        with gr.Blocks() as page:
            text, button = gr.Textbox(elem_id="text"), gr.Button()
            note = add_note(IDS, "button")
            handler = handlers(note)[kind]
            listen(button.click, handler, [text], [note], queue=False)
            listen(partial(gr.on, [text.change]), handler, [text], [note], trigger_mode="once")
        return page, note

    async def last(function: Any) -> dict[Any, Any]:
        found = function("<p>It.</p>")
        if hasattr(found, "__anext__"):
            return [each async for each in found][-1]
        return found if isinstance(found, dict) else list(found)[-1]

    page, note = inside_a_loop(build)
    assert len(page.fns) == 2
    for registered in page.fns.values():
        assert [each._id for each in registered.outputs] == [note.board._id]
        assert told(note.board, asyncio.run(last(registered.fn))) == {
            note.elem_id: [note.beside, "<p>It.</p>"]
        }

"""Pieces of the page that more than one tab uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import gradio as gr

from paintdiff.ui import markup

_CLICKED = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-%(name)s]");
  if (button && element.contains(button)) trigger("click", {%(name)s: button.dataset.%(name)s});
});
"""


def header() -> gr.HTML:
    """The product's name, and the switch between light and dark."""
    return static(
        '<header class="bar"><div class="brand"><svg viewBox="0 0 32 32" aria-hidden="true">'
        '<rect width="32" height="32" rx="9"/>'
        '<path class="stroke" d="M7 21c5-1 5-11 10-11s3 12 8 11"/>'
        '<circle cx="23" cy="10" r="2.6"/></svg>'
        "<h1>PaintDiffusion</h1></div>"
        '<button type="button" id="theme-switch" aria-label="Switch between light and dark" '
        'title="Light or dark">'
        '<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="8"/>'
        '<path class="half" d="M12 4a8 8 0 0 1 0 16z"/></svg></button></header>',
        "header",
    )


def status_bar() -> gr.HTML:
    """Model, device, memory, queue and speed; page.js fills it, because it outlives every event."""
    cells = "".join(
        f'<div class="cell" data-cell="{name}"><dt>{title}</dt><dd>…</dd></div>'
        for name, title in (
            ("model", "Model"),
            ("device", "Device"),
            ("memory", "Memory"),
            ("queue", "Queue"),
            ("speed", "Speed"),
        )
    )
    return static(
        f'<footer class="status" aria-label="Status"><dl>{cells}</dl>'
        '<p class="connection" role="status"></p></footer>',
        "status-bar",
    )


def note(name: str) -> gr.HTML:
    """Room for a sentence next to a setting; it takes none while it is empty."""
    return gr.HTML(
        "",
        elem_id=f"note-{name}",
        elem_classes=["note-place"],
        js_on_load=None,
        apply_default_css=False,
    )


def static(value: str, elem_id: str) -> gr.HTML:
    """Markup that only shows something."""
    return gr.HTML(value, elem_id=elem_id, js_on_load=None, apply_default_css=False)


def clickable(value: str, elem_id: str, data: str) -> gr.HTML:
    """Markup whose `data-{data}` buttons trigger `click` with that value."""
    return gr.HTML(
        value,
        elem_id=elem_id,
        js_on_load=_CLICKED % {"name": data},
        apply_default_css=False,
    )


def hidden_text(elem_id: str) -> gr.Textbox:
    """A value that travels with events and that no one sees. (gr.State would hold a connection per
    page.)"""
    return gr.Textbox("", visible="hidden", elem_id=elem_id, show_label=False, container=False)


def notes_cleared(notes: Iterable[gr.HTML]) -> dict[Any, str]:
    """Updates that take every note away."""
    return dict.fromkeys(notes, "")


def notes_for(notes: Mapping[str, gr.HTML], field: str | None, message: str) -> dict[Any, str]:
    """Updates that say `message` next to the setting `field`, and nothing anywhere else.

    `notes[""]` takes what is about no setting, or about one that isn't on the page.
    """
    place = notes.get(field or "", notes[""])
    return {**notes_cleared(notes.values()), place: markup.note([message])}

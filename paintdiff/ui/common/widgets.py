"""Pieces of the page that more than one tab uses."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

import gradio as gr

_CLICKED = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-%(name)s]");
  if (button && element.contains(button)) trigger("%(event)s", {...button.dataset});
});
"""

_RGBA = re.compile(r"rgba?\(\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Ids:
    """The ids of one tab's elements: all begin with the tab's name, save those of the first tab."""

    tab: str
    first: bool = False

    def __call__(self, name: str) -> str:
        return name if self.first else f"{self.tab}-{name}"


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


def opening(tab: str) -> gr.HTML:
    """What a tab shows until its content is there, and if that doesn't come."""
    return static(
        '<div class="opening"><p role="status">Opening…</p><p class="failed" role="alert">'
        "This tab couldn't be loaded. Is the app still running? "
        f'<button type="button" data-open-tab="{escape(tab)}">Try again</button></p></div>',
        f"{tab}-opening",
        "opening-place",
    )


@contextmanager
def drawer(title: str, elem_id: str) -> Generator[None]:
    """Room that is hidden until its title is clicked, or an error is in it; the title says "in use"
    while a picture is in it.

    Unlike that of `gr.Accordion`, what is in it is on the page all the time: a canvas in it brings
    its picture back after a reload, seen or not.
    """
    with gr.Column(elem_id=elem_id, elem_classes=["drawer"], scale=0):
        static(
            f'<button type="button" class="drawer-title" aria-expanded="false" '
            f'aria-controls="{elem_id}-inside">{escape(title)}<span class="in-use">in use</span>'
            "</button>",
            f"{elem_id}-title",
        )
        with gr.Column(elem_id=f"{elem_id}-inside", elem_classes=["drawer-inside"], scale=0):
            yield


def static(value: str, elem_id: str, *classes: str) -> gr.HTML:
    """Markup that only shows something."""
    return gr.HTML(
        value,
        elem_id=elem_id,
        elem_classes=list(classes),
        js_on_load=None,
        apply_default_css=False,
    )


def clickable(value: str, elem_id: str, *classes: str, script: str = "", **events: str) -> gr.HTML:
    """Markup with buttons. One with `data-NAME` triggers the event given as `NAME=`, and brings all
    of its data. `script` runs when it comes onto the page.
    """
    clicks = [_CLICKED % {"name": name, "event": event} for name, event in events.items()]
    return gr.HTML(
        value,
        elem_id=elem_id,
        elem_classes=list(classes),
        js_on_load="".join([script, *clicks]),
        apply_default_css=False,
    )


def hidden_text(elem_id: str) -> gr.Textbox:
    """A value that travels with events and that no one sees. (gr.State would hold a connection per
    page.)"""
    return gr.Textbox("", visible="hidden", elem_id=elem_id, show_label=False, container=False)


def hidden_button(elem_id: str, *classes: str) -> gr.Button:
    """What only the page's script clicks."""
    return gr.Button("", visible="hidden", elem_id=elem_id, elem_classes=list(classes))


def hex_colour(value: object) -> str:
    """A colour picker's value as "#rrggbb": it says "rgba(255.0, 0.0, 0.0, 1)" once it was used.

    Anything else comes back as text, for the request to refuse.
    """
    match = _RGBA.match(str(value))
    if match is None:
        return str(value)
    red, green, blue = (min(255, round(float(part))) for part in match.groups())
    return f"#{red:02x}{green:02x}{blue:02x}"

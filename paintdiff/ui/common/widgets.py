"""Widgets that more than one tab uses."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

import gradio as gr

from paintdiff.ui.common import messages

_CLICKED = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-%(name)s]");
  if (button && element.contains(button)) trigger("%(event)s", {...button.dataset});
});
"""

_RGBA = re.compile(r"rgba?\(\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Ids:
    """The ids of one tab's elements: prefixed with the tab's name, except on the first tab."""

    tab: str
    first: bool = False

    def __call__(self, name: str) -> str:
        """Return the id of the element called `name`."""
        return name if self.first else f"{self.tab}-{name}"


def header() -> gr.HTML:
    """Return the product's name, and the switch between light and dark."""
    return static_html(
        '<header class="bar"><div class="brand"><svg viewBox="0 0 32 32" aria-hidden="true">'
        '<rect width="32" height="32" rx="9"/>'
        '<path class="stroke" d="M7 21c5-1 5-11 10-11s3 12 8 11"/>'
        '<circle cx="23" cy="10" r="2.6"/></svg>'
        f"<h1>{escape(messages.TITLE)}</h1></div>"
        f'<div class="corner"><a id="sign-out" href="logout" hidden>'
        f"{escape(messages.SIGN_OUT)}</a>"
        f'<button type="button" id="theme-switch" aria-label="{escape(messages.SWITCH_THEME)}" '
        f'title="{escape(messages.LIGHT_OR_DARK)}">'
        '<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="8"/>'
        '<path class="half" d="M12 4a8 8 0 0 1 0 16z"/></svg></button></div></header>',
        "header",
    )


def status_bar() -> gr.HTML:
    """Return the status bar: model, device, memory, queue and speed.

    page.js fills it, because it outlives every event.
    """
    cells = "".join(
        f'<div class="cell" data-cell="{name}"><dt>{title}</dt><dd>…</dd></div>'
        for name, title in (
            ("model", messages.MODEL),
            ("device", messages.DEVICE),
            ("memory", messages.MEMORY),
            ("queue", messages.QUEUE),
            ("speed", messages.SPEED),
        )
    )
    return static_html(
        '<div class="unsaved" role="alert" hidden><span></span>'
        f'<button type="button">{escape(messages.TRY_AGAIN)}</button></div>'
        f'<footer class="status" aria-label="{escape(messages.STATUS)}"><dl>{cells}</dl>'
        '<p class="connection" role="status"></p></footer>',
        "status-bar",
    )


def loading_placeholder(tab: str) -> gr.HTML:
    """Return what a tab shows until its content arrives, or if it doesn't."""
    return static_html(
        f'<div class="opening"><p role="status">{escape(messages.OPENING)}</p>'
        f'<p class="failed" role="alert">{escape(messages.TAB_NOT_LOADED)} '
        f'<button type="button" data-open-tab="{escape(tab)}">{escape(messages.TRY_AGAIN)}</button>'
        "</p></div>",
        f"{tab}-opening",
        "opening-place",
    )


@contextmanager
def drawer(title: str, elem_id: str) -> Generator[None]:
    """Add a drawer: hidden until its title is clicked, or until it contains an error.

    The title says "in use" while it holds a picture. Unlike the content of a `gr.Accordion`, its
    content is on the page all the time: a canvas in it restores its picture after a reload, visible
    or not.
    """
    with gr.Column(elem_id=elem_id, elem_classes=["drawer"], scale=0):
        static_html(
            f'<button type="button" class="drawer-title" aria-expanded="false" '
            f'aria-controls="{elem_id}-inside">{escape(title)}'
            f'<span class="in-use">{escape(messages.IN_USE)}</span></button>',
            f"{elem_id}-title",
        )
        with gr.Column(elem_id=f"{elem_id}-inside", elem_classes=["drawer-inside"], scale=0):
            yield


def static_html(value: str, elem_id: str, *classes: str) -> gr.HTML:
    """Return markup that only displays something."""
    return gr.HTML(
        value,
        elem_id=elem_id,
        elem_classes=list(classes),
        js_on_load=None,
        apply_default_css=False,
    )


def clickable_html(
    value: str, elem_id: str, *classes: str, script: str = "", **events: str
) -> gr.HTML:
    """Return markup with buttons.

    A button with `data-NAME` triggers the event given as `NAME=`, and sends all of its data.
    `script` runs when the markup is added to the page.
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
    """Return a hidden value that travels with events.

    gr.State would hold a connection per page.
    """
    return gr.Textbox("", visible="hidden", elem_id=elem_id, show_label=False, container=False)


def hidden_button(elem_id: str, *classes: str) -> gr.Button:
    """Return a hidden button that only the page's script clicks."""
    return gr.Button("", visible="hidden", elem_id=elem_id, elem_classes=list(classes))


def hex_colour(value: object) -> str:
    """Convert a colour picker's value to "#rrggbb".

    Once used, the picker sends "rgba(255.0, 0.0, 0.0, 1)". Any other value is returned as text, for
    the request to refuse.
    """
    match = _RGBA.match(str(value))
    if match is None:
        return str(value)
    red, green, blue = (min(255, round(float(part))) for part in match.groups())
    return f"#{red:02x}{green:02x}{blue:02x}"

"""Types of event handlers' inputs and outputs, and how events are wired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

Updates = dict[Any, Any]
"""New values or properties, by component."""

Values = Mapping[Any, Any]
"""Values that the page sends with an event, by component."""

QUIET: Mapping[str, Any] = {
    "show_progress": "hidden",
    # At each event the page visits every component that ever had a progress display.
    "show_progress_on": [],
    "api_visibility": "private",
}
"""Settings of an event without Gradio's own progress display."""

QUICK: Mapping[str, Any] = {"queue": False, **QUIET}
"""Settings of an event that is answered at once, past the queue."""


def make_room(component: object, value: object) -> object:
    """Return a value for a component; one beyond a slider's ends moves the end.

    Programs may set more than the page offers, and a slider with a value beyond its ends would
    refuse every event of its tab.
    """
    if not isinstance(component, gr.Slider) or not isinstance(value, (int, float)):
        return value
    least, most = min(component.minimum, value), max(component.maximum, value)
    if (least, most) == (component.minimum, component.maximum):
        return value
    return gr.Slider(value=value, minimum=least, maximum=most)

"""Types of event handlers' inputs and outputs, and how events are wired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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

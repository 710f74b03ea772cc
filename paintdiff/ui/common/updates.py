"""What handlers of events receive and return, and how events are wired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Updates = dict[Any, Any]
"""New values or properties, by component."""

Values = Mapping[Any, Any]
"""What the page sends with an event, by component."""

QUIET: Mapping[str, Any] = {
    "show_progress": "hidden",
    # The page goes over every component that ever had a progress of its own at each event.
    "show_progress_on": [],
    "api_visibility": "private",
}
"""Wires an event without Gradio's own progress display."""

QUICK: Mapping[str, Any] = {"queue": False, **QUIET}
"""Wires an event that is answered at once, past the queue."""

"""The one format of durations for people."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Format a duration as precisely as is useful: "0.4 s", "25 s", "3 min", "1 h 20 min"."""
    if seconds < 9.95:
        return f"{max(0.1, seconds):.1f} s"
    if round(seconds) < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"

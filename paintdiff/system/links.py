"""Links in people's folders."""

from __future__ import annotations

from pathlib import Path


def leads_up(link: Path) -> bool:
    """Return whether a link leads to a folder that it lies in."""
    try:
        return link.parent.resolve().is_relative_to(link.resolve())
    except (OSError, RuntimeError):
        return True

"""Links in people's folders."""

from __future__ import annotations

import os
from pathlib import Path

_SYSTEM_FOLDERS = ("/proc", "/sys", "/dev")


def leads_up(link: Path) -> bool:
    """Return whether a link leads to a folder that it lies in."""
    try:
        return link.parent.resolve().is_relative_to(link.resolve())
    except (OSError, RuntimeError):
        return True


def is_system_folder(path: Path) -> bool:
    """Return whether a folder exposes processes or devices, where links lead anywhere."""
    place = Path(os.path.realpath(path))
    return any(place.is_relative_to(folder) for folder in _SYSTEM_FOLDERS)

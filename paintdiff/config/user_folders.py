"""Where what can be made again is kept between two starts. Importable without torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_NAME = "paintdiffusion"


def find_user_cache_folder() -> Path:
    """The folder for this app in the user's cache, whether or not it exists.

    PAINTDIFF_CACHE_DIR comes first, then XDG_CACHE_HOME, then what the platform has: `~/.cache`,
    `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.
    """
    own = os.environ.get("PAINTDIFF_CACHE_DIR")
    if own:
        return Path(own).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME")
    if xdg:
        return Path(xdg) / _NAME
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / _NAME
    local = os.environ.get("LOCALAPPDATA")
    if sys.platform == "win32" and local:
        return Path(local) / _NAME
    return Path.home() / ".cache" / _NAME

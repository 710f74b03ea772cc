"""The user's folders for the app's files. Importable without torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from paintdiff.config.presets import is_installed

_NAME = "paintdiffusion"


def find_user_cache_folder() -> Path:
    """Return the app's folder in the user's cache, existing or not.

    PAINTDIFF_CACHE_DIR comes first, then XDG_CACHE_HOME, then the platform's: `~/.cache`,
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


def default_output_folder() -> Path:
    """Return the default folder for finished pictures, existing or not.

    From a checkout it is `outputs` in the current directory. The installed app can be started from
    anywhere, so it uses one in the user's data: `XDG_DATA_HOME` or `~/.local/share`,
    `~/Library/Application Support` on macOS, `%LOCALAPPDATA%` on Windows.
    """
    if not is_installed():
        return Path("outputs")
    xdg, local = os.environ.get("XDG_DATA_HOME"), os.environ.get("LOCALAPPDATA")
    if xdg:
        data = Path(xdg)
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32" and local:
        data = Path(local)
    else:
        data = Path.home() / ".local" / "share"
    return data / _NAME / "outputs"

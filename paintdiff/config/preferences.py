"""Preferences: what a person decides once for all further starts, such as the first model.

Stored in one small JSON file in the user's configuration folder. An unreadable file is reported and
ignored, never an error: the app starts without it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from paintdiff.config import messages
from paintdiff.errors import StorageError
from paintdiff.system.atomic_files import new_file
from paintdiff.system.regular_files import open_file

logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 64 * 1024
MAX_BIN_DAYS = 3650
_FILE = Path("paintdiffusion") / "preferences.json"


class _Content(BaseModel):
    """The file's content. Entries of newer versions are preserved."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str | None = Field(default=None, min_length=1, max_length=200)
    bin_days: int | None = Field(default=None, ge=1, le=MAX_BIN_DAYS)


class Preferences:
    """The preferences in one file, safe to use from any thread.

    Reading is fast, changing writes the file. If `path` is None, they last until the app ends.
    `problem` says why the file was ignored, "" if it wasn't.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._content, self.problem = _Content(), ""
        if path is not None:
            self._content, self.problem = _read(path)
        if self.problem:
            logger.warning("%s", self.problem)

    @classmethod
    def default(cls, environment: Mapping[str, str] | None = None) -> Preferences:
        """Return the preferences of the person who started the app. Writes nothing."""
        return cls(default_preferences_path(os.environ if environment is None else environment))

    @property
    def pinned_model(self) -> str | None:
        """Return the name of the model to start with, None if none is pinned. It may be gone."""
        return self._content.model

    def pin_model(self, name: str | None) -> None:
        """Start with that model from now on, or with the default one for None.

        Raises:
            StorageError: The file can't be written; nothing has changed.
        """
        self._change(model=name)

    @property
    def bin_days(self) -> int | None:
        """Return after how many days deleted pictures are erased, None for never."""
        return self._content.bin_days

    def set_bin_days(self, days: int | None) -> None:
        """Erase deleted pictures after that many days, 1 to `MAX_BIN_DAYS`, or never for None.

        Raises:
            StorageError: The file can't be written; nothing has changed.
        """
        self._change(bin_days=days)

    def _change(self, **values: object) -> None:
        with self._lock:
            content = self._content.model_copy(update=values)
            if self._path is not None:
                _write(self._path, content)
            self._content, self.problem = content, ""


def default_preferences_path(environment: Mapping[str, str]) -> Path | None:
    """Return the path of a person's preferences, existing or not; None without a home."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        folder = environment.get("APPDATA") or str(home / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = str(home / "Library" / "Application Support")
    else:
        folder = environment.get("XDG_CONFIG_HOME") or str(home / ".config")
    return Path(folder) / _FILE


def _read(path: Path) -> tuple[_Content, str]:
    """Return the file's content and "", or nothing and why it is ignored."""
    try:
        with open_file(path) as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(messages.file_too_large(MAX_FILE_BYTES))
        return _Content.model_validate(json.loads(data)), ""
    except FileNotFoundError:
        return _Content(), ""
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        reason = f"{place}: {first['msg']}"
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error)
    return _Content(), messages.ignored_preferences(path, reason)


def _write(path: Path, content: _Content) -> None:
    """Replace the file in one step, so that it is never half written."""
    text = json.dumps(content.model_dump(exclude_unset=True), indent=2) + "\n"
    try:
        with new_file(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise StorageError(messages.unwritable_file(path, error.strerror or error)) from error

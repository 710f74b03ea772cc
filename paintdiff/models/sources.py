"""What all rows of the catalog have: where weights lie, and of which family they are."""

from __future__ import annotations

import logging
import re
from collections.abc import Container
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from paintdiff.models.families import Family

logger = logging.getLogger(__name__)

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


class WeightsRow(BaseModel):
    """Weights somewhere. `source` is a folder, a file, or where else they can be had."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: ClassVar[str] = "model"
    """What it is, in a word; two things of one name are told apart by it."""

    name: str = Field(min_length=1, max_length=200)
    title: str
    source: str
    licence: str = ""
    description: str = ""

    @property
    def folder(self) -> Path | None:
        """Where it lies on this machine, None if `source` is no path."""
        path = Path(self.source)
        return path if path.is_absolute() else None


class SourceRow(WeightsRow):
    """Weights of one family. `source` is a folder, a file, or a hub id ("owner/name")."""

    family: Family


def entries_of(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; nothing if it is no folder.

    What can't be looked at is left out, and logged; so are names that are no Unicode text, as no
    request could ask for them.
    """
    if not folder.is_dir():
        return []
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        logger.warning("%s is left out, it can't be looked into: %s", folder, error.strerror)
        return []
    for entry in entries:
        if not _is_text(entry.name):
            logger.warning("%r is left out: rename it, its name is no Unicode text", str(entry))
    return [entry for entry in entries if _is_text(entry.name)]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def preset_source(source: str, presets: Path) -> str:
    """A source as it stands in YAML: a folder beside the file becomes absolute, a hub id stays."""
    if (presets / source).exists() or not HUB_ID.fullmatch(source):
        return str((presets / source).resolve())
    return source


def last_name(source: str) -> str:
    """What a source is called: its folder's or file's name, or the whole hub id."""
    path = Path(source)
    if path.is_file():
        return path.stem
    return path.name if path.is_absolute() else source


def free_name(wanted: str, taken: Container[str]) -> str:
    """The name, with a number if it is taken."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted} ({number})", number + 1
    return name

"""What all rows of the catalog have: where weights lie, and of which family they are."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from paintdiff.models.formats.headers import WEIGHT_SUFFIXES
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry.families import Family


class WeightsRow(BaseModel):
    """Weights somewhere. `source` is a folder, a file, or where else they can be had.

    `size_bytes` is what they take on disk, 0 if that isn't known. `fingerprint` is another when
    other weights lie at the same place ("" for what doesn't change). `aliases` are names that it
    gives itself, which others may have too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: ClassVar[str] = "model"
    """The kind in messages; with an "s" it is the plural. Rows of two kinds may have one name."""

    subfolder: ClassVar[str] = ""
    """Where in a models folder people look for files of this kind; "" if messages don't say."""

    name: str = Field(min_length=1, max_length=200)
    title: str
    source: str
    licence: str = ""
    description: str = ""
    size_bytes: int = Field(default=0, ge=0)
    fingerprint: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, ...]:
        """Which weights these are: differs once other weights lie at the same place."""
        return self.what, self.name, self.source, self.fingerprint

    @property
    def folder(self) -> Path | None:
        """Where it lies on this machine, None if `source` is no path."""
        path = Path(self.source)
        return path if path.is_absolute() else None


class SourceRow(WeightsRow):
    """Weights of one family. `source` is a folder, a file, or a hub id ("owner/name")."""

    family: Family

    def is_offered_for(self, family: str) -> bool:
        """Return whether it is offered for models of that family: only for its own."""
        return self.family.name == family


def is_preset_source(source: str, presets: Path) -> str:
    """A source as it stands in YAML: a folder beside the file becomes absolute, a hub id stays."""
    if (presets / source).exists() or not HUB_ID.fullmatch(source):
        return str((presets / source).resolve())
    return source


def hub_id_name(source: str) -> str:
    """What a source is called: its folder's or file's name, or the whole hub id."""
    path = Path(source)
    if path.is_file():
        return path.stem
    return path.name if path.is_absolute() else source


MAX_NAME = 180

GENERAL_STEMS = frozenset(
    {"adapter_model", "pytorch_lora_weights", "lora", "model", "diffusion_pytorch_model"}
)
"""What programs call files whatever is in them, in lower case: their folders say more."""


def display_name(path: Path) -> str:
    """What is found at a path is called: a file without its suffix, a snapshot in the hub's cache
    by its hub id. Without control characters, and cut to MAX_NAME.
    """
    is_file = path.suffix.lower() in WEIGHT_SUFFIXES or not path.is_dir()
    name = path.stem if is_file else path.name
    if path.parent.name == "snapshots" and path.parent.parent.name.startswith("models--"):
        name = path.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
    if not name.isprintable():
        name = "".join(each if each.isprintable() else " " for each in name)
    return " ".join(name.split())[:MAX_NAME].strip() or "unnamed"


def find_free_name(wanted: str, taken: Container[str]) -> str:
    """The name, with a number if it is taken."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted} ({number})", number + 1
    return name

"""The base of all catalog rows: where weights are, and their family."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from paintdiff.models.formats.headers import WEIGHT_SUFFIXES
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry.families import Family


class WeightsRow(BaseModel):
    """Weights. `source` is a folder, a file, an address or a Hugging Face id.

    `size_bytes` is the size on disk, 0 if unknown. `fingerprint` changes when the weights at the
    same place do ("" for constant weights). `aliases` are names from its metadata, which needn't be
    unique.
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
        """A value that identifies the weights, and changes when they do."""
        return self.what, self.name, self.source, self.fingerprint

    @property
    def folder(self) -> Path | None:
        """The path on this machine, None if `source` isn't a path."""
        path = Path(self.source)
        return path if path.is_absolute() else None


class SourceRow(WeightsRow):
    """Weights of one family. `source` is a folder, a file, or a Hugging Face id ("owner/name")."""

    family: Family

    def is_offered_for(self, family: str) -> bool:
        """Return whether it is offered for models of that family: only for its own."""
        return self.family.name == family


def resolve_preset_source(source: str, presets: Path) -> str:
    """Return a source from YAML with a folder beside that file made absolute.

    A Hugging Face id is returned unchanged.
    """
    if (presets / source).exists() or not HUB_ID.fullmatch(source):
        return str((presets / source).resolve())
    return source


def get_source_name(source: str) -> str:
    """Return a source's name: that of its folder or file, or the whole Hugging Face id."""
    path = Path(source)
    if path.is_file():
        return path.stem
    return path.name if path.is_absolute() else source


MAX_NAME = 180

GENERAL_STEMS = frozenset(
    {"adapter_model", "pytorch_lora_weights", "lora", "model", "diffusion_pytorch_model"}
)
"""File names, in lower case, that programs use whatever the content: the folder's says more."""


def get_display_name(path: Path) -> str:
    """Return the name of the weights at a path, printable and cut to MAX_NAME.

    A file's has no suffix; a snapshot's in the Hugging Face cache is the id.
    """
    is_file = path.suffix.lower() in WEIGHT_SUFFIXES or not path.is_dir()
    name = path.stem if is_file else path.name
    if path.parent.name == "snapshots" and path.parent.parent.name.startswith("models--"):
        name = path.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
    if not name.isprintable():
        name = "".join(each if each.isprintable() else " " for each in name)
    return " ".join(name.split())[:MAX_NAME].strip() or "unnamed"


def find_free_name(wanted: str, taken: Container[str]) -> str:
    """Return the wanted name, with a number if it is taken."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted} ({number})", number + 1
    return name

"""Rows of language models that continue a prompt: GPT-2 and its kin.

Importable without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from paintdiff.config.presets import find_row, validate_row
from paintdiff.errors import ModelNotFoundError
from paintdiff.models.hub.cache import find_snapshot
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry import messages
from paintdiff.models.registry.base_rows import WeightsRow, get_source_name

CONFIG, VOCABULARY, MERGES = "config.json", "vocab.json", "merges.txt"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""The weights' file, in the order in which they are looked for."""


class LanguageModelRow(WeightsRow):
    """A causal language model in a folder or Hugging Face repository. `weights` is its file."""

    what: ClassVar[str] = "language model"

    weights: str = WEIGHTS[0]

    @property
    def files(self) -> tuple[str, ...]:
        """All its files."""
        return CONFIG, VOCABULARY, MERGES, self.weights

    @property
    def folder(self) -> Path | None:
        """The folder on this machine, None if not downloaded. Never contacts Hugging Face."""
        if HUB_ID.fullmatch(self.source):
            return find_snapshot(self.source, "", self.files)
        return super().folder


class _Text(BaseModel):
    """A language model in YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    source: str
    weights: str = WEIGHTS[0]
    size_bytes: int = 0
    licence: str = ""
    description: str = ""


def read_language_models(rows: object, path: Path) -> tuple[LanguageModelRow, ...]:
    """Read the `language_models` section of a models file. Raise PresetError, naming `path`."""
    found: list[LanguageModelRow] = []
    for name, row in validate_row(dict[str, dict[str, object]], rows or {}, path).items():
        text = validate_row(_Text, find_row(name, row, path), path)
        found.append(validate_row(LanguageModelRow, text.model_dump(), path))
    return tuple(found)


def make_language_model_rows(source: str) -> tuple[LanguageModelRow, ...]:
    """Make the rows that a folder or Hugging Face id may be: one for each kind of weights' file.

    Raises:
        ModelNotFoundError: There is no such folder, or one of the files isn't in it.
    """
    if HUB_ID.fullmatch(source) and not Path(source).exists():
        return tuple(_make_row(source, source, weights) for weights in WEIGHTS)
    folder = Path(source).expanduser()
    complete = all((folder / name).is_file() for name in (CONFIG, VOCABULARY, MERGES))
    for weights in WEIGHTS:
        file = folder / weights
        if complete and file.is_file():
            status = file.stat()
            row = _make_row(get_source_name(str(folder.resolve())), str(folder.resolve()), weights)
            stamp = f"{status.st_size}-{status.st_mtime_ns}"
            return (row.model_copy(update={"fingerprint": stamp}),)
    raise ModelNotFoundError(
        messages.no_language_model_at(get_source_name(source), " or ".join(WEIGHTS))
    )


def _make_row(name: str, source: str, weights: str) -> LanguageModelRow:
    return LanguageModelRow(name=name, title=name, source=source, weights=weights)

"""Reads and validates the files in `presets/`: data that is neither code nor a setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from paintdiff.config import messages
from paintdiff.errors import PresetError, UnknownNameError

T = TypeVar("T")

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C takes an eighth of the time, but PyYAML may be built without it."""


def presets_folder() -> Path:
    """Return the folder with the presets that ship with the app.

    An installed package contains it; in a checkout it lies beside the package.
    """
    package = _package_folder()
    return (package if is_installed() else package.parent) / "presets"


def is_installed() -> bool:
    """Return whether this package was installed from a wheel, and doesn't run from a checkout."""
    return (_package_folder() / "presets").is_dir()


def _package_folder() -> Path:
    return Path(str(files("paintdiff"))).resolve()


class QualityPreset(BaseModel):
    """A quality preset: the number of steps and how closely to follow the prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    title: str
    num_inference_steps: int = Field(ge=1, le=1000)
    guidance_scale: float = Field(ge=0.0, le=50.0)


class Presets:
    """The presets that apply to every model."""

    def __init__(self, qualities: Mapping[str, QualityPreset]) -> None:
        self._qualities = dict(qualities)

    @classmethod
    def default(cls) -> Presets:
        """Read the presets that ship with the app.

        Raises:
            PresetError: A file can't be read or is invalid.
        """
        return cls.from_folder(presets_folder())

    @classmethod
    def from_folder(cls, folder: Path) -> Presets:
        """Read the presets in another folder of the same layout.

        Raises:
            PresetError: A file can't be read or is invalid.
        """
        path = folder / "quality.yaml"
        rows = read_mapping(path)
        named = {name: find_row(name, row, path) for name, row in rows.items()}
        return cls(validate_row(dict[str, QualityPreset], named, path))

    def qualities(self) -> tuple[QualityPreset, ...]:
        """Return all quality presets, fastest first."""
        return tuple(sorted(self._qualities.values(), key=lambda row: row.num_inference_steps))

    def quality(self, name: str) -> QualityPreset:
        """Return the quality preset of that name.

        Raises:
            UnknownNameError: There is no such preset; the message lists the existing ones.
        """
        preset = self._qualities.get(name)
        if preset is None:
            raise make_unknown_name_error("quality", name, self._qualities)
        return preset


MOST_NAMES_LISTED = 12


def make_unknown_name_error(
    field: str, name: str, known: Mapping[str, object] | tuple[str, ...]
) -> UnknownNameError:
    """Make the error for an unknown name.

    It lists the most similar ones in `known`, or the first if none is similar.
    """
    names = list(known)
    near = suggest_names(name, names)
    listed = near or names[:MOST_NAMES_LISTED]
    explain = messages.misspelt_name if near else messages.unknown_name
    return UnknownNameError(
        explain(field, name, listed, len(names) - len(listed)),
        field=field,
        what=field,
        name=name,
        suggestion=near[0] if near else None,
    )


def suggest_names(name: str, names: Iterable[str]) -> list[str]:
    """Return up to three similarly spelled names, the nearest first; case doesn't matter."""
    by_key = {each.casefold(): each for each in names}
    keys = get_close_matches(name[:200].casefold(), by_key, n=3, cutoff=0.5)
    return [by_key[key] for key in keys]


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that contains a mapping.

    Raises:
        PresetError: It can't be read or isn't a mapping; the message names the file.
    """
    try:
        content: object = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise PresetError(messages.unreadable_file(path, error)) from error
    if not isinstance(content, dict):
        raise PresetError(messages.not_a_mapping(path))
    return {str(key): value for key, value in content.items()}


def find_row(name: str, row: object, path: Path) -> dict[str, Any]:
    """Return a row of a table in YAML, with its key added as `name`.

    Raises:
        PresetError: It isn't a mapping.
    """
    if not isinstance(row, dict):
        raise PresetError(messages.row_not_a_mapping(path, name))
    return {"name": name, **row}


def validate_row(shape: type[T], content: object, path: Path) -> T:
    """Validate content as a type that pydantic understands.

    Raises:
        PresetError: It is invalid.
    """
    try:
        return TypeAdapter(shape).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PresetError(messages.wrong_value(path, place, first["msg"])) from error

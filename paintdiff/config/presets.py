"""Reads and checks what lies under `presets/`: data that is neither code nor a setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from paintdiff.errors import PresetError, UnknownNameError

T = TypeVar("T")


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
    """How long to paint and how closely to follow the words."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    title: str
    num_inference_steps: int = Field(ge=1, le=1000)
    guidance_scale: float = Field(ge=0.0, le=50.0)


class Presets:
    """The presets that hold for every model."""

    def __init__(self, qualities: Mapping[str, QualityPreset]) -> None:
        self._qualities = dict(qualities)

    @classmethod
    def default(cls) -> Presets:
        """Those that ship with the app.

        Raises PresetError if a file can't be read or doesn't fit.
        """
        return cls.from_folder(presets_folder())

    @classmethod
    def from_folder(cls, folder: Path) -> Presets:
        """Those in another folder of the same layout. Raises PresetError."""
        path = folder / "quality.yaml"
        rows = read_mapping(path)
        named = {name: find_row(name, row, path) for name, row in rows.items()}
        return cls(validate_row(dict[str, QualityPreset], named, path))

    def qualities(self) -> tuple[QualityPreset, ...]:
        """All quality presets, quickest first."""
        return tuple(sorted(self._qualities.values(), key=lambda row: row.num_inference_steps))

    def quality(self, name: str) -> QualityPreset:
        """The quality preset of that name. Raises UnknownNameError, which lists those there are."""
        preset = self._qualities.get(name)
        if preset is None:
            raise make_unknown_name_error("quality", name, self._qualities)
        return preset


MOST_NAMES_LISTED = 12


def make_unknown_name_error(
    field: str, name: str, known: Mapping[str, object] | tuple[str, ...]
) -> UnknownNameError:
    """The error for a name that isn't in `known`: it lists the nearest ones, or the first if none
    is near.
    """
    names = list(known)
    near = suggest_names(name, names)
    listed = ", ".join(near or names[:MOST_NAMES_LISTED])
    if not near and len(names) > MOST_NAMES_LISTED:
        listed += f" and {len(names) - MOST_NAMES_LISTED:,} more"
    return UnknownNameError(
        f"There is no {field} {name[:100]!r}. Choose one of: {listed}.",
        field=field,
        what=field,
        name=name,
        suggestion=near[0] if near else None,
    )


def suggest_names(name: str, names: Iterable[str]) -> list[str]:
    """Up to three names that are spelled much like another, the nearest first, whatever their
    capitals.
    """
    by_key = {each.casefold(): each for each in names}
    keys = get_close_matches(name[:200].casefold(), by_key, n=3, cutoff=0.5)
    return [by_key[key] for key in keys]


def read_mapping(path: Path) -> dict[str, Any]:
    """Read one YAML file that holds a mapping. Raises PresetError, which names the file."""
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PresetError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise PresetError(f"{path} should hold names and values, like 'name: value'.")
    return {str(key): value for key, value in content.items()}


def find_row(name: str, row: object, path: Path) -> dict[str, Any]:
    """A row of a table in YAML, with its key put into it as `name`.

    Raises PresetError if it is no mapping.
    """
    if not isinstance(row, dict):
        raise PresetError(f"{path}: {name} should hold names and values.")
    return {"name": name, **row}


def validate_row(shape: type[T], content: object, path: Path) -> T:
    """The content as a value of that shape (any type that pydantic understands).

    Raises PresetError.
    """
    try:
        return TypeAdapter(shape).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PresetError(f"{path}: {place}: {first['msg']}.") from error

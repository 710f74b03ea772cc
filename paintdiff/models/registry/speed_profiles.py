"""The speed profiles: how exactly a picture matches diffusers' result, against speed.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from paintdiff.config.presets import (
    find_row,
    make_unknown_name_error,
    presets_folder,
    read_mapping,
    validate_row,
)
from paintdiff.errors import PresetError
from paintdiff.models.registry import messages

FILE_NAME = "profiles.yaml"


class Profile(BaseModel):
    """A row of `presets/profiles.yaml`, which explains each setting and its measurements.

    `says` tells people what the profile is for, `repeating` what may differ when the same settings
    run again. The defaults are those of "exact", which changes nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    title: str
    says: str
    repeating: str = ""
    kernels: Literal["usual", "measured"] = "usual"
    feature_interval: int = Field(default=1, ge=1, le=20)
    block_threshold: float = Field(default=0.0, ge=0.0, le=1.0)
    guidance_start: float = Field(default=0.0, ge=0.0, le=1.0)
    guidance_end: float = Field(default=1.0, ge=0.0, le=1.0)
    decoder: Literal["usual", "tiny"] = "usual"
    pictures_together: int = Field(default=1, ge=1, le=64)
    few_steps: bool = False

    @property
    def limits_guidance(self) -> bool:
        """Return whether it guides only in a part of the run."""
        return self.guidance_start > 0 or self.guidance_end < 1

    @property
    def without_skipping(self) -> Profile:
        """The same profile with every call of the denoiser computed in full, as in EXACT."""
        names = ("feature_interval", "block_threshold", "guidance_start", "guidance_end")
        return self.model_copy(update={name: getattr(EXACT, name) for name in names})

    @property
    def keeps_features(self) -> bool:
        """Return whether some layers of a denoiser are skipped at some steps."""
        return self.feature_interval > 1 or self.block_threshold > 0


EXACT = Profile(
    name="exact", title="Exact", says="Reference quality: identical to standard diffusers."
)
"""The default profile, which always exists."""


class Profiles:
    """The available profiles. `usual` is the default for requests that name none."""

    def __init__(self, rows: Mapping[str, Profile], usual: str = EXACT.name) -> None:
        self._rows = {EXACT.name: EXACT, **rows}
        self.usual = self.profile(usual).name

    @classmethod
    def default(cls, usual: str = EXACT.name) -> Profiles:
        """Read the profiles that ship with the app.

        Raises:
            PresetError: The file can't be read or is invalid.
            UnknownNameError: `usual` doesn't exist.
        """
        return cls.from_folder(presets_folder(), usual)

    @classmethod
    def from_folder(cls, folder: Path, usual: str = EXACT.name) -> Profiles:
        """Read the profiles of another folder with the same layout. Raise what `default` raises."""
        path = folder / FILE_NAME
        named = {name: find_row(name, row, path) for name, row in read_mapping(path).items()}
        rows = validate_row(dict[str, Profile], named, path)
        exact = rows.get(EXACT.name, EXACT)
        if exact.model_copy(update={"title": EXACT.title, "says": EXACT.says}) != EXACT:
            raise PresetError(messages.exact_changes_nothing(path, EXACT.name))
        return cls(rows, usual)

    def profiles(self) -> tuple[Profile, ...]:
        """List all profiles, the most exact first."""
        return tuple(self._rows.values())

    def names(self) -> tuple[str, ...]:
        """List the profiles' names, in the same order."""
        return tuple(self._rows)

    def profile(self, name: str | None) -> Profile:
        """Return a profile by name, the usual one for None. Raise UnknownNameError."""
        wanted = self.usual if name is None else name
        found = self._rows.get(wanted)
        if found is None:
            raise make_unknown_name_error("profile", wanted, self._rows)
        return found

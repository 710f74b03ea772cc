"""The speed profiles: how exactly a picture has to be what diffusers paints, against how quick it
is. Importable without torch.
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

FILE_NAME = "profiles.yaml"


class Profile(BaseModel):
    """A row of presets/profiles.yaml; what each knob does, and where it was measured, is there.

    `says` tells people what the speed is for, and `repeating` what can differ when the same
    settings are painted again. The defaults are those of "exact", which changes nothing.
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
        """Whether it guides in a part of the run only."""
        return self.guidance_start > 0 or self.guidance_end < 1

    @property
    def leaving_nothing_out(self) -> Profile:
        """The same with every call of the denoiser made, and made in full, as by EXACT."""
        names = ("feature_interval", "block_threshold", "guidance_start", "guidance_end")
        return self.model_copy(update={name: getattr(EXACT, name) for name in names})

    @property
    def keeps_features(self) -> bool:
        """Whether a denoiser computes some of its layers not at every step."""
        return self.feature_interval > 1 or self.block_threshold > 0


EXACT = Profile(
    name="exact", title="Exact", says="Reference quality: identical to standard diffusers."
)
"""Always there: it is what a picture is painted with unless something else is asked for."""


class Profiles:
    """The profiles there are, and the one that is `usual` where a request names none."""

    def __init__(self, rows: Mapping[str, Profile], usual: str = EXACT.name) -> None:
        self._rows = {EXACT.name: EXACT, **rows}
        self.usual = self.profile(usual).name

    @classmethod
    def default(cls, usual: str = EXACT.name) -> Profiles:
        """Those that ship with the app. Raises PresetError if the file can't be read or doesn't
        fit, UnknownNameError if there is no such usual one.
        """
        return cls.from_folder(presets_folder(), usual)

    @classmethod
    def from_folder(cls, folder: Path, usual: str = EXACT.name) -> Profiles:
        """Those in another folder of the same layout. Raises as `default` does."""
        path = folder / FILE_NAME
        named = {name: find_row(name, row, path) for name, row in read_mapping(path).items()}
        rows = validate_row(dict[str, Profile], named, path)
        exact = rows.get(EXACT.name, EXACT)
        if exact.model_copy(update={"title": EXACT.title, "says": EXACT.says}) != EXACT:
            raise PresetError(f"{path}: {EXACT.name}: this profile must not change any setting.")
        return cls(rows, usual)

    def profiles(self) -> tuple[Profile, ...]:
        """All of them, the most exact first."""
        return tuple(self._rows.values())

    def names(self) -> tuple[str, ...]:
        """Their names, in the same order."""
        return tuple(self._rows)

    def profile(self, name: str | None) -> Profile:
        """The one of that name, None for the usual one. Raises UnknownNameError."""
        wanted = self.usual if name is None else name
        found = self._rows.get(wanted)
        if found is None:
            raise make_unknown_name_error("profile", wanted, self._rows)
        return found

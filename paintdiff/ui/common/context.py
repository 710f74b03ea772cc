"""Everything that `app.py` passes to the page. The page reaches for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.accounts.scopes import Scope
from paintdiff.config.preferences import Preferences
from paintdiff.models.catalog.few_step_loras import FewSteps, find_few_steps
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profiles
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.prompts.surprise import Surprises, read_tips
from paintdiff.server.identities import current_identity
from paintdiff.ui.common.setting_words import SettingWords

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine
    from paintdiff.gallery.gallery import Gallery
    from paintdiff.gallery.recording import Recorder
    from paintdiff.models.hub.downloads import Downloads
    from paintdiff.ui.common.uploads import Uploads


@dataclass(frozen=True)
class PageContext:
    """The engine, the uploads, and the tables that the page offers choices from.

    `qualities` are (name, title) pairs, fastest first; `profiles` are the speed profiles.
    `surprises` draws prompts, `tips` are advice on prompts by model or family.

    A new page starts with `start_model`, unless a model is pinned in `preferences`. If the person
    chose `start_model` when starting the app (`model_asked_for`), it wins over the pinned one.

    `models_dirs` are the folders in which the Models tab may delete files; `rescan` scans them
    again (None: they are never scanned). `downloads` fetches models from Hugging Face (None: the
    page doesn't mention it). Unless people `may_manage`, nobody can delete, download or pin.

    `gallery` has the finished pictures (None: the page has no Gallery tab), `recorder` those that
    couldn't be saved or recorded yet.
    """

    engine: Engine
    uploads: Uploads
    start_model: str
    qualities: tuple[tuple[str, str], ...]
    examples: tuple[str, ...]
    surprises: Surprises = field(default_factory=Surprises.default)
    tips: Mapping[str, tuple[str, ...]] = field(default_factory=read_tips)
    profiles: Profiles = field(default_factory=Profiles.default)
    preferences: Preferences = field(default_factory=lambda: Preferences(None))
    model_asked_for: bool = False
    models_dirs: tuple[Path, ...] = ()
    rescan: Callable[[], object] | None = None
    downloads: Downloads | None = None
    may_manage: bool = True
    gallery: Gallery | None = None
    recorder: Recorder | None = None

    @property
    def can_manage(self) -> bool:
        """Return whether whoever sent the current event may delete, download or pin models."""
        return self.may_manage and Scope.MANAGE in current_identity.get().scopes

    def shown_path(self, path: Path) -> str:
        """Return a path as visitors may see it.

        That is the whole path if they `can_manage`, else the part below the models folder, or the
        name.
        """
        if self.can_manage:
            return str(path)
        for folder in self.models_dirs:
            if path.is_relative_to(folder):
                return str(path.relative_to(folder))
        return path.name

    @property
    def words(self) -> SettingWords:
        """Return the page's words for the values of settings."""
        return SettingWords(self.engine, dict(self.qualities), self.profiles)

    @property
    def models(self) -> tuple[ModelRow, ...]:
        """Return the models in the catalog now."""
        return self.engine.manager.catalog.rows(ModelRow)

    @property
    def pinned_model(self) -> str | None:
        """Return the name of the pinned model; None if there is no such model."""
        name = self.preferences.pinned_model
        return name if any(row.name == name for row in self.models) else None

    @property
    def default_model(self) -> str:
        """Return the name of the model that a new page starts with."""
        return (None if self.model_asked_for else self.pinned_model) or self.start_model

    def model_choices(self) -> list[tuple[str, str]]:
        """Return a dropdown's choices, (title, name): models on this machine first."""
        return [(row.label, row.name) for row in sort_present_first(self.models)]

    def model(self, name: object) -> ModelRow:
        """Return the model of that name.

        Any other value gives the default model, since a stored name may be outdated.
        """
        rows = {row.name: row for row in self.models}
        if isinstance(name, str) and name in rows:
            return rows[name]
        return rows.get(self.default_model) or next(iter(rows.values()))

    def model_with_profile(self, model: object, profile: object) -> ModelRow:
        """Return the model with the steps, guidance and sampler of a speed profile.

        The profile may bring a LoRA that needs few steps only.
        """
        few = self.few_steps(model, profile)
        return self.model(model) if few is None else few.model

    def few_steps(self, model: object, profile: object) -> FewSteps | None:
        """Return the few-step LoRA of a profile for a model, if any."""
        known = profile in self.profiles.names()
        if not self.profiles.profile(str(profile) if known else None).few_steps:
            return None
        return find_few_steps(self.model(model), self.engine.manager.catalog)

    def controlnets(self, model: object) -> tuple[ControlNetRow, ...]:
        """Return the ControlNets that fit a model, the default one first."""
        return self.engine.manager.catalog.fitting(ControlNetRow, self.model(model))

    def upscalers(self) -> tuple[UpscalerRow, ...]:
        """Return the upscalers, the default one first."""
        return self.engine.manager.catalog.rows(UpscalerRow)

    def face_restorers(self) -> tuple[FaceRestorerRow, ...]:
        """Return the face restorers that can be used: those for which a detector exists, too."""
        rows = self.engine.manager.catalog.rows(FaceRestorerRow)
        return tuple(row for row in rows if row.detector is not None)


def sort_present_first(rows: Iterable[ModelRow]) -> tuple[ModelRow, ...]:
    """Sort models: those on this machine first."""
    return tuple(sorted(rows, key=lambda row: not row.is_here))

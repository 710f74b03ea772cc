"""What the page is given by app.py: it reaches for nothing by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.config.preferences import Preferences
from paintdiff.models.catalog.few_step_loras import FewSteps, find_few_steps
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import Profiles
from paintdiff.models.registry.upscaler_rows import UpscalerRow

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine
    from paintdiff.models.hub.downloads import Downloads
    from paintdiff.ui.common.uploads import Uploads


@dataclass(frozen=True)
class PageContext:
    """The engine, the pictures that pages have sent, and the tables that the page offers choices
    from.

    `qualities` are (name, title) pairs, quickest first, `profiles` the speed profiles. `surprise`
    draws a prompt from the given categories (from any if none is given).

    `start_model` is the model to begin with unless one is pinned in `preferences`; if it was asked
    for when the app was started (`model_asked_for`) it goes before the pinned one.

    `models_dirs` are the folders of which the Models tab may delete something, `rescan` looks
    through them again (None: they are never looked through), and `downloads` fetches models from
    the hub (None: the page says nothing of a hub). Unless visitors `may_manage`, they can neither
    delete, download nor pin.
    """

    engine: Engine
    uploads: Uploads
    start_model: str
    qualities: tuple[tuple[str, str], ...]
    examples: tuple[str, ...]
    surprise_categories: tuple[str, ...]
    surprise: Callable[[Sequence[str]], str]
    profiles: Profiles = field(default_factory=Profiles.default)
    preferences: Preferences = field(default_factory=lambda: Preferences(None))
    model_asked_for: bool = False
    models_dirs: tuple[Path, ...] = ()
    rescan: Callable[[], object] | None = None
    downloads: Downloads | None = None
    may_manage: bool = True

    def shown_path(self, path: Path) -> str:
        """Return a path as visitors may see it: the whole one if they `may_manage`, else what
        follows the models folder, or its name.
        """
        if self.may_manage:
            return str(path)
        for folder in self.models_dirs:
            if path.is_relative_to(folder):
                return str(path.relative_to(folder))
        return path.name

    @property
    def models(self) -> tuple[ModelRow, ...]:
        """The models that there are now."""
        return self.engine.manager.catalog.rows(ModelRow)

    @property
    def pinned_model(self) -> str | None:
        """The name of the pinned model, None if there is none or it isn't here (any more)."""
        name = self.preferences.pinned_model
        return name if any(row.name == name for row in self.models) else None

    @property
    def default_model(self) -> str:
        """The name of the model that a new page begins with."""
        return (None if self.model_asked_for else self.pinned_model) or self.start_model

    def model_choices(self) -> list[tuple[str, str]]:
        """What a dropdown of models offers: titles and names, those on this machine first."""
        return [(row.label, row.name) for row in sort_present_first(self.models)]

    def model(self, name: object) -> ModelRow:
        """The model of that name; the default one for anything else, as a stored name may be
        gone."""
        rows = {row.name: row for row in self.models}
        if isinstance(name, str) and name in rows:
            return rows[name]
        return rows.get(self.default_model) or next(iter(rows.values()))

    def painter(self, model: object, profile: object) -> ModelRow:
        """The model of that name with the figures and the sampler that it has in a speed profile,
        which may bring a LoRA that makes few steps enough.
        """
        few = self.few_steps(model, profile)
        return self.model(model) if few is None else few.model

    def few_steps(self, model: object, profile: object) -> FewSteps | None:
        """That LoRA, None if the profile takes none or there is none for the model."""
        known = profile in self.profiles.names()
        if not self.profiles.profile(str(profile) if known else None).few_steps:
            return None
        return find_few_steps(self.model(model), self.engine.manager.catalog)

    def controlnets(self, model: object) -> tuple[ControlNetRow, ...]:
        """The ControlNets that fit the model of that name, the default one first."""
        return self.engine.manager.catalog.fitting(ControlNetRow, self.model(model))

    def upscalers(self) -> tuple[UpscalerRow, ...]:
        """The upscalers, the one first that is used unless another is asked for."""
        return self.engine.manager.catalog.rows(UpscalerRow)

    def face_restorers(self) -> tuple[FaceRestorerRow, ...]:
        """The face restorers that can be used, as there is a detector for them too."""
        rows = self.engine.manager.catalog.rows(FaceRestorerRow)
        return tuple(row for row in rows if row.detector is not None)


def sort_present_first(rows: Iterable[ModelRow]) -> tuple[ModelRow, ...]:
    """Models, those on this machine first."""
    return tuple(sorted(rows, key=lambda row: not row.is_here))

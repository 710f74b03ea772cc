"""What the page is given by app.py: it reaches for nothing by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paintdiff.engine import Engine
    from paintdiff.models.controlnets import ControlNetRow
    from paintdiff.models.face_restorers import FaceRestorerRow
    from paintdiff.models.model_rows import ModelRow
    from paintdiff.models.upscalers import UpscalerRow
    from paintdiff.ui.uploads import Uploads


@dataclass(frozen=True)
class Parts:
    """The engine, the pictures that pages have sent, and the tables that the page offers choices
    from.

    `qualities` are (name, title) pairs, quickest first. `surprise` draws a prompt from the given
    categories (from any if none is given).
    """

    engine: Engine
    uploads: Uploads
    models: tuple[ModelRow, ...]
    default_model: str
    qualities: tuple[tuple[str, str], ...]
    sampler_names: tuple[str, ...]
    examples: tuple[str, ...]
    surprise_categories: tuple[str, ...]
    surprise: Callable[[Sequence[str]], str]

    def model(self, name: object) -> ModelRow:
        """The model of that name; the default one for anything else, as a stored name may be
        gone."""
        default = self.models[0]
        for row in self.models:
            if row.name == name:
                return row
            if row.name == self.default_model:
                default = row
        return default

    def controlnets(self, model: object) -> tuple[ControlNetRow, ...]:
        """The ControlNets that fit the model of that name, the default one first."""
        return self.engine.manager.catalog.controlnets_for(self.model(model))

    def upscalers(self) -> tuple[UpscalerRow, ...]:
        """The upscalers, the one first that is used unless another is asked for."""
        return self.engine.manager.catalog.upscalers()

    def face_restorers(self) -> tuple[FaceRestorerRow, ...]:
        """The face restorers that can be used, as there is a detector for them too."""
        rows = self.engine.manager.catalog.face_restorers()
        return tuple(row for row in rows if row.detector is not None)

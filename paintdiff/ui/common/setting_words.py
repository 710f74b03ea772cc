"""The page's words for the values of settings: "Draft", where requests say "fast"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from paintdiff.jobs.request_parts import LATENT_UPSCALER, NO_CONTROLNET
from paintdiff.models.registry.adapter_rows import IpAdapterRow, LoraRow, VaeRow
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.preprocessors.table import PREPROCESSORS
from paintdiff.ui.common import messages

if TYPE_CHECKING:
    from paintdiff.engine.engine import Engine
    from paintdiff.models.registry.speed_profiles import Profiles

_ROWS: Mapping[str, type[WeightsRow]] = MappingProxyType(
    {
        "model": ModelRow,
        "vae": VaeRow,
        "lora": LoraRow,
        "controlnet": ControlNetRow,
        "ip_adapter": IpAdapterRow,
        "upscaler": UpscalerRow,
        "face_restorer": FaceRestorerRow,
    }
)
_TABLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "resize_mode": messages.RESIZE_MODES,
        "masked_content": messages.MASKED_CONTENTS,
        "emphasis": messages.PROMPT_LANGUAGES,
        "prompt_syntax": messages.PROMPT_LANGUAGES,
        "preprocessor": {name: row.title for name, row in PREPROCESSORS.items()},
        "controlnet": {NO_CONTROLNET: messages.NONE},
        "upscaler": {LATENT_UPSCALER: messages.LATENT},
    }
)


@dataclass(frozen=True)
class SettingWords:
    """Titles of what a setting's value names, as the page's own choices show them."""

    engine: Engine
    qualities: Mapping[str, str]
    profiles: Profiles

    def say(self, setting: str, value: str) -> str:
        """Return the words for a value; the value itself if there are none.

        `setting` is a request's field; "lora" and "ip_adapter" stand for the names of such parts.
        A model that isn't here any more has no words.
        """
        if setting == "quality":
            return self.qualities.get(value, value)
        if setting == "profile":
            known = value in self.profiles.names()
            return self.profiles.profile(value).title if known else value
        if value in (table := _TABLES.get(setting, {})):
            return table[value]
        kind = _ROWS.get(setting)
        rows = () if kind is None else self.engine.manager.catalog.rows(kind)
        return next((row.title for row in rows if row.name == value), value)

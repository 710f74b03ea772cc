"""Models as the catalog knows them: rows of data, and what a model's folder says of itself.

Importable without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from paintdiff.errors import ModelNotFoundError
from paintdiff.geometry import Size
from paintdiff.models.families import Family, LatentRgb, SamplerName, SizeText
from paintdiff.models.sources import SourceRow
from paintdiff.presets import checked, unknown_name

T = TypeVar("T")


class QualityFigures(BaseModel):
    """A quality preset's figures for one model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    num_inference_steps: int = Field(ge=1, le=1000)
    guidance_scale: float = Field(ge=0.0, le=50.0)


class ModelRow(SourceRow):
    """One model. `source` is a folder, a .safetensors file, or a hub id ("owner/name").

    `sizes` are the sizes offered, `sampler` the one used unless another is asked for, `quality` the
    figures of each quality preset. `closed_vocabulary` says that the model knows only the
    words listed in its folder's `words.json`.

    Of a hub id `revision` is the commit ("" for the newest), `gated` says that its owner has to be
    asked first, `download_bytes` what is fetched (0: unknown). `least_memory_bytes` is what it
    can be painted with at all (0: unknown). `prediction_type` is what its network predicts, ""
    if its files say so themselves; `zero_terminal_snr` that it was trained with a noise schedule
    that ends in pure noise (Lin et al. 2023, arXiv:2305.08891). `distilled` says that it needs few
    steps and takes no guidance. `parts` are what a single file holds ("denoiser", "vae",
    "text_encoder"; empty for a folder or a hub id).
    """

    native_size: Size
    sizes: tuple[Size, ...]
    sampler: str
    quality: Mapping[str, QualityFigures]
    closed_vocabulary: bool = False
    revision: str = Field(default="", pattern=r"^([0-9a-f]{40})?$")
    gated: bool = False
    download_bytes: int = Field(default=0, ge=0)
    least_memory_bytes: int = Field(default=0, ge=0)
    prediction_type: Literal["", "epsilon", "v_prediction", "sample", "flow_prediction"] = ""
    zero_terminal_snr: bool = False
    distilled: bool = False
    parts: tuple[str, ...] = ()

    def figures(self, quality: str) -> QualityFigures:
        """The figures of a quality preset. Raises UnknownNameError."""
        found = self.quality.get(quality)
        if found is None:
            raise unknown_name("quality", quality, self.quality)
        return found


class ModelText(BaseModel):
    """A model as it is written in YAML; what is left out is the family's or the general one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    family: str
    source: str
    native_size: SizeText | None = None
    sizes: tuple[SizeText, ...] | None = None
    sampler: SamplerName | None = None
    quality: dict[str, QualityFigures] = Field(default_factory=dict[str, QualityFigures])
    closed_vocabulary: bool = False
    revision: str = Field(default="", pattern=r"^([0-9a-f]{40})?$")
    gated: bool = False
    download_bytes: int = Field(default=0, ge=0)
    least_memory_bytes: int = Field(default=0, ge=0)
    prediction_type: Literal["", "epsilon", "v_prediction", "sample", "flow_prediction"] = ""
    zero_terminal_snr: bool = False
    distilled: bool = False
    licence: str = ""
    description: str = ""


def model_row(text: ModelText, family: Family, general: Mapping[str, QualityFigures]) -> ModelRow:
    """The row of a model that is written so; `general` are the figures of each quality preset
    unless it has its own.
    """
    own = text.model_dump(exclude={"family", "native_size", "sizes", "sampler", "quality"})
    return ModelRow(
        family=family,
        native_size=text.native_size or family.native_size,
        sizes=text.sizes or family.sizes,
        sampler=text.sampler or family.sampler,
        quality={**general, **text.quality},
        **own,
    )


def latent_rgb_of(row: ModelRow, folder: Path) -> LatentRgb:
    """The preview map of a model: its folder's own `latent_rgb.json`, or its family's.

    Raises PresetError.
    """
    path = folder / "latent_rgb.json"
    if not path.is_file():
        return row.family.latent_rgb
    return json_file(path, LatentRgb)


def known_words_of(row: ModelRow, folder: Path) -> frozenset[str] | None:
    """All the words that a model with a closed vocabulary knows (its folder's `words.json`, a list
    in lower case); None for other models. Raises PresetError if the list doesn't fit.
    """
    if not row.closed_vocabulary:
        return None
    path = folder / "words.json"
    return frozenset(json_file(path, list[str]))


def json_file(path: Path, shape: type[T]) -> T:
    """What a JSON file of a model's folder holds. Raises ModelNotFoundError if it can't be read,
    PresetError if it is something else.
    """
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(
            f"{path} can't be read, so this folder is no model: {error}"
        ) from error
    return checked(shape, content, path)

"""Models as the catalog knows them: rows of data, and what a model's folder says of itself.

Importable without torch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from paintdiff.byte_sizes import format_byte_size
from paintdiff.config.presets import make_unknown_name_error, presets_folder, validate_row
from paintdiff.errors import ModelNotFoundError
from paintdiff.imaging.geometry import Size
from paintdiff.models.formats.json_files import read_json
from paintdiff.models.hub.cache import find_snapshot
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry.base_rows import SourceRow
from paintdiff.models.registry.families import (
    Family,
    LatentRgb,
    QualityFigures,
    SamplerName,
    SizeText,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

_DISTILLED: Mapping[str, QualityFigures] = {
    "fast": QualityFigures(num_inference_steps=2, guidance_scale=1.0),
    "balanced": QualityFigures(num_inference_steps=4, guidance_scale=1.0),
    "high": QualityFigures(num_inference_steps=8, guidance_scale=1.0),
}
"""What a model that was distilled to few steps and no guidance is painted with."""


class ModelFacts(BaseModel):
    """What there is to know of a model beyond its family.

    `closed_vocabulary` says that it knows only the words listed in its folder's `words.json`. Of a
    hub id `revision` is the commit ("" for the newest), `gated` says that its owner has to be asked
    first, `download_bytes` what is fetched (0: unknown). `least_memory_bytes` is what it can be
    painted with at all (0: unknown). `prediction_type` is what its network predicts, "" if its
    files say so themselves; `zero_terminal_snr` that it was trained with a noise schedule that
    ends in pure noise (Lin et al. 2023, arXiv:2305.08891). `distilled` says that it needs few steps
    and takes no guidance. `sha256` is that of a single file, in hex, "" if nobody knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    closed_vocabulary: bool = False
    revision: str = Field(default="", pattern=r"^([0-9a-f]{40})?$")
    gated: bool = False
    download_bytes: int = Field(default=0, ge=0)
    least_memory_bytes: int = Field(default=0, ge=0)
    prediction_type: Literal["", "epsilon", "v_prediction", "sample", "flow_prediction"] = ""
    zero_terminal_snr: bool = False
    distilled: bool = False
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")


class ModelRow(SourceRow, ModelFacts):
    """One model. `source` is a folder, a .safetensors file, or a hub id ("owner/name").

    `sizes` are the sizes offered, `sampler` the one used unless another is asked for, `quality` the
    figures of each quality preset. `parts` are what a single file holds ("denoiser", "vae",
    "text_encoder"; empty for a folder or a hub id).
    """

    native_size: Size
    sizes: tuple[Size, ...]
    sampler: str
    quality: Mapping[str, QualityFigures]
    parts: tuple[str, ...] = ()

    @property
    def folder(self) -> Path | None:
        """Where it lies on this machine; None for a hub id that isn't in the cache (or not whole).

        Quick, and never asks the hub.
        """
        if HUB_ID.fullmatch(self.source):
            return find_snapshot(self.source, self.revision)
        return super().folder

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine. Quick, and never asks the hub."""
        folder = self.folder
        return folder is not None and folder.exists()

    @property
    def label(self) -> str:
        """Its title, and what there is to know before it is chosen: whether it comes with the app,
        or has to be downloaded, how large it is, and whether its owner has to be asked.
        """
        if self.folder is not None and self.folder.parent == presets_folder():
            return f"{self.title} (comes with the app)"
        if self.is_here or not HUB_ID.fullmatch(self.source):
            return self.title
        size = f"{format_byte_size(self.download_bytes)} to download" if self.download_bytes else ""
        gated = "gated: accept its licence" if self.gated else ""
        return f"{self.title} ({', '.join(filter(None, (size or 'to download', gated)))})"

    def figures(self, quality: str) -> QualityFigures:
        """The figures of a quality preset. Raises UnknownNameError."""
        found = self.quality.get(quality)
        if found is None:
            raise make_unknown_name_error("quality", quality, self.quality)
        return found


class ModelText(ModelFacts):
    """A model as it is written in YAML; what is left out is the family's or the general one."""

    name: str
    title: str
    family: str
    source: str
    native_size: SizeText | None = None
    sizes: tuple[SizeText, ...] | None = None
    sampler: SamplerName | None = None
    quality: dict[str, QualityFigures] = Field(default_factory=dict[str, QualityFigures])
    licence: str = ""
    description: str = ""


def make_model_row(
    text: ModelText, family: Family, general: Mapping[str, QualityFigures]
) -> ModelRow:
    """The row of a model that is written so; `general` are the figures of each quality preset
    unless its family or the model has its own, or it is distilled.
    """
    usual = {**general, **family.quality}
    if text.distilled:
        usual = {name: _DISTILLED.get(name, figures) for name, figures in usual.items()}
    own = text.model_dump(exclude={"family", "native_size", "sizes", "sampler", "quality"})
    return ModelRow(
        family=family,
        native_size=text.native_size or family.native_size,
        sizes=text.sizes or family.sizes,
        sampler=text.sampler or family.sampler,
        quality={**usual, **text.quality},
        **own,
    )


def read_latent_rgb(row: ModelRow, folder: Path) -> LatentRgb | None:
    """The preview map of a model: its folder's own `latent_rgb.json`, or its family's, None if
    there is none.

    Raises PresetError.
    """
    path = folder / "latent_rgb.json"
    if not path.is_file():
        return row.family.latent_rgb
    return read_json_file(path, LatentRgb)


def read_known_words(row: ModelRow, folder: Path) -> frozenset[str] | None:
    """All the words that a model with a closed vocabulary knows (its folder's `words.json`, a list
    in lower case); None for other models. Raises PresetError if the list doesn't fit.
    """
    if not row.closed_vocabulary:
        return None
    path = folder / "words.json"
    return frozenset(read_json_file(path, list[str]))


def read_near_words(row: ModelRow, folder: Path) -> Mapping[str, str]:
    """What a model with a closed vocabulary reads in place of words that it wasn't taught (its
    folder's `near-words.json`, all in lower case); nothing for other models. Raises PresetError if
    the list doesn't fit.
    """
    path = folder / "near-words.json"
    if not row.closed_vocabulary or not path.is_file():
        return {}
    return read_json_file(path, dict[str, str])


def read_subjects(row: ModelRow, folder: Path) -> tuple[str, ...]:
    """What a model with a closed vocabulary can paint, as words for a prompt (its folder's
    `subjects.json`, a list); nothing for other models. Raises PresetError if the list doesn't fit.
    """
    path = folder / "subjects.json"
    if not row.closed_vocabulary or not path.is_file():
        return ()
    return tuple(read_json_file(path, list[str]))


def read_json_file(path: Path, shape: type[T]) -> T:
    """What a JSON file of a model's folder holds. Raises ModelNotFoundError if it can't be read,
    PresetError if it is something else.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        logger.info("%s can't be read", path, exc_info=True)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ModelNotFoundError(
            f"{path.name} of {path.parent.name} can't be read, so this folder was skipped: "
            f"{reason}."
        ) from error
    return validate_row(shape, content, path)

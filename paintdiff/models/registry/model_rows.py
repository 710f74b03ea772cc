"""Catalog rows of models, and the data files in a model's folder.

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
from paintdiff.errors import ModelLoadError, ModelNotFoundError, PresetError
from paintdiff.imaging.geometry import Size
from paintdiff.models.formats.json_files import read_json
from paintdiff.models.hub.cache import find_snapshot
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry import messages
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
"""The figures of models distilled to few steps and no guidance."""


class ModelFacts(BaseModel):
    """Properties of a model beyond its family's.

    With `closed_vocabulary` it knows only the words in its folder's `words.json`. For a Hugging
    Face id, `revision` is the commit ("": the newest), `gated` means that its licence must be
    accepted first, `download_bytes` is the size of the download (0: unknown). `least_memory_bytes`
    is the least memory to paint with it (0: unknown). `prediction_type` is the network's
    prediction, "" if its files tell; `zero_terminal_snr` means training with a noise schedule that
    ends in pure noise (Lin et al. 2023, arXiv:2305.08891). `distilled` means few steps and no
    guidance. `sha256` is a single file's hash in hex, "" if unknown.
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
    """A model. `source` is a folder, a weight file, or a Hugging Face id ("owner/name").

    `sizes` are the suggested sizes, `sampler` the default one, `quality` the figures of each
    quality preset. `parts` are the components in a single file ("denoiser", "vae", "text_encoder";
    empty for a folder or a Hugging Face id).
    """

    native_size: Size
    sizes: tuple[Size, ...]
    sampler: str
    quality: Mapping[str, QualityFigures]
    parts: tuple[str, ...] = ()

    @property
    def folder(self) -> Path | None:
        """The path on this machine; None for a Hugging Face id that isn't completely cached.

        Fast: never contacts Hugging Face.
        """
        if HUB_ID.fullmatch(self.source):
            return find_snapshot(self.source, self.revision)
        return super().folder

    @property
    def is_here(self) -> bool:
        """Return whether it is on this machine. Fast: never contacts Hugging Face."""
        folder = self.folder
        return folder is not None and folder.exists()

    @property
    def label(self) -> str:
        """The title with notes for choosing: shipped with the app, size to download, gated."""
        if self.folder is not None and self.folder.parent == presets_folder():
            return messages.comes_with_the_app(self.title)
        if self.is_here or not HUB_ID.fullmatch(self.source):
            return self.title
        size = (
            messages.to_download(format_byte_size(self.download_bytes))
            if self.download_bytes
            else ""
        )
        gated = messages.ACCEPT_ITS_LICENCE if self.gated else ""
        return f"{self.title} ({', '.join(filter(None, (size or 'to download', gated)))})"

    def figures(self, quality: str) -> QualityFigures:
        """Return the figures of a quality preset. Raise UnknownNameError."""
        found = self.quality.get(quality)
        if found is None:
            raise make_unknown_name_error("quality", quality, self.quality)
        return found


class ModelText(ModelFacts):
    """A model in YAML. Missing values are the family's or the general ones."""

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
    """Make a model's row from its YAML.

    `general` are the figures of each quality preset, unless the family or the model has its own, or
    the model is distilled.
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
    """Return a model's preview matrix: its folder's `latent_rgb.json`, else its family's, if any.

    Raises:
        ModelNotFoundError: The file can't be read.
        ModelLoadError: It has another shape, or not a row for each channel of the latents.
    """
    path = folder / "latent_rgb.json"
    if not path.is_file():
        return row.family.latent_rgb
    found, channels = read_json_file(path, LatentRgb), row.family.latent_channels
    if len(found.matrix) != channels:
        raise ModelLoadError(
            messages.wrong_latent_rgb(folder.name, path.name, len(found.matrix), channels)
        )
    return found


def read_known_words(row: ModelRow, folder: Path) -> frozenset[str] | None:
    """Return the words that a model with a closed vocabulary knows, in lower case; None for others.

    They are in its folder's `words.json`. Raises ModelError if that is invalid.
    """
    if not row.closed_vocabulary:
        return None
    path = folder / "words.json"
    return frozenset(read_json_file(path, list[str]))


def read_near_words(row: ModelRow, folder: Path) -> Mapping[str, str]:
    """Return replacements for words that a model with a closed vocabulary doesn't know.

    They are in its folder's `near-words.json`, in lower case; {} for other models. Raises
    ModelError if that is invalid.
    """
    path = folder / "near-words.json"
    if not row.closed_vocabulary or not path.is_file():
        return {}
    return read_json_file(path, dict[str, str])


def read_subjects(row: ModelRow, folder: Path) -> tuple[str, ...]:
    """List the subjects that a model with a closed vocabulary can paint, as words for a prompt.

    They are in its folder's `subjects.json`; () for other models. Raises ModelError if that is
    invalid.
    """
    path = folder / "subjects.json"
    if not row.closed_vocabulary or not path.is_file():
        return ()
    return tuple(read_json_file(path, list[str]))


def read_json_file(path: Path, shape: type[T]) -> T:
    """Read and check a JSON file of a model's folder.

    Raises:
        ModelNotFoundError: It can't be read.
        ModelLoadError: It has another shape.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        logger.info("%s can't be read", path, exc_info=True)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ModelNotFoundError(
            messages.unreadable_folder(path.name, path.parent.name, reason)
        ) from error
    try:
        return validate_row(shape, content, Path(path.parent.name, path.name))
    except PresetError as error:
        raise ModelLoadError(messages.wrong_file(error)) from error

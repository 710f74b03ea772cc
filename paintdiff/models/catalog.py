"""What models there are: rows of data from `presets/models.yaml`, from the user's folders, and from
SD_MODEL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from paintdiff.errors import ModelNotFoundError, PresetError, RequestError
from paintdiff.geometry import Size
from paintdiff.models.families import Family, LatentRgb, SamplerName, SizeText, families_from
from paintdiff.models.weights import check_weights_in, safetensors_header
from paintdiff.presets import Presets, checked, mapping_in, named_row, presets_folder, unknown_name

T = TypeVar("T")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


class QualityFigures(BaseModel):
    """A quality preset's figures for one model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    num_inference_steps: int = Field(ge=1, le=1000)
    guidance_scale: float = Field(ge=0.0, le=50.0)


class ModelRow(BaseModel):
    """One model. `source` is a folder, a .safetensors file, or a hub id ("owner/name").

    `sizes` are the sizes offered, `sampler` the one used unless another is asked for, `quality` the
    figures of each quality preset. `closed_vocabulary` says that the model knows only the
    words listed in its folder's `words.json`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    title: str
    family: Family
    source: str
    native_size: Size
    sizes: tuple[Size, ...]
    sampler: str
    quality: Mapping[str, QualityFigures]
    closed_vocabulary: bool = False
    licence: str = ""
    description: str = ""

    @property
    def folder(self) -> Path | None:
        """Where the model lies on this machine, None if `source` is a hub id."""
        path = Path(self.source)
        return path if path.is_absolute() else None

    def figures(self, quality: str) -> QualityFigures:
        """The figures of a quality preset. Raises UnknownNameError."""
        found = self.quality.get(quality)
        if found is None:
            raise unknown_name("quality", quality, self.quality)
        return found


class _ModelText(BaseModel):
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
    licence: str = ""
    description: str = ""


class Catalog:
    """A table of models. It never changes; `with_source` returns another."""

    def __init__(
        self,
        rows: Iterable[ModelRow],
        families: Mapping[str, Family],
        general_quality: Mapping[str, QualityFigures],
    ) -> None:
        by_name: dict[str, ModelRow] = {}
        for row in rows:
            if row.name in by_name:
                raise PresetError(f"There are two models called {row.name!r}; rename one of them.")
            by_name[row.name] = row
        self._rows = MappingProxyType(by_name)
        self._families = MappingProxyType(dict(families))
        self._general_quality = MappingProxyType(dict(general_quality))

    @classmethod
    def default(cls, models_dirs: Sequence[Path] = ()) -> Catalog:
        """The models that ship with the app, then those found in `models_dirs`.

        A folder with a `model_index.json` and a `.safetensors` file directly in one of
        `models_dirs` is a model, named after the folder or file. Raises PresetError if the presets
        can't be read.
        """
        catalog = cls.from_folder(presets_folder())
        for models_dir in models_dirs:
            for source in _models_in(models_dir):
                catalog = catalog.with_source(str(source))
        return catalog

    @classmethod
    def from_folder(cls, presets: Path) -> Catalog:
        """The models in `presets/models.yaml`. Raises PresetError."""
        path = presets / "models.yaml"
        content = mapping_in(path)
        families = families_from(content.get("families"), path)
        general = {
            row.name: QualityFigures(
                num_inference_steps=row.num_inference_steps, guidance_scale=row.guidance_scale
            )
            for row in Presets.from_folder(presets).qualities()
        }
        rows: list[ModelRow] = []
        for name, row in checked(dict[str, dict[str, object]], content.get("models"), path).items():
            text = checked(_ModelText, named_row(name, row, path), path)
            if text.family not in families:
                raise PresetError(f"{path}: models.{name}: there is no family {text.family!r}.")
            if (presets / text.source).exists() or not _HUB_ID.fullmatch(text.source):
                text = text.model_copy(update={"source": str((presets / text.source).resolve())})
            rows.append(_row(text, families[text.family], general))
        return cls(rows, families, general)

    def models(self) -> tuple[ModelRow, ...]:
        """All models, in the order in which they are offered."""
        return tuple(self._rows.values())

    def model(self, name: str) -> ModelRow:
        """The model of that name. Raises UnknownNameError, which lists the nearest ones."""
        row = self._rows.get(name)
        if row is None:
            raise unknown_name("model", name, self._rows)
        return row

    def with_source(
        self, source: str, *, name: str | None = None, family: str | None = None
    ) -> Catalog:
        """A catalog with one more model: a folder, a .safetensors file, or a hub id.

        It is named after the folder or file, or by the hub id; a name that is taken gets a number.
        The family is read from the model unless it is given. Raises ModelNotFoundError if nothing
        is there, UnsafeWeightsError if its weights could run code, RequestError if the family is
        unknown.
        """
        path = Path(source).expanduser()
        if path.exists():
            source = str(path.resolve())
            check_weights_in(path)
        elif not _HUB_ID.fullmatch(source):
            raise ModelNotFoundError(
                f"There is no model at {source!r}: it is neither a folder, a .safetensors "
                "file nor a hub id like owner/name."
            )
        found = family or _family_of(source)
        if found not in self._families:
            raise RequestError(
                f"{source!r} is of the family {found!r}, which can't be painted with; "
                f"known are {', '.join(self._families)}.",
                field="model",
            )
        wanted = name or (Path(source).stem if Path(source).is_file() else _last_name(source))
        text = _ModelText(name=self._free_name(wanted), title=wanted, family=found, source=source)
        row = _row(text, self._families[found], self._general_quality)
        return Catalog((*self._rows.values(), row), self._families, self._general_quality)

    def _free_name(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self._rows:
            name, number = f"{wanted} ({number})", number + 1
        return name


def _last_name(source: str) -> str:
    return Path(source).name if Path(source).is_absolute() else source


def _row(text: _ModelText, family: Family, general: Mapping[str, QualityFigures]) -> ModelRow:
    return ModelRow(
        name=text.name,
        title=text.title,
        family=family,
        source=text.source,
        native_size=text.native_size or family.native_size,
        sizes=text.sizes or family.sizes,
        sampler=text.sampler or family.sampler,
        quality={**general, **text.quality},
        closed_vocabulary=text.closed_vocabulary,
        licence=text.licence,
        description=text.description,
    )


def _models_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if (path / "model_index.json").is_file()
        or (path.is_file() and path.suffix.lower() == ".safetensors")
    )


_FAMILY_OF_PIPELINE = {
    "StableDiffusionPipeline": "sd1",
    "StableDiffusionInpaintPipeline": "sd1",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLInpaintPipeline": "sdxl",
}


def _family_of(source: str) -> str:
    """The family of a folder (by its model_index.json), a file (by its tensors' names) or a hub id
    (by its name).
    """
    path = Path(source)
    if path.is_dir():
        index = _json(path / "model_index.json", dict[str, Any])
        class_name = str(index.get("_class_name", "unknown"))
        return _FAMILY_OF_PIPELINE.get(class_name, class_name)
    if path.is_file():
        return (
            "sdxl"
            if any(key.startswith("conditioner.") for key in safetensors_header(path))
            else "sd1"
        )
    return "sdxl" if "xl" in source.lower() else "sd1"


def _json(path: Path, shape: type[T]) -> T:
    try:
        content: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(
            f"{path} can't be read, so this folder is no model: {error}"
        ) from error
    return checked(shape, content, path)


def latent_rgb_of(row: ModelRow, folder: Path) -> LatentRgb:
    """The preview map of a model: its folder's own `latent_rgb.json`, or its family's.

    Raises PresetError.
    """
    path = folder / "latent_rgb.json"
    if not path.is_file():
        return row.family.latent_rgb
    return _json(path, LatentRgb)


def known_words_of(row: ModelRow, folder: Path) -> frozenset[str] | None:
    """All the words that a model with a closed vocabulary knows (its folder's `words.json`, a list
    in lower case); None for other models. Raises PresetError if the list doesn't fit.
    """
    if not row.closed_vocabulary:
        return None
    path = folder / "words.json"
    return frozenset(_json(path, list[str]))

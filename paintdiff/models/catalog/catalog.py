"""The catalog: rows of every kind of weights.

They come from `presets/models.yaml`, the models folders, and what a person names. Importable
without torch.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, cast

from paintdiff.config.presets import Presets, find_row, presets_folder, read_mapping, validate_row
from paintdiff.errors import (
    ModelLoadError,
    ModelNotFoundError,
    PresetError,
    RequestError,
    UnsafeWeightsError,
)
from paintdiff.models.catalog import messages
from paintdiff.models.catalog.name_lookup import find_row_by_name
from paintdiff.models.discovery.detection_cache import DetectionCache
from paintdiff.models.discovery.diffusers_folders import detect_folder_family
from paintdiff.models.discovery.header_reader import FileReader
from paintdiff.models.discovery.permanent_names import FILE_NAME as NAMES_FILE
from paintdiff.models.discovery.permanent_names import PermanentNames
from paintdiff.models.discovery.row_builder import FoundRows, Problem, RowBuilder, map_unet_widths
from paintdiff.models.discovery.scanning import read_stamp, scan_folders
from paintdiff.models.formats.weight_files import check_weights_in
from paintdiff.models.hub.cache import find_snapshot
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry.adapter_rows import FittingRow, LoraRow
from paintdiff.models.registry.base_rows import (
    MAX_NAME,
    SourceRow,
    WeightsRow,
    find_free_name,
    get_source_name,
    resolve_preset_source,
)
from paintdiff.models.registry.controlnet_rows import (
    ControlNetRow,
    make_controlnet_row,
    read_controlnets,
)
from paintdiff.models.registry.families import Family, read_families
from paintdiff.models.registry.language_model_rows import read_language_models
from paintdiff.models.registry.model_rows import ModelRow, ModelText, QualityFigures, make_model_row
from paintdiff.models.registry.upscaler_rows import UpscalerRow, make_upscaler_row, read_upscalers

logger = logging.getLogger(__name__)

RowT = TypeVar("RowT", bound=WeightsRow)
FittingT = TypeVar("FittingT", bound=FittingRow | SourceRow)

_Maker = Callable[[str, Mapping[str, Family], Mapping[str, WeightsRow], str | None], WeightsRow]
_MAKERS: Mapping[type[WeightsRow], _Maker] = {
    ControlNetRow: make_controlnet_row,
    UpscalerRow: lambda source, _families, taken, name: make_upscaler_row(source, taken, name),
}
"""How a row is made of a source that a person names."""


class Catalog:
    """The rows of every kind of weights: what there is to paint with.

    A kind is named by its row class: `rows(LoraRow)`. A catalog never changes: `replace`,
    `with_first`, `with_source` and `with_found` return another. Raises PresetError if two rows of a
    kind have the same name.
    """

    def __init__(
        self,
        found: FoundRows,
        families: Mapping[str, Family] = MappingProxyType({}),
        general_quality: Mapping[str, QualityFigures] = MappingProxyType({}),
    ) -> None:
        self._found = found
        self._families = MappingProxyType(dict(families))
        self._general_quality = MappingProxyType(dict(general_quality))
        self._by_name: dict[type[WeightsRow], dict[str, WeightsRow]] = {}
        for row in found.rows:
            by_name = self._by_name.setdefault(type(row), {})
            if row.name in by_name:
                raise PresetError(messages.name_taken_twice(row.what, row.name))
            by_name[row.name] = row

    @classmethod
    def default(cls, models_dirs: Sequence[Path] = (), cache: Path | None = None) -> Catalog:
        """Return what ships with the app and what lies in `models_dirs` (`LiveCatalog` rescans).

        Folders may have the layout of A1111, of ComfyUI, or any other: the content of a file
        decides its kind. Files that can't be used are logged and listed in `problems`. Kinds and
        names of files are kept in the folder `cache`. Raises PresetError if the presets can't be
        read.
        """
        catalog = cls.from_folder(presets_folder())
        if not models_dirs:
            return catalog
        known = DetectionCache(cache, catalog.unet_widths())
        names = PermanentNames(None if cache is None else cache / NAMES_FILE)
        builder = catalog.make_row_builder(known, names)
        catalog = catalog.with_found(builder.build(scan_folders(models_dirs), models_dirs))
        known.finish()
        names.save()
        for problem in catalog.problems():
            problem.log()
        return catalog

    @classmethod
    def from_folder(cls, presets: Path) -> Catalog:
        """Return the rows that `presets/models.yaml` lists. Raises PresetError."""
        path = presets / "models.yaml"
        content = read_mapping(path)
        families = read_families(content.get("families"), path)
        general = {
            row.name: QualityFigures(
                num_inference_steps=row.num_inference_steps, guidance_scale=row.guidance_scale
            )
            for row in Presets.from_folder(presets).qualities()
        }
        rows: list[ModelRow] = []
        for name, row in validate_row(
            dict[str, dict[str, object]], content.get("models"), path
        ).items():
            text = validate_row(ModelText, find_row(name, row, path), path)
            if text.family not in families:
                raise PresetError(messages.unknown_family(path, name, text.family))
            fitting = families[text.family].sampler_names()
            if text.sampler is not None and text.sampler not in fitting:
                raise PresetError(
                    messages.sampler_does_not_fit(
                        path, name, text.sampler, families[text.family].title, ", ".join(fitting)
                    )
                )
            text = text.model_copy(update={"source": resolve_preset_source(text.source, presets)})
            rows.append(make_model_row(text, families[text.family], general))
        controlnets = read_controlnets(content.get("controlnets"), families, path)
        upscalers = read_upscalers(content.get("upscalers"), path)
        language_models = read_language_models(content.get("language_models"), path)
        found = FoundRows((*rows, *controlnets, *upscalers, *language_models))
        return cls(found, families, general)

    def rows(self, kind: type[RowT]) -> tuple[RowT, ...]:
        """Return all rows of a kind, in the order in which they are offered."""
        return tuple(self._named(kind).values())

    def find(self, kind: type[RowT], name: str) -> RowT:
        """Return the row of that name. Raises UnknownNameError, which lists the nearest ones."""
        advice = ""
        if kind.subfolder:
            advise = messages.put_into if self._found.folders else messages.start_with_folder
            advice = advise(kind.what, kind.subfolder)
        gone = self._found.gone.get(kind.what, {})
        return find_row_by_name(kind.what, name, self._named(kind), gone, advice)

    def lora(self, name: str) -> LoraRow:
        """Return a LoRA's row. Deprecated: use `find(LoraRow, name)`; it goes in version 0.3."""
        message = "use `Catalog.find(LoraRow, name)` instead of `Catalog.lora(name)`"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return self.find(LoraRow, name)

    def fitting(self, kind: type[FittingT], model: ModelRow) -> tuple[FittingT, ...]:
        """Return the rows of a kind that are offered for a model's family, the default first.

        LoRAs of an unknown family are offered for every model.
        """
        return tuple(row for row in self.rows(kind) if row.is_offered_for(model.family.name))

    def problems(self) -> tuple[Problem, ...]:
        """Return the files of the models folders that were left out, with the reasons."""
        return self._found.problems

    def replace(self, kind: type[RowT], rows: Iterable[RowT]) -> Catalog:
        """Return a catalog with these rows of a kind instead of its own."""
        others = (row for row in self._found.rows if type(row) is not kind)
        return self.with_found(replace(self._found, rows=(*others, *rows)))

    def with_found(self, found: FoundRows) -> Catalog:
        """Return a catalog of other rows and the same families."""
        return Catalog(found, self._families, self._general_quality)

    def with_first(
        self,
        kind: type[ControlNetRow] | type[UpscalerRow],
        source: str,
        name: str | None = None,
    ) -> Catalog:
        """Return a catalog in which a ControlNet or an upscaler comes first, so it is the default.

        `source` is a name from the list or a file; a ControlNet may be a folder or a hub id too. A
        new row is called `name`, else like its file; a name that is taken gets a number. Weights
        aren't read; a ControlNet's family is read from its configuration or its tensors' shapes.
        Raises ModelNotFoundError if nothing usable is there, UnsafeWeightsError if it could run
        code, RequestError if its family is unknown.
        """
        place = Path(source).expanduser()
        same = {source, str(place.absolute()), str(place.resolve())}
        named = self._named(kind)
        first = next(
            (
                row
                for row in named.values()
                if {row.name, row.source, str(row.folder or row.source)} & same
            ),
            None,
        )
        if first is None:
            first = _MAKERS[kind](source, self._families, named, name)
        others = (row for row in named.values() if row.name != first.name)
        return self.replace(kind, (first, *others))

    def with_source(
        self, source: str, *, name: str | None = None, family: str | None = None
    ) -> Catalog:
        """Return a catalog with one more model, the last: a folder, a file, or a hub id.

        The model is called `name`, else like its folder, file or hub id; a name that is taken gets
        a number. The family is read from the model unless it is given. Raises ModelNotFoundError if
        nothing is there, ModelLoadError if it can't be read, UnsafeWeightsError if its weights
        could run code, RequestError if it is no model or its family is unknown.
        """
        path = Path(source).expanduser()
        if path.exists():
            source = str(path.resolve())
            if path.is_dir():
                check_weights_in(path)
        elif not HUB_ID.fullmatch(source):
            raise ModelNotFoundError(messages.no_model_at(source))
        detected, parts = self._detect(source) if family is None else ({"family": family}, ())
        if detected["family"] not in self._families:
            raise RequestError(
                messages.family_not_supported(
                    source, detected["family"], ", ".join(self._families)
                ),
                field="model",
            )
        wanted = (name or get_source_name(source))[:MAX_NAME]
        text = ModelText.model_validate(
            {
                "name": find_free_name(wanted, self._named(ModelRow)),
                "title": wanted,
                "source": source,
                **detected,
            }
        )
        row = make_model_row(text, self._families[text.family], self._general_quality)
        if row.folder is not None:
            row = row.model_copy(update={**_stamp(row.folder), "parts": parts})
        return self.replace(ModelRow, (*self.rows(ModelRow), row))

    def _detect(self, source: str) -> tuple[dict[str, object], tuple[str, ...]]:
        """Return the family and other fields of a row for a source, and the parts that a file has.

        A hub id that isn't in the cache tells its family by its name.
        """
        path = Path(source)
        if HUB_ID.fullmatch(source) and not path.exists():
            path = find_snapshot(source) or path
        if path.is_dir():
            found = detect_folder_family(path, self._families)
            return {"family": found.name, "description": found.notice}, ()
        if not path.is_file():
            return {"family": "sdxl" if "xl" in source.lower() else "sd1"}, ()
        with closing(FileReader(self.unet_widths())) as reader:
            known = reader.inspect(path)
        found = known.detected
        if not known.form:
            kind = UnsafeWeightsError if known.unsafe else ModelLoadError
            raise kind(found.reason)
        if found.kind not in ("checkpoint", "denoiser") or found.family is None:
            raise RequestError(messages.not_a_model_to_paint_with(source, found.reason), "model")
        return {
            "family": found.family,
            "prediction_type": found.prediction_type,
            "zero_terminal_snr": found.zero_terminal_snr,
        }, found.parts

    def families(self) -> Mapping[str, Family]:
        """Return the families of models, by name."""
        return self._families

    def unet_widths(self) -> Mapping[int, str]:
        """Return the families of UNets by the width of their text embeddings."""
        return map_unet_widths(self._families)

    def make_row_builder(self, known: DetectionCache, names: PermanentNames) -> RowBuilder:
        """Return a builder that adds rows for files in models folders to those of this catalog."""
        return RowBuilder(self._found, self._families, self._general_quality, known, names)

    def _named(self, kind: type[RowT]) -> Mapping[str, RowT]:
        return cast("dict[str, RowT]", self._by_name.get(kind, {}))


def _stamp(path: Path) -> dict[str, object]:
    try:
        return read_stamp(path)
    except OSError as error:
        raise ModelNotFoundError(messages.unreadable_folder(path.name, error.strerror)) from error

"""What models there are, and what goes with them: rows of data from `presets/models.yaml`, from the
user's folders, and from SD_MODEL.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from paintdiff.config.presets import Presets, find_row, presets_folder, read_mapping, validate_row
from paintdiff.errors import (
    ModelLoadError,
    ModelNotFoundError,
    PresetError,
    RequestError,
    UnsafeWeightsError,
)
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
from paintdiff.models.registry.adapter_rows import (
    EmbeddingRow,
    FittingRow,
    IpAdapterRow,
    LoraRow,
    TinyAutoencoderRow,
    VaeRow,
)
from paintdiff.models.registry.base_rows import (
    MAX_NAME,
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
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.registry.families import Family, read_families
from paintdiff.models.registry.model_rows import ModelRow, ModelText, QualityFigures, make_model_row
from paintdiff.models.registry.upscaler_rows import UpscalerRow, make_upscaler_row, read_upscalers

# Where in a models folder people look for them first.
_FOLDERS: Mapping[str, str] = {
    "LoRA": "loras",
    "embedding": "embeddings",
    "VAE": "vae",
    "ControlNet": "controlnet",
    "IP-Adapter": "ipadapter",
    "face restorer": "facerestore_models",
    "tiny autoencoder": "vae_approx",
}

logger = logging.getLogger(__name__)

RowT = TypeVar("RowT", bound=WeightsRow)
FittingT = TypeVar("FittingT", bound=FittingRow)


class Catalog:
    """Tables of models and of what goes with them. It never changes; `with_source`,
    `with_controlnet` and `with_upscaler` return another.
    """

    def __init__(
        self,
        rows: Iterable[ModelRow],
        families: Mapping[str, Family],
        general_quality: Mapping[str, QualityFigures],
        controlnets: Iterable[ControlNetRow] = (),
        upscalers: Iterable[UpscalerRow] = (),
        others: FoundRows | None = None,
    ) -> None:
        shelves = self._shelves = replace(
            others or FoundRows(),
            models=tuple(rows),
            controlnets=tuple(controlnets),
            upscalers=tuple(upscalers),
        )
        self._families = MappingProxyType(dict(families))
        self._general_quality = MappingProxyType(dict(general_quality))
        self._models = _by_name(shelves.models, "models")
        self._controlnets = _by_name(shelves.controlnets, "ControlNets")
        self._upscalers = _by_name(shelves.upscalers, "upscalers")
        self._face_restorers = _by_name(shelves.face_restorers, "face restorers")
        self._loras = _by_name(shelves.loras, "LoRAs")
        self._embeddings = _by_name(shelves.embeddings, "embeddings")
        self._vaes = _by_name(shelves.vaes, "VAEs")
        self._tiny_autoencoders = _by_name(shelves.tiny_autoencoders, "tiny autoencoders")
        self._ip_adapters = _by_name(shelves.ip_adapters, "IP-Adapters")

    @classmethod
    def default(cls, models_dirs: Sequence[Path] = (), cache: Path | None = None) -> Catalog:
        """What ships with the app, then what is found in `models_dirs` now (`Library` looks again).

        Each may be laid out as A1111's, as ComfyUI's, or any way: what a file is decides. What
        can't be used is left out, logged, and among `problems`. What files are, and the names they
        were given, is kept in the folder `cache`. Raises PresetError if the presets can't be read.
        """
        catalog = cls.from_folder(presets_folder())
        if not models_dirs:
            return catalog
        known = DetectionCache(cache, catalog.unet_widths())
        names = PermanentNames(None if cache is None else cache / NAMES_FILE)
        shelving = catalog.shelving(known, names)
        catalog = catalog.with_shelves(shelving.build(scan_folders(models_dirs), models_dirs))
        known.finish()
        names.save()
        for problem in catalog.problems():
            problem.log()
        return catalog

    @classmethod
    def from_folder(cls, presets: Path) -> Catalog:
        """What `presets/models.yaml` lists. Raises PresetError."""
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
                raise PresetError(f"{path}: models.{name}: unknown family {text.family!r}.")
            fitting = families[text.family].sampler_names()
            if text.sampler is not None and text.sampler not in fitting:
                raise PresetError(
                    f"{path}: models.{name}: {text.sampler} doesn't fit "
                    f"{families[text.family].title}, which takes {', '.join(fitting)}."
                )
            text = text.model_copy(update={"source": resolve_preset_source(text.source, presets)})
            rows.append(make_model_row(text, families[text.family], general))
        controlnets = read_controlnets(content.get("controlnets"), families, path)
        upscalers = read_upscalers(content.get("upscalers"), path)
        return cls(rows, families, general, controlnets, upscalers)

    def models(self) -> tuple[ModelRow, ...]:
        """All models, in the order in which they are offered."""
        return self._shelves.models

    def model(self, name: str) -> ModelRow:
        """The model of that name. Raises UnknownNameError, which lists the nearest ones."""
        return self._row("model", name, self._models)

    def controlnets(self) -> tuple[ControlNetRow, ...]:
        """All ControlNets, in the order in which they are offered."""
        return self._shelves.controlnets

    def controlnet(self, name: str) -> ControlNetRow:
        """The ControlNet of that name. Raises UnknownNameError, which lists the nearest ones."""
        return self._row("ControlNet", name, self._controlnets)

    def upscalers(self) -> tuple[UpscalerRow, ...]:
        """All upscalers, in the order in which they are offered."""
        return self._shelves.upscalers

    def upscaler(self, name: str) -> UpscalerRow:
        """The upscaler of that name. Raises UnknownNameError, which lists the nearest ones."""
        return self._row("upscaler", name, self._upscalers)

    def face_restorers(self) -> tuple[FaceRestorerRow, ...]:
        """All face restorers, in the order in which they are offered."""
        return self._shelves.face_restorers

    def face_restorer(self, name: str) -> FaceRestorerRow:
        """The face restorer of that name. Raises UnknownNameError, which lists the nearest ones."""
        return self._row("face restorer", name, self._face_restorers)

    def loras(self) -> tuple[LoraRow, ...]:
        """All LoRAs, sorted by name."""
        return self._shelves.loras

    def lora(self, name: str) -> LoraRow:
        """The LoRA of that name. Raises UnknownNameError, which lists the nearest ones."""
        return self._row("LoRA", name, self._loras)

    def embeddings(self) -> tuple[EmbeddingRow, ...]:
        """All embeddings, sorted by name."""
        return self._shelves.embeddings

    def embedding(self, name: str) -> EmbeddingRow:
        """The embedding of that name. Raises UnknownNameError, which lists the nearest ones."""
        return self._row("embedding", name, self._embeddings)

    def vaes(self) -> tuple[VaeRow, ...]:
        """All VAEs, sorted by name."""
        return self._shelves.vaes

    def vae(self, name: str) -> VaeRow:
        """The VAE of that name. Raises UnknownNameError, which lists the nearest ones."""
        return self._row("VAE", name, self._vaes)

    def tiny_autoencoders(self) -> tuple[TinyAutoencoderRow, ...]:
        """All tiny autoencoders, sorted by name."""
        return self._shelves.tiny_autoencoders

    def tiny_autoencoder(self, name: str) -> TinyAutoencoderRow:
        """The tiny autoencoder of that name. Raises UnknownNameError."""
        return self._row("tiny autoencoder", name, self._tiny_autoencoders)

    def ip_adapters(self) -> tuple[IpAdapterRow, ...]:
        """All IP-Adapters, sorted by name."""
        return self._shelves.ip_adapters

    def ip_adapter(self, name: str) -> IpAdapterRow:
        """The IP-Adapter of that name. Raises UnknownNameError, which lists the nearest ones."""
        return self._row("IP-Adapter", name, self._ip_adapters)

    def controlnets_for(self, model: ModelRow) -> tuple[ControlNetRow, ...]:
        """Those of the model's family; the first is used unless another is asked for."""
        return tuple(row for row in self.controlnets() if row.family.name == model.family.name)

    def loras_for(self, model: ModelRow) -> tuple[LoraRow, ...]:
        """Those of the model's family, and those of which nobody knows the family."""
        return tuple(row for row in self.loras() if row.fits(model.family.name) or not row.families)

    def embeddings_for(self, model: ModelRow) -> tuple[EmbeddingRow, ...]:
        """Those that fit the model's family."""
        return _fitting(self.embeddings(), model)

    def vaes_for(self, model: ModelRow) -> tuple[VaeRow, ...]:
        """Those that fit the model's family."""
        return _fitting(self.vaes(), model)

    def tiny_autoencoders_for(self, model: ModelRow) -> tuple[TinyAutoencoderRow, ...]:
        """Those that fit the model's family."""
        return _fitting(self.tiny_autoencoders(), model)

    def ip_adapters_for(self, model: ModelRow) -> tuple[IpAdapterRow, ...]:
        """Those that fit the model's family."""
        return _fitting(self.ip_adapters(), model)

    def problems(self) -> tuple[Problem, ...]:
        """What was left out of the models folders, and why."""
        return self._shelves.problems

    def with_controlnet(self, source: str, name: str | None = None) -> Catalog:
        """A catalog in which this ControlNet comes first: a name from the list, a folder, a
        .safetensors or .pth file, or a hub id.

        A new one is named like a model is. Its family is read from its configuration or its
        tensors' shapes. Raises ModelNotFoundError if nothing usable is there, UnsafeWeightsError if
        it could run code, RequestError if its family is unknown.
        """
        place = Path(source).expanduser()
        same = (source, str(place.absolute()), str(place.resolve()))
        first = next((row for row in self.controlnets() if {row.name, row.source} & {*same}), None)
        if first is None:
            first = make_controlnet_row(source, self._families, self._controlnets, name)
        others = (row for row in self.controlnets() if row.name != first.name)
        return self._with(controlnets=(first, *others))

    def with_upscaler(self, source: str, name: str | None = None) -> Catalog:
        """A catalog in which this upscaler comes first: a name from the list, or a file.

        A new one is named after its file, or by a number too if that is taken. The file isn't read.
        Raises ModelNotFoundError if it isn't there.
        """
        place = Path(source).expanduser()
        same = (source, str(place.absolute()), str(place.resolve()))
        first = next(
            (row for row in self.upscalers() if {row.name, row.source, str(row.file)} & {*same}),
            None,
        )
        if first is None:
            first = make_upscaler_row(source, self._upscalers, name)
        others = (row for row in self.upscalers() if row.name != first.name)
        return self._with(upscalers=(first, *others))

    def with_source(
        self, source: str, *, name: str | None = None, family: str | None = None
    ) -> Catalog:
        """A catalog with one more model: a folder, a file, or a hub id.

        It is named after the folder or file, or by the hub id; a name that is taken gets a number.
        The family is read from the model unless it is given. Raises ModelNotFoundError if nothing
        is there, ModelLoadError if it can't be read, UnsafeWeightsError if its weights could run
        code, RequestError if it is no model or its family is unknown.
        """
        path = Path(source).expanduser()
        if path.exists():
            source = str(path.resolve())
            if path.is_dir():
                check_weights_in(path)
        elif not HUB_ID.fullmatch(source):
            raise ModelNotFoundError(
                f"There is no model at {source!r}. Name a folder, a .safetensors file or a "
                "Hugging Face id like owner/name."
            )
        told, parts = self._told(source) if family is None else ({"family": family}, ())
        if told["family"] not in self._families:
            raise RequestError(
                f"{source!r} is of the family {told['family']!r}, which isn't supported. "
                f"Supported families: {', '.join(self._families)}.",
                field="model",
            )
        wanted = (name or get_source_name(source))[:MAX_NAME]
        text = ModelText.model_validate(
            {
                "name": find_free_name(wanted, self._models),
                "title": wanted,
                "source": source,
                **told,
            }
        )
        row = make_model_row(text, self._families[text.family], self._general_quality)
        if row.folder is not None:
            row = row.model_copy(update={**_stamp(row.folder), "parts": parts})
        return self._with(models=(*self.models(), row))

    def _told(self, source: str) -> tuple[dict[str, object], tuple[str, ...]]:
        """The family of a folder, a file or a hub id (by its name, if it isn't here yet), and what
        else it says; and the parts that a file has.
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
            raise RequestError(f"{source!r} isn't a model to paint with: {found.reason}.", "model")
        return {
            "family": found.family,
            "prediction_type": found.prediction_type,
            "zero_terminal_snr": found.zero_terminal_snr,
        }, found.parts

    def families(self) -> Mapping[str, Family]:
        """The families of models, by name."""
        return self._families

    def unet_widths(self) -> Mapping[int, str]:
        """The families of UNets by how many numbers stand for a word."""
        return map_unet_widths(self._families)

    def shelving(self, known: DetectionCache, names: PermanentNames) -> RowBuilder:
        """What makes rows of the files in models folders, after those of this catalog."""
        return RowBuilder(self._shelves, self._families, self._general_quality, known, names)

    def with_shelves(self, shelves: FoundRows) -> Catalog:
        """A catalog with other rows, of the same families."""
        return Catalog(
            shelves.models,
            self._families,
            self._general_quality,
            shelves.controlnets,
            shelves.upscalers,
            shelves,
        )

    def with_models(self, models: Iterable[ModelRow]) -> Catalog:
        """A catalog with these models after its own."""
        return self._with(models=(*self.models(), *models))

    def _row(self, what: str, name: str, rows: Mapping[str, RowT]) -> RowT:
        folder = _FOLDERS.get(what)
        place = self._shelves.folders[0] / folder if self._shelves.folders and folder else folder
        belongs = (
            f"Put {what}s in {str(place)!r}."
            if self._shelves.folders
            else (f"Put {what}s in the folder {folder} of a models folder (--models-dir).")
        )
        gone = self._shelves.gone.get(what, {})
        return find_row_by_name(what, name, rows, gone, belongs if folder else "")

    def _with(
        self,
        *,
        models: Iterable[ModelRow] | None = None,
        controlnets: Iterable[ControlNetRow] | None = None,
        upscalers: Iterable[UpscalerRow] | None = None,
    ) -> Catalog:
        return Catalog(
            self.models() if models is None else models,
            self._families,
            self._general_quality,
            self.controlnets() if controlnets is None else controlnets,
            self.upscalers() if upscalers is None else upscalers,
            self._shelves,
        )


def _stamp(path: Path) -> dict[str, object]:
    try:
        return read_stamp(path)
    except OSError as error:
        raise ModelNotFoundError(f"{path.name} can't be looked into: {error.strerror}.") from error


def _by_name(rows: Iterable[RowT], what: str) -> Mapping[str, RowT]:
    by_name: dict[str, RowT] = {}
    for row in rows:
        if row.name in by_name:
            raise PresetError(f"Two {what} are called {row.name!r}. Rename one of them.")
        by_name[row.name] = row
    return by_name


def _fitting(rows: Iterable[FittingT], model: ModelRow) -> tuple[FittingT, ...]:
    return tuple(row for row in rows if row.fits(model.family.name))

"""What models there are: rows of data from `presets/models.yaml`, from the user's folders, and from
SD_MODEL.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from paintdiff.errors import ModelError, ModelNotFoundError, PresetError, RequestError
from paintdiff.models.adapter_rows import EmbeddingRow, IpAdapterRow, LoraRow, VaeRow
from paintdiff.models.controlnets import (
    ControlNetRow,
    controlnet_row,
    controlnets_from,
    rows_in,
)
from paintdiff.models.face_restorers import FaceRestorerRow, face_restorers_in
from paintdiff.models.families import Family, families_from
from paintdiff.models.model_rows import (
    ModelRow,
    ModelText,
    QualityFigures,
    json_file,
    model_row,
)
from paintdiff.models.sources import (
    HUB_ID,
    WeightsRow,
    entries_of,
    free_name,
    last_name,
    preset_source,
)
from paintdiff.models.upscalers import UpscalerRow, upscaler_row, upscalers_from, with_folders
from paintdiff.models.weights import check_weights_in, safetensors_header
from paintdiff.presets import Presets, checked, mapping_in, named_row, presets_folder, unknown_name

logger = logging.getLogger(__name__)

T = TypeVar("T")
RowT = TypeVar("RowT", bound=WeightsRow)


class Problem(NamedTuple):
    """A file that was left out, and why."""

    path: Path
    reason: str


class Catalog:
    """Tables of models, ControlNets, upscalers and face restorers. It never changes; `with_source`,
    `with_controlnet` and `with_upscaler` return another.
    """

    def __init__(
        self,
        rows: Iterable[ModelRow],
        families: Mapping[str, Family],
        general_quality: Mapping[str, QualityFigures],
        controlnets: Iterable[ControlNetRow] = (),
        upscalers: Iterable[UpscalerRow] = (),
        face_restorers: Iterable[FaceRestorerRow] = (),
        adapters: Iterable[WeightsRow] = (),
        problems: Iterable[Problem] = (),
    ) -> None:
        self._adapters = tuple(adapters)
        self._problems = tuple(problems)
        self._rows = MappingProxyType(_by_name(rows, "models"))
        self._families = MappingProxyType(dict(families))
        self._general_quality = MappingProxyType(dict(general_quality))
        self._controlnets = MappingProxyType(_by_name(controlnets, "ControlNets"))
        self._upscalers = MappingProxyType(_by_name(upscalers, "upscalers"))
        self._face_restorers = MappingProxyType(_by_name(face_restorers, "face restorers"))

    @classmethod
    def default(cls, models_dirs: Sequence[Path] = ()) -> Catalog:
        """What ships with the app, then what is found in `models_dirs`.

        A folder with a `model_index.json` and a `.safetensors` file directly in one of
        `models_dirs` is a model, named after the folder or file. What lies in its sub-folder
        `controlnet` are ControlNets. Upscalers are in its sub-folders UPSCALER_FOLDERS, face
        restorers in FACE_FOLDERS. What can't be used is left out, and logged. Raises PresetError if
        the presets can't be read.
        """
        catalog = cls.from_folder(presets_folder())
        for models_dir in models_dirs:
            for source in _models_in(models_dir):
                try:
                    catalog = catalog.with_source(str(source))
                except (ModelError, PresetError, RequestError) as error:
                    logger.warning("a model was left out: %s", error)
            found = rows_in(models_dir, catalog._families, catalog._controlnets)
            catalog = catalog._with(controlnets=(*catalog.controlnets(), *found))
        return catalog._with(
            upscalers=with_folders(catalog.upscalers(), models_dirs),
            face_restorers=face_restorers_in(models_dirs),
        )

    @classmethod
    def from_folder(cls, presets: Path) -> Catalog:
        """What `presets/models.yaml` lists. Raises PresetError."""
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
            text = checked(ModelText, named_row(name, row, path), path)
            if text.family not in families:
                raise PresetError(f"{path}: models.{name}: there is no family {text.family!r}.")
            text = text.model_copy(update={"source": preset_source(text.source, presets)})
            rows.append(model_row(text, families[text.family], general))
        controlnets = controlnets_from(content.get("controlnets"), families, path)
        upscalers = upscalers_from(content.get("upscalers"), path)
        return cls(rows, families, general, controlnets, upscalers)

    def models(self) -> tuple[ModelRow, ...]:
        """All models, in the order in which they are offered."""
        return tuple(self._rows.values())

    def model(self, name: str) -> ModelRow:
        """The model of that name. Raises UnknownNameError, which lists the nearest ones."""
        row = self._rows.get(name)
        if row is None:
            raise unknown_name("model", name, self._rows)
        return row

    def controlnets(self) -> tuple[ControlNetRow, ...]:
        """All ControlNets, in the order in which they are offered."""
        return tuple(self._controlnets.values())

    def controlnet(self, name: str) -> ControlNetRow:
        """The ControlNet of that name. Raises UnknownNameError, which lists the nearest ones."""
        row = self._controlnets.get(name)
        if row is None:
            raise unknown_name("ControlNet", name, self._controlnets)
        return row

    def controlnets_for(self, model: ModelRow) -> tuple[ControlNetRow, ...]:
        """Those of the model's family; the first is used unless another is asked for."""
        return tuple(row for row in self.controlnets() if row.family.name == model.family.name)

    def with_controlnet(self, source: str, name: str | None = None) -> Catalog:
        """A catalog in which this ControlNet comes first: a name from the list, a folder, a
        .safetensors or .pth file, or a hub id.

        A new one is named like a model is. Its family is read from its configuration or its
        tensors' shapes. Raises ModelNotFoundError if nothing usable is there, UnsafeWeightsError if
        it could run code, RequestError if its family is unknown.
        """
        place = Path(source).expanduser()
        same = (source, str(place.resolve()) if place.exists() else source)
        first = next((row for row in self.controlnets() if {row.name, row.source} & {*same}), None)
        if first is None:
            first = controlnet_row(source, self._families, self._controlnets, name)
        others = (row for row in self.controlnets() if row.name != first.name)
        return self._with(controlnets=(first, *others))

    def upscalers(self) -> tuple[UpscalerRow, ...]:
        """All upscalers, in the order in which they are offered."""
        return tuple(self._upscalers.values())

    def upscaler(self, name: str) -> UpscalerRow:
        """The upscaler of that name. Raises UnknownNameError, which lists the nearest ones."""
        row = self._upscalers.get(name)
        if row is None:
            raise unknown_name("upscaler", name, self._upscalers)
        return row

    def with_upscaler(self, source: str, name: str | None = None) -> Catalog:
        """A catalog in which this upscaler comes first: a name from the list, or a file.

        A new one is named after its file, or by a number too if that is taken. The file isn't read.
        Raises ModelNotFoundError if it isn't there.
        """
        same = (source, str(Path(source).expanduser().resolve()))
        first = next(
            (row for row in self.upscalers() if {row.name, row.source, str(row.file)} & {*same}),
            None,
        )
        if first is None:
            first = upscaler_row(source, self._upscalers, name)
        others = (row for row in self.upscalers() if row.name != first.name)
        return self._with(upscalers=(first, *others))

    def face_restorers(self) -> tuple[FaceRestorerRow, ...]:
        """All face restorers, in the order in which they are offered."""
        return tuple(self._face_restorers.values())

    def face_restorer(self, name: str) -> FaceRestorerRow:
        """The face restorer of that name. Raises UnknownNameError, which lists the nearest ones."""
        row = self._face_restorers.get(name)
        if row is None:
            raise unknown_name("face restorer", name, self._face_restorers)
        return row

    def loras(self) -> tuple[LoraRow, ...]:
        """All LoRAs, by name."""
        return tuple(row for row in self._adapters if isinstance(row, LoraRow))

    def embeddings(self) -> tuple[EmbeddingRow, ...]:
        """All embeddings, by name."""
        return tuple(row for row in self._adapters if isinstance(row, EmbeddingRow))

    def vaes(self) -> tuple[VaeRow, ...]:
        """All VAEs, by name."""
        return tuple(row for row in self._adapters if isinstance(row, VaeRow))

    def ip_adapters(self) -> tuple[IpAdapterRow, ...]:
        """All IP-Adapters, by name."""
        return tuple(row for row in self._adapters if isinstance(row, IpAdapterRow))

    def problems(self) -> tuple[Problem, ...]:
        """Files that were left out, and why."""
        return self._problems

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
        elif not HUB_ID.fullmatch(source):
            raise ModelNotFoundError(
                f"There is no model at {source!r}: it is neither a folder, a .safetensors "
                "file nor a hub id like owner/name."
            )
        found = family or _family_of(source, self._families)
        if found not in self._families:
            raise RequestError(
                f"{source!r} is of the family {found!r}, which can't be painted with; "
                f"known are {', '.join(self._families)}.",
                field="model",
            )
        wanted = name or last_name(source)
        text = ModelText(
            name=free_name(wanted, self._rows), title=wanted, family=found, source=source
        )
        row = model_row(text, self._families[found], self._general_quality)
        return self._with(models=(*self.models(), row))

    def _with(
        self,
        *,
        models: Iterable[ModelRow] | None = None,
        controlnets: Iterable[ControlNetRow] | None = None,
        upscalers: Iterable[UpscalerRow] | None = None,
        face_restorers: Iterable[FaceRestorerRow] | None = None,
        adapters: Iterable[WeightsRow] | None = None,
        problems: Iterable[Problem] | None = None,
    ) -> Catalog:
        return Catalog(
            self.models() if models is None else models,
            self._families,
            self._general_quality,
            self.controlnets() if controlnets is None else controlnets,
            self.upscalers() if upscalers is None else upscalers,
            self.face_restorers() if face_restorers is None else face_restorers,
            self._adapters if adapters is None else adapters,
            self._problems if problems is None else problems,
        )


def _by_name(rows: Iterable[RowT], what: str) -> dict[str, RowT]:
    by_name: dict[str, RowT] = {}
    for row in rows:
        if row.name in by_name:
            raise PresetError(f"There are two {what} called {row.name!r}; rename one of them.")
        by_name[row.name] = row
    return by_name


def _models_in(folder: Path) -> list[Path]:
    return [
        path
        for path in entries_of(folder)
        if (path / "model_index.json").is_file()
        or (path.is_file() and path.suffix.lower() == ".safetensors")
    ]


_FAMILY_OF_PIPELINE = {
    "StableDiffusionPipeline": "sd1",
    "StableDiffusionInpaintPipeline": "sd1",
    "StableDiffusionXLPipeline": "sdxl",
    "StableDiffusionXLInpaintPipeline": "sdxl",
}


def _family_of(source: str, families: Mapping[str, Family]) -> str:
    """The family of a folder (by its model_index.json and its UNet's configuration), a file (by its
    tensors' names) or a hub id (by its name).
    """
    path = Path(source)
    if path.is_dir():
        index = json_file(path / "model_index.json", dict[str, Any])
        class_name = str(index.get("_class_name", "unknown"))
        usual = _FAMILY_OF_PIPELINE.get(class_name, class_name)
        return _narrower_family(path, usual, families)
    if path.is_file():
        return (
            "sdxl"
            if any(key.startswith("conditioner.") for key in safetensors_header(path))
            else "sd1"
        )
    return "sdxl" if "xl" in source.lower() else "sd1"


def _narrower_family(folder: Path, usual: str, families: Mapping[str, Family]) -> str:
    """Of the families that share the pipelines of the usual one, that with the UNet's width."""
    config = folder / "unet" / "config.json"
    if usual not in families or not config.is_file():
        return usual
    width: object = json_file(config, dict[str, Any]).get("cross_attention_dim")
    for name, family in families.items():
        if family.pipelines == families[usual].pipelines and family.cross_attention_dim == width:
            return name
    return usual

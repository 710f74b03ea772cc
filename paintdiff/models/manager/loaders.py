"""The table of loaders: how weights of each kind are loaded, and how large they are.

A new kind of weights costs a row class, a `Loader` in `LOADERS`, and a detection rule. Importable
without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from paintdiff.models.formats.weight_files import list_weight_files
from paintdiff.models.loading.resolving import locate
from paintdiff.models.loading.single_files.configs import (
    find_companion,
    list_companion_files,
    needs_companion,
)
from paintdiff.models.memory import usage
from paintdiff.models.memory.plans import USUAL_PLAN, Plan, count_weights_on_device
from paintdiff.models.memory.weight_sizes import measure_part_bytes
from paintdiff.models.registry.adapter_rows import IpAdapterRow, TinyAutoencoderRow, VaeRow
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow, find_weights_file
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.registry.language_model_rows import LanguageModelRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.preprocessor_rows import PreprocessorRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow

if TYPE_CHECKING:
    from paintdiff.models.adapters.ip_adapter import LoadedIpAdapter
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.hub.downloads import Downloads
    from paintdiff.models.inference.previews.tiny_autoencoder import LoadedTinyAutoencoder
    from paintdiff.models.loading.language_models import LoadedLanguageModel
    from paintdiff.models.loading.pipelines import LoadedControlNet, LoadedModel
    from paintdiff.models.loading.vae import LoadedVae
    from paintdiff.models.registry.families import Family
    from paintdiff.models.upscaling.face_restorer import LoadedFaceRestorer
    from paintdiff.models.upscaling.upscaler import LoadedUpscaler

RowT = TypeVar("RowT", bound=WeightsRow)
ArgumentT = TypeVar("ArgumentT")
LoadedT = TypeVar("LoadedT")

Companions = Mapping[str, Path]
"""Folders in the layout of diffusers, by family, for the parts that a single file lacks."""


@dataclass(frozen=True)
class LoadContext:
    """The context that a loader gets besides a row.

    `dtype` is "float32", "bfloat16" or "float16", None for the best one. `report` takes sentences
    for people. Once `is_wanted` returns False, a long conversion or download gives up.
    """

    device: str
    dtype: str | None
    plan: Plan
    catalog: Catalog
    downloads: Downloads
    report: Callable[[str], None]
    is_wanted: Callable[[], bool]


def _estimate_bytes(_row: Any, _plan: Plan, files: Sequence[Path], bytes_per_number: int) -> int:
    return usage.estimate_bytes(files, bytes_per_number)


@dataclass(frozen=True)
class Loader(Generic[RowT, ArgumentT, LoadedT]):
    """A row of the table of loaders: the functions that load one kind of weights.

    `load` reads the weights of a row, in a thread of its own; what it returns has `weights_bytes`.
    Besides a row it takes an argument: the model that a ControlNet or a VAE is for, the family of a
    tiny autoencoder, the reader of a preprocessor, None for the others. `key_suffix` tells apart
    what is loaded once for each argument. `list_files` returns the files with the weights of a row
    that lies at a path, and `estimate_bytes` what they take on the device by their headers, given
    the plan and the bytes per number.

    `from_hub`: a hub id is downloaded before the load, so that other loads go on meanwhile.
    `on_cpu`: it stays in main memory. `is_injected`: most of the weights stay in models that used
    them until they are ejected.
    """

    row_class: type[RowT]
    load: Callable[[RowT, ArgumentT, LoadContext], LoadedT]
    list_files: Callable[[RowT, Path, Companions], tuple[Path, ...]]
    estimate_bytes: Callable[[RowT, Plan, Sequence[Path], int], int] = _estimate_bytes
    key_suffix: Callable[[ArgumentT], str] = lambda _argument: ""
    from_hub: bool = False
    on_cpu: bool = False
    is_injected: bool = False


def find_companions(catalog: Catalog) -> Companions:
    """Return for each family the folder of the first model that is in the layout of diffusers."""
    folders: dict[str, Path] = {}
    for row in catalog.rows(ModelRow):
        if row.folder is not None and (row.folder / "model_index.json").is_file():
            folders.setdefault(row.family.name, row.folder)
    return folders


def find_spare_vae(model: ModelRow, catalog: Catalog) -> Path | None:
    """Return the VAE for a checkpoint without one: the first for its family, None without any.

    It is a file or a folder: that of a VAE, else that of a model in the layout of diffusers.
    """
    row = next(iter(catalog.fitting(VaeRow, model)), None)
    if row is not None:
        return row.file
    folder = find_companions(catalog).get(model.family.name)
    return folder / "vae" if folder is not None and (folder / "vae").is_dir() else None


def _load_model(row: ModelRow, _argument: None, context: LoadContext) -> LoadedModel:
    from paintdiff.models.loading import pipeline_files, pipelines  # noqa: PLC0415 (import torch)

    plan = context.plan
    files = pipeline_files.LoadingContext(
        find_companions(context.catalog),
        wanted=context.is_wanted,
        vae=find_spare_vae(row, context.catalog),
        resident=plan.placement == "resident",
        int8_weights=plan.int8_weights,
    )
    dtype = plan.dtype or context.dtype
    return pipelines.load_pipeline(row, context.device, dtype, context.report, files)


def _list_model_files(row: ModelRow, source: Path, companions: Companions) -> tuple[Path, ...]:
    if needs_companion(row, source):
        return (source, *list_companion_files(find_companion(row, source, companions)))
    return list_weight_files(source)


def _estimate_model_bytes(
    row: ModelRow, plan: Plan, files: Sequence[Path], bytes_per_number: int
) -> int:
    if plan == USUAL_PLAN:
        return usage.estimate_bytes(files, bytes_per_number)
    parts = measure_part_bytes(files, bytes_per_number).convert_to(plan)
    return count_weights_on_device(plan, row.family, parts)


def _load_controlnet(
    row: ControlNetRow, model: LoadedModel, context: LoadContext
) -> LoadedControlNet:
    from paintdiff.models.loading import pipelines  # noqa: PLC0415 (imports torch)

    return pipelines.load_controlnet(row, model, context.dtype, context.report)


def _load_vae(row: VaeRow, model: LoadedModel, context: LoadContext) -> LoadedVae:
    from paintdiff.models.loading import vae  # noqa: PLC0415 (imports torch)

    return vae.load_vae(row, model, context.report)


def _load_ip_adapter(row: IpAdapterRow, _argument: None, context: LoadContext) -> LoadedIpAdapter:
    from paintdiff.models.adapters import ip_adapter  # noqa: PLC0415 (imports torch)

    return ip_adapter.load_ip_adapter(row, context.device, context.dtype, context.report)


def _load_upscaler(row: UpscalerRow, _argument: None, context: LoadContext) -> LoadedUpscaler:
    from paintdiff.models.upscaling import upscaler  # noqa: PLC0415 (imports torch and spandrel)

    device, dtype = context.device, context.dtype
    return upscaler.load_upscaler(row, device, dtype, context.report, context.is_wanted)


def _load_face_restorer(
    row: FaceRestorerRow, _argument: None, context: LoadContext
) -> LoadedFaceRestorer:
    from paintdiff.models.upscaling import face_restorer  # noqa: PLC0415 (imports torch, spandrel)

    return face_restorer.load_face_restorer(row, context.device, context.dtype, context.report)


def _load_preprocessor(
    row: PreprocessorRow, read: Callable[[Path], Any], context: LoadContext
) -> Any:
    return read(locate(row, context.report, context.downloads))


def _load_language_model(
    row: LanguageModelRow, _argument: None, context: LoadContext
) -> LoadedLanguageModel:
    from paintdiff.models.loading import language_models  # noqa: PLC0415 (imports torch)

    return language_models.load_language_model(row, locate(row, context.report, context.downloads))


def _sum_file_bytes(_row: Any, _plan: Plan, files: Sequence[Path], _bytes_per_number: int) -> int:
    return sum(file.stat().st_size for file in files)


def _load_tiny_autoencoder(
    row: TinyAutoencoderRow, family: Family, _context: LoadContext
) -> LoadedTinyAutoencoder:
    from paintdiff.models.inference.previews import tiny_autoencoder  # noqa: PLC0415 (torch)

    return tiny_autoencoder.get_tiny_autoencoder(row.file, family)


def _list_source(_row: WeightsRow, source: Path, _companions: Companions) -> tuple[Path, ...]:
    return (source,)


def _list_file_or_folder(
    _row: WeightsRow, source: Path, _companions: Companions
) -> tuple[Path, ...]:
    return (source,) if source.is_file() else list_weight_files(source)


MODEL: Loader[ModelRow, None, LoadedModel] = Loader(
    ModelRow, _load_model, _list_model_files, _estimate_model_bytes, from_hub=True
)
CONTROLNET: Loader[ControlNetRow, LoadedModel, LoadedControlNet] = Loader(
    ControlNetRow,
    _load_controlnet,
    lambda _row, source, _companions: (find_weights_file(source),),
    from_hub=True,
)
VAE: Loader[VaeRow, LoadedModel, LoadedVae] = Loader(
    VaeRow,
    _load_vae,
    _list_file_or_folder,
    # A single file doesn't say how its network is built; the model does.
    key_suffix=lambda model: f" for {model.row.name}",
)
IP_ADAPTER: Loader[IpAdapterRow, None, LoadedIpAdapter] = Loader(
    IpAdapterRow, _load_ip_adapter, _list_file_or_folder, is_injected=True
)
UPSCALER: Loader[UpscalerRow, None, LoadedUpscaler] = Loader(
    UpscalerRow, _load_upscaler, _list_source
)
FACE_RESTORER: Loader[FaceRestorerRow, None, LoadedFaceRestorer] = Loader(
    FaceRestorerRow, _load_face_restorer, _list_source
)
PREPROCESSOR: Loader[PreprocessorRow, Callable[[Path], Any], Any] = Loader(
    PreprocessorRow,
    _load_preprocessor,
    lambda row, source, _companions: tuple(source / name for name in row.files),
    _sum_file_bytes,  # they stay in the precision of their files
    from_hub=True,
    on_cpu=True,
)
LANGUAGE_MODEL: Loader[LanguageModelRow, None, LoadedLanguageModel] = Loader(
    LanguageModelRow,
    _load_language_model,
    lambda row, source, _companions: (source / row.weights,),
    lambda _row, _plan, files, _bytes: usage.estimate_bytes(files, 4),  # float32 on the CPU
    from_hub=True,
    on_cpu=True,
)
TINY_AUTOENCODER: Loader[TinyAutoencoderRow, Family, LoadedTinyAutoencoder] = Loader(
    TinyAutoencoderRow,
    _load_tiny_autoencoder,
    _list_file_or_folder,
    key_suffix=lambda family: f" for {family.name}",
)

AnyLoader = Loader[Any, Any, Any]
LoaderTable = Mapping[type[WeightsRow], AnyLoader]


def make_table(loaders: Iterable[AnyLoader]) -> LoaderTable:
    """Return loaders by their row classes. Raises ValueError if two have the same."""
    table: dict[type[WeightsRow], AnyLoader] = {}
    for loader in loaders:
        if loader.row_class in table:
            raise ValueError(f"two loaders are for {loader.row_class.__name__}")
        table[loader.row_class] = loader
    return MappingProxyType(table)


LOADERS = make_table(
    (
        MODEL,
        CONTROLNET,
        VAE,
        IP_ADAPTER,
        UPSCALER,
        FACE_RESTORER,
        PREPROCESSOR,
        LANGUAGE_MODEL,
        TINY_AUTOENCODER,
    )
)
"""The loaders of the kinds that ship with the app."""

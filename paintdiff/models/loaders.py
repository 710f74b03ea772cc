"""The only place that calls `from_pretrained` and `from_single_file`.

Imports torch: import it in a function.
"""

from __future__ import annotations

import inspect
import json
import logging
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import diffusers
import torch
import transformers
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

from paintdiff.errors import ModelError, ModelLoadError, ModelNotFoundError, UnsafeWeightsError
from paintdiff.models.controlnets import HUB_FILES, ControlNetRow, config_of, weights_file
from paintdiff.models.conversion import converted
from paintdiff.models.conversion_folders import converted_folder, pickled_parts
from paintdiff.models.denoiser_files import denoiser_of
from paintdiff.models.devices import DTYPES, best_dtype
from paintdiff.models.families import LatentRgb
from paintdiff.models.hashes import Hashes
from paintdiff.models.hub import cache_folder, from_cache_or_hub
from paintdiff.models.model_rows import ModelRow, known_words_of, latent_rgb_of
from paintdiff.models.pickles import read_tensors
from paintdiff.models.predictions import Training, trained_so
from paintdiff.models.single_file_configs import companion_of, needs_companion
from paintdiff.models.single_files import single_file_components
from paintdiff.models.sources import SourceRow
from paintdiff.models.tensor_files import all_tensors
from paintdiff.models.weights import check_weights_in, identity_of, is_pickle

logger = logging.getLogger(__name__)

CACHE_FOLDER = "paintdiffusion-converted"
"""Where in the cache converted pickles and hashes are kept."""

_SAFE_LIBRARIES = frozenset({"diffusers", "transformers"})
_NEVER_LOADED: Mapping[str, Any] = {
    "safety_checker": None,
    "feature_extractor": None,
    "image_encoder": None,
    "requires_safety_checker": False,
}
_HUB_PATTERNS: tuple[str, ...] = ("*.json", "*.txt", "*.model", "*.safetensors")


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory. `components` are what its pipelines are built of, shared by all of them.
    `known_words` are those of a model with a closed vocabulary, None for others.

    `weights_bytes` is what they take, `model_hash` identifies the files (see
    `weights.identity_of`).
    """

    row: ModelRow
    components: Mapping[str, Any]
    latent_rgb: LatentRgb
    known_words: frozenset[str] | None
    model_hash: str
    weights_bytes: int
    device: torch.device


def _downloads() -> Path:
    return cache_folder() / CACHE_FOLDER


@dataclass(frozen=True)
class Road:
    """What it takes to load a single file, beside the file.

    `companions` are folders in diffusers' layout, by the name of their family, for the parts that a
    file lacks. `cache_folder` gives the folder in which converted pickles and hashes are kept. Once
    `wanted` says no, conversion is given up. `config_folder` is a folder in diffusers' layout whose
    settings are taken instead of the family's.
    """

    companions: Mapping[str, Path] = field(default_factory=dict[str, Path])
    cache_folder: Callable[[], Path] = _downloads
    wanted: Callable[[], bool] = lambda: True
    config_folder: Path | None = None


@dataclass(frozen=True)
class LoadedControlNet:
    """A ControlNet in memory: `network` is diffusers' ControlNetModel, `weights_bytes` what it
    takes.
    """

    row: ControlNetRow
    network: Any
    weights_bytes: int


def located(row: SourceRow, report: Callable[[str], None]) -> Path:
    """Where the model or ControlNet lies on this machine; a hub id that isn't in the cache is
    fetched, its commit pinned.

    Never fetches code or pickles. Raises ModelNotFoundError.
    """
    if row.folder is not None:
        if not row.folder.exists():
            raise ModelNotFoundError(f"{row.name} should be at {row.folder}, but nothing is there.")
        return row.folder
    import huggingface_hub  # noqa: PLC0415 (needed for hub ids only)

    patterns: list[str] = list(HUB_FILES if isinstance(row, ControlNetRow) else _HUB_PATTERNS)

    def fetched(local_files_only: bool) -> Path:
        return Path(
            huggingface_hub.snapshot_download(
                row.source, allow_patterns=patterns, local_files_only=local_files_only
            )
        )

    try:
        return from_cache_or_hub(fetched, lambda: report(f"Downloading {row.source}"))
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(
            f"{row.source} is not on this machine and couldn't be downloaded: {error}"
        ) from error


def load(
    row: ModelRow,
    device: str,
    dtype: str | None = None,
    report: Callable[[str], None] = lambda _message: None,
    road: Road | None = None,
) -> LoadedModel:
    """Read a model's weights onto a device ("cpu", "cuda" ...).

    `dtype` is "float32", "bfloat16" or "float16", None for the best one; `report` gets sentences
    for people; `road` says what else a single file may need. Raises ModelNotFoundError,
    UnsafeWeightsError or ModelLoadError.
    """
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()  # the front end shows that it is loading
    road = road or Road()
    source = located(row, report)
    check_weights_in(source)
    with _hashed_meanwhile(row, source, road) as identity:
        try:
            precision = DTYPES[dtype] if dtype else best_dtype(device)
            pipeline, mapped = _pipeline(row, source, precision, report, road)
            pipeline.to(device)
        except ModelError:
            raise
        except Exception as error:
            raise ModelLoadError(
                f"The model {row.name} at {source} can't be loaded: {error}"
            ) from error
        model_hash = identity()
    if row.family.vae_full_precision:
        pipeline.vae.to(dtype=torch.float32)
    modules = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    for module in modules:
        module.requires_grad_(False).eval()
        if mapped:
            _own_numbers(module)
    return LoadedModel(
        row=row,
        components=dict(pipeline.components),
        latent_rgb=latent_rgb_of(row, source),
        known_words=known_words_of(row, source),
        model_hash=model_hash,
        weights_bytes=sum(map(_weights_bytes, modules)),
        device=torch.device(device),
    )


@contextmanager
def _hashed_meanwhile(row: ModelRow, source: Path, road: Road) -> Generator[Callable[[], str]]:
    """Inside the `with` the model's hash is computed beside what else is done; what comes out gives
    it, and raises UnsafeWeightsError if it isn't the one that the row knows. Who leaves with an
    error doesn't wait for it.
    """
    given_up = threading.Event()
    hashes = Hashes(road.cache_folder())

    def hashed(path: Path) -> str:
        return hashes.sha256(path, lambda: not given_up.is_set())

    def checked() -> str:
        wanted = row.sha256 if source.is_file() else ""
        if wanted and hashed(source) != wanted:
            raise UnsafeWeightsError(
                f"{source.name} isn't the file that {row.title} should be: its SHA-256 is "
                f"{hashed(source)}, and {wanted} is expected. Get it again."
            )
        return identity_of(source, hashed)

    with ThreadPoolExecutor(1, thread_name_prefix="hash") as executor:
        future = executor.submit(checked)
        try:
            yield future.result
        finally:
            given_up.set()


def _own_numbers(module: torch.nn.Module) -> None:
    """Numbers on the CPU that may lie in a mapped file become our own: should the file be cut off
    later, the process would be killed (SIGBUS) when it next paints.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        quantized = type(tensor) not in (torch.nn.Parameter, torch.Tensor)  # read by us
        if tensor.device.type == "cpu" and not quantized:
            tensor.data = tensor.data.clone()


def load_controlnet(
    row: ControlNetRow,
    model: LoadedModel,
    dtype: str | None = None,
    report: Callable[[str], None] = lambda _message: None,
) -> LoadedControlNet:
    """Read a ControlNet's weights onto the device of a model that it is to steer.

    A single file doesn't say how its network is built: like the model's UNet. `dtype` and `report`
    are as for `load`. Raises ModelNotFoundError, UnsafeWeightsError or ModelLoadError.
    """
    source = located(row, report)
    precision = DTYPES[dtype] if dtype else best_dtype(model.device.type)
    try:
        network = _controlnet(source, model.components["unet"], model.device, precision)
    except ModelError:
        raise
    except Exception as error:
        raise ModelLoadError(
            f"The ControlNet {row.name} at {source} can't be loaded: {error}"
        ) from error
    return LoadedControlNet(row, network, _weights_bytes(network))


def _controlnet(source: Path, unet: Any, device: torch.device, dtype: torch.dtype) -> Any:
    class_: Any = diffusers.ControlNetModel
    if source.is_dir():
        config = config_of(source)
    else:
        config = _accepted(class_, unet.config) | {"in_channels": unet.config.out_channels}
    with torch.device("meta"):  # no memory for numbers that are replaced at once
        network = class_.from_config(config)
    path = weights_file(source)
    tensors = read_tensors(path) if is_pickle(path) else all_tensors(path)
    tensors = convert_controlnet_checkpoint(tensors.get("state_dict", tensors), network.config)
    moved = {
        name: tensor.to(device=device, dtype=dtype)
        for name, tensor in tensors.items()
        if tensor is not None
    }
    missing, unknown = network.load_state_dict(moved, strict=False, assign=True)
    if missing or unknown:
        wrong = f"it lacks {missing[0]}" if missing else f"{unknown[0]} is unknown"
        raise ModelLoadError(
            f"{path.name} doesn't hold the weights of a ControlNet for this model: {wrong}."
        )
    return network.requires_grad_(False).eval()


def _weights_bytes(module: torch.nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.parameters())


def pipeline_class(row: ModelRow, task: str) -> Any:
    """The diffusers class that does `task` for this model's family.

    Raises ModelLoadError if none does.
    """
    class_name = row.family.pipelines.get(task)
    if class_name is None:
        raise ModelLoadError(f"{row.title} can't do {task.replace('_', ' ')}.")
    return getattr(diffusers, class_name)


def sees_masks(unet: Any, vae: Any) -> bool:
    """Whether a UNet was trained to inpaint: it takes noisy latents, a mask, and the latents of
    what is outside the mask (4 + 1 + 4 channels).
    """
    channels: int = vae.config.latent_channels
    return unet.config.in_channels == 2 * channels + 1


def new_pipeline(loaded: LoadedModel, task: str) -> Any:
    """A pipeline of its own over the shared components, with a scheduler object of its own.

    (`from_pipe` would cast the shared weights, and share the scheduler: diffusers#12754.) Raises
    ModelLoadError if the model can't do `task`.
    """
    class_ = pipeline_class(loaded.row, task)
    parts = dict(loaded.components)
    if task != "inpaint" and sees_masks(parts["unet"], parts["vae"]):
        raise ModelLoadError(
            f"{loaded.row.title} was trained to inpaint and to do nothing else; "
            f"choose another model for {task.replace('_', ' ')}."
        )
    scheduler = parts["scheduler"]
    parts["scheduler"] = type(scheduler).from_config(scheduler.config)
    pipeline = class_(**_accepted(class_, {**_NEVER_LOADED, **parts}))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _pipeline(
    row: ModelRow,
    source: Path,
    dtype: torch.dtype,
    report: Callable[[str], None],
    road: Road,
) -> tuple[Any, bool]:
    """The model on the CPU, and whether some of its numbers may lie in mapped files."""
    class_ = pipeline_class(row, next(iter(row.family.pipelines)))
    if source.is_dir():
        if pickled_parts(source):
            source = converted_folder(source, road.cache_folder(), report, road.wanted)
        return _folder_pipeline(class_, row, source, dtype), True
    if is_pickle(source):
        source, original = converted(source, road.cache_folder(), report, road.wanted), source
    else:
        original = source
    if needs_companion(row, source) and road.config_folder is None:
        companion = companion_of(row, source, road.companions)
        check_weights_in(companion)
        report(f"Reading {original.name}, and the rest from {companion.name}")
        part, network = denoiser_of(source, companion, dtype)
        return _folder_pipeline(class_, row, companion, dtype, {part: network}), True
    components = single_file_components(
        source, row, dtype, config_folder=road.config_folder, report=report, called=original
    )
    return class_(**_accepted(class_, {**_NEVER_LOADED, **components})), False


def _folder_pipeline(
    class_: Any,
    row: ModelRow,
    folder: Path,
    dtype: torch.dtype,
    parts: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """A pipeline of the parts that are given, and all others from a folder."""
    _check_index(folder)
    pipeline = class_.from_pretrained(
        str(folder),
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        **{**_accepted(class_, _NEVER_LOADED), **parts},
    )
    said = Training(row.prediction_type, row.zero_terminal_snr)
    pipeline.scheduler = trained_so(pipeline.scheduler, said)
    return pipeline


def _accepted(class_: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(class_.__init__).parameters
    return {key: value for key, value in values.items() if key in known}


def _check_index(folder: Path) -> None:
    """Raise UnsafeWeightsError if a model folder names classes outside the libraries we trust."""
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    for name, value in index.items():
        if name.startswith("_") or name in _NEVER_LOADED or not isinstance(value, list):
            continue
        if value[0] not in _SAFE_LIBRARIES and value != [None, None]:
            raise UnsafeWeightsError(
                f"{folder} asks for {name} from {value[0]!r}; only parts of diffusers "
                "and transformers are loaded."
            )

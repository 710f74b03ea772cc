"""The only module that calls `from_pretrained` and `from_single_file` for whole models.

Imports torch: import it inside functions.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

from paintdiff.errors import ModelLoadError, UnsafeWeightsError
from paintdiff.models.formats.hashes import Hashes
from paintdiff.models.formats.pickles.safe_pickle import read_tensors
from paintdiff.models.formats.safetensors_reader import read_all_tensors
from paintdiff.models.formats.weight_files import check_weights_in, file_identity, is_pickle
from paintdiff.models.loading import messages
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.loading.mapped_memory import copy_mapped_tensors
from paintdiff.models.loading.part_checks import check_part
from paintdiff.models.loading.pipeline_files import (
    FALLBACK_CLASS,
    NEVER_LOADED,
    LoadingContext,
    find_pipeline_class,
    read_index_settings,
    read_pipeline,
    select_accepted,
)
from paintdiff.models.loading.pipeline_signature import NEEDED, list_parameters
from paintdiff.models.loading.resolving import locate
from paintdiff.models.memory.devices import DTYPES, add_device_index, check_dtype, choose_dtype
from paintdiff.models.memory.int8_weights import quantize_to_int8
from paintdiff.models.memory.plans import PartBytes
from paintdiff.models.registry.controlnet_rows import (
    ControlNetRow,
    find_weights_file,
    read_controlnet_config,
)
from paintdiff.models.registry.families import DENOISERS, Family, LatentRgb
from paintdiff.models.registry.model_rows import (
    ModelRow,
    read_known_words,
    read_latent_rgb,
    read_near_words,
    read_subjects,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    `components` are shared by all of its pipelines; `settings` are the other arguments to build
    these (SDXL's refiner scores aesthetics). `latent_rgb` is the preview matrix, None if it has
    none. `known_words` is its closed vocabulary, None for other models. `weights_bytes` is the size
    of its weights, `parts` their sizes by component. `model_hash` identifies the files (see
    `file_identity`). `class_name` is its diffusers class.
    """

    row: ModelRow
    components: Mapping[str, Any]
    latent_rgb: LatentRgb | None
    known_words: frozenset[str] | None
    model_hash: str
    weights_bytes: int
    device: torch.device
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    class_name: str = ""
    near_words: Mapping[str, str] = field(default_factory=dict[str, str])
    subjects: tuple[str, ...] = ()
    parts: PartBytes = field(default_factory=lambda: PartBytes(0, 0, 0))


@dataclass(frozen=True)
class LoadedControlNet:
    """A ControlNet in memory. `network` is a diffusers ControlNetModel."""

    row: ControlNetRow
    network: Any
    weights_bytes: int


def load_pipeline(
    row: ModelRow,
    device: str,
    dtype: str | None = None,
    report: Callable[[str], None] = lambda _message: None,
    road: LoadingContext | None = None,
) -> LoadedModel:
    """Load a model onto a device ("cpu", "cuda" ...).

    `dtype` is "float32", "bfloat16" or "float16", None for the best one. `report` gets sentences
    for people.

    Raises:
        ModelNotFoundError: The model is missing.
        UnsafeWeightsError: Its format isn't safe, or its hash is wrong.
        ModelLoadError: It can't be loaded.
    """
    _silence_libraries()
    road = road or LoadingContext()
    source = locate(row, report)
    check_weights_in(source)
    with _hash_in_background(row, source, road) as identity:
        try:
            precision = check_dtype(device, dtype, row.family.overflows_in_float16)
            pipeline, mapped = read_pipeline(row, source, precision, report, road)
            if road.int8_weights:
                _quantize(pipeline, precision)
            if road.resident:
                pipeline.to(device)
        except Exception as error:
            raise make_load_error(messages.model_not_loaded(row.title), error) from error
        model_hash = identity()
    _check_usable(pipeline, row)
    modules = _freeze(pipeline, row.family)
    if mapped:
        copy_mapped_tensors(modules)
    return LoadedModel(
        row=row,
        components=dict(pipeline.components),
        latent_rgb=read_latent_rgb(row, source),
        known_words=read_known_words(row, source),
        near_words=read_near_words(row, source),
        subjects=read_subjects(row, source),
        model_hash=model_hash,
        weights_bytes=sum(map(_count_weights_bytes, modules)),
        device=add_device_index(device),
        settings={**read_index_settings(source), **_read_settings(pipeline)},
        class_name=type(pipeline).__name__,
        parts=_measure_parts(pipeline.components, get_denoiser(pipeline, row.family)),
    )


def _silence_libraries() -> None:
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()  # the front end shows progress instead
    # Pipelines' warnings quote prompts ("was truncated because CLIP ...").
    logging.getLogger("diffusers.pipelines").setLevel(logging.ERROR)


def _freeze(pipeline: Any, family: Family) -> list[torch.nn.Module]:
    """Make a pipeline's networks ready to paint, and return them."""
    if family.vae_full_precision:
        pipeline.vae.to(dtype=torch.float32)
    modules = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    for module in modules:
        module.requires_grad_(False).eval()
    return modules


def _quantize(pipeline: Any, precision: torch.dtype) -> None:
    """Quantize everything but the VAE, where the loss is visible."""
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module) and name != "vae":
            quantize_to_int8(part, precision)


def _read_settings(pipeline: Any) -> dict[str, Any]:
    """Return the plain values that a pipeline was built with, beside its components."""
    plain = (bool, int, float, str, type(None))
    return {name: each for name, each in pipeline.parameters.items() if isinstance(each, plain)}


def _check_usable(pipeline: Any, row: ModelRow) -> None:
    """Raise ModelLoadError for a pipeline that lacks something we need.

    A pipeline of an unknown family may be anything.
    """
    lacking = [name for name in ("scheduler", "vae") if getattr(pipeline, name, None) is None]
    if get_denoiser(pipeline, row.family) is None:
        lacking.append("unet or transformer")
    lacking += sorted(NEEDED - list_parameters(pipeline))
    if lacking:
        raise ModelLoadError(
            messages.lacks_parts(row.title, type(pipeline).__name__, ", no ".join(lacking))
        )


def get_denoiser(pipeline: Any, family: Family) -> Any:
    """Return a pipeline's denoiser, by the family's or any known name; None if missing."""
    names = (family.denoiser, *DENOISERS)
    found = (getattr(pipeline, name, None) for name in names)
    return next((part for part in found if part is not None), None)


@contextmanager
def _hash_in_background(
    row: ModelRow, source: Path, road: LoadingContext
) -> Generator[Callable[[], str]]:
    """Compute the model's hash in the background while the `with` block runs.

    The yielded function waits for it and returns it, or raises UnsafeWeightsError if it isn't the
    row's. If the block raises, the computation is cancelled.
    """
    cancelled = threading.Event()
    hashes = Hashes(road.cache_folder())

    def hash_file(path: Path) -> str:
        return hashes.sha256(path, lambda: not cancelled.is_set())

    def check() -> str:
        wanted = row.sha256 if source.is_file() else ""
        if wanted and hash_file(source) != wanted:
            raise UnsafeWeightsError(
                messages.other_checksum(source.name, row.title, hash_file(source), wanted)
            )
        return file_identity(source, hash_file)

    with ThreadPoolExecutor(1, thread_name_prefix="hash") as executor:
        future = executor.submit(check)
        try:
            yield future.result
        finally:
            cancelled.set()


def load_controlnet(
    row: ControlNetRow,
    model: LoadedModel,
    dtype: str | None = None,
    report: Callable[[str], None] = lambda _message: None,
) -> LoadedControlNet:
    """Load a ControlNet onto the device of the model that it will steer.

    A single file doesn't contain its configuration, so it is built like the model's UNet. `dtype`
    and `report` are as for `load_pipeline`.

    Raises:
        ModelNotFoundError: The ControlNet is missing.
        UnsafeWeightsError: Its format isn't safe.
        ModelLoadError: It can't be loaded.
    """
    source = locate(row, report)
    precision = DTYPES[dtype] if dtype else choose_dtype(model.device.type)
    try:
        network = _build_controlnet(source, model.components["unet"], model.device, precision)
    except Exception as error:
        raise make_load_error(messages.controlnet_not_loaded(row.title), error) from error
    return LoadedControlNet(row, network, _count_weights_bytes(network))


def _build_controlnet(source: Path, unet: Any, device: torch.device, dtype: torch.dtype) -> Any:
    class_: Any = diffusers.ControlNetModel
    if source.is_dir():
        check_part(source)
        config = read_controlnet_config(source)
    else:
        config = select_accepted(class_, unet.config) | {"in_channels": unet.config.out_channels}
    with torch.device("meta"):  # allocates no memory for weights that are replaced at once
        network = class_.from_config(config)
    path = find_weights_file(source)
    tensors = read_tensors(path) if is_pickle(path) else read_all_tensors(path)
    tensors = convert_controlnet_checkpoint(tensors.get("state_dict", tensors), network.config)
    moved = {
        name: tensor.to(device=device, dtype=dtype)
        for name, tensor in tensors.items()
        if tensor is not None
    }
    missing, unknown = network.load_state_dict(moved, strict=False, assign=True)
    if missing or unknown:
        wrong = messages.lacks(missing[0]) if missing else messages.is_unknown(unknown[0])
        raise ModelLoadError(messages.not_a_controlnet_for(path.name, wrong))
    return network.requires_grad_(False).eval()


def _count_weights_bytes(module: torch.nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.parameters())


def _measure_parts(components: Mapping[str, Any], denoiser: Any) -> PartBytes:
    """Measure the components of a pipeline."""
    modules = {k: each for k, each in components.items() if isinstance(each, torch.nn.Module)}
    vae = modules.get("vae")
    others = [each for each in modules.values() if each is not denoiser and each is not vae]
    number = denoiser.dtype.itemsize
    tables = [
        table
        for other in others
        for table in other.modules()
        if isinstance(table, torch.nn.Embedding)
    ]
    return PartBytes(
        _count_bytes(denoiser),
        sum(map(_count_bytes, others)),
        0 if vae is None else _count_bytes(vae),
        bytes_per_number=max(2, number),  # quantized weights compute in half precision or better
        word_tables=sum(map(_count_bytes, tables)),
        quantized=any(each.element_size() < 2 for each in denoiser.parameters()),
    )


def _count_bytes(module: torch.nn.Module) -> int:
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def sees_masks(denoiser: Any, latent_channels: int) -> bool:
    """Return whether a network was trained to inpaint.

    Such a network takes noisy latents, a mask, and the latents of the unmasked picture (4 + 1 + 4
    channels for Stable Diffusion, 16 + 1 + 16 for Stable Diffusion 3).
    """
    return denoiser.config.get("in_channels") == 2 * latent_channels + 1


def assemble_pipeline(loaded: LoadedModel, task: str) -> Any:
    """Build a pipeline with the shared components and its own scheduler object.

    `from_pipe` would cast the shared weights and share the scheduler (diffusers#12754).

    Raises:
        ModelLoadError: The model can't do `task`.
    """
    row = loaded.row
    if row.family.pipelines.get(task) == FALLBACK_CLASS:
        class_ = getattr(diffusers, loaded.class_name)
    else:
        class_ = find_pipeline_class(row, task)
    parts = dict(loaded.components)
    scheduler = parts["scheduler"]
    parts["scheduler"] = type(scheduler).from_config(scheduler.config)
    values = {**loaded.settings, **NEVER_LOADED, **parts}
    pipeline = class_(**select_accepted(class_, values))
    denoiser = get_denoiser(pipeline, row.family)
    if task != "inpaint" and sees_masks(denoiser, row.family.latent_channels):
        raise ModelLoadError(messages.only_inpaints(row.title, task.replace("_", " ")))
    pipeline.set_progress_bar_config(disable=True)
    # The image processor takes inputs with that many channels for latents; not all pipelines set
    # it.
    pipeline.image_processor.register_to_config(vae_latent_channels=row.family.latent_channels)
    return pipeline

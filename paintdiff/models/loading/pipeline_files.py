"""Loads diffusers pipelines on the CPU from folders, single files and converted pickles.

Imports torch: import it inside functions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import diffusers
import torch
import transformers

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.rust_panics import panics_as_errors
from paintdiff.models.formats.weight_files import check_weights_in, is_gguf, is_pickle
from paintdiff.models.hub.file_selection import find_part_variants, find_pipeline_variant
from paintdiff.models.loading import messages
from paintdiff.models.loading.conversion.cache import find_conversions_folder
from paintdiff.models.loading.conversion.converter import convert_file
from paintdiff.models.loading.conversion.folders import (
    convert_folder,
    find_pickled_parts,
)
from paintdiff.models.loading.part_checks import INDEX, check_pipeline, check_prompt_tokens
from paintdiff.models.loading.prediction_types import Training, apply_training
from paintdiff.models.loading.single_files import denoisers as single_file_denoisers
from paintdiff.models.loading.single_files.checkpoints import load_single_file_components
from paintdiff.models.loading.single_files.configs import find_companion, needs_companion
from paintdiff.models.loading.tokenizers.trial import try_tokenizers
from paintdiff.models.memory.int8_weights import quantize_to_int8
from paintdiff.models.registry.families import DENOISERS
from paintdiff.models.registry.model_rows import ModelRow, read_json_file

NEVER_LOADED: Mapping[str, Any] = {
    "safety_checker": None,
    "feature_extractor": None,
    "image_encoder": None,
    "requires_safety_checker": False,
}
_HALF = torch.float16
FALLBACK_CLASS = "AutoPipelineForText2Image"
"""Finds a folder's class among diffusers' text-to-image pipelines."""


@dataclass(frozen=True)
class LoadingContext:
    """The context of loading a model: where else to find its components, and how to load it.

    `companions` are folders in the diffusers layout, by family, for components that a file lacks.
    `cache_folder` returns the folder for converted pickles and hashes. Once `wanted` returns False
    a conversion is cancelled. `config_folder` is a folder in the diffusers layout whose settings
    replace the family's. `vae` is the VAE (a file or a folder) for a checkpoint without one. Unless
    `resident`, the model stays in RAM instead of moving to its device at once. With `int8_weights`
    the denoiser's weights are quantized as soon as they are read.
    """

    companions: Mapping[str, Path] = field(default_factory=dict[str, Path])
    cache_folder: Callable[[], Path] = find_conversions_folder
    wanted: Callable[[], bool] = lambda: True
    config_folder: Path | None = None
    vae: Path | None = None
    resident: bool = True
    int8_weights: bool = False


def find_pipeline_class(row: ModelRow, task: str) -> Any:
    """Return the diffusers class that does `task` for this model's family.

    Raises:
        ModelLoadError: The family can't do the task.
    """
    class_name = row.family.pipelines.get(task)
    if class_name is None:
        raise ModelLoadError(messages.cannot_do(row.title, task.replace("_", " ")))
    return getattr(diffusers, class_name)


def read_pipeline(
    row: ModelRow,
    source: Path,
    dtype: torch.dtype,
    report: Callable[[str], None],
    road: LoadingContext,
) -> tuple[Any, bool]:
    """Load a model on the CPU. Return it, and whether its weights may be memory-mapped.

    Weights to be quantized are read in half precision, which most files have; only the denoiser is
    already quantized afterwards.
    """
    class_ = find_pipeline_class(row, next(iter(row.family.pipelines)))
    if source.is_dir():
        if find_pickled_parts(source):
            check_pipeline(source, select_accepted(class_, NEVER_LOADED))
            source = convert_folder(source, road.cache_folder(), report, road.wanted)
        return _load_folder(class_, row, source, dtype, road.int8_weights), True
    if is_pickle(source):
        source, original = convert_file(source, road.cache_folder(), report, road.wanted), source
    else:
        original = source
    if needs_companion(row, source) and road.config_folder is None:
        return _read_with_companion(row, source, original.name, dtype, report, road), True
    components = load_single_file_components(
        source,
        row,
        dtype,
        int8_weights=road.int8_weights,
        config_folder=road.config_folder,
        report=report,
        called=original,
        vae=road.vae,
    )
    return class_(**select_accepted(class_, {**NEVER_LOADED, **components})), False


def _read_with_companion(
    row: ModelRow,
    source: Path,
    called: str,
    dtype: torch.dtype,
    report: Callable[[str], None],
    road: LoadingContext,
) -> Any:
    """Load a file's denoiser, and all else from another model of its family.

    `called` is the file's name in messages.
    """
    companion = find_companion(row, source, road.companions)
    check_weights_in(companion)
    report(messages.reading_with_rest(called, companion.name))
    half = road.int8_weights and not is_gguf(source)  # GGUF unpacks to the dtype it is read in
    part, network = single_file_denoisers.load_denoiser(source, companion, _HALF if half else dtype)
    if road.int8_weights:
        quantize_to_int8(network, dtype)
    class_ = find_pipeline_class(row, next(iter(row.family.pipelines)))
    return _load_folder(class_, row, companion, dtype, road.int8_weights, {part: network})


def _load_folder(
    class_: Any,
    row: ModelRow,
    folder: Path,
    dtype: torch.dtype,
    int8_weights: bool,
    parts: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Load a pipeline from a folder, with the given `parts` in place of its own."""
    left_out = select_accepted(class_, NEVER_LOADED)
    check_pipeline(folder, left_out)
    try_tokenizers(folder)
    if class_.__name__ == FALLBACK_CLASS:
        _check_fallback(row, folder)
    how = {
        "local_files_only": True,
        "use_safetensors": True,
        "variant": find_pipeline_variant(folder),
    }
    if int8_weights and not parts:
        parts = _load_quantized_denoiser(folder, dtype, how)
    read_in = {"vae": dtype, "default": _HALF if int8_weights else dtype}
    with panics_as_errors(str(folder)):
        parts = {**_load_other_variants(folder, {*parts, *left_out}, read_in, how), **parts}
        pipeline = class_.from_pretrained(str(folder), dtype=read_in, **how, **left_out, **parts)
        _check_tokenizers(pipeline)
    said = Training(row.prediction_type, row.zero_terminal_snr)
    pipeline.scheduler = apply_training(pipeline.scheduler, said)
    return pipeline


def _load_other_variants(
    folder: Path,
    given: Collection[str],
    read_in: Mapping[str, torch.dtype],
    how: Mapping[str, Any],
) -> dict[str, Any]:
    """Load the components, except `given`, that exist only in another variant."""
    index, found = _read_index(folder), dict[str, Any]()
    for part, variant in find_part_variants(folder).items():
        if part in given or variant in (None, how["variant"]):
            continue
        library, class_name = index[part]
        class_ = getattr(diffusers if library == "diffusers" else transformers, class_name)
        found[part] = class_.from_pretrained(
            str(folder),
            subfolder=part,
            dtype=read_in.get(part, read_in["default"]),
            **{**how, "variant": variant},
        )
    return found


def _check_tokenizers(pipeline: Any) -> None:
    """Raise ModelLoadError, or panic, for a tokenizer that can't tokenize, before it is needed."""
    for part, component in pipeline.components.items():
        if isinstance(component, transformers.PreTrainedTokenizerBase):
            check_prompt_tokens(component, part)
            encoder = getattr(pipeline, part.replace("tokenizer", "text_encoder"), None)
            if isinstance(encoder, transformers.PreTrainedModel):
                _check_fits_encoder(component, part, encoder)
            component("a")


def _check_fits_encoder(tokenizer: Any, part: str, encoder: Any) -> None:
    """Raise ModelLoadError for tokens or prompts of which the encoder has no weights."""
    most = encoder.get_input_embeddings().num_embeddings - 1
    largest = max(tokenizer.all_special_ids, default=0)
    if largest > most:
        raise ModelLoadError(
            messages.tokenizer_does_not_fit(part, "largest special token", largest, most)
        )
    positions = getattr(encoder.config, "max_position_embeddings", None)
    length = tokenizer.model_max_length
    if type(tokenizer).__name__.startswith("CLIP") and positions and length > positions:
        raise ModelLoadError(
            messages.tokenizer_does_not_fit(part, "model_max_length", length, positions)
        )


def _load_quantized_denoiser(
    folder: Path, dtype: torch.dtype, how: Mapping[str, Any]
) -> dict[str, Any]:
    """Load a folder's denoiser and quantize it before anything else is read."""
    index = _read_index(folder)
    part = next((name for name in DENOISERS if name in index), None)
    if part is None:
        return {}
    how = {**how, "variant": find_part_variants(folder).get(part)}
    class_ = getattr(diffusers, index[part][1])
    network = class_.from_pretrained(str(folder), subfolder=part, dtype=_HALF, **how)
    quantize_to_int8(network, dtype)
    return {part: network}


def _check_fallback(row: ModelRow, folder: Path) -> None:
    """Raise ModelLoadError unless a folder names one of diffusers' text-to-image pipelines.

    Only classes in diffusers' own table are ever loaded.
    """
    from diffusers.pipelines.auto_pipeline import (  # noqa: PLC0415 (imports every pipeline)
        AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
    )

    class_name = _read_index(folder).get("_class_name")
    known = {each.__name__ for each in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    if class_name not in known:
        raise ModelLoadError(messages.not_text_to_image(row.title, class_name))


def select_accepted(class_: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a class's constructor accepts, by its parameters' names."""
    known = inspect.signature(class_.__init__).parameters
    return {key: value for key, value in values.items() if key in known}


def read_index_settings(source: Path) -> dict[str, bool]:
    """Return the true/false settings in a folder's index, {} for a file.

    They include those for pipelines of other tasks: an SDXL refiner takes an aesthetic score.
    """
    if not (source / "model_index.json").is_file():
        return {}
    named = _read_index(source).items()
    return {name: value for name, value in named if isinstance(value, bool)}


def _read_index(folder: Path) -> dict[str, Any]:
    return read_json_file(folder / INDEX, dict[str, Any])

"""From files to a diffusers pipeline on the CPU: folders, single files, converted pickles.

Imports torch: import it in a function.
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
from paintdiff.models.loading import single_file_denoisers
from paintdiff.models.loading.conversion import convert_file
from paintdiff.models.loading.conversion_cache import find_conversions_folder
from paintdiff.models.loading.conversion_folders import convert_folder, find_pickled_parts
from paintdiff.models.loading.part_checks import INDEX, check_pipeline, check_prompt_tokens
from paintdiff.models.loading.prediction_types import Training, apply_training
from paintdiff.models.loading.single_file_checkpoints import load_single_file_components
from paintdiff.models.loading.single_file_configs import find_companion, needs_companion
from paintdiff.models.loading.tokenizer_trial import try_tokenizers
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
"""Looks a folder's own class up among those of diffusers that paint pictures from words."""


@dataclass(frozen=True)
class LoadingContext:
    """What it takes to load a single file, beside the file.

    `companions` are folders in diffusers' layout, by the name of their family, for the parts that a
    file lacks. `cache_folder` gives the folder in which converted pickles and hashes are kept. Once
    `wanted` says no, conversion is given up. `config_folder` is a folder in diffusers' layout whose
    settings are taken instead of the family's. `vae` is the VAE (a file or a folder) for a
    checkpoint that has none. Unless it is `resident` the model waits in main
    memory, and doesn't go to its device at once. With `eight_bits` its denoiser's weights are
    packed as soon as they are read.
    """

    companions: Mapping[str, Path] = field(default_factory=dict[str, Path])
    cache_folder: Callable[[], Path] = find_conversions_folder
    wanted: Callable[[], bool] = lambda: True
    config_folder: Path | None = None
    vae: Path | None = None
    resident: bool = True
    eight_bits: bool = False


def find_pipeline_class(row: ModelRow, task: str) -> Any:
    """The diffusers class that does `task` for this model's family.

    Raises ModelLoadError if none does.
    """
    class_name = row.family.pipelines.get(task)
    if class_name is None:
        raise ModelLoadError(f"{row.title} can't do {task.replace('_', ' ')}.")
    return getattr(diffusers, class_name)


def read_pipeline(
    row: ModelRow,
    source: Path,
    dtype: torch.dtype,
    report: Callable[[str], None],
    road: LoadingContext,
) -> tuple[Any, bool]:
    """The model on the CPU, and whether some of its numbers may lie in mapped files. What is to be
    packed is read in half precision, which is nearly always the files'; only the denoiser is packed
    already.
    """
    class_ = find_pipeline_class(row, next(iter(row.family.pipelines)))
    if source.is_dir():
        if find_pickled_parts(source):
            check_pipeline(source, accepts(class_, NEVER_LOADED))
            source = convert_folder(source, road.cache_folder(), report, road.wanted)
        return _folder_pipeline(class_, row, source, dtype, road.eight_bits), True
    if is_pickle(source):
        source, original = convert_file(source, road.cache_folder(), report, road.wanted), source
    else:
        original = source
    if needs_companion(row, source) and road.config_folder is None:
        companion = find_companion(row, source, road.companions)
        check_weights_in(companion)
        report(f"Reading {original.name}, and the rest from {companion.name}")
        half = road.eight_bits and not is_gguf(source)  # which unpacks to what it is read in
        part, network = single_file_denoisers.load_denoiser(
            source, companion, _HALF if half else dtype
        )
        if road.eight_bits:
            quantize_to_int8(network, dtype)
        parts = {part: network}
        return _folder_pipeline(class_, row, companion, dtype, road.eight_bits, parts), True
    components = load_single_file_components(
        source,
        row,
        dtype,
        eight_bits=road.eight_bits,
        config_folder=road.config_folder,
        report=report,
        called=original,
        vae=road.vae,
    )
    return class_(**accepts(class_, {**NEVER_LOADED, **components})), False


def _folder_pipeline(
    class_: Any,
    row: ModelRow,
    folder: Path,
    dtype: torch.dtype,
    eight_bits: bool,
    parts: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """A pipeline of the parts that are given, and all others from a folder."""
    left_out = accepts(class_, NEVER_LOADED)
    check_pipeline(folder, left_out)
    try_tokenizers(folder)
    if class_.__name__ == FALLBACK_CLASS:
        _check_fallback(row, folder)
    how = {
        "local_files_only": True,
        "use_safetensors": True,
        "variant": find_pipeline_variant(folder),
    }
    if eight_bits and not parts:
        parts = _packed_denoiser(folder, dtype, how)
    read_in = {"vae": dtype, "default": _HALF if eight_bits else dtype}
    with panics_as_errors(str(folder)):
        parts = {**_of_other_variants(folder, {*parts, *left_out}, read_in, how), **parts}
        pipeline = class_.from_pretrained(str(folder), dtype=read_in, **how, **left_out, **parts)
        _check_tokenizers(pipeline)
    said = Training(row.prediction_type, row.zero_terminal_snr)
    pipeline.scheduler = apply_training(pipeline.scheduler, said)
    return pipeline


def _of_other_variants(
    folder: Path,
    given: Collection[str],
    read_in: Mapping[str, torch.dtype],
    how: Mapping[str, Any],
) -> dict[str, Any]:
    """The parts, but for the given ones, that are there only in another variant than the
    pipeline's.
    """
    index, found = _index_of(folder), dict[str, Any]()
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
    """Raise ModelLoadError, or panic, if a prompt can't be read: better now than in a run."""
    for part, component in pipeline.components.items():
        if isinstance(component, transformers.PreTrainedTokenizerBase):
            check_prompt_tokens(component, part)
            component("a")


def _packed_denoiser(folder: Path, dtype: torch.dtype, how: Mapping[str, Any]) -> dict[str, Any]:
    """A folder's denoiser, by its name among the parts, packed before anything else is read."""
    index = _index_of(folder)
    part = next((name for name in DENOISERS if name in index), None)
    if part is None:
        return {}
    how = {**how, "variant": find_part_variants(folder).get(part)}
    class_ = getattr(diffusers, index[part][1])
    network = class_.from_pretrained(str(folder), subfolder=part, dtype=_HALF, **how)
    quantize_to_int8(network, dtype)
    return {part: network}


def _check_fallback(row: ModelRow, folder: Path) -> None:
    """Raise ModelLoadError unless a folder of an unknown family names a class of diffusers that
    paints pictures from words. (Only those of diffusers' own table are ever loaded.)
    """
    from diffusers.pipelines.auto_pipeline import (  # noqa: PLC0415 (imports every pipeline)
        AUTO_TEXT2IMAGE_PIPELINES_MAPPING,
    )

    class_name = _index_of(folder).get("_class_name")
    known = {each.__name__ for each in AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()}
    if class_name not in known:
        raise ModelLoadError(
            f"{row.title} is a {class_name}, which isn't among the text-to-image pipelines of "
            "this version of diffusers."
        )


def accepts(class_: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(class_.__init__).parameters
    return {key: value for key, value in values.items() if key in known}


def read_index_settings(source: Path) -> dict[str, bool]:
    """What a folder's index says that isn't a part, also where only the pipeline of another task
    takes it: an SDXL refiner is told how good to be. Nothing for a file.
    """
    if not (source / "model_index.json").is_file():
        return {}
    named = _index_of(source).items()
    return {name: value for name, value in named if isinstance(value, bool)}


def _index_of(folder: Path) -> dict[str, Any]:
    return read_json_file(folder / INDEX, dict[str, Any])

"""Checks a model's folder before diffusers and transformers read it.

Both libraries build whatever a configuration says, even if that takes hours or all memory. The
checks cover the named classes and implausible values. Importable without torch; classes are looked
up in the libraries imported by then.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from paintdiff.errors import ModelLoadError, ModelNotFoundError, UnsafeWeightsError
from paintdiff.models.formats.json_files import read_json
from paintdiff.models.formats.limits import (
    MAX_CONFIG_LIST,
    MAX_CONFIG_NUMBER,
    MAX_IMAGE_SIDE,
    MAX_LAYERS,
    MAX_POSITIONS,
    MAX_PROMPT_TOKENS,
    MAX_TIMESTEPS,
    MAX_VOCABULARY_BYTES,
)
from paintdiff.models.formats.weight_files import read_file_header
from paintdiff.models.loading import messages
from paintdiff.models.registry.model_rows import read_json_file
from paintdiff.system.regular_files import explain_not_a_file

INDEX = "model_index.json"
CONFIG = "config.json"
_SCHEDULER_CONFIG = "scheduler_config.json"
MIN_PROMPT_TOKENS = 3
"""A beginning, a word and an end."""
_SAFE_LIBRARIES = ("diffusers", "transformers")
_WEIGHTS = (".safetensors", ".bin")
_PIECES = ".index.json"

# max_window_layers is excluded: it is the layer from which attention is windowed.
_LAYERS = re.compile(r"(?!max_window_).*(layers|blocks|depths?)(_.*)?")
_LAYERS_OF_BLOCKS = "layers_per_block"
_LIMITS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"(.*_)?timesteps?(_.*)?"), MAX_TIMESTEPS),
    (re.compile(r"(.*_)?(vocab_size|max_position_embeddings|n_positions|lens)"), MAX_POSITIONS),
    (re.compile(r"(.*_)?(sample_size|image_size|max_size)"), MAX_IMAGE_SIDE),
    (_LAYERS, MAX_LAYERS),
)


def check_pipeline(folder: Path, left_out: Collection[str]) -> None:
    """Check a pipeline's folder in the diffusers layout. `left_out` are components not to load.

    Raises:
        UnsafeWeightsError: The index names a class that isn't a component of diffusers or
            transformers.
        ModelLoadError: A component's configuration is implausible or isn't a file.
    """
    index = read_json_file(folder / INDEX, dict[str, Any])
    class_name = index.get("_class_name")
    if not isinstance(class_name, str):
        raise UnsafeWeightsError(messages.unknown_pipeline(folder.name, class_name))
    for name, value in index.items():
        if name.startswith("_") or name in left_out:
            continue
        if not isinstance(value, (list, dict)) and not (folder / name).is_dir():
            continue  # a setting
        if value == [None, None]:
            continue
        _check_class(folder, name, value)
        part = folder / name
        if os.path.lexists(part / INDEX):
            raise UnsafeWeightsError(messages.index_of_its_own(part.name))
        if part.is_dir():
            check_part(part)
        if _is_network(*value) and not (part / CONFIG).is_file():
            raise ModelLoadError(messages.no_config(name))


def _check_class(folder: Path, name: str, value: Any) -> None:
    if not isinstance(value, list) or len(value) != 2 or value[0] not in _SAFE_LIBRARIES:
        raise UnsafeWeightsError(messages.foreign_part(folder.name, name, value))
    if not is_part_class(value[0], value[1]):
        raise UnsafeWeightsError(messages.not_a_part_class(folder.name, name, value[0], value[1]))


def is_part_class(library_name: str, class_name: object) -> bool:
    """Return whether a library's class can be a component of a pipeline."""
    import diffusers  # noqa: PLC0415 (takes seconds)
    import transformers  # noqa: PLC0415

    library = {"diffusers": diffusers, "transformers": transformers}[library_name]
    bases: tuple[Any, ...] = (
        *(diffusers.ModelMixin, diffusers.SchedulerMixin),
        *(transformers.PreTrainedModel, transformers.PreTrainedTokenizerBase),
        *(transformers.FeatureExtractionMixin, transformers.ProcessorMixin),
        transformers.ImageProcessingMixin,
    )
    class_ = getattr(library, class_name, None) if isinstance(class_name, str) else None
    return isinstance(class_, type) and issubclass(class_, bases)


def _is_network(library_name: str, class_name: str) -> bool:
    import diffusers  # noqa: PLC0415 (takes seconds)
    import transformers  # noqa: PLC0415

    library = {"diffusers": diffusers, "transformers": transformers}[library_name]
    bases = (diffusers.ModelMixin, transformers.PreTrainedModel)
    return issubclass(getattr(library, class_name), bases)


def check_part(folder: Path) -> None:
    """Check the folder of one component.

    Raises:
        ModelLoadError: Its configuration is implausible, something in it isn't a file, or its
            shards lie elsewhere.
        ModelNotFoundError: Its weights can't be read.
    """
    weights: list[Path] = []
    try:
        with os.scandir(folder) as listing:
            for entry in listing:
                if entry.name.endswith(_WEIGHTS):
                    weights.append(Path(entry.path))
                _check_entry(entry)
    except OSError as error:
        raise ModelLoadError(messages.unreadable(folder.name, error.strerror)) from error
    for path in folder.glob(f"*{_PIECES}"):
        _check_pieces(path)
    tensors = 0
    for path in weights:
        if path.suffix == ".safetensors":
            tensors += len(read_file_header(path).tensors)
    if (folder / CONFIG).is_file():
        check_config(folder / CONFIG, tensors)
    if (folder / _SCHEDULER_CONFIG).is_file():
        path = folder / _SCHEDULER_CONFIG
        for key, number in _iterate_numbers(path, _read_config(path)):
            _check_number(path, key, number, MAX_TIMESTEPS)
        _check_types(path, _read_config(path))


def _check_entry(entry: os.DirEntry[str]) -> None:
    """Raise OSError or ModelLoadError for anything but a file of plausible size."""
    status = entry.stat()
    what = explain_not_a_file(status.st_mode)
    if what is not None and not stat.S_ISDIR(status.st_mode):
        raise ModelLoadError(messages.not_a_file(entry.name, what))
    if not entry.name.endswith(_WEIGHTS) and status.st_size > MAX_VOCABULARY_BYTES:
        raise ModelLoadError(
            messages.file_too_large(entry.name, status.st_size, MAX_VOCABULARY_BYTES)
        )


def _check_pieces(path: Path) -> None:
    pieces: object = _read_config(path).get("weight_map")
    named = pieces.values() if isinstance(pieces, dict) else [None]
    if not all(isinstance(name, str) and Path(name).name == name for name in named):
        raise ModelLoadError(messages.names_other_files(_format_path(path)))


def check_config(path: Path, tensors: int) -> None:
    """Check a network's configuration. It can't have more layers than there are `tensors`.

    Raises:
        ModelLoadError: A value is implausible.
        ModelNotFoundError: The file can't be read.
    """
    config = _read_config(path)
    most_layers = min(MAX_LAYERS, tensors) if tensors else MAX_LAYERS
    together = 1
    for key, number in _iterate_numbers(path, config):
        if _LAYERS.fullmatch(key):
            _check_number(path, key, number, most_layers)
        else:
            limits = (limit for pattern, limit in _LIMITS if pattern.fullmatch(key))
            _check_number(path, key, number, next(limits, MAX_CONFIG_NUMBER))
    for key, value in config.items():
        if key.endswith(_LAYERS_OF_BLOCKS):
            layers = [number for _key, number in _iterate_numbers(path, {key: value})]
            together *= max((number for number in layers if isinstance(number, int)), default=1)
    _check_number(path, f"the product of all {_LAYERS_OF_BLOCKS}", together, most_layers)
    _check_types(path, config)


def _check_types(path: Path, config: Mapping[str, Any]) -> None:
    from paintdiff.models.loading.config_types import find_wrong_value  # noqa: PLC0415 (seconds)

    wrong = find_wrong_value(config)
    if wrong is not None:
        raise ModelLoadError(messages.wrong_type(_format_path(path), *wrong))


def check_prompt_tokens(tokenizer: Any, part: str) -> None:
    """Raise ModelLoadError if a tokenizer pads each prompt to more tokens than any model takes.

    CLIP's and BERT's pad to the length in their configuration.
    """
    pads = type(tokenizer).__name__.startswith(("CLIP", "Bert"))
    most: object = tokenizer.model_max_length
    fits = isinstance(most, int) and MIN_PROMPT_TOKENS <= most <= MAX_PROMPT_TOKENS
    if pads and not fits:
        raise ModelLoadError(
            messages.prompts_too_long(part, most, MAX_PROMPT_TOKENS)
            if isinstance(most, (int, float)) and most > MAX_PROMPT_TOKENS
            else messages.no_prompt_length(part, most)
        )


def _format_path(path: Path) -> str:
    """Return a file's name for people, without the server's folders."""
    return f"{path.name} of {path.parent.name}"


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        content = read_json(path)
    except OSError as error:
        raise ModelNotFoundError(messages.unreadable(_format_path(path), error.strerror)) from error
    except ValueError as error:
        raise ModelLoadError(messages.unreadable(_format_path(path), error)) from error
    if not isinstance(content, dict):
        raise ModelLoadError(messages.not_an_object(_format_path(path)))
    return content


def _iterate_numbers(path: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield all numbers with the names of their settings, including those in lists."""
    waiting: list[tuple[str, object]] = list(config.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            if len(value) > MAX_CONFIG_LIST:
                raise ModelLoadError(
                    messages.list_too_long(
                        _format_path(path), key[:100], len(value), MAX_CONFIG_LIST
                    )
                )
            waiting += [(key, each) for each in value]
        elif isinstance(value, (int, float)):
            yield key, value


def _check_number(path: Path, key: str, number: float, limit: int) -> None:
    if isinstance(number, int) and abs(number) > limit:
        raise ModelLoadError(
            messages.number_too_large(_format_path(path), key[:100], number, limit)
        )

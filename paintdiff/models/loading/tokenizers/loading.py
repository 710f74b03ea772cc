"""Loads a model's tokenizers without its weights. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers

from paintdiff.models.formats.rust_panics import panics_as_errors
from paintdiff.models.loading import messages
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.loading.part_checks import INDEX, check_pipeline, check_prompt_tokens
from paintdiff.models.loading.pipeline_files import (
    NEVER_LOADED,
    find_pipeline_class,
    select_accepted,
)
from paintdiff.models.loading.single_files.configs import (
    find_companion,
    find_config_folders,
    needs_companion,
)
from paintdiff.models.loading.tokenizers.clip_vocabulary import build_clip_tokenizer
from paintdiff.models.loading.tokenizers.trial import try_tokenizers
from paintdiff.models.registry.model_rows import ModelRow, read_json_file


def load_tokenizers(row: ModelRow, companions: Mapping[str, Path]) -> dict[str, Any]:
    """Load the tokenizers of a model, by component; {} if it isn't on this machine.

    `companions` are folders in the diffusers layout, by family, for what a file lacks.

    Raises:
        ModelNotFoundError: Its files are gone.
        UnsafeWeightsError: It names a class that isn't a component.
        ModelLoadError: A tokenizer isn't usable.
    """
    source = row.folder
    if source is None or not source.exists():
        return {}
    try:
        if source.is_dir():
            return _load_from_folder(row, source)
        if needs_companion(row, source):
            return _load_from_folder(row, find_companion(row, source, companions))
        folder = find_config_folders(row)[0]
        return {name: build_clip_tokenizer(folder / name) for name in _list_classes(folder)}
    except Exception as error:
        raise make_load_error(messages.model_not_loaded(row.title), error) from error


def _load_from_folder(row: ModelRow, folder: Path) -> dict[str, Any]:
    class_ = find_pipeline_class(row, next(iter(row.family.pipelines)))
    check_pipeline(folder, select_accepted(class_, NEVER_LOADED))
    try_tokenizers(folder)
    loaded: dict[str, Any] = {}
    for name, class_name in _list_classes(folder).items():
        kind: Any = getattr(transformers, class_name, None)
        if not isinstance(kind, type) or not issubclass(kind, transformers.PreTrainedTokenizerBase):
            continue  # the processor of a model that reads pictures, too
        with panics_as_errors(str(folder)):
            loaded[name] = kind.from_pretrained(str(folder), subfolder=name, local_files_only=True)
            check_prompt_tokens(loaded[name], name)
            loaded[name]("a")
    return loaded


def _list_classes(folder: Path) -> dict[str, str]:
    """Return the class of each tokenizer in a folder's index."""
    index = read_json_file(folder / INDEX, dict[str, Any])
    return {
        name: each[1]
        for name, each in index.items()
        if name.startswith("tokenizer") and isinstance(each, list) and each[0] == "transformers"
    }

"""Selects the files of a repository to download, and checks that a folder has them all.

Of a diffusers pipeline these are its index, configurations, vocabularies and schedulers, and for
each component one complete set of safetensors, in half precision (`fp16`) if available. Never code,
never pickles. Importable without torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from paintdiff.errors import DownloadError, UnsafeWeightsError
from paintdiff.models.formats.json_files import parse_json, read_json
from paintdiff.models.hub import messages
from paintdiff.system.regular_files import open_file

INDEX = "model_index.json"
CONFIG = "config.json"
MAX_INDEX_BYTES = 2**20

NOT_FETCHED = frozenset({"safety_checker", "image_encoder"})
"""Components of a pipeline that are never loaded."""

_SAFE_LIBRARIES = frozenset({"diffusers", "transformers"})
_WITHOUT_WEIGHTS = re.compile(r".*(Scheduler|Tokenizer|TokenizerFast|Processor|FeatureExtractor)")
_STEMS = ("diffusion_pytorch_model", "model")
_VARIANTS = ("fp16", "")
_VARIANT_NAME = re.compile(
    r"(?:diffusion_pytorch_model|model)(?:-\d{5}-of-\d{5})?"
    r"\.([\w-]+?)(?:-\d{5}-of-\d{5})?\.safetensors"
)
"""The variant in the name of a weight file."""

_SMALL_SUFFIXES = (".json", ".txt", ".model", ".jinja")
_SHARD_INDEX = re.compile(r".*\.index(\.\w+)?\.json")
_OTHER_FRAMEWORKS = re.compile(r"(flax|tf|openvino|onnx)_?.*")
_PART_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# A folder of this app may contain a preview matrix and a closed vocabulary.
_OWN_EXTRAS = ("latent_rgb.json", "words.json")
_SINGLE_SUFFIX = ".safetensors"
_PICKLE_SUFFIXES = (".bin", ".ckpt", ".pt", ".pth")

RepositoryKind = Literal["pipeline", "part", "file"]


@dataclass(frozen=True)
class Weights:
    """A complete set of weight files of one component, by their names in its folder.

    `variant` is "fp16" or "" (see diffusers' `variant`).
    """

    variant: str
    names: tuple[str, ...]


def detect_repository_kind(names: Collection[str]) -> RepositoryKind | None:
    """Detect what files of these names are.

    A pipeline, one component ("part": a ControlNet, a VAE), or a single file with everything in it;
    None for anything else.
    """
    if INDEX in names:
        return "pipeline"
    if CONFIG in names and select_weights(names) is not None:
        return "part"
    if CONFIG not in names and len(_list_single_files(names)) == 1:
        return "file"
    return None


def read_index(text: bytes, about: str) -> dict[str, tuple[str, str]]:
    """Return the components that a `model_index.json` lists: name to library and class.

    Raises:
        DownloadError: It can't be parsed.
        UnsafeWeightsError: It needs code from outside diffusers and transformers.
    """
    try:
        content: Any = parse_json(text)
    except ValueError as error:
        raise DownloadError(messages.unreadable_index(INDEX, about, error)) from error
    if not isinstance(content, dict) or not isinstance(content.get("_class_name"), str):
        raise UnsafeWeightsError(messages.index_without_pipeline(INDEX, about))
    parts: dict[str, tuple[str, str]] = {}
    for name, value in content.items():
        if name.startswith("_") or not isinstance(value, list) or name in NOT_FETCHED:
            continue
        if len(value) != 2 or value[0] is None or value[1] is None:
            continue
        library, class_name = str(value[0]), str(value[1])
        if library not in _SAFE_LIBRARIES or _PART_NAME.fullmatch(name) is None:
            raise UnsafeWeightsError(messages.foreign_class(about, name[:100], library[:100]))
        parts[name] = (library, class_name)
    return parts


def select_pipeline_files(
    names: Collection[str], parts: Mapping[str, tuple[str, str]], about: str
) -> tuple[str, ...]:
    """Select the files that a pipeline needs, large ones last.

    Raises:
        DownloadError: A component is missing.
        UnsafeWeightsError: A component has only pickles.
    """
    small = [name for name in (INDEX, *_OWN_EXTRAS) if name in names]
    large: list[str] = []
    for part, (_library, class_name) in parts.items():
        inside = _list_inside(names, part)
        small += (f"{part}/{name}" for name in sorted(inside) if _is_small(name))
        if _WITHOUT_WEIGHTS.fullmatch(class_name):
            continue
        found = select_weights(inside)
        if found is None:
            raise _explain_missing_weights(inside, messages.part_of(part, about))
        large += (f"{part}/{name}" for name in found.names)
    return (*small, *large)


def select_other_files(names: Collection[str], about: str) -> tuple[str, ...]:
    """Select the files needed of a repository that isn't a pipeline. Raise ModelError if none."""
    kind = detect_repository_kind(names)
    if kind == "part":
        found = select_weights(names)
        return (CONFIG, *(found.names if found is not None else ()))
    if kind == "file":
        return _list_single_files(names)
    singles = _list_single_files(names)
    if len(singles) > 1:
        raise DownloadError(messages.many_files(about, singles))
    raise _explain_missing_weights(names, about)


def select_weights(names: Collection[str]) -> Weights | None:
    """Select a complete set of weights among one component's files, None if incomplete."""
    for variant in _VARIANTS:
        found = _find_weights(names, variant)
        if found is not None:
            return found
    return None


def find_missing(folder: Path) -> str | None:
    """Name what a pipeline's folder lacks, None if it is complete. Never contacts Hugging Face."""
    try:
        parts = read_folder_index(folder)
    except (OSError, DownloadError, UnsafeWeightsError):
        return INDEX
    for part, (_library, class_name) in parts.items():
        inside = _list_names(folder / part)
        if not any(map(_is_small, inside)):
            return f"{part}/{CONFIG}"
        if not _WITHOUT_WEIGHTS.fullmatch(class_name) and select_weights(inside) is None:
            return messages.weights_of(part)
    return None


def read_folder_index(folder: Path) -> dict[str, tuple[str, str]]:
    """Read the index of a pipeline's folder (see `read_index`). Raise OSError, too."""
    with open_file(folder / INDEX) as file:
        return read_index(file.read(MAX_INDEX_BYTES), folder.name)


def read_index_class(folder: Path) -> str:
    """Return the diffusers class of a pipeline's folder, "" if it isn't a pipeline."""
    try:
        content: Any = read_json(folder / INDEX, MAX_INDEX_BYTES)
    except (OSError, ValueError):
        return ""
    name = content.get("_class_name") if isinstance(content, dict) else None
    return name if isinstance(name, str) else ""


def find_part_variant(folder: Path) -> str | None:
    """Return the `variant` for loading one component's weights from its folder.

    None if they exist without a variant, or not at all.
    """
    names = _list_names(folder)
    if _find_weights(names, "") is not None:
        return None
    variants = sorted({match[1] for name in names if (match := _VARIANT_NAME.fullmatch(name))})
    preferred = [each for each in _VARIANTS if each in variants] + variants
    return next((each for each in preferred if _find_weights(names, each) is not None), None)


def find_part_variants(folder: Path) -> dict[str, str | None]:
    """Return the `variant` of each component with weights, by name (see `find_part_variant`)."""
    try:
        parts = read_folder_index(folder)
    except (OSError, DownloadError, UnsafeWeightsError):
        return {}
    return {
        part: find_part_variant(folder / part)
        for part, (_library, class_name) in parts.items()
        if not _WITHOUT_WEIGHTS.fullmatch(class_name)
    }


def find_pipeline_variant(folder: Path) -> str | None:
    """Return the `variant` for loading a pipeline's folder: "fp16", "bf16" or another.

    None if all components exist without a variant. `find_part_variants` tells where they differ.
    """
    return next(filter(None, find_part_variants(folder).values()), None)


def _find_weights(names: Collection[str], variant: str) -> Weights | None:
    suffix = f".{variant}" if variant else ""
    for stem in _STEMS:
        whole = f"{stem}{suffix}.safetensors"
        if whole in names:
            return Weights(variant, (whole,))
        ends = (f"index{suffix}.json", f"{variant}.index.json")
        index = next((each for end in ends if (each := f"{stem}.safetensors.{end}") in names), None)
        if index is None:
            continue
        number = r"-(\d{5})-of-(\d{5})"  # older versions of diffusers put it before the variant
        named = re.escape(suffix)
        shard = re.compile(rf"{stem}(?:{named}{number}|{number}{named})\.safetensors")
        shards = {name: found for name in names if (found := shard.fullmatch(name))}
        counts = {int(found[2] or found[4]) for found in shards.values()}
        numbers = {int(found[1] or found[3]) for found in shards.values()}
        if len(counts) == 1 and numbers == set(range(1, counts.pop() + 1)):
            return Weights(variant, (*sorted(shards), index))
    return None


def _explain_missing_weights(
    names: Collection[str], about: str
) -> DownloadError | UnsafeWeightsError:
    pickles = sorted(name for name in names if name.endswith(_PICKLE_SUFFIXES))
    if pickles:
        return UnsafeWeightsError(messages.only_pickles(about, pickles[0]))
    return DownloadError(messages.no_weights(about))


def _list_inside(names: Collection[str], part: str) -> set[str]:
    """List the names directly in a component's folder."""
    start = f"{part}/"
    inner = {name.removeprefix(start) for name in names if name.startswith(start)}
    return {name for name in inner if "/" not in name}


def _list_names(folder: Path) -> set[str]:
    """List the files in a folder, without broken links."""
    if not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if path.is_file()}


def _is_small(name: str) -> bool:
    return (
        name.endswith(_SMALL_SUFFIXES)
        and not _SHARD_INDEX.fullmatch(name)
        and not _OTHER_FRAMEWORKS.fullmatch(name)
    )


def _list_single_files(names: Collection[str]) -> tuple[str, ...]:
    return tuple(
        sorted(name for name in names if "/" not in name and name.endswith(_SINGLE_SUFFIX))
    )

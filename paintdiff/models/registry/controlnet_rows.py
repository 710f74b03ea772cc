"""Catalog rows of ControlNets, and their families, detected without loading.

Importable without torch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from paintdiff.config.presets import find_row, validate_row
from paintdiff.errors import ModelNotFoundError, PresetError, RequestError
from paintdiff.models.formats.json_files import read_json
from paintdiff.models.formats.pickles.safe_pickle import read_tensor_records
from paintdiff.models.formats.weight_files import is_pickle, read_file_header
from paintdiff.models.hub.direct_download import fetch_from_cache_or_hub
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry import messages
from paintdiff.models.registry.base_rows import (
    SourceRow,
    find_free_name,
    get_source_name,
    resolve_preset_source,
)
from paintdiff.models.registry.families import Family

logger = logging.getLogger(__name__)

_CLASS_NAME = "ControlNetModel"
_CONFIG = "config.json"
# In order of preference; the last is a pickle.
_WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
)
_ANY_VARIANT = "diffusion_pytorch_model.*.safetensors"
HUB_FILES = (_CONFIG, _WEIGHTS[0])
"""The files to download of a ControlNet on Hugging Face."""

_WORD_WEIGHT = ".attn2.to_k.weight"


class ControlNetRow(SourceRow):
    """A ControlNet. `preprocessors` are those it was trained for, best first; empty if unknown."""

    what: ClassVar[str] = "ControlNet"
    subfolder: ClassVar[str] = "controlnet"

    preprocessors: tuple[str, ...] = ()


class _ControlNetText(BaseModel):
    """A ControlNet in YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    family: str
    source: str
    preprocessors: tuple[str, ...] = ()
    licence: str = ""
    description: str = ""


def read_controlnets(
    rows: object, families: Mapping[str, Family], path: Path
) -> tuple[ControlNetRow, ...]:
    """Read the `controlnets` section of a models file. Raise PresetError, which names `path`."""
    found: list[ControlNetRow] = []
    for name, row in validate_row(dict[str, dict[str, object]], rows or {}, path).items():
        text = validate_row(_ControlNetText, find_row(name, row, path), path)
        if text.family not in families:
            raise PresetError(messages.unknown_family(path, name, text.family))
        found.append(
            ControlNetRow(
                name=text.name,
                title=text.title,
                family=families[text.family],
                source=resolve_preset_source(text.source, path.parent),
                preprocessors=text.preprocessors,
                licence=text.licence,
                description=text.description,
            )
        )
    return tuple(found)


def make_controlnet_row(
    source: str, families: Mapping[str, Family], taken: Mapping[str, object], name: str | None
) -> ControlNetRow:
    """Make the row of a folder, a file or a Hugging Face id; a name in `taken` gets a number.

    Its weights aren't read.

    Raises:
        ModelNotFoundError: Nothing usable is there.
        UnsafeWeightsError: Its format could run code.
        RequestError: Its family is unknown.
    """
    path = Path(source).expanduser()
    if path.exists():
        source = str(path.resolve())
        width = _find_text_width(Path(source))
    elif HUB_ID.fullmatch(source):
        width = _get_config_width(_fetch_config(source))
    else:
        raise ModelNotFoundError(messages.no_controlnet_at(source))
    steered = [row for row in families.values() if row.supports_controlnets]
    family = next((row for row in steered if row.cross_attention_dim == width), None)
    if family is None:
        known = ", ".join(f"{row.title} ({row.cross_attention_dim})" for row in steered)
        raise RequestError(
            messages.width_not_supported(source, width, known),
            field="controlnet",
        )
    wanted = name or get_source_name(source)
    return ControlNetRow(
        name=find_free_name(wanted, taken), title=wanted, family=family, source=source
    )


def find_weights_file(source: Path) -> Path:
    """Return the file with a ControlNet's weights: `source` itself, or the one in that folder.

    Raises:
        ModelNotFoundError: No such file is there.
    """
    if source.is_file():
        return source
    for name in _WEIGHTS:
        if (source / name).is_file():
            return source / name
    variants = sorted(path for path in source.glob(_ANY_VARIANT) if path.is_file())
    if variants:
        return variants[0]
    raise ModelNotFoundError(messages.no_controlnet_files(source.name, ", ".join(_WEIGHTS)))


def read_controlnet_config(folder: Path) -> dict[str, Any]:
    """Read a ControlNet's `config.json`.

    Raises:
        ModelNotFoundError: It is missing, unreadable, or of something else.
    """
    path = folder / _CONFIG
    try:
        content = validate_row(dict[str, Any], read_json(path), path)
    except (OSError, ValueError) as error:
        logger.info("%s can't be read", path, exc_info=True)
        raise ModelNotFoundError(messages.unreadable_controlnet(folder.name, path.name)) from error
    class_name = content.get("_class_name")
    if class_name != _CLASS_NAME:
        raise ModelNotFoundError(
            messages.not_a_controlnet_class(path.name, class_name, _CLASS_NAME)
        )
    return content


def _find_text_width(source: Path) -> object:
    if source.is_dir():
        find_weights_file(source)
        return _get_config_width(read_controlnet_config(source))
    widths = {
        shape[1]
        for name, shape in _read_shapes(source).items()
        if name.endswith(_WORD_WEIGHT) and len(shape) == 2
    }
    if len(widths) != 1:
        raise ModelNotFoundError(messages.not_a_controlnet(source.name))
    return widths.pop()


def _get_config_width(config: Mapping[str, Any]) -> object:
    return config.get("cross_attention_dim", 1280)  # diffusers' default


def _read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a file's tensors, from its header."""
    if not is_pickle(path):
        return {name: each.shape for name, each in read_file_header(path).tensors.items()}
    return {name: each.shape for name, each in read_tensor_records(path).items()}


def _fetch_config(source: str) -> dict[str, Any]:
    import huggingface_hub  # noqa: PLC0415 (needed for hub ids only)

    def fetch(local_files_only: bool) -> dict[str, Any]:
        path = huggingface_hub.hf_hub_download(source, _CONFIG, local_files_only=local_files_only)
        return read_controlnet_config(Path(path).parent)

    try:
        return fetch_from_cache_or_hub(fetch, lambda: logger.info("looking %s up", source))
    except (OSError, ValueError) as error:
        logger.warning("looking up the ControlNet %s failed", source, exc_info=True)
        raise ModelNotFoundError(messages.controlnet_not_found(source)) from error

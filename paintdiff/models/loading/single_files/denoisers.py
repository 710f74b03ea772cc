"""Loads single files of which only the denoiser is used (FLUX, SD3 ..., and all GGUF).

The other components come from a folder of the same family, the companion. Imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.loaders import FromOriginalModelMixin
from diffusers.models.model_loading_utils import load_gguf_checkpoint

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.headers import read_header
from paintdiff.models.formats.weight_files import is_gguf
from paintdiff.models.loading import messages
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.loading.single_files.checkpoint_files import CheckpointFile
from paintdiff.models.registry.families import DENOISERS
from paintdiff.models.registry.model_rows import read_json_file

_OTHER_PARTS = (
    "vae.",
    "first_stage_model.",
    "text_encoders.",
    "cond_stage_model.",
    "conditioner.",
    "model_ema.",
)


def load_denoiser(path: Path, companion: Path, dtype: torch.dtype) -> tuple[str, Any]:
    """Load the denoiser from a file, on the CPU. Return its name in the companion, and the network.

    Weights are in `dtype`. Quantized GGUF weights stay quantized, and are unpacked to `dtype` layer
    by layer in a run.

    Raises:
        ModelLoadError: The network isn't built like the companion's, or the file is damaged.
    """
    part, class_ = _find_class(companion)
    tensors = _read_gguf(path) if is_gguf(path) else _read_safetensors(path, dtype)
    if part == "unet" and any(name.startswith("input_blocks.") for name in tensors):
        tensors = {f"model.diffusion_model.{name}": t for name, t in tensors.items()}
    config = read_json_file(companion / part / "config.json", dict[str, Any])
    overrides: dict[str, Any] = {}
    if "guidance_embeds" in config:  # FLUX.1 dev has them, schnell doesn't
        overrides["guidance_embeds"] = any("guidance" in name for name in tensors)
    if is_gguf(path):
        overrides["quantization_config"] = diffusers.GGUFQuantizationConfig(compute_dtype=dtype)
    try:
        network = class_.from_single_file(
            tensors,
            config=str(companion),
            subfolder=part,
            dtype=dtype,
            local_files_only=True,
            **overrides,
        )
    except Exception as error:  # diffusers' converters fail on names they don't expect
        what = messages.not_loaded_as(path.name, part, companion.name)
        raise make_load_error(what, error) from error
    lacking = [name for name, tensor in network.named_parameters() if tensor.is_meta]
    if lacking:
        raise ModelLoadError(messages.lacks_weights(path.name, part, companion.name, lacking))
    return part, network


def _find_class(companion: Path) -> tuple[str, Any]:
    index = read_json_file(companion / "model_index.json", dict[str, Any])
    for part in DENOISERS:
        value = index.get(part)
        if isinstance(value, list) and value[:1] == ["diffusers"]:
            class_ = getattr(diffusers, str(value[1]), None)
            if isinstance(class_, type) and issubclass(class_, FromOriginalModelMixin):
                return part, class_
    raise ModelLoadError(messages.denoiser_unreadable(companion))


def _read_safetensors(path: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    with CheckpointFile(path) as file:
        names = [name for name in file.shapes if not name.startswith(_OTHER_PARTS)]
        tensors = {name: file.read(name, dtype) for name in names}
        file.check_unchanged()
    return tensors


def _read_gguf(path: Path) -> dict[str, Any]:
    """Read the stored tensors into our own memory.

    The header is checked within limits first: the library that reads the file has none.
    """
    read_header(path)
    before = path.stat()
    try:
        found = load_gguf_checkpoint(str(path))
    except Exception as error:  # a damaged file can raise anything
        what = messages.not_gguf(path.name)
        raise make_load_error(what, error) from error
    now = path.stat()
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise ModelLoadError(messages.changed_while_reading(path.name))
    return {name: tensor for name, tensor in found.items() if not name.startswith(_OTHER_PARTS)}

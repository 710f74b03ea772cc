"""Networks of any architecture that spandrel knows, read from untrusted files.

Imports torch: import it in a function.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spandrel
import torch

from paintdiff.errors import ModelLoadError, ModelNotFoundError
from paintdiff.models.formats.limits import MAX_LAYERS
from paintdiff.models.formats.pickles.safe_pickle import list_tensor_names, read_tensors
from paintdiff.models.formats.safetensors_reader import read_all_tensors
from paintdiff.models.formats.weight_files import is_pickle, read_file_header
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.memory.devices import DTYPES
from paintdiff.models.upscaling import messages

# Kinds of files that tensor names reveal, in the order of the checks.
_SOMETHING_ELSE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a LoRA", (".lora_up.", ".lora_down.", ".lora_A.", ".lora_B.", "lora_unet_", "lora_te")),
    ("a ControlNet", ("control_model.", "controlnet_down_blocks.", "controlnet_cond_embedding.")),
    (
        "a Stable Diffusion model",
        ("model.diffusion_model.", "cond_stage_model.", "first_stage_model.", "conditioner."),
    ),
    ("a part of a diffusion model", ("time_embedding.linear_1.", "encoder.down_blocks.0.")),
    ("a text encoder", ("text_model.encoder.", "text_model.embeddings.")),
)


# spandrel builds as many layers as the largest number in a tensor name.
_MANY_LAYERS = re.compile(r"(?:^|\.)(\d{5,}|[1-9]\d{3})(?=\.|$)", re.MULTILINE)


@dataclass(frozen=True)
class Use:
    """The purpose of a network, as texts for messages.

    `what` is its kind, `does` its effect, `example` the name of a file of that kind, and `known`
    the architectures of that kind.
    """

    what: str
    does: str
    example: str
    known: str


def load_descriptor(file: Path, use: Use) -> Any:
    """Check a file's table of contents, then load it as spandrel's descriptor.

    Raises UnsafeWeightsError if it could run code, ModelLoadError if it isn't a network.
    """
    pickled = is_pickle(file)
    try:
        names = list_tensor_names(file) if pickled else read_file_header(file).tensors.keys()
    except ModelNotFoundError as error:
        raise ModelLoadError(str(error)) from error
    _check_names(names, file, use)
    try:
        tensors = read_tensors(file) if pickled else read_all_tensors(file)
    except Exception as error:
        raise make_load_error(messages.damaged_or_cut_off(file.name), error) from error
    tensors = _tensors_only(spandrel.canonicalize_state_dict(tensors))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of the architectures themselves
            return spandrel.MAIN_REGISTRY.load(tensors)
    except spandrel.UnsupportedModelError as error:
        raise ModelLoadError(
            messages.unsupported_kind(file.name, use.what, spandrel.__version__, use.known)
        ) from error


def choose_network_dtype(network: Any, device: str, asked: str | None) -> torch.dtype:
    """Choose the precision that a network computes in.

    That is `asked` ("float32", "bfloat16" or "float16") if the network supports it; else half
    precision on CUDA if it supports that, full precision elsewhere.
    """
    halves = {torch.float16: network.supports_half, torch.bfloat16: network.supports_bfloat16}
    if asked is not None:
        dtype = DTYPES[asked]
        return dtype if halves.get(dtype, True) else torch.float32
    if device.split(":")[0] == "cuda":
        return next((dtype for dtype, can in halves.items() if can), torch.float32)
    return torch.float32


def count_network_bytes(network: Any) -> int:
    """Return how many bytes of memory the network's weights take."""
    return sum(tensor.numel() * tensor.element_size() for tensor in network.model.parameters())


def _tensors_only(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the tensors: some files have numbers and texts beside the weights."""
    return {name: value for name, value in table.items() if isinstance(value, torch.Tensor)}


def _check_names(names: Iterable[str], file: Path, use: Use) -> None:
    """Raise ModelLoadError for tensor names of a known other kind of file.

    spandrel could mistake such a file for one of its networks, and would read all of it first.
    """
    together = "\n".join(("", *names))
    if counted := _MANY_LAYERS.search(together):
        raise ModelLoadError(messages.too_many_layers(file.name, counted[1][:20], MAX_LAYERS))
    for what, parts in _SOMETHING_ELSE:
        if any(part in together for part in parts):
            raise ModelLoadError(
                messages.something_else(file.name, what, use.does, _a(use.what), use.example)
            )


def _a(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"

"""Loads VAEs from files, folders and checkpoints. Imports torch and diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.pickles.tensor_tables import read_tensor_table
from paintdiff.models.formats.weight_files import check_weights_in
from paintdiff.models.hub.file_selection import find_part_variant
from paintdiff.models.loading import messages
from paintdiff.models.loading.empty_weights import init_empty_weights
from paintdiff.models.loading.part_checks import check_part

_OWN_NAMES = ("encoder.down_blocks.", "decoder.up_blocks.")
_ENCODER = ("encoder.", "quant_conv.")


class MissingEncoder(torch.nn.Module):
    """A placeholder for a VAE's missing encoder. Calling it raises ModelLoadError."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def forward(self, *_arguments: Any) -> torch.Tensor:
        """Raise ModelLoadError."""
        raise ModelLoadError(messages.vae_without_encoder(self._name))


def load_vae_at(source: Path, class_: Any, config: Mapping[str, Any], spare: Any = None) -> Any:
    """Load the VAE in a file or a folder. A file is built as `class_` and `config` say.

    If it has only a decoder, the encoder is that of the VAE `spare`, or a MissingEncoder.

    Raises:
        ModelNotFoundError: The VAE is missing.
        UnsafeWeightsError: Its format isn't safe.
        ModelLoadError: It can't be loaded.
    """
    if source.is_dir():
        check_weights_in(source)
        check_part(source)
        return diffusers.AutoencoderKL.from_pretrained(
            str(source),
            local_files_only=True,
            use_safetensors=True,
            variant=find_part_variant(source),
        )
    with init_empty_weights():  # allocates no memory for weights that are replaced at once
        network = class_.from_config(config)
    content = read_tensor_table(source)
    tensors = {key: value for key, value in content.items() if isinstance(value, torch.Tensor)}
    return build_vae(network, tensors, source.name, spare)


def build_vae(network: Any, tensors: dict[str, torch.Tensor], name: str, spare: Any = None) -> Any:
    """Fill an empty VAE with weights in diffusers' or the original names (see `load_vae_at`)."""
    if not any(key.startswith(_OWN_NAMES) for key in tensors):
        tensors = convert_ldm_vae_checkpoint(tensors, network.config)
    if not any(key.startswith("encoder.") for key in tensors):
        network.encoder = MissingEncoder(name) if spare is None else spare.encoder
        network.quant_conv = None if spare is None else spare.quant_conv
        tensors = {key: each for key, each in tensors.items() if not key.startswith(_ENCODER)}
        expected = {key for key in network.state_dict() if not key.startswith(_ENCODER)}
    else:
        expected = set(network.state_dict())
    missing, unknown = sorted(expected - tensors.keys()), sorted(tensors.keys() - expected)
    if missing or unknown:
        wrong = messages.lacks(missing[0]) if missing else messages.is_unknown(unknown[0])
        raise ModelLoadError(messages.contains_not_the_vae(name, wrong))
    network.load_state_dict(tensors, strict=False, assign=True)
    return network

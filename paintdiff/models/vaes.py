"""Another VAE than a model's own. Imports torch and diffusers: import it in a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

from paintdiff.errors import ModelError, ModelLoadError
from paintdiff.models.adapter_rows import VaeRow
from paintdiff.models.files.small_files import tensors_in
from paintdiff.models.files.weights import check_weights_in, identity_of
from paintdiff.models.loaders import LoadedModel

_OWN_NAMES = ("encoder.down_blocks.", "decoder.up_blocks.")


@dataclass(frozen=True)
class LoadedVae:
    """A VAE in memory. `hash` identifies its file or folder (see `weights.identity_of`)."""

    row: VaeRow
    network: Any
    hash: str
    weights_bytes: int


def load_vae(row: VaeRow, model: LoadedModel, _report: Callable[[str], None]) -> LoadedVae:
    """Read a VAE onto the device of a model, in the precision of that model's own.

    A single file doesn't say how it is built: like the model's own. Raises ModelNotFoundError,
    UnsafeWeightsError or ModelLoadError.
    """
    own: Any = model.components["vae"]
    source = Path(row.source)
    try:
        network = _from_folder(source) if source.is_dir() else _from_file(source, own)
        network = network.to(device=model.device, dtype=own.dtype)
    except ModelError:
        raise
    except Exception as error:
        raise ModelLoadError(f"The VAE {row.title} can't be loaded: {error}") from error
    network.requires_grad_(False).eval()
    _check_fits(row, network, own, model.row.title)
    size = sum(each.numel() * each.element_size() for each in network.parameters())
    return LoadedVae(row, network, identity_of(source), size)


def _from_folder(source: Path) -> Any:
    check_weights_in(source)
    class_: Any = diffusers.AutoencoderKL
    return class_.from_pretrained(str(source), local_files_only=True, use_safetensors=True)


def _from_file(source: Path, own: Any) -> Any:
    class_: Any = type(own)
    with torch.device("meta"):  # no memory for numbers that are replaced at once
        network = class_.from_config(own.config)
    content = tensors_in(source)
    tensors = {key: value for key, value in content.items() if isinstance(value, torch.Tensor)}
    if not any(key.startswith(_OWN_NAMES) for key in tensors):
        tensors = convert_ldm_vae_checkpoint(tensors, network.config)
    missing, unknown = network.load_state_dict(tensors, strict=False, assign=True)
    if missing or unknown:
        wrong = f"it lacks {missing[0]}" if missing else f"{unknown[0]} is unknown"
        raise ModelLoadError(f"{source.name} doesn't hold a VAE like the model's own: {wrong}.")
    return network


def _check_fits(row: VaeRow, network: Any, own: Any, title: str) -> None:
    """Raise ModelLoadError if the VAE's latents have another shape than the model's."""

    def shape(vae: Any) -> tuple[int, int]:
        return vae.config.latent_channels, 2 ** (len(vae.config.block_out_channels) - 1)

    if shape(network) != shape(own):
        (theirs, their_factor), (ours, our_factor) = shape(network), shape(own)
        raise ModelLoadError(
            f"The VAE {row.title} wasn't made for {title}: it has {theirs} latent channels, each "
            f"{their_factor} pixels wide; the model has {ours} of {our_factor}."
        )

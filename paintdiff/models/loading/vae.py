"""Loads VAEs that replace a model's own. Imports torch: import it inside functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.weight_files import file_identity
from paintdiff.models.loading import messages
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.loading.pipelines import LoadedModel
from paintdiff.models.loading.vae_files import load_vae_at
from paintdiff.models.registry.adapter_rows import VaeRow


@dataclass(frozen=True)
class LoadedVae:
    """A VAE in memory. `hash` identifies its file or folder (see `file_identity`)."""

    row: VaeRow
    network: Any
    hash: str
    weights_bytes: int


def load_vae(row: VaeRow, model: LoadedModel, _report: Callable[[str], None]) -> LoadedVae:
    """Load a VAE onto a model's device, in the precision of that model's own VAE.

    A single file doesn't contain its configuration, so it is built like the model's own. If it has
    only a decoder, the model's encoder is used.

    Raises:
        ModelNotFoundError: The VAE is missing.
        UnsafeWeightsError: Its format isn't safe.
        ModelLoadError: It can't be loaded, or doesn't fit the model.
    """
    own: Any = model.components["vae"]
    source = Path(row.source)
    try:
        network = load_vae_at(source, type(own), own.config, spare=own)
        network = network.to(device=model.device, dtype=own.dtype)
    except Exception as error:
        raise make_load_error(messages.vae_not_loaded(row.title), error) from error
    network.requires_grad_(False).eval()
    _check_fits(row, network, own, model.row.title)
    size = sum(each.numel() * each.element_size() for each in network.parameters())
    return LoadedVae(row, network, file_identity(source), size)


def _check_fits(row: VaeRow, network: Any, own: Any, title: str) -> None:
    """Raise ModelLoadError if the VAE's latents have another shape than the model's."""

    def shape(vae: Any) -> tuple[int, int]:
        return vae.config.latent_channels, 2 ** (len(vae.config.block_out_channels) - 1)

    if shape(network) != shape(own):
        (theirs, their_factor), (ours, our_factor) = shape(network), shape(own)
        raise ModelLoadError(
            messages.vae_does_not_fit(row.title, title, theirs, their_factor, ours, our_factor)
        )

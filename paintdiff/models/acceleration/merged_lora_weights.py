"""A network's weights under their names without LoRAs, with what LoRAs add to them.

Imports torch and peft: import it in a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer

_LORA_PARTS = (".lora_A.", ".lora_B.", ".lora_magnitude_vector.")


@dataclass(frozen=True)
class Weight:
    """One weight of the network, and what LoRAs have beside it.

    It stays the same when the network gets other LoRAs.

    Attributes:
        tensor: The network's own weight.
        parts: The low-rank parts (down, up, scale).
        changes: A DoRA's changes of the weight's rows, (outputs, 1), or columns, (1, inputs), as
            fractions, and their scales.
    """

    tensor: torch.Tensor
    parts: tuple[tuple[torch.Tensor, torch.Tensor, float], ...] = ()
    changes: tuple[tuple[torch.Tensor, float], ...] = ()

    def merge(self) -> torch.Tensor:
        """Return the sum as one tensor: the network's own if there are no parts, or a new one."""
        if not self.parts:
            return self.tensor
        total = self.tensor.detach().clone()
        for change, scale in self.changes:
            change = change.view(*change.shape, *[1] * (total.ndim - 2))
            total += (scale * change * self.tensor).to(total)
        for down, up, scale in self.parts:
            added = up.flatten(1) @ down.flatten(1)
            total += scale * added.reshape(total.shape).to(total)
        return total


def collect_weights(network: torch.nn.Module) -> Mapping[str, Weight]:
    """Return all weights of a network, biases included, by name."""
    layers = {
        path: layer for path, layer in network.named_modules() if isinstance(layer, BaseTunerLayer)
    }
    found: dict[str, Weight] = {}
    for name, tensor in network.named_parameters():
        path, _, last = name.rpartition(".")
        around = path
        while around.endswith(".base_layer"):  # a DoRA has a layer of its own in between
            around = around.removesuffix(".base_layer")
        if around in layers and path != around:
            layer = layers[around]
            found[f"{around}.{last}"] = (
                Weight(tensor, _collect_parts(layer), _collect_changes(layer))
                if last == "weight"
                else Weight(tensor)
            )
        elif not any(part in name for part in _LORA_PARTS):
            found[name] = Weight(tensor)
    return found


def find_active_loras(network: torch.nn.Module) -> frozenset[tuple[str, float]]:
    """Return the names and scales of the LoRAs that act in a network.

    Each injection has its own name, so a network with equal names and scales computes the same.
    """
    layers: list[Any] = [each for each in network.modules() if isinstance(each, BaseTunerLayer)]
    return frozenset(
        (key, layer.scaling[key])
        for layer in layers
        for key in layer.active_adapters
        if key in layer.lora_A
    )


def _collect_parts(layer: Any) -> tuple[tuple[torch.Tensor, torch.Tensor, float], ...]:
    return tuple(
        (layer.lora_A[key].weight.detach(), layer.lora_B[key].weight.detach(), layer.scaling[key])
        for key in layer.active_adapters
        if key in layer.lora_A
    )


def _collect_changes(layer: Any) -> tuple[tuple[torch.Tensor, float], ...]:
    changes = layer.lora_magnitude_vector
    return tuple(
        (changes[key].weight.detach(), layer.scaling[key])
        for key in layer.active_adapters
        if key in changes
    )

"""A network's weights under their names without LoRAs, with what LoRAs add to them.

Imports torch and peft: import it in a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer


@dataclass(frozen=True)
class Weight:
    """One weight of the network, and the LoRAs' low-rank parts (down, up, scale) beside it.

    They stay the same when the network gets other LoRAs.
    """

    tensor: torch.Tensor
    parts: tuple[tuple[torch.Tensor, torch.Tensor, float], ...] = ()

    def merge(self) -> torch.Tensor:
        """Return the sum as one tensor: the network's own if there are no parts, or a new one."""
        if not self.parts:
            return self.tensor
        total = self.tensor.detach().clone()
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
        around = path.removesuffix(".base_layer")
        if around in layers and path != around:
            parts = _collect_parts(layers[around]) if last == "weight" else ()
            found[f"{around}.{last}"] = Weight(tensor, parts)
        elif ".lora_A." not in name and ".lora_B." not in name:
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

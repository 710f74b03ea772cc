"""A network's weights by the names that they have without LoRAs, with what these add to them.

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
    """One as it is in the network, and the LoRAs' low-rank parts (down, up, scale) beside it. They
    stay what they are when the network gets other LoRAs.
    """

    tensor: torch.Tensor
    parts: tuple[tuple[torch.Tensor, torch.Tensor, float], ...] = ()

    def merged(self) -> torch.Tensor:
        """All of it in one tensor: the network's own if there are no parts, else a new one."""
        if not self.parts:
            return self.tensor
        total = self.tensor.detach().clone()
        for down, up, scale in self.parts:
            added = up.flatten(1) @ down.flatten(1)
            total += scale * added.reshape(total.shape).to(total)
        return total


def weights_of(network: torch.nn.Module) -> Mapping[str, Weight]:
    """All of a network's, biases included."""
    layers = {
        path: layer for path, layer in network.named_modules() if isinstance(layer, BaseTunerLayer)
    }
    found: dict[str, Weight] = {}
    for name, tensor in network.named_parameters():
        path, _, last = name.rpartition(".")
        around = path.removesuffix(".base_layer")
        if around in layers and path != around:
            parts = _parts(layers[around]) if last == "weight" else ()
            found[f"{around}.{last}"] = Weight(tensor, parts)
        elif ".lora_A." not in name and ".lora_B." not in name:
            found[name] = Weight(tensor)
    return found


def inject_weights(network: torch.nn.Module) -> frozenset[tuple[str, float]]:
    """The LoRAs that act in a network, by their names in it and scales: each injection has a name
    of its own, so what is alike computes the same.
    """
    layers: list[Any] = [each for each in network.modules() if isinstance(each, BaseTunerLayer)]
    return frozenset(
        (key, layer.scaling[key])
        for layer in layers
        for key in layer.active_adapters
        if key in layer.lora_A
    )


def _parts(layer: Any) -> tuple[tuple[torch.Tensor, torch.Tensor, float], ...]:
    return tuple(
        (layer.lora_A[key].weight.detach(), layer.lora_B[key].weight.detach(), layer.scaling[key])
        for key in layer.active_adapters
        if key in layer.lora_A
    )

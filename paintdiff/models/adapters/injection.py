"""Puts a LoRA's pair of matrices around one layer of a network, and takes it off again.

Imports torch and peft: import it in a function.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from peft.tuners import lora
from peft.tuners.tuners_utils import BaseTunerLayer

from paintdiff.models.adapters.dora import (
    GainChange,
    RescaledLayer,
    compute_gains,
    multiply_gains,
)
from paintdiff.models.adapters.low_rank import LowRank

# The same for all layers of all LoRAs: no dropout, no bias, no initial values.
_PLAIN = lora.LoraConfig(init_lora_weights=False, inference_mode=True)


def find_layer(
    layers: Mapping[str, torch.nn.Module], spellings: Iterator[str]
) -> tuple[str, torch.nn.Module] | None:
    """Return the first layer of `layers` (by path) that a LoRA can wrap, and its path."""
    for spelling in spellings:
        layer = layers.get(spelling)
        if isinstance(layer, BaseTunerLayer):
            layer = layer.get_base_layer()
        if isinstance(layer, torch.nn.Linear):
            return spelling, layer
        if isinstance(layer, torch.nn.Conv2d) and layer.groups == 1:
            return spelling, layer
    return None


def find_weight_shape(layer: torch.nn.Module) -> tuple[int, ...]:
    """Return (outputs, inputs, ...) of a linear layer or convolution."""
    if isinstance(layer, torch.nn.Linear):  # quantized weights have other shapes
        return (layer.out_features, layer.in_features)
    assert isinstance(layer, torch.nn.Conv2d)
    return (layer.out_channels, layer.in_channels, *layer.kernel_size)


def reshape_pair(part: LowRank, layer: torch.nn.Module) -> LowRank | None:
    """Return the pair in the shapes that a layer takes, None if they don't fit.

    A linear layer and a convolution of 1x1 are equivalent.
    """
    outputs, inputs, *kernel = find_weight_shape(layer)
    rank = part.rank
    if not 1 <= rank <= max(outputs, inputs):
        return None
    down, up = part.down, part.up
    if not kernel or kernel == [1, 1]:
        if down.shape[2:].numel() != 1 or up.shape[2:].numel() != 1:
            return None
        tail = (1,) * len(kernel)
        down, up = (half.reshape(*half.shape[:2], *tail) for half in (down, up))
    elif up.ndim == 2:
        up = up[..., None, None]
    tail = (1,) * len(kernel)
    if down.shape != (rank, inputs, *kernel) or up.shape != (outputs, rank, *tail):
        return None
    return LowRank(down, up, part.magnitudes)


def inject_pair(component: torch.nn.Module, path: str, key: str, part: LowRank) -> int:
    """Add a pair, which has to fit, to a component's layer; return how many bytes it takes.

    Layers are wrapped one by one: `peft.inject_adapter_in_model` takes ranks as patterns, and
    compares each of them with the path of each layer, which takes minutes.

    Raises:
        ArithmeticError: A DoRA's weight would be infinite or NaN.
    """
    layer: Any = component.get_submodule(path)
    gains = None
    if part.magnitudes is not None:
        original = layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer
        gains = compute_gains(original, part, part.magnitudes)
        part = multiply_gains(part, gains)
    wrapper = _add_adapter(layer, key, part.rank)
    weight: torch.Tensor = wrapper.get_base_layer().weight
    dtype = weight.dtype if weight.is_floating_point() else part.down.dtype  # GGUF has bytes
    size_bytes = 0
    for halves, half in ((wrapper.lora_A, part.down), (wrapper.lora_B, part.up)):
        numbers = half.to(weight.device, dtype).contiguous()
        halves[key].weight = torch.nn.Parameter(numbers, requires_grad=False)
        size_bytes += numbers.nbytes
    if gains is not None:
        # PEFT's place for what a DoRA has beside the pair, which it moves and deletes with it.
        wrapper.lora_magnitude_vector[key] = GainChange(gains)
        if not isinstance(wrapper.base_layer, RescaledLayer):
            wrapper.base_layer = RescaledLayer(wrapper.base_layer)
        size_bytes += gains.nbytes
    if wrapper is not layer:
        parent, _, name = path.rpartition(".")
        setattr(component.get_submodule(parent), name, wrapper)
    return size_bytes


def set_strengths(component: torch.nn.Module, strengths: Mapping[str, float]) -> None:
    """Let only these adapters act, by their keys; one with a strength of 0 doesn't."""
    active = [key for key, strength in strengths.items() if strength]
    for layer in _find_tuned_layers(component):
        layer.set_adapter(active, inference_mode=True)
        for key in active:
            layer.set_scale(key, strengths[key])
        if isinstance(layer.base_layer, RescaledLayer):
            changes = layer.lora_magnitude_vector
            layer.base_layer.rescale(
                strengths[key] * changes[key].weight for key in active if key in changes
            )


def eject(component: torch.nn.Module, key: str) -> None:
    """Remove one adapter from a component's layers; the wrappers stay for others."""
    for layer in _find_tuned_layers(component):
        layer.set_adapter([each for each in layer.active_adapters if each != key])
        layer.delete_adapter(key)
        base = layer.base_layer
        if isinstance(base, RescaledLayer) and not len(layer.lora_magnitude_vector):
            layer.base_layer = base.base_layer


def unwrap_all(component: torch.nn.Module) -> None:
    """Remove all adapters: every layer is the original object again."""
    for parent in list(component.modules()):
        for name, child in parent.named_children():
            if isinstance(child, BaseTunerLayer):
                setattr(parent, name, child.get_base_layer())


def _find_tuned_layers(component: torch.nn.Module) -> list[Any]:
    return [layer for layer in component.modules() if isinstance(layer, BaseTunerLayer)]


def _add_adapter(layer: Any, key: str, rank: int) -> Any:
    """Return a wrapper of the layer, or the layer if it is one, with an adapter without numbers."""
    # With an alpha equal to the rank the scale is 1: it is multiplied into the numbers already.
    settings: dict[str, Any] = {"r": rank, "lora_alpha": rank, "config": _PLAIN}
    with torch.device("meta"):  # so no random values are drawn, which are replaced anyway
        if isinstance(layer, BaseTunerLayer):
            wrapper: Any = layer
            wrapper.update_layer(key, **settings)
            return wrapper
        kind = lora.Linear if isinstance(layer, torch.nn.Linear) else lora.Conv2d
        return kind(layer, key, **settings).train(layer.training)

"""Weights kept in 8 bits: integers from -127 to 127, and one scale per output of a layer.

A layer unpacks its weights to compute and frees them afterwards. The network takes a quarter of its
memory in full precision, and still computes in full precision. Each output's largest weight becomes
127; torch's parametrizations do the rest. Imports torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils import parametrize

from paintdiff.models.memory import usage

LEAST_NUMBERS = 2**12
"""The least number of weights of a packed layer; smaller layers stay unpacked."""

_LARGEST = 127
_KINDS = (torch.nn.Linear, torch.nn.Conv2d)
_HALVES = (torch.float16, torch.bfloat16)


class _Unpacking(torch.nn.Module):
    """A parametrization that unpacks a layer's weights; scales are in `dtype`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def forward(self, packed: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the weights for `packed` (outputs, ...) int8 and `scale` (outputs, 1, ...)."""
        return packed * scale

    def right_inverse(self, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the packed weights and their scales."""
        numbers = weight.to(torch.float32, copy=True)
        least, most = numbers.flatten(1).aminmax(dim=1)
        scale = torch.maximum(-least, most).div_(_LARGEST).view(-1, *[1] * (numbers.dim() - 1))
        numbers.div_(scale.clamp_min(torch.finfo(scale.dtype).tiny)).round_()
        return numbers.to(torch.int8), scale.to(self._dtype)


def quantize_to_int8(network: torch.nn.Module, dtype: torch.dtype) -> None:
    """Pack the weights of a network's layers, one layer after the other.

    Afterwards the network computes in `dtype`; unpacked weights in another half precision are
    converted to it. Layers that were packed or quantized before are left alone.
    """
    for layer in network.modules():
        if type(layer) in _KINDS:  # packed layers have a class of their own
            _pack(layer, dtype)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dtype in _HALVES:
            tensor.data = tensor.data.to(dtype)
    usage.trim_memory()


def is_int8(network: torch.nn.Module) -> bool:
    """Return whether some of the network's weights are packed."""
    return any(parametrize.is_parametrized(layer, "weight") for layer in network.modules())


def _pack(layer: Any, dtype: torch.dtype) -> None:
    weight = layer.weight
    if weight.numel() < LEAST_NUMBERS or not weight.is_floating_point():
        return
    weight.requires_grad_(False)
    parametrize.register_parametrization(layer, "weight", _Unpacking(dtype), unsafe=True)

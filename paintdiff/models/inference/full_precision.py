"""Computing in float32 again what half precision turned into NaN values.

float16 overflows above 65504, which some VAEs and text encoders reach. Imports torch: import it in
a function.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import torch

_HALF = (torch.float16, torch.bfloat16)
_PLAIN = (torch.Tensor, torch.nn.Parameter)


def can_be_float32(networks: Iterable[torch.nn.Module]) -> bool:
    """Return whether `run_in_float32` changes anything: some weights are in half precision, and
    none are packed (GGUF, 8 bits), since those are unpacked to half precision.
    """
    tensors = list(_tensors(networks))
    packed = any(type(each) not in _PLAIN or each.element_size() < 2 for each in tensors)
    return not packed and any(each.dtype in _HALF for each in tensors)


@contextmanager
def run_in_float32(networks: Iterable[torch.nn.Module]) -> Generator[None]:
    """Keep the networks' half-precision weights in float32 inside the `with`.

    Takes twice their memory. Casting up and back again changes no bit of them.
    """
    cast: list[tuple[torch.Tensor, torch.dtype]] = []
    try:
        for tensor in _tensors(networks):
            if tensor.dtype in _HALF:
                cast.append((tensor, tensor.dtype))
                tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, dtype in cast:
            tensor.data = tensor.data.to(dtype)


def _tensors(networks: Iterable[torch.nn.Module]) -> Iterator[torch.Tensor]:
    """Yield the weights and buffers of all networks, shared ones once."""
    seen: set[int] = set()
    for network in networks:
        for tensor in (*network.parameters(), *network.buffers()):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield tensor

"""Computing in float32 again what half precision turned into NaN values.

float16 overflows above 65504, which some VAEs and text encoders reach. Imports torch: import it in
a function.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch

_HALF = (torch.float16, torch.bfloat16)


def can_be_float32(networks: Sequence[torch.nn.Module]) -> bool:
    """Return whether `run_in_float32` changes anything.

    It does if some weights are in half precision and all can be cast. Packed weights of GGUF are
    unpacked to half precision; ours of 8 bits (`int8_weights`) are multiplied by a scale, which is
    cast.
    """
    tensors = list(_tensors(networks))
    return any(each.dtype in _HALF for each in tensors) and not any(map(_is_packed, tensors))


def moves_in_parts(networks: Iterable[torch.nn.Module]) -> bool:
    """Return whether diffusers moves some weights layer by layer. It keeps copies, so that what is
    cast on the way would be lost.
    """
    parts = (part for network in networks for part in network.modules())
    return any(hasattr(part, "_diffusers_hook") for part in parts)


def _is_packed(tensor: torch.Tensor) -> bool:
    return tensor.element_size() < 2 and tensor.dtype not in (torch.int8, torch.bool)


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

"""Computing in float32 again what half precision turned into NaN values.

float16 overflows above 65504, which some VAEs and text encoders reach. Imports torch: import it in
a function.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import torch

from paintdiff.models.acceleration.openvino.unet import ComputeChoice
from paintdiff.models.inference import messages

logger = logging.getLogger(__name__)

Stage = Literal["denoised", "decoded"]
"""What a run has done: denoised latents, or decoded them."""

_HALF = (torch.float16, torch.bfloat16)


class Float32Retry:
    """Computes a stage again in float32 if half precision gives NaN values.

    `computing` is how the networks are computed otherwise. `retried` are the stages that failed
    once: they are computed in float32 at once from then on. Leases that belong together share it.
    """

    def __init__(
        self, computing: ComputeChoice, title: str, retried: set[Stage] | None = None
    ) -> None:
        self._computing = computing
        self._title = title
        self.retried: set[Stage] = set() if retried is None else retried

    def compute(
        self,
        stage: Stage,
        networks: Sequence[torch.nn.Module],
        compute: Callable[[ComputeChoice], torch.Tensor],
        *,
        may_retry: bool = True,
    ) -> torch.Tensor:
        """Return what `compute` returns, computed in float32 if half precision gives NaN values.

        `networks` are all whose weights take part. The result may hold NaN values: where
        `may_retry` is False, where the weights can't be cast, and where float32 gives them too.
        """
        if stage not in self.retried:
            result = compute(self._computing)
            if result.isfinite().all() or not (may_retry and self._can_retry(networks)):
                return result
            logger.warning("%s gave NaN values when %s; now in float32", self._title, stage)
            self.retried.add(stage)
        kernels = replace(self._computing.kernels, bfloat16=False)
        with run_in_float32(networks):
            return compute(replace(self._computing, kernels=kernels, backend=None))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the sentences for people about what was computed again."""
        stages: tuple[Stage, ...] = ("denoised", "decoded")
        done = [each for each in stages if each in self.retried]
        if not done:
            return ()
        return (messages.again_in_float32(self._title, " and ".join(done)),)

    def fork(self) -> Float32Retry:
        """Return one for results that don't matter, whose failures change nothing here."""
        return Float32Retry(self._computing, self._title, set(self.retried))

    def _can_retry(self, networks: Sequence[torch.nn.Module]) -> bool:
        is_more_precise = self._computing.kernels.bfloat16 or can_be_float32(networks)
        return is_more_precise and not is_offloaded_by_layer(networks)


def can_be_float32(networks: Sequence[torch.nn.Module]) -> bool:
    """Return whether `run_in_float32` changes anything.

    It does if some weights are in half precision and all can be cast. Packed weights of GGUF are
    unpacked to half precision; our 8-bit weights (`int8_weights`) are multiplied by a scale, which
    is cast.
    """
    tensors = list(_iterate_tensors(networks))
    return any(each.dtype in _HALF for each in tensors) and not any(map(_is_packed, tensors))


def is_offloaded_by_layer(networks: Iterable[torch.nn.Module]) -> bool:
    """Return whether diffusers offloads some weights layer by layer.

    It keeps copies of them, so weights that are cast on the way would be lost.
    """
    parts = (part for network in networks for part in network.modules())
    return any(hasattr(part, "_diffusers_hook") for part in parts)


def _is_packed(tensor: torch.Tensor) -> bool:
    return tensor.element_size() < 2 and tensor.dtype not in (torch.int8, torch.bool)


@contextmanager
def run_in_float32(networks: Iterable[torch.nn.Module]) -> Generator[None]:
    """Keep the networks' half-precision weights in float32 inside the `with`.

    This takes twice their memory. Casting up and back again changes no bit of them.
    """
    cast: list[tuple[torch.Tensor, torch.dtype]] = []
    try:
        for tensor in _iterate_tensors(networks):
            if tensor.dtype in _HALF:
                cast.append((tensor, tensor.dtype))
                tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, dtype in cast:
            tensor.data = tensor.data.to(dtype)


def _iterate_tensors(networks: Iterable[torch.nn.Module]) -> Iterator[torch.Tensor]:
    """Yield the weights and buffers of all networks, shared ones once."""
    seen: set[int] = set()
    for network in networks:
        for tensor in (*network.parameters(), *network.buffers()):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield tensor

"""The memory format and precision with which a UNet is fastest on this machine.

A short measurement at first use decides, and is kept. Imports torch: import it in a function.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from pydantic import TypeAdapter

from paintdiff.models.acceleration.measurements import WORTH_IT, MeasurementFile

FILE_NAME = "kernels.json"

_ROUNDS = 7
_SIDE = 32
_EMBEDDED = 128


@dataclass(frozen=True)
class Kernels:
    """The kernels that torch computes a network with.

    With `channels_last` the weights are in that memory format. With `bfloat16` the operations that
    gain by it run in half precision (`torch.autocast`), whatever the weights are in.
    """

    channels_last: bool = False
    bfloat16: bool = False


USUAL = Kernels()
CANDIDATES = (USUAL, Kernels(channels_last=True), Kernels(channels_last=True, bfloat16=True))

Measure = Callable[[torch.device, torch.dtype, int], dict[Kernels, float]]
"""Returns how many seconds each of `CANDIDATES` takes for a part of a UNet.

The arguments are a device, the dtype of the weights, and a number of channels.
"""


def synchronize(device: torch.device) -> None:
    """Wait until the device is done with its work, so that times measure it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def measure_kernels(
    device: torch.device, dtype: torch.dtype, channels: int
) -> dict[Kernels, float]:
    """Measure each candidate on one residual block; the result is in seconds.

    They take turns, and the fastest of seven rounds counts, since other programs may be running. It
    takes a second or two on a slow CPU.
    """
    seconds: dict[Kernels, list[float]] = {each: [] for each in CANDIDATES}
    sample = torch.randn(2, channels, _SIDE, _SIDE, device=device, dtype=dtype)
    time_embedding = torch.randn(2, _EMBEDDED, device=device, dtype=dtype)
    with torch.no_grad():
        blocks = {each: _make_block(each, device, dtype, channels) for each in CANDIDATES}
        for number in range(_ROUNDS + 1):  # one to warm up
            for kernels, block in blocks.items():
                started = time.perf_counter()
                with use_precision(kernels, device):
                    block(sample, time_embedding)
                synchronize(device)
                if number:
                    seconds[kernels].append(time.perf_counter() - started)
    return {kernels: min(each) for kernels, each in seconds.items()}


def _make_block(
    kernels: Kernels, device: torch.device, dtype: torch.dtype, channels: int
) -> ResnetBlock2D:
    groups = 32 if channels % 32 == 0 else 1
    block = ResnetBlock2D(in_channels=channels, temb_channels=_EMBEDDED, groups=groups)
    block = block.to(device=device, dtype=dtype).eval()
    return block.to(memory_format=torch.channels_last) if kernels.channels_last else block


def use_precision(kernels: Kernels, device: torch.device) -> Any:
    """Return the context in which networks are computed."""
    if not kernels.bfloat16:
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


class InHalfPrecision:
    """Replaces a denoiser during one run: the operations that gain by it run in bfloat16.

    The results are float32, so that guidance and sampler lose nothing.
    """

    def __init__(self, denoiser: Any) -> None:
        self._denoiser = denoiser

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)

    @property
    def dtype(self) -> torch.dtype:
        """Return the precision of inputs and results, whatever the weights are in."""
        return torch.float32

    def __call__(self, *args: Any, **settings: Any) -> tuple[torch.Tensor]:
        """Predict as the denoiser does with `return_dict=False`, which is how pipelines call it."""
        with torch.autocast(self._denoiser.device.type, dtype=torch.bfloat16):
            predicted = self._denoiser(*args, **settings)[0]
        return (predicted.float(),)


class KernelChoice:
    """The fastest kernels by machine, torch, device, dtype and channels.

    Measurements are kept in the folder `cache` (None: in memory only). Use it from one thread at a
    time.
    """

    def __init__(self, cache: Path | None, measure: Measure = measure_kernels) -> None:
        file = None if cache is None else cache / FILE_NAME
        self._known = MeasurementFile(file, TypeAdapter(dict[str, Kernels]))
        self._measure = measure

    def choose(self, device: torch.device, dtype: torch.dtype, channels: int) -> Kernels:
        """Return the kernels for a UNet whose first block has that many channels."""
        key = _make_key(device, dtype, channels)
        found = self._known.get(key)
        if found is None:
            found = choose_fastest(self._measure(device, dtype, channels), dtype)
            self._known.set(key, found)
        return found


def choose_fastest(seconds: dict[Kernels, float], dtype: torch.dtype) -> Kernels:
    """Return the fastest kernels, or the usual ones unless others are clearly faster.

    Weights in half precision keep their own.
    """
    allowed = [each for each in seconds if dtype == torch.float32 or not each.bfloat16]
    best = min(allowed, key=lambda each: seconds[each])
    return best if seconds[best] < WORTH_IT * seconds[USUAL] else USUAL


def _make_key(device: torch.device, dtype: torch.dtype, channels: int) -> str:
    cpu = (platform.node(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return json.dumps([*cpu, torch.__version__, name, str(dtype), channels])


class MemoryFormat:
    """The memory format of networks' weights, which is changed in place and back.

    No number changes, and afterwards each weight has the strides it had before.
    """

    def __init__(self, networks: Iterable[torch.nn.Module]) -> None:
        self._networks = tuple(networks)
        self._before: list[tuple[torch.Tensor, tuple[int, ...]]] = []

    def set_channels_last(self, wanted: bool) -> None:
        """Set whether the weights of convolutions are in the channels-last format."""
        if wanted and not self._before:
            for network in self._networks:
                for tensor in network.parameters():
                    if tensor.ndim == 4:
                        self._before.append((tensor, tensor.stride()))
                        tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        elif not wanted:
            for tensor, stride in self._before:
                restored = torch.empty_strided(
                    tensor.shape, stride, dtype=tensor.dtype, device=tensor.device
                )
                tensor.data = restored.copy_(tensor.data)
            self._before.clear()

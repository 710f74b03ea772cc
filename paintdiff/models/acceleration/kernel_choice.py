"""How a UNet's numbers lie in memory and how precise they are, as this machine is quickest with: by
a short measurement at first use, which is remembered. Imports torch: import it in a function.
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
    """`channels_last` is the order in which weights lie, `bfloat16` says that what gains by it is
    computed in half precision (`torch.autocast`), from the weights as they are.
    """

    channels_last: bool = False
    bfloat16: bool = False


USUAL = Kernels()
CANDIDATES = (USUAL, Kernels(channels_last=True), Kernels(channels_last=True, bfloat16=True))

Measure = Callable[[torch.device, torch.dtype, int], dict[Kernels, float]]
"""The seconds that each of CANDIDATES takes for a UNet's work on a device, at weights of a dtype
and a number of channels.
"""


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given, so that times measure the work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def measure_kernels(
    device: torch.device, dtype: torch.dtype, channels: int
) -> dict[Kernels, float]:
    """By turns on one residual block: the least of seven rounds, as other programs may be at work;
    a second or two in all, on a slow CPU.
    """
    seconds: dict[Kernels, list[float]] = {each: [] for each in CANDIDATES}
    sample = torch.randn(2, channels, _SIDE, _SIDE, device=device, dtype=dtype)
    time_embedding = torch.randn(2, _EMBEDDED, device=device, dtype=dtype)
    with torch.no_grad():
        blocks = {each: _block(each, device, dtype, channels) for each in CANDIDATES}
        for number in range(_ROUNDS + 1):  # one to warm up
            for kernels, block in blocks.items():
                started = time.perf_counter()
                with get_precision(kernels, device):
                    block(sample, time_embedding)
                synchronize(device)
                if number:
                    seconds[kernels].append(time.perf_counter() - started)
    return {kernels: min(each) for kernels, each in seconds.items()}


def _block(
    kernels: Kernels, device: torch.device, dtype: torch.dtype, channels: int
) -> ResnetBlock2D:
    groups = 32 if channels % 32 == 0 else 1
    block = ResnetBlock2D(in_channels=channels, temb_channels=_EMBEDDED, groups=groups)
    block = block.to(device=device, dtype=dtype).eval()
    return block.to(memory_format=torch.channels_last) if kernels.channels_last else block


def get_precision(kernels: Kernels, device: torch.device) -> Any:
    """What to compute inside of."""
    if not kernels.bfloat16:
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


class InHalfPrecision:
    """Stands in for a denoiser during one run: what gains by it is computed in bfloat16. What comes
    out is float32 again, so that guidance and sampler lose nothing.
    """

    def __init__(self, denoiser: Any) -> None:
        self._denoiser = denoiser

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)

    @property
    def dtype(self) -> torch.dtype:
        """What goes in and comes out, whatever its weights are in."""
        return torch.float32

    def __call__(self, *args: Any, **settings: Any) -> tuple[torch.Tensor]:
        """As the denoiser's with `return_dict=False`, which is how pipelines call it."""
        with torch.autocast(self._denoiser.device.type, dtype=torch.bfloat16):
            predicted = self._denoiser(*args, **settings)[0]
        return (predicted.float(),)


class KernelChoice:
    """The quickest kernels by machine, torch, device, dtype and channels, kept in `cache` (a
    folder; None keeps them in memory only). To be used by one thread at a time.
    """

    def __init__(self, cache: Path | None, measure: Measure = measure_kernels) -> None:
        file = None if cache is None else cache / FILE_NAME
        self._known = MeasurementFile(file, TypeAdapter(dict[str, Kernels]))
        self._measure = measure

    def of(self, device: torch.device, dtype: torch.dtype, channels: int) -> Kernels:
        """The kernels for a UNet whose first block has that many channels."""
        key = _key(device, dtype, channels)
        found = self._known.get(key)
        if found is None:
            found = choose_quickest(self._measure(device, dtype, channels), dtype)
            self._known.set(key, found)
        return found


def choose_quickest(seconds: dict[Kernels, float], dtype: torch.dtype) -> Kernels:
    """Of what was measured: the usual ones unless others are clearly quicker. Weights that are in
    half precision already stay in theirs.
    """
    allowed = [each for each in seconds if dtype == torch.float32 or not each.bfloat16]
    best = min(allowed, key=lambda each: seconds[each])
    return best if seconds[best] < WORTH_IT * seconds[USUAL] else USUAL


def _key(device: torch.device, dtype: torch.dtype, channels: int) -> str:
    cpu = (platform.node(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return json.dumps([*cpu, torch.__version__, name, str(dtype), channels])


class MemoryFormat:
    """The order in which the weights of networks lie, changed in place and back: no number changes,
    and afterwards all lie as they did to begin with.
    """

    def __init__(self, networks: Iterable[torch.nn.Module]) -> None:
        self._networks = tuple(networks)
        self._before: list[tuple[torch.Tensor, tuple[int, ...]]] = []

    def set_channels_last(self, wanted: bool) -> None:
        """Whether the weights of convolutions lie channel by channel."""
        if wanted and not self._before:
            for network in self._networks:
                for tensor in network.parameters():
                    if tensor.ndim == 4:
                        self._before.append((tensor, tensor.stride()))
                        tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
        elif not wanted:
            for tensor, stride in self._before:
                laid = torch.empty_strided(
                    tensor.shape, stride, dtype=tensor.dtype, device=tensor.device
                )
                tensor.data = laid.copy_(tensor.data)
            self._before.clear()

"""Memory: how much is available, how much a model will take, and which models to drop for room.

Importable without torch.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import MemoryBudgetError
from paintdiff.models.formats.weight_files import count_parameters, is_gguf, is_pickle
from paintdiff.models.memory import messages
from paintdiff.models.memory.container_limits import read_memory_limit

DEFAULT_SHARE = 0.8
"""The fraction of the device's memory that weights may take unless a budget is given."""


@dataclass(frozen=True)
class Resident:
    """A model in memory; sequences of them are ordered least recently used first."""

    name: str
    weights_bytes: int
    in_use: bool


@dataclass(frozen=True)
class MemoryUse:
    """The memory use of the device: its GPU memory, or on a CPU this process's memory."""

    used_bytes: int
    total_bytes: int


def measure_memory(device: str) -> MemoryUse:
    """Measure the current memory use. Cheap; never imports torch."""
    torch = sys.modules.get("torch")
    if device.startswith("cuda") and torch is not None and torch.cuda.is_initialized():
        free, total = torch.cuda.mem_get_info(device)
        return MemoryUse(total - free, total)
    if device.startswith("mps") and torch is not None and torch.backends.mps.is_available():
        return MemoryUse(torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory())
    total, limit = psutil.virtual_memory().total, read_memory_limit()
    most = total if limit is None else min(total, limit.total_bytes)
    return MemoryUse(psutil.Process().memory_info().rss, most)


def count_free_bytes() -> int:
    """Return the main memory available now, within the limit of the container if there is one."""
    available, limit = psutil.virtual_memory().available, read_memory_limit()
    return available if limit is None else min(available, limit.available_bytes)


def count_available_bytes(device: str) -> int | None:
    """Return the device's memory available now.

    None until a GPU has been initialised. Never imports torch.
    """
    torch = sys.modules.get("torch")
    if device.startswith("mps") and torch is not None and torch.backends.mps.is_available():
        most = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        return max(0, min(count_free_bytes(), most))  # Apple's GPU shares the main memory
    if not device.startswith("cuda"):
        return count_free_bytes()
    if torch is None or not torch.cuda.is_initialized():
        return None
    free, _total = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def attention_is_fused(device: str) -> bool:
    """Return whether torch can compute attention there without holding all of its scores at once.

    `torch.nn.attention.sdpa_kernel` may have disabled that. Never imports torch.
    """
    kind, torch = device.split(":")[0], sys.modules.get("torch")
    if kind not in ("cpu", "cuda"):
        return False
    if torch is None:
        return True
    enabled = torch.backends.cuda  # CPUs use these settings too, but only have flash
    if kind == "cpu" or enabled.flash_sdp_enabled():
        return enabled.flash_sdp_enabled()
    return enabled.mem_efficient_sdp_enabled() or enabled.cudnn_sdp_enabled()


def release_memory() -> None:
    """Free memory that nothing references any more, on every device."""
    gc.collect()
    trim_memory()
    empty_cache()


def trim_memory() -> None:
    """Return freed main memory in small pieces to the system.

    glibc's allocator keeps it otherwise. Does nothing with other allocators.
    """
    if sys.platform == "linux":
        trimmed = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trimmed is not None:
            trimmed(0)


def empty_cache() -> None:
    """Return memory that torch caches to the GPU, and pinned main memory to the system.

    Does nothing without a GPU.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.accelerator.empty_host_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def estimate_bytes(files: Iterable[Path], bytes_per_parameter: int) -> int:
    """Estimate the memory of the weights in these files once loaded, by their headers.

    A pickle has no header, so it counts as full precision. GGUF stays as small in memory as on
    disk.
    """
    parameters, as_they_are = 0, 0
    for path in files:
        if is_pickle(path):
            parameters += path.stat().st_size // 4
        elif is_gguf(path):
            as_they_are += path.stat().st_size
        else:
            parameters += count_parameters([path])
    return parameters * bytes_per_parameter + as_they_are


def choose_evictions(
    residents: Sequence[Resident],
    needed_bytes: int,
    budget_bytes: int,
    available_bytes: int | None = None,
) -> tuple[str, ...]:
    """Choose the models to drop, least recently used first, to make room for `needed_bytes` more.

    They then fit into the budget and, as far as dropping helps, into the memory available now
    (None: unknown).

    A model in use is never dropped. Raises MemoryBudgetError if it can't fit into the budget.
    """
    held = sum(resident.weights_bytes for resident in residents)
    lacking = 0 if available_bytes is None else needed_bytes - available_bytes
    names: list[str] = []
    for resident in residents:
        if held + needed_bytes <= budget_bytes and lacking <= 0:
            break
        if not resident.in_use:
            names.append(resident.name)
            held -= resident.weights_bytes
            lacking -= resident.weights_bytes
    if held + needed_bytes > budget_bytes:
        raise MemoryBudgetError(
            messages.model_needs_memory(
                format_byte_size(needed_bytes),
                format_byte_size(max(0, budget_bytes - held)),
                format_byte_size(budget_bytes),
            ),
            needed_bytes,
        )
    return tuple(names)

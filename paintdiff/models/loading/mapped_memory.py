"""Weights in mapped files, which have to leave them. Imports torch: import it in a function."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from pathlib import Path

import torch


def copy_mapped_tensors(modules: Iterable[torch.nn.Module]) -> None:
    """Copy CPU tensors that may be memory-mapped.

    If a mapped file were cut off later, the process would be killed (SIGBUS) during a run.
    """
    spans = _list_file_spans()
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            quantized = type(tensor) not in (torch.nn.Parameter, torch.Tensor)  # quantized by us
            if tensor.device.type == "cpu" and not quantized and _may_be_mapped(spans, tensor):
                tensor.data = tensor.data.clone()


def _list_file_spans() -> list[tuple[int, int]] | None:
    """List the address ranges of mapped files in order, None if the system doesn't tell."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return None
    lines = (line.split(maxsplit=5) for line in maps.read_text(errors="replace").splitlines())
    # A mapped file has a path. Its inode can be 0, like that of anonymous memory.
    spans = (fields[0].split("-") for fields in lines if fields[5:] and fields[5][0] == "/")
    return [(int(start, 16), int(end, 16)) for start, end in spans]


def _may_be_mapped(spans: list[tuple[int, int]] | None, tensor: torch.Tensor) -> bool:
    """Return whether a tensor may be in a mapped file."""
    if spans is None:
        return True
    address = tensor.data_ptr()
    at = bisect.bisect(spans, address, key=lambda span: span[0]) - 1
    return at >= 0 and address < spans[at][1]

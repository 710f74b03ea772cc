"""The C allocator: large blocks go back to the system as soon as they are freed.

glibc maps blocks from a threshold on, one by one, and returns them when they are freed. By default
the threshold grows with the largest block that was freed, up to 32 MiB; from then on the tensors of
jobs of many sizes come from the heap and leave gaps that others don't fit into. A fixed threshold
keeps a process that runs for days small and takes no more time. See benchmarks/RESULTS.md.
"""

from __future__ import annotations

import ctypes
import os
import sys

MAP_FROM_BYTES = 8 * 2**20

_M_MMAP_THRESHOLD = -3  # glibc's malloc.h
_BY_HAND = ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def set_up_allocator() -> None:
    """Let glibc map blocks from `MAP_FROM_BYTES` on, for as long as the process lives.

    Does nothing with other allocators, or if a person has set the threshold in the environment.
    """
    if sys.platform != "linux" or any("mmap_threshold" in _read(name) for name in _BY_HAND):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(_M_MMAP_THRESHOLD, MAP_FROM_BYTES)


def _read(name: str) -> str:
    """Return a variable as NAME=VALUE in lower case, "" without a value."""
    value = os.environ.get(name)
    return f"{name}={value}".lower() if value else ""

"""Large blocks are mapped one by one, unless a person has chosen otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from paintdiff.system.allocator import MAP_FROM_BYTES

COUNT_MAPPED = f"""
import ctypes, paintdiff
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.mallinfo2.restype = type("Info", (ctypes.Structure,),
    {{"_fields_": [(name, ctypes.c_size_t) for name in ("a", "b", "c", "mapped", *"efghij")]}})
libc.free(libc.malloc({2 * MAP_FROM_BYTES}))  # by default, glibc's threshold grows to this
before = libc.mallinfo2().mapped
block = libc.malloc({MAP_FROM_BYTES})
print(libc.mallinfo2().mapped - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
@pytest.mark.parametrize(
    ("chosen", "mapped"),
    [
        ({}, 1),
        ({"MALLOC_MMAP_THRESHOLD_": str(4 * MAP_FROM_BYTES)}, 0),
        ({"GLIBC_TUNABLES": f"glibc.malloc.mmap_threshold={4 * MAP_FROM_BYTES}"}, 0),
    ],
)
def test_a_large_block_is_mapped_unless_a_person_chose_otherwise(
    chosen: dict[str, str], mapped: int
) -> None:
    free = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    child = subprocess.run(
        [sys.executable, "-c", COUNT_MAPPED],
        env={**free, **chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(child.stdout) == mapped

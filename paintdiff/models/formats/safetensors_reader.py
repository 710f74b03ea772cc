"""Reads safetensors into memory of our own, tensor by tensor.

Nothing is memory-mapped: if a file is deleted, replaced or cut off while its weights are in use,
this can neither crash the process (SIGBUS) nor change a picture. Imports torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from paintdiff.errors import ModelLoadError, ModelNotFoundError
from paintdiff.models.formats import messages
from paintdiff.models.formats.safetensors_header import TensorEntry
from paintdiff.models.formats.weight_files import read_file_header
from paintdiff.system.regular_files import open_file

_DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "F8_E4M3": torch.float8_e4m3fn,
        "F8_E5M2": torch.float8_e5m2,
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }
)


@dataclass(frozen=True)
class _Place:
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    size_bytes: int


class TensorFile:
    """An open safetensors file, for use in a `with` statement. `name` is its name in messages.

    Raises:
        ModelNotFoundError: The file can't be opened or isn't safetensors.
        ModelLoadError: Its header is inconsistent, or it was replaced while being opened.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        self.name = name or path.name
        looked_at = _read_stamp(path.stat()) if path.exists() else None
        header = read_file_header(path)
        self.metadata = header.metadata
        try:
            self._file: Any = open_file(path, buffering=0)
        except OSError as error:
            raise ModelNotFoundError(messages.unreadable(path.name, error.strerror)) from error
        self._before = os.fstat(self._file.fileno())
        if _read_stamp(self._before) != looked_at:
            self._file.close()
            raise ModelLoadError(messages.replaced_while_opening(self.name))
        try:
            self._places = {
                name: _locate_tensor(entry, header.data_start)
                for name, entry in header.tensors.items()
            }
        except ValueError as error:
            self._file.close()
            raise ModelLoadError(messages.damaged(self.name, error)) from error

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The tensors' shapes by name."""
        return {name: place.shape for name, place in self._places.items()}

    def read(self, name: str, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Return a new tensor on the CPU; floating-point numbers as `dtype`, if given.

        Raises:
            ModelLoadError: The file was cut off while it was being read.
        """
        place = self._places[name]
        tensor = torch.empty(place.shape, dtype=place.dtype)
        if place.size_bytes:
            numbers: Any = tensor.reshape(-1).view(torch.uint8).numpy()
            view = memoryview(numbers)
            self._file.seek(place.start)
            done = 0
            while done < place.size_bytes:
                count: int = self._file.readinto(view[done:])
                if not count:
                    raise ModelLoadError(messages.cut_off_while_reading(self.name))
                done += count
        if dtype is not None and tensor.dtype.is_floating_point:
            return tensor.to(dtype)
        return tensor

    def check_unchanged(self) -> None:
        """Raise ModelLoadError if the file was written to since it was opened.

        A file that was deleted or replaced under the same name is still the one opened here.
        """
        if _read_stamp(os.fstat(self._file.fileno())) != _read_stamp(self._before):
            raise ModelLoadError(messages.changed_while_reading(self.name))


def read_all_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a safetensors file as new tensors on the CPU.

    Raises what TensorFile raises.
    """
    with TensorFile(path) as file:
        tensors = {name: file.read(name) for name in file.shapes}
        file.check_unchanged()
    return tensors


def _read_stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _locate_tensor(entry: TensorEntry, data_start: int) -> _Place:
    dtype = _DTYPES.get(entry.dtype)
    if dtype is None:
        raise ValueError(messages.unsupported_number_type(entry.dtype))
    size_bytes = math.prod(entry.shape) * dtype.itemsize
    return _Place(dtype, entry.shape, data_start + entry.start, size_bytes)

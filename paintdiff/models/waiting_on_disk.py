"""Networks that wait on the disk while others work: their weights are let go, and read again when
they are called. Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from paintdiff.errors import ModelLoadError

ReadPart = Callable[[str], torch.nn.Module]
"""Reads the part of that name once more, on the CPU; its numbers may be in its file's precision."""


class OnDisk:
    """Networks that can be emptied and filled again: `parts` by their names, `read` reads one.

    The networks themselves and their parameters stay the objects they are, so that pipelines,
    adapters and hooks needn't know. An empty one still says its precision and where it runs.
    """

    def __init__(self, parts: Mapping[str, torch.nn.Module], read: ReadPart) -> None:
        self._read = read
        self._names = {part: name for name, part in parts.items()}
        self._own = {part: dict(part.named_parameters()) for part in parts.values()}
        self._strides: dict[torch.Tensor, tuple[int, ...]] = {}

    def leave(self, part: torch.nn.Module) -> None:
        """Let its weights go; does nothing if they are gone."""
        for tensor in self._own[part].values():
            if tensor.numel():
                self._strides[tensor] = tensor.stride()
                tensor.data = torch.empty(0, dtype=tensor.dtype)

    def come(self, part: torch.nn.Module) -> None:
        """Fill it again if it is empty: the same numbers, in the same order in memory.

        Raises ModelLoadError if its files aren't what they were, or what reading raises; then it is
        empty still.
        """
        own = self._own[part]
        if all(tensor.numel() for tensor in own.values()):
            return
        fresh = self._read(self._names[part])
        read = dict(fresh.named_parameters(remove_duplicate=False))
        try:
            for name, tensor in own.items():
                self._fill(tensor, read[name])
        except BaseException:
            self.leave(part)
            raise

    def _fill(self, tensor: torch.Tensor, read: torch.Tensor) -> None:
        stride = self._strides.get(tensor, read.stride())
        laid = torch.empty_strided(read.shape, stride, dtype=tensor.dtype)
        tensor.data = laid.copy_(read)  # our own: what was read may lie in a mapped file
        read.data = torch.empty(0, dtype=read.dtype)


def emptied(part: torch.nn.Module) -> None:
    """Give a network that was built without numbers ("meta") empty weights in main memory, which
    `OnDisk` fills.
    """
    for inner in part.modules():
        for name, tensor in list(inner.named_parameters(recurse=False)):
            empty = torch.nn.Parameter(torch.empty(0, dtype=tensor.dtype), requires_grad=False)
            setattr(inner, name, empty)


class Unchanged:
    """Whether a folder's weights are still the files they were: their names, sizes and times."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = _seen(folder)

    def check(self, title: str) -> None:
        """Raises ModelLoadError if they aren't."""
        if _seen(self._folder) != self._before:
            raise ModelLoadError(
                f"The files of {title} have changed or gone since it was loaded, and to save "
                "memory a part of it has to be read again. Load it again."
            )


def _seen(folder: Path) -> Any:
    files = sorted(folder.glob("*/*.safetensors"))
    try:
        stats = [(path, path.stat()) for path in files]
    except OSError:
        return None
    return [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]

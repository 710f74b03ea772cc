"""Files of tensors from strangers: safetensors, or pickles that are read without running anything.

Imports torch: import it in a function.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from paintdiff.errors import ModelNotFoundError
from paintdiff.models.formats.opening import open_file
from paintdiff.models.formats.safe_pickle import read_tensors
from paintdiff.models.formats.safetensors_reader import read_all_tensors
from paintdiff.models.formats.weight_files import is_pickle, read_file_header


def read_tensor_table(path: Path) -> dict[str, Any]:
    """What a file holds: names to tensors on the CPU; of a pickle maybe nested, and other values.

    Told by its bytes, not by its name. Raises ModelNotFoundError, ModelLoadError or
    UnsafeWeightsError.
    """
    if not path.is_file():
        raise ModelNotFoundError(f"The weight file {path.name} doesn't exist.")
    if is_pickle(path):
        content = read_tensors(path)
        inner: object = content.get("state_dict")
        return inner if isinstance(inner, dict) else content
    return read_all_tensors(path)


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing for others."""
    if is_pickle(path):
        return {}
    return dict(read_file_header(path).metadata)


def hash_tensors(path: Path) -> str:
    """The SHA-256 of a safetensors file's tensors without their header, as the A1111 web UI tells
    LoRAs; of other files that of all bytes. In hex.
    """
    with open_file(path) as file:
        if not is_pickle(path):
            file.seek(8 + int.from_bytes(file.read(8), "little"))
        content: Any = file
        return hashlib.file_digest(content, "sha256").hexdigest()

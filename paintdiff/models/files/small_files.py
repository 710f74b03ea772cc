"""Files of tensors from strangers: safetensors, or pickles that are read without running anything.

Imports torch: import it in a function.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from paintdiff.errors import ModelNotFoundError
from paintdiff.models.files.opening import open_file
from paintdiff.models.files.pickles import read_tensors
from paintdiff.models.files.tensor_files import all_tensors
from paintdiff.models.files.weights import is_pickle, safetensors_header


def tensors_in(path: Path) -> dict[str, Any]:
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
    return all_tensors(path)


def metadata_of(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing for others."""
    if is_pickle(path):
        return {}
    return dict(safetensors_header(path).metadata)


def tensors_hash(path: Path) -> str:
    """The SHA-256 of a safetensors file's tensors without their header, as the A1111 web UI tells
    LoRAs; of other files that of all bytes. In hex.
    """
    with open_file(path) as file:
        if not is_pickle(path):
            file.seek(8 + int.from_bytes(file.read(8), "little"))
        content: Any = file
        return hashlib.file_digest(content, "sha256").hexdigest()

"""Reads untrusted files of tensors: safetensors, or pickles without running their code.

Imports torch: import it inside functions.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from paintdiff.errors import ModelNotFoundError
from paintdiff.models.formats import messages
from paintdiff.models.formats.pickles.safe_pickle import read_tensors
from paintdiff.models.formats.safetensors_reader import read_all_tensors
from paintdiff.models.formats.weight_files import is_pickle, read_file_header
from paintdiff.system.regular_files import open_file


def read_tensor_table(path: Path) -> dict[str, Any]:
    """Read a weight file of either format, detected by its bytes: names to tensors on the CPU.

    The content of a pickle may be nested and have other values.

    Raises:
        ModelNotFoundError: The file is missing or isn't safetensors.
        ModelLoadError: It is damaged.
        UnsafeWeightsError: It is a pickle that contains more than tensors.
    """
    if not path.is_file():
        raise ModelNotFoundError(messages.no_weight_file(path.name))
    if is_pickle(path):
        content = read_tensors(path)
        inner: object = content.get("state_dict")
        return inner if isinstance(inner, dict) else content
    return read_all_tensors(path)


def read_metadata(path: Path) -> dict[str, str]:
    """Return a safetensors file's metadata, {} for other formats."""
    if is_pickle(path):
        return {}
    return dict(read_file_header(path).metadata)


def hash_tensors(path: Path) -> str:
    """Return the SHA-256, in hex, of a safetensors file without its header.

    The A1111 web UI identifies LoRAs by it. For other formats it covers all bytes.
    """
    with open_file(path) as file:
        if not is_pickle(path):
            file.seek(8 + int.from_bytes(file.read(8), "little"))
        content: Any = file
        return hashlib.file_digest(content, "sha256").hexdigest()

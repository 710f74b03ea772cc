"""Detects weight files by their first bytes, counts their parameters, and identifies them."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from paintdiff.errors import ModelNotFoundError, UnsafeWeightsError
from paintdiff.models.formats import messages
from paintdiff.models.formats.limits import MAX_HEADER_BYTES
from paintdiff.models.formats.safetensors_header import SafetensorsHeader, read_safetensors_header
from paintdiff.system.regular_files import open_file

HASH_DIGITS = 10

GGUF_START = b"GGUF"

_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
_WEIGHT_SUFFIXES = frozenset(
    {".safetensors", ".bin", ".ckpt", ".pt", ".pth", ".pkl", ".msgpack", ".h5"}
)


def read_file_header(path: Path) -> SafetensorsHeader:
    """Read the header of a safetensors file.

    Raises:
        ModelNotFoundError: The file isn't safetensors, its header exceeds a limit, or it is cut
            off.
    """
    try:
        with open_file(path) as file:
            size_bytes = file.seek(0, io.SEEK_END)
            file.seek(0)
            return read_safetensors_header(file, size_bytes)
    except OSError as error:
        raise ModelNotFoundError(messages.unreadable(path.name, error.strerror)) from error
    except ValueError as error:
        raise ModelNotFoundError(messages.unreadable_safetensors(path.name, error)) from error


def list_weight_files(source: Path) -> tuple[Path, ...]:
    """List a model's safetensors files, sorted.

    These are the file itself, or all in the folder and one level below.
    """
    if source.is_file():
        return (source,)
    return tuple(sorted([*source.glob("*.safetensors"), *source.glob("*/*.safetensors")]))


def check_weights_in(source: Path) -> None:
    """Refuse a model in a format that can't be read safely.

    A file is judged by its first bytes, not its suffix: safetensors, GGUF, or a pickle, which is
    converted without being unpickled (`conversion`). In a folder, each safetensors file must really
    be one. A folder without any may have pickles, to be converted.

    Raises:
        UnsafeWeightsError: The format is unknown, or could run code.
    """
    if source.is_file():
        find_weights_kind(source)
        return
    files = list_weight_files(source)
    for path in files:
        _check_file(path)
    if files:
        return
    others = [path for path in source.glob("*/*") if path.suffix.lower() in _WEIGHT_SUFFIXES]
    unknown = [path for path in others if not is_pickle(path)]
    if others and unknown == others:
        raise UnsafeWeightsError(messages.only_unsafe_weights(source, others[0].name))


def find_weights_kind(path: Path) -> str:
    """Return a weight file's format by its first bytes: "safetensors", "pickle" or "gguf".

    Raises:
        UnsafeWeightsError: It is of another format.
    """
    if is_pickle(path):
        return "pickle"
    if is_gguf(path):
        return "gguf"
    start = _read_start(path)
    if start[8:] == b"{":
        return "safetensors"
    raise UnsafeWeightsError(messages.unknown_format(path.name, start[:8]))


def is_pickle(path: Path) -> bool:
    """Return whether a file is a pickle by its first bytes, whatever its suffix.

    The length at the start of a safetensors file may look like a pickle's first bytes.
    """
    start = _read_start(path)
    short_header = int.from_bytes(start[:8], "little") <= MAX_HEADER_BYTES
    return start.startswith(_PICKLE_STARTS) and not (short_header and start[8:] == b"{")


def is_gguf(path: Path) -> bool:
    """Return whether a file is GGUF by its first bytes."""
    return _read_start(path)[:4] == GGUF_START


def _read_start(path: Path) -> bytes:
    """Return the first nine bytes of a file. Raise ModelNotFoundError if it can't be read."""
    try:
        with open_file(path) as file:
            return file.read(9)
    except OSError as error:
        raise ModelNotFoundError(messages.unreadable(path.name, error.strerror)) from error


def _check_file(path: Path) -> None:
    if is_pickle(path):
        raise UnsafeWeightsError(messages.is_a_pickle(path.name))


def count_parameters(files: Iterable[Path]) -> int:
    """Count the parameters in safetensors files, by their headers, without EMA weights.

    EMA weights that training left in a checkpoint aren't loaded, so they don't count.

    Raises:
        ModelNotFoundError: A file can't be read.
    """
    total = 0
    for path in files:
        for name, tensor in read_file_header(path).tensors.items():
            if not name.startswith("model_ema."):
                total += math.prod(tensor.shape)
    return total


def file_identity(source: Path, hasher: Callable[[Path], str] | None = None) -> str:
    """Return the first ten hex digits of the SHA-256 that identifies a model's weights.

    For a file it is the file's own hash, as other tools show it; for a folder, the hash of a list
    of its weight files' names and hashes. "" if the folder has none. `hasher` returns a file's
    SHA-256 (`hash_file`, or `Hashes.sha256`, which caches it).
    """
    hasher = hasher or hash_file
    files = list_weight_files(source)
    if source.is_file():
        return hasher(source)[:HASH_DIGITS]
    if not files:
        return ""
    lines = [f"{path.relative_to(source).as_posix()} {hasher(path)}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:HASH_DIGITS]


def hash_file(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with open_file(path) as file:
        content: Any = file
        return hashlib.file_digest(content, "sha256").hexdigest()

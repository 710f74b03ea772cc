"""The head of a GGUF file: its notes, and the table of its tensors. Reads no numbers.

The format is that of ggml's `docs/gguf.md`, versions 2 and 3. Importable without torch.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from paintdiff.models.formats.limits import (
    MAX_DIMENSIONS,
    MAX_GGUF_LIST,
    MAX_GGUF_NOTES,
    MAX_GGUF_TEXT_BYTES,
    MAX_HEADER_BYTES,
    MAX_NAME_CHARACTERS,
    MAX_NUMBERS,
    MAX_TENSORS,
)

GGUF_START = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# ggml's number of a scalar's type: how struct writes it.
_SCALARS: Mapping[int, str] = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
# ggml's number of a tensor's type: its name, how many numbers make a block, and a block's bytes.
_TENSOR_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}


@dataclass(frozen=True)
class GgufHeader:
    """`tensors` maps a name to its type and its shape, in torch's order; `notes` are the texts
    among what the file says of itself. `size_bytes` is what the file has to have at least.
    """

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    notes: Mapping[str, str]
    size_bytes: int


def read_gguf_header(file: BinaryIO) -> GgufHeader:
    """The header of an opened GGUF file. Raises ValueError if it is damaged or too large."""
    reader = _Reader(file)
    if reader.taken(4) != GGUF_START:
        raise ValueError("it doesn't begin with GGUF")
    version = reader.number("<I")
    if version not in _VERSIONS:
        raise ValueError(f"it is of version {version}; supported are 2 and 3")
    tensor_count, note_count = reader.number("<Q"), reader.number("<Q")
    if tensor_count > MAX_TENSORS or note_count > MAX_GGUF_NOTES:
        raise ValueError(
            f"it claims {tensor_count:,} tensors and {note_count:,} notes; at most "
            f"{MAX_TENSORS:,} and {MAX_GGUF_NOTES:,} are read"
        )
    notes = dict(_note(reader) for _ in range(note_count))
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    places: list[tuple[int, int]] = []
    for _ in range(tensor_count):
        name, (kind, shape, *place) = reader.text(MAX_NAME_CHARACTERS), _tensor(reader)
        tensors[name] = (kind, shape)
        places.append((place[0], place[1]))
    end = _checked_end(places)
    alignment = notes.pop("general.alignment", 32)
    step = alignment if isinstance(alignment, int) and alignment > 0 else 32
    start = -(-reader.read_bytes // step) * step
    texts = {name: value for name, value in notes.items() if isinstance(value, str)}
    return GgufHeader(tensors, texts, start + end)


def _checked_end(places: list[tuple[int, int]]) -> int:
    """Where the last tensor ends. Raises ValueError if two overlap."""
    before = 0
    for start, end in sorted(places):
        if start < before and start < end:
            raise ValueError("its tensors overlap")
        before = max(before, end)
    return before


class _Reader:
    """Reads from a file, and no more than MAX_HEADER_BYTES."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read_bytes = 0

    def taken(self, count: int) -> bytes:
        self.read_bytes += count
        if self.read_bytes > MAX_HEADER_BYTES:
            raise ValueError(f"its header has more than {MAX_HEADER_BYTES:,} bytes")
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError("it ends in its header")
        return data

    def number(self, code: str) -> int:
        (value,) = struct.unpack(code, self.taken(struct.calcsize(code)))
        return value

    def text(self, max_bytes: int = MAX_GGUF_TEXT_BYTES) -> str:
        length = self.number("<Q")
        if length > max_bytes:
            raise ValueError(f"it claims a text of {length:,} bytes; at most {max_bytes:,}")
        return self.taken(length).decode("utf-8", "replace")


def _note(reader: _Reader) -> tuple[str, str | int | None]:
    """A note's name, and its value if that is a text or a number; lists are passed over."""
    name, kind = reader.text(), reader.number("<I")
    if kind != _ARRAY:
        return name, _value(reader, kind)
    kind, count = reader.number("<I"), reader.number("<Q")
    if count > MAX_GGUF_LIST:
        raise ValueError(
            f"its note {name!r:.80} is a list of {count:,}; at most {MAX_GGUF_LIST:,} are read"
        )
    if kind in _SCALARS:
        reader.taken(count * struct.calcsize(_SCALARS[kind]))
    elif kind == _STRING:
        for _ in range(count):
            reader.text()
    else:
        raise ValueError(f"its note {name!r:.80} is a list of something unknown")
    return name, None


def _value(reader: _Reader, kind: int) -> str | int:
    if kind == _STRING:
        return reader.text()
    if kind not in _SCALARS:
        raise ValueError(f"it has a note of the unknown type {kind}")
    return reader.number(_SCALARS[kind])


def _tensor(reader: _Reader) -> tuple[str, tuple[int, ...], int, int]:
    """A tensor's type, its shape, and where it begins and ends, in bytes after the header."""
    dimensions = reader.number("<I")
    if dimensions > MAX_DIMENSIONS:
        raise ValueError(f"it has a tensor of {dimensions} dimensions")
    shape = tuple(reversed([reader.number("<Q") for _ in range(dimensions)]))  # ggml's is turned
    kind, offset = reader.number("<I"), reader.number("<Q")
    if max((*shape, offset), default=0) > MAX_NUMBERS:
        raise ValueError("it has a tensor of more numbers than any file can have")
    name, block, block_bytes = _TENSOR_TYPES.get(kind, (f"type {kind}", 1, 0))
    size_bytes = math.prod(shape) // block * block_bytes
    return name, shape, offset, offset + size_bytes

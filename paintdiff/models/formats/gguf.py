"""Reads the header of a GGUF file: its metadata and its table of tensors, no tensor data.

Source: ggml's `docs/gguf.md`, versions 2 and 3. Importable without torch.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from paintdiff.models.formats import messages
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
# ggml's number of a scalar type -> its struct format.
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
# ggml's number of a tensor type -> name, numbers per block, bytes per block.
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
    """The header of a GGUF file.

    `tensors` maps a name to its type and shape, in torch's order. `notes` holds the metadata values
    that are text. `size_bytes` is the least size the file can have.
    """

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    notes: Mapping[str, str]
    size_bytes: int


def read_gguf_header(file: BinaryIO) -> GgufHeader:
    """Read the header of an open GGUF file.

    Raises:
        ValueError: The header is damaged or exceeds a limit.
    """
    reader = _Reader(file)
    if reader.read(4) != GGUF_START:
        raise ValueError(messages.NOT_GGUF)
    version = reader.read_number("<I")
    if version not in _VERSIONS:
        raise ValueError(messages.other_gguf_version(version))
    tensor_count, note_count = reader.read_number("<Q"), reader.read_number("<Q")
    if tensor_count > MAX_TENSORS or note_count > MAX_GGUF_NOTES:
        raise ValueError(
            messages.claims_too_many(tensor_count, note_count, MAX_TENSORS, MAX_GGUF_NOTES)
        )
    notes = dict(_read_note(reader) for _ in range(note_count))
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    places: list[tuple[int, int]] = []
    for _ in range(tensor_count):
        name, (kind, shape, *place) = reader.read_text(MAX_NAME_CHARACTERS), _read_tensor(reader)
        tensors[name] = (kind, shape)
        places.append((place[0], place[1]))
    end = _find_end(places)
    alignment = notes.pop("general.alignment", 32)
    step = alignment if isinstance(alignment, int) and alignment > 0 else 32
    start = -(-reader.position // step) * step
    texts = {name: value for name, value in notes.items() if isinstance(value, str)}
    return GgufHeader(tensors, texts, start + end)


def _find_end(places: list[tuple[int, int]]) -> int:
    """Return where the last tensor ends. Raise ValueError if two tensors overlap."""
    before = 0
    for start, end in sorted(places):
        if start < before and start < end:
            raise ValueError(messages.TENSORS_OVERLAP)
        before = max(before, end)
    return before


class _Reader:
    """Reads values from a file, up to MAX_HEADER_BYTES in total."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = 0

    def read(self, count: int) -> bytes:
        self.position += count
        if self.position > MAX_HEADER_BYTES:
            raise ValueError(messages.header_too_large(MAX_HEADER_BYTES))
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError(messages.CUT_OFF_IN_HEADER)
        return data

    def read_number(self, code: str) -> int:
        (value,) = struct.unpack(code, self.read(struct.calcsize(code)))
        return value

    def read_text(self, max_bytes: int = MAX_GGUF_TEXT_BYTES) -> str:
        length = self.read_number("<Q")
        if length > max_bytes:
            raise ValueError(messages.claims_long_text(length, max_bytes))
        return self.read(length).decode("utf-8", "replace")


def _read_note(reader: _Reader) -> tuple[str, str | int | None]:
    """Read one metadata entry: its name, and its value if that is text or a number.

    The value of a list is None.
    """
    name, kind = reader.read_text(), reader.read_number("<I")
    if kind != _ARRAY:
        return name, _read_value(reader, kind)
    kind, count = reader.read_number("<I"), reader.read_number("<Q")
    if count > MAX_GGUF_LIST:
        raise ValueError(messages.note_list_too_long(name, count, MAX_GGUF_LIST))
    if kind in _SCALARS:
        reader.read(count * struct.calcsize(_SCALARS[kind]))
    elif kind == _STRING:
        for _ in range(count):
            reader.read_text()
    else:
        raise ValueError(messages.note_list_of_unknown_type(name))
    return name, None


def _read_value(reader: _Reader, kind: int) -> str | int:
    if kind == _STRING:
        return reader.read_text()
    if kind not in _SCALARS:
        raise ValueError(messages.note_of_unknown_type(kind))
    return reader.read_number(_SCALARS[kind])


def _read_tensor(reader: _Reader) -> tuple[str, tuple[int, ...], int, int]:
    """Read a tensor's type, shape, and start and end in bytes after the header."""
    dimensions = reader.read_number("<I")
    if dimensions > MAX_DIMENSIONS:
        raise ValueError(messages.too_many_dimensions(dimensions, MAX_DIMENSIONS))
    shape = tuple(
        reversed([reader.read_number("<Q") for _ in range(dimensions)])
    )  # ggml reverses the order
    kind, offset = reader.read_number("<I"), reader.read_number("<Q")
    if max((*shape, offset), default=0) > MAX_NUMBERS:
        raise ValueError(messages.TENSOR_TOO_LARGE)
    name, block, block_bytes = _TENSOR_TYPES.get(kind, (f"type {kind}", 1, 0))
    size_bytes = math.prod(shape) // block * block_bytes
    return name, shape, offset, offset + size_bytes

"""Reads and checks the header of a safetensors file, no tensor data.

Source: https://github.com/huggingface/safetensors#format. Importable without torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO

from paintdiff.models.formats import messages
from paintdiff.models.formats.json_files import parse_json
from paintdiff.models.formats.limits import (
    MAX_DIMENSIONS,
    MAX_HEADER_BYTES,
    MAX_HEADER_VALUES,
    MAX_NAME_CHARACTERS,
    MAX_NUMBERS,
    MAX_TENSORS,
)

METADATA = "__metadata__"

# What people often have in place of a weight file, by its first bytes.
_OTHER_STARTS: Mapping[bytes, str] = {
    b"version https://git-lfs": messages.IS_LFS_POINTER,
    b"<!DOCTYPE": messages.IS_WEB_PAGE,
    b"<html": messages.IS_WEB_PAGE,
    b"\x89HDF": messages.IS_HDF5,
}
_BITS: Mapping[str, int] = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor in a header. Its bytes are `start` to `end`, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class SafetensorsHeader:
    """A checked header. `data_start` is where the tensor data begins in the file, in bytes.

    `metadata` holds text values only.
    """

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    data_start: int


def read_header_text(file: BinaryIO, size_bytes: int) -> tuple[str, int]:
    """Return the JSON of an open file's header, and how many bytes of data follow it.

    Raises:
        ValueError: The file is of another format, cut off, or exceeds a limit.
    """
    start = file.read(32)
    if not start:
        raise ValueError(messages.IS_EMPTY)
    for other, sentence in _OTHER_STARTS.items():
        if start.startswith(other):
            raise ValueError(f"it {sentence}")
    length = int.from_bytes(start[:8], "little")
    if len(start) < 10 or start[8:9] != b"{":
        raise ValueError(messages.FORMAT_UNKNOWN)
    if length > MAX_HEADER_BYTES:
        raise ValueError(messages.claims_large_header(length, MAX_HEADER_BYTES))
    if 8 + length > size_bytes:
        raise ValueError(describe_truncation(8 + length, size_bytes))
    file.seek(8)
    text = file.read(length).decode("utf-8")
    if sum(map(text.count, "[{,")) > MAX_HEADER_VALUES:
        raise ValueError(messages.more_header_values_than(MAX_HEADER_VALUES))
    return text, size_bytes - 8 - length


def read_safetensors_header(file: BinaryIO, size_bytes: int) -> SafetensorsHeader:
    """Read the header of an open file.

    Raises:
        ValueError: The file is of another format, cut off, exceeds a limit, or its tensors overlap.
    """
    text, data_bytes = read_header_text(file, size_bytes)
    return parse_header(text, size_bytes - data_bytes, data_bytes)


def parse_header(text: str, data_start: int, data_bytes: int) -> SafetensorsHeader:
    """Parse a header's JSON. Raise ValueError if it isn't valid."""
    content = parse_json(text)
    if not isinstance(content, dict):
        raise ValueError(messages.HEADER_NOT_AN_OBJECT)
    table: dict[str, Any] = content
    metadata = select_texts(table.pop(METADATA, None) or {})
    if len(table) > MAX_TENSORS:
        raise ValueError(messages.lists_too_many_tensors(len(table), MAX_TENSORS))
    tensors = {name: check_entry(name, entry) for name, entry in table.items()}
    check_offsets(tensors, data_start, data_bytes)
    return SafetensorsHeader(MappingProxyType(tensors), metadata, data_start)


def check_entry(name: str, entry: Any) -> TensorEntry:
    """Return the tensor that an entry describes. Raise ValueError if it isn't valid."""
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(messages.tensor_name_too_long(len(name), MAX_NAME_CHARACTERS))
    try:
        dtype, shape = entry["dtype"], entry["shape"]
        start, end = entry["data_offsets"]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(messages.invalid_entry(name)) from error
    whole = isinstance(shape, list) and all(map(_is_count, (*shape, start, end)))
    if not whole or not isinstance(dtype, str) or len(shape) > MAX_DIMENSIONS or end < start:
        raise ValueError(messages.invalid_entry(name))
    bits = _BITS.get(dtype)
    count = math.prod(shape)
    if bits is not None and count * bits != 8 * (end - start):
        raise ValueError(messages.entry_of_other_size(name, count, dtype, end - start))
    return TensorEntry(dtype, tuple(shape), start, end)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBERS


def check_offsets(tensors: Mapping[str, TensorEntry], data_start: int, data_bytes: int) -> None:
    """Raise ValueError if tensors reach beyond the file or overlap.

    Read one by one, overlapping tensors would take far more memory than the file has bytes.
    """
    before, before_end = "", 0
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start == entry.end:
            continue
        if entry.start < before_end:
            raise ValueError(messages.tensors_overlap(before, name))
        before, before_end = name, entry.end
    if before_end > data_bytes:
        raise ValueError(describe_truncation(data_start + before_end, data_start + data_bytes))


def select_texts(said: object) -> Mapping[str, str]:
    """Return the metadata values that are text. Raise ValueError if it isn't a JSON object."""
    if not isinstance(said, dict):
        raise ValueError(messages.METADATA_NOT_AN_OBJECT)
    table: dict[str, object] = said
    return MappingProxyType({key: text for key, text in table.items() if isinstance(text, str)})


def describe_truncation(wanted: int, size_bytes: int) -> str:
    """Say that a file is shorter than it should be."""
    return messages.damaged_or_cut_off(wanted, size_bytes)

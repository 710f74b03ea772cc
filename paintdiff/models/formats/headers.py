"""Reads the header of a weight file: names, types and shapes of its tensors, and its metadata.

Reads no tensor data and runs nothing from the file. Importable without torch.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Literal

from paintdiff.errors import ModelLoadError, ModelNotFoundError
from paintdiff.models.formats import messages
from paintdiff.models.formats.gguf import GGUF_START, read_gguf_header
from paintdiff.models.formats.json_files import parse_json
from paintdiff.models.formats.limits import MAX_NAME_CHARACTERS, MAX_TENSORS
from paintdiff.models.formats.pickles.safe_pickle import read_tensor_records
from paintdiff.models.formats.safetensors_header import (
    check_entry,
    describe_truncation,
    parse_header,
    read_header_text,
    select_texts,
)
from paintdiff.models.formats.weight_files import is_pickle
from paintdiff.system.regular_files import open_file

WEIGHT_SUFFIXES = frozenset({".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin"})
"""File name suffixes of weight files, in lower case. Their bytes decide the format."""

_METADATA_FIRST = '{"__metadata__":{'
_ENTRY = '":{"dtype":"'
_OFFSETS = re.compile(r'"data_offsets":\[([0-9]+),([0-9]+)\]\}')


@dataclass(frozen=True)
class TensorShape:
    """A tensor as its header describes it. `dtype` is the file's own term ("F16", "Q4_K")."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """The header of a weight file.

    `metadata` holds the text values of a safetensors or GGUF file's metadata; a pickle has none.
    """

    form: Literal["safetensors", "pickle", "gguf"]
    tensors: Mapping[str, TensorShape]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Read the header of a safetensors, pickle or GGUF file, detected by its first bytes.

    Limits are checked before any data is read.

    Raises:
        ModelNotFoundError: The file is missing or can't be opened.
        ModelLoadError: It is damaged, cut off, or of another format.
        UnsafeWeightsError: It is a pickle that contains more than tensors.
    """
    start = b""
    try:
        if is_pickle(path):
            return _read_pickle(path)
        with open_file(path) as file:
            start = file.read(4)
            size_bytes = file.seek(0, io.SEEK_END)
            file.seek(0)
            if start == GGUF_START:
                return _read_gguf(file, size_bytes)
            return _read_safetensors(file, size_bytes)
    except OSError as error:
        raise ModelNotFoundError(messages.unreadable(path.name, error.strerror)) from error
    except ValueError as error:
        form = "GGUF" if start == GGUF_START else "safetensors"
        raise ModelLoadError(messages.not_usable(path.name, form, error)) from error


def _read_pickle(path: Path) -> Header:
    tensors = {
        name: TensorShape(record.storage.kind, record.shape)
        for name, record in read_tensor_records(path).items()
    }
    return Header("pickle", MappingProxyType(tensors), MappingProxyType({}))


def _read_gguf(file: BinaryIO, size_bytes: int) -> Header:
    header = read_gguf_header(file)
    if header.size_bytes > size_bytes:
        raise ValueError(describe_truncation(header.size_bytes, size_bytes))
    tensors = {name: TensorShape(*described) for name, described in header.tensors.items()}
    return Header("gguf", MappingProxyType(tensors), MappingProxyType(dict(header.notes)))


def _read_safetensors(file: BinaryIO, size_bytes: int) -> Header:
    text, data_bytes = read_header_text(file, size_bytes)
    quick = _split_header(text, data_bytes)
    if quick is not None:
        return quick
    found = parse_header(text, size_bytes - data_bytes, data_bytes)
    tensors = {name: TensorShape(each.dtype, each.shape) for name, each in found.tensors.items()}
    return Header("safetensors", MappingProxyType(tensors), found.metadata)


class _LazyTensors(Mapping[str, TensorShape]):
    """Tensors parsed from the header's text on access.

    Access raises ModelLoadError if the entry isn't a valid tensor.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> TensorShape:
        rest = self._entries[name]
        try:
            entry = check_entry(name, parse_json('{"dtype":"' + rest + "}"))
        except ValueError as error:
            raise ModelLoadError(messages.not_usable_safetensors(error)) from error
        return TensorShape(entry.dtype, entry.shape)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _split_header(text: str, data_bytes: int) -> Header | None:
    """Split a header at its commas instead of parsing it, which takes a quarter of the time.

    This works for headers as the safetensors library writes them: each tensor begins where the
    previous one ends, and the last ends with the file. Return None for any other header.
    """
    metadata: Mapping[str, str] = {}
    if text.startswith(_METADATA_FIRST):
        try:
            said, after = json.JSONDecoder().raw_decode(text, len(_METADATA_FIRST) - 1)
        except RecursionError:
            return None
        metadata, text = select_texts(said), text[after:].removeprefix(",")
    else:
        text = text[1:]
    body = text.rstrip(" ")
    if "\\" in body or not body.startswith('"') or not body.endswith(f",{data_bytes}]}}}}"):
        return None
    pieces = body[1:-2].split('},"')
    if not len(pieces) == body.count(_ENTRY) == body.count("{") <= MAX_TENSORS:
        return None
    places: list[tuple[str, str]] = _OFFSETS.findall(body)
    ends = ["0", *(end for _start, end in places)]
    if len(places) != len(pieces) or [start for start, _end in places] != ends[:-1]:
        return None
    if max(map(len, pieces)) > MAX_NAME_CHARACTERS:
        return None
    try:
        entries: dict[str, str] = dict(piece.split(_ENTRY) for piece in pieces)  # pyright: ignore[reportArgumentType]
    except ValueError:  # a piece doesn't split in two
        return None
    return (
        Header("safetensors", _LazyTensors(entries), metadata)
        if len(entries) == len(pieces)
        else None
    )

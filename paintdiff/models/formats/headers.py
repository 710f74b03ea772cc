"""What is in a file of weights, told from its header: names, types and shapes of its tensors, and
what it says of itself. Reads no numbers and runs nothing. Importable without torch.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Literal

from paintdiff.errors import ModelLoadError, ModelNotFoundError
from paintdiff.models.formats.gguf import GGUF_START, read_gguf_header
from paintdiff.models.formats.json_files import parse_json
from paintdiff.models.formats.limits import MAX_NAME_CHARACTERS, MAX_TENSORS
from paintdiff.models.formats.opening import open_file
from paintdiff.models.formats.safe_pickle import tensor_records
from paintdiff.models.formats.safetensors_header import (
    check_entry,
    make_truncated_error,
    metadata_texts,
    parse_header,
    read_header_text,
)
from paintdiff.models.formats.weight_files import is_pickle

WEIGHT_SUFFIXES = frozenset({".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin"})
"""How files of weights are called, in lower case. What one holds is told by its bytes."""

MAX_KEPT = 8
"""How many headers `Headers` keeps."""

_METADATA_FIRST = '{"__metadata__":{'
_ENTRY = '":{"dtype":"'
_OFFSETS = re.compile(r'"data_offsets":\[([0-9]+),([0-9]+)\]\}')


@dataclass(frozen=True)
class TensorShape:
    """A tensor as its header describes it: `dtype` in the file's own words ("F16", "Q4_K")."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """`metadata` is what a safetensors or GGUF file says of itself, texts only."""

    form: Literal["safetensors", "pickle", "gguf"]
    tensors: Mapping[str, TensorShape]
    metadata: Mapping[str, str]


class Headers:
    """Headers by path, read again when size or time of the file have changed. Safe to use from any
    thread; keeps the MAX_KEPT used last.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int, int], Header] = OrderedDict()
        self._lock = threading.Lock()

    def header(self, path: Path) -> Header:
        """The file's header. Raises what `read_header` raises."""
        try:
            status = path.stat()
        except OSError as error:
            raise ModelNotFoundError(f"{path.name} can't be read: {error.strerror}.") from error
        key = (path, status.st_size, status.st_mtime_ns)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        header = read_header(path)
        with self._lock:
            self._kept[key] = header
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return header

    def tensors(self, path: Path) -> Mapping[str, TensorShape]:
        """The names of a file's tensors, with their types and shapes. Raises what `read_header`
        raises.
        """
        return self.header(path).tensors

    def metadata(self, path: Path) -> Mapping[str, str]:
        """What a file says of itself (kohya's `ss_*`, `modelspec.*`), {} if nothing. Raises what
        `read_header` raises.
        """
        return self.header(path).metadata


def read_header(path: Path) -> Header:
    """The header of a safetensors, pickled or GGUF file, told apart by their first bytes.

    Limits are checked before anything is read. Raises ModelNotFoundError if it isn't there or can't
    be opened, ModelLoadError if it is damaged, cut off or something else, UnsafeWeightsError if it
    is a pickle of more than tensors.
    """
    start = b""
    try:
        if is_pickle(path):
            return _pickled(path)
        with open_file(path) as file:
            start = file.read(4)
            size_bytes = file.seek(0, io.SEEK_END)
            file.seek(0)
            if start == GGUF_START:
                return _gguf(file, size_bytes)
            return _safetensors(file, size_bytes)
    except OSError as error:
        raise ModelNotFoundError(f"{path.name} can't be read: {error.strerror}.") from error
    except ValueError as error:
        form = "GGUF" if start == GGUF_START else "safetensors"
        raise ModelLoadError(f"{path.name} isn't a usable {form} file: {error}.") from error


def _pickled(path: Path) -> Header:
    tensors = {
        name: TensorShape(record.storage.kind, record.shape)
        for name, record in tensor_records(path).items()
    }
    return Header("pickle", MappingProxyType(tensors), MappingProxyType({}))


def _gguf(file: BinaryIO, size_bytes: int) -> Header:
    header = read_gguf_header(file)
    if header.size_bytes > size_bytes:
        raise ValueError(make_truncated_error(header.size_bytes, size_bytes))
    tensors = {name: TensorShape(*described) for name, described in header.tensors.items()}
    return Header("gguf", MappingProxyType(tensors), MappingProxyType(dict(header.notes)))


def _safetensors(file: BinaryIO, size_bytes: int) -> Header:
    text, data_bytes = read_header_text(file, size_bytes)
    quick = _quickly(text, data_bytes)
    if quick is not None:
        return quick
    found = parse_header(text, size_bytes - data_bytes, data_bytes)
    tensors = {name: TensorShape(each.dtype, each.shape) for name, each in found.tensors.items()}
    return Header("safetensors", MappingProxyType(tensors), found.metadata)


class _Lazy(Mapping[str, TensorShape]):
    """Tensors of which only those that are asked for are taken out of the header's text. Asking for
    one that is no tensor raises ModelLoadError.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> TensorShape:
        rest = self._entries[name]
        try:
            entry = check_entry(name, parse_json('{"dtype":"' + rest + "}"))
        except ValueError as error:
            raise ModelLoadError(f"This isn't a usable safetensors file: {error}.") from error
        return TensorShape(entry.dtype, entry.shape)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _quickly(text: str, data_bytes: int) -> Header | None:
    """The header as safetensors' own library writes it, cut at its commas instead of parsed, which
    takes a quarter of the time; None if it is written in any other way.

    Its tensors follow each other in the file: each begins where the one before it ends, and the
    last one ends where the file does.
    """
    metadata: Mapping[str, str] = {}
    if text.startswith(_METADATA_FIRST):
        try:
            said, after = json.JSONDecoder().raw_decode(text, len(_METADATA_FIRST) - 1)
        except RecursionError:
            return None
        metadata, text = metadata_texts(said), text[after:].removeprefix(",")
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
    except ValueError:  # one isn't cut in two
        return None
    return Header("safetensors", _Lazy(entries), metadata) if len(entries) == len(pieces) else None

"""Reads pickled tensors (.pth, .pt, .ckpt, .bin) without running any code in them.

A pickle is a program that may call whatever it names. Here the names of tensors and their
containers map to plain records, the names of training state (callbacks, counters, settings) to
placeholders, and every other name is refused, so nothing can be called. Tensor data is copied from
the file's bytes. Importable without torch.
"""

from __future__ import annotations

import errno
import io
import math
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from paintdiff.errors import ModelLoadError, UnsafeWeightsError
from paintdiff.models.formats import messages
from paintdiff.models.formats.limits import (
    MAX_NAME_CHARACTERS,
    MAX_PICKLE_BYTES,
    MAX_SHARING,
    MAX_TABLE_DEPTH,
    MAX_TENSORS,
    MAX_ZIP_DIRECTORY_BYTES,
    SHARING_SPARE_BYTES,
)
from paintdiff.models.formats.pickles.machine import DamagedPickleError
from paintdiff.models.formats.pickles.records import (
    STORAGES,
    Pickles,
    Storage,
    TensorRecord,
    bytes_per_number,
    format_storage_key,
)
from paintdiff.system.regular_files import open_file

if TYPE_CHECKING:
    import torch

_ZIP_START = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001


def read_records(path: Path) -> dict[str, Any]:
    """Read a pickle's content with a TensorRecord for each tensor, without tensor data.

    Raises:
        UnsafeWeightsError: It contains anything but tensors.
        ModelLoadError: It can't be read.
    """
    with _open(path) as file:
        return _read_content(file)[0]


def list_tensor_names(path: Path) -> list[str]:
    """List the names of all tensors in a pickle, at any depth, without reading tensor data.

    Raises what `read_records` raises.
    """
    with _open(path) as file:
        return [name for name, _record in _iterate_tensors(_read_content(file)[0])]


def read_tensor_records(path: Path) -> dict[str, TensorRecord]:
    """Map names to all tensors in a pickle, without reading tensor data.

    A nested table's names are joined ("outer.inner"). Of a checkpoint with a `state_dict` only that
    is read. Raises what `read_records` raises.
    """
    with _open(path) as file:
        content: Mapping[str, Any] = _read_content(file)[0]
        inner: object = content.get("state_dict")
        return dict(_iterate_tensors(inner if isinstance(inner, Mapping) else content))


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a pickle: dictionaries of tensors on the CPU, possibly nested.

    Raises what `read_records` raises. Imports torch.
    """
    with _open(path) as file:
        content, numbers_in = _read_content(file)
        check_sharing((record.size_bytes for _name, record in _iterate_tensors(content)), file)
        read: dict[str, Any] = {}

        def tensor(record: TensorRecord) -> torch.Tensor:
            storage = record.storage
            _check_within(record)
            if storage.key not in read:
                read[storage.key] = _make_tensor(numbers_in(storage, 0, storage.count), storage)
            return read[storage.key].as_strided(record.shape, record.stride, record.offset).clone()

        return _replace_records(content, tensor)


class PickledTensors:
    """The tensors in an open pickle, read one by one as bytes.

    `content` is what `read_records` returns. Raises UnsafeWeightsError; a damaged file can raise
    any Exception, which `explain_damage` turns into a sentence.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.content, self._numbers_in = _read_content(file)

    def numbers(self, record: TensorRecord) -> bytes:
        """Return a tensor's data in C order, little endian. Needs numpy for unusual strides.

        Raises:
            DamagedPickleError: The tensor claims more data than the file has.
        """
        _check_within(record)
        count = math.prod(record.shape)
        if count == 0:
            return b""
        if record.stride == _compute_strides(record.shape):
            return self._read(record, count)
        import numpy as np  # noqa: PLC0415 (few tensors have unusual strides)

        size = bytes_per_number(record.storage)
        reach = sum(
            (side - 1) * step for side, step in zip(record.shape, record.stride, strict=True)
        )
        data = self._read(record, reach + 1)
        flat = np.frombuffer(data, dtype=f"V{size}" if size > 8 else f"u{size}")
        steps = tuple(step * size for step in record.stride)
        return np.lib.stride_tricks.as_strided(flat, record.shape, steps, writeable=False).tobytes()

    def _read(self, record: TensorRecord, count: int) -> bytes:
        data = self._numbers_in(record.storage, record.offset, count)
        if len(data) != count * bytes_per_number(record.storage):
            raise DamagedPickleError(messages.CUT_OFF)
        return data


def _compute_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a contiguous tensor."""
    strides: list[int] = []
    step = 1
    for side in reversed(shape):
        strides.append(step)
        step *= max(1, side)
    return tuple(reversed(strides))


def _check_within(record: TensorRecord) -> None:
    """Raise DamagedPickleError if a tensor claims more than its storage has.

    Its last number may lie beyond the storage, or a stride of 0 may repeat numbers.
    """
    shape, stride = record.shape, record.stride
    if len(shape) != len(stride) or min((record.offset, *shape, *stride)) < 0:
        raise DamagedPickleError(messages.IMPOSSIBLE_SHAPE)
    reach = sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
    count = math.prod(shape)
    if count and (record.offset + reach >= record.storage.count or count > record.storage.count):
        raise DamagedPickleError(messages.TENSOR_CLAIMS_MORE)


def check_sharing(sizes: Iterable[int], file: BinaryIO) -> None:
    """Raise DamagedPickleError if tensors of these sizes are far larger in total than their file.

    Thousands of tensors can be cut from the same storage.
    """
    size_bytes = file.seek(0, io.SEEK_END)
    total = sum(sizes)
    if total > MAX_SHARING * size_bytes + SHARING_SPARE_BYTES:
        raise DamagedPickleError(messages.tensors_take_more(total, size_bytes))


def _iterate_tensors(content: Mapping[Any, Any]) -> Iterator[tuple[str, TensorRecord]]:
    """Yield all tensors, with the names of nested tables joined, and each table once.

    A pickle can nest a table in itself, or in many others. Raises DamagedPickleError
    beyond the limits.
    """
    seen, waiting, count = {id(content)}, [("", 0, content)], 0
    while waiting:
        before, depth, table = waiting.pop()
        if depth > MAX_TABLE_DEPTH:
            raise DamagedPickleError(messages.tables_nested_too_deep(MAX_TABLE_DEPTH))
        for key, value in table.items():
            if not isinstance(value, (TensorRecord, Mapping)):
                continue
            name = before + format_key(key)
            if len(name) > MAX_NAME_CHARACTERS:
                raise DamagedPickleError(messages.name_in_it_too_long(MAX_NAME_CHARACTERS))
            if isinstance(value, TensorRecord):
                count += 1
                if count > MAX_TENSORS:
                    raise DamagedPickleError(messages.more_tensors_than(MAX_TENSORS))
                yield name, value
            elif id(value) not in seen:
                seen.add(id(value))
                waiting.append((f"{name}.", depth + 1, value))


def format_key(key: object) -> str:
    """Return a table's key as a name. Raise DamagedPickleError if it is too long."""
    if isinstance(key, (str, bytes)) and len(key) > MAX_NAME_CHARACTERS:
        raise DamagedPickleError(messages.name_in_it_too_long(MAX_NAME_CHARACTERS))
    return str(key)


def _replace_records(
    content: Mapping[Any, Any], tensor: Callable[[TensorRecord], object]
) -> dict[str, Any]:
    """Replace each record in the content. `_iterate_tensors` must have checked all of it before."""
    done: dict[int, dict[str, Any]] = {}  # a pickle can nest one table in many others

    def table_of(table: Mapping[Any, Any]) -> dict[str, Any]:
        if id(table) not in done:
            made = done[id(table)] = {}
            made.update((str(key), value_of(value)) for key, value in table.items())
        return done[id(table)]

    def value_of(value: Any) -> Any:
        if isinstance(value, TensorRecord):
            return tensor(value)
        return table_of(value) if isinstance(value, dict) else value

    return table_of(content)


@contextmanager
def _open(path: Path) -> Generator[BinaryIO]:
    """Open a file, and turn any error inside the block into one that people can understand."""
    try:
        with open_file(path) as file:
            yield file
    except UnsafeWeightsError as error:
        raise UnsafeWeightsError(messages.pickle_with_more(path.name, error)) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise ModelLoadError(messages.damaged_weights(path.name, explain_damage(error))) from error


def explain_damage(error: Exception) -> str:
    """Return a reason fit for people for an error that came from reading a pickle.

    The texts of Python's own errors ("pop from empty list") explain nothing to them.
    """
    if isinstance(error, DamagedPickleError):
        return str(error)
    if isinstance(error, MemoryError):
        return messages.NOT_ENOUGH_MEMORY
    if isinstance(error, zipfile.BadZipFile) and "CRC" in str(error):
        return messages.OTHER_CHECKSUM
    # A seek to an impossible place fails with EINVAL, and has no file name.
    if isinstance(error, OSError) and (error.filename or error.errno not in (None, errno.EINVAL)):
        return messages.it_is_unreadable(error.strerror)
    return messages.INCONSISTENT


_NumbersIn = Callable[[Storage, int, int], bytes]
"""Read `count` numbers of a storage from number `first` on, as bytes: (storage, first, count)."""


def _read_content(file: BinaryIO) -> tuple[dict[str, Any], _NumbersIn]:
    start = file.read(len(_ZIP_START))
    file.seek(0)
    content, numbers_in = _read_zip(file) if start == _ZIP_START else _read_legacy(file)
    if not isinstance(content, dict):
        raise DamagedPickleError(messages.NO_TABLE_OF_TENSORS)
    return content, numbers_in


def _read_zip(file: BinaryIO) -> tuple[Any, _NumbersIn]:
    """Read torch's format since 1.6: a zip with a pickle and one file per storage."""
    _check_directory(file)
    archive = zipfile.ZipFile(file)
    names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise DamagedPickleError(messages.NO_DATA_PKL)
    folder = names[0].removesuffix("data.pkl")

    def numbers_in(storage: Storage, first: int, count: int) -> bytes:
        member = _find_member(archive, f"{folder}data/{storage.key}")
        size = bytes_per_number(storage)
        if member.file_size != storage.count * size:
            raise DamagedPickleError(messages.CUT_OFF)
        if count == storage.count:
            return archive.read(member)  # this also verifies the checksum
        with archive.open(member):  # verifies that the offset belongs to this member
            file.seek(member.header_offset + 26)
            name_bytes, extra_bytes = (int.from_bytes(file.read(2), "little") for _ in range(2))
        file.seek(member.header_offset + 30 + name_bytes + extra_bytes + first * size)
        return file.read(count * size)

    member = _find_member(archive, names[0])
    if member.file_size > MAX_PICKLE_BYTES:
        raise DamagedPickleError(messages.TABLE_TOO_LARGE)
    pickles = Pickles(io.BytesIO(archive.read(member)))
    content = pickles.load()
    _check_storages(pickles.storages, file)
    return content, numbers_in


def _check_directory(file: BinaryIO) -> None:
    """Raise DamagedPickleError if a zip's directory is too large to be read at once."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(max(0, size_bytes - 2**16 - 22))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    found = [int.from_bytes(tail[end + 12 : end + 16], "little")] if end >= 0 else []
    if tail[end - 20 : end - 16] == b"PK\x06\x07":  # zip64
        found.append(int.from_bytes(tail[end - 36 : end - 28], "little"))
    directory_bytes = min(found, default=0) if 2**32 - 1 in found else max(found, default=0)
    if directory_bytes > MAX_ZIP_DIRECTORY_BYTES:
        raise DamagedPickleError(
            messages.zip_directory_too_large(directory_bytes, MAX_ZIP_DIRECTORY_BYTES)
        )
    file.seek(0)


def _find_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return an uncompressed member of an archive.

    torch never compresses; a zip bomb does.
    """
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED:
        raise DamagedPickleError(messages.compressed_in_it(member.filename))
    if member.compress_size != member.file_size:
        raise DamagedPickleError(messages.two_sizes_in_it(member.filename))
    return member


def _check_storages(storages: Mapping[str, Storage], file: BinaryIO) -> None:
    """Raise DamagedPickleError if the storages claim more bytes than the file has."""
    total = sum(each.count * bytes_per_number(each) for each in storages.values())
    if total > file.seek(0, io.SEEK_END):
        raise DamagedPickleError(messages.TENSORS_CLAIM_MORE)


def _read_legacy(file: BinaryIO) -> tuple[Any, _NumbersIn]:
    """Read torch's format before 1.6: five pickles, then the storages one after another."""
    pickles = Pickles(file)
    if pickles.load() != _LEGACY_MAGIC or pickles.load() != _LEGACY_VERSION:
        raise UnsafeWeightsError(messages.NOT_BY_TORCH)
    _system = pickles.load()
    content, keys = pickles.load(), pickles.load()
    first_place = file.tell()
    if not isinstance(keys, list):
        raise DamagedPickleError(messages.NO_STORAGE_LIST)
    _check_storages(pickles.storages, file)
    names = [format_storage_key(key) for key in keys]
    places: dict[str, int] = {}

    def numbers_in(storage: Storage, first: int, count: int) -> bytes:
        if not places:  # each storage begins with its length, so the places follow from that
            file.seek(first_place)
            for name in names:
                length = int.from_bytes(file.read(8), "little")
                places[name] = file.tell()
                file.seek(length * bytes_per_number(pickles.storages[name]), io.SEEK_CUR)
        size = bytes_per_number(storage)
        file.seek(places[storage.key] + first * size)
        return file.read(count * size)

    return content, numbers_in


def _make_tensor(data: bytes, storage: Storage) -> torch.Tensor:
    import torch  # noqa: PLC0415 (headers can be read without torch)

    name, size_bytes = STORAGES[storage.kind]
    if len(data) != storage.count * size_bytes:
        raise DamagedPickleError(messages.CUT_OFF)
    if not data:
        return torch.empty(0, dtype=getattr(torch, name))
    return torch.frombuffer(bytearray(data), dtype=getattr(torch, name))

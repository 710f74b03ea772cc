"""Pickled tensors (.pth, .pt, .ckpt, .bin), read without running anything that is in them.

A pickle is a little program that may call whatever it names. Here the names of tensors and of the
boxes they come in stand for plain records, those of what training leaves beside them (callbacks,
counters, settings) for things that do nothing and are dropped, and every other name is refused, so
that there is nothing to call. The numbers themselves are copied from the file's bytes. Importable
without torch.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from paintdiff.errors import ModelLoadError, UnsafeWeightsError
from paintdiff.models.formats.limits import (
    MAX_NAME_CHARACTERS,
    MAX_PICKLE_BYTES,
    MAX_SHARING,
    MAX_TABLE_DEPTH,
    MAX_TENSORS,
    MAX_ZIP_DIRECTORY_BYTES,
    SHARING_SPARE_BYTES,
)
from paintdiff.models.formats.opening import open_file
from paintdiff.models.formats.pickle_records import (
    STORAGES,
    Pickles,
    Storage,
    TensorRecord,
    bytes_per_number,
    storage_key,
)

if TYPE_CHECKING:
    import torch

_ZIP_START = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001


def read_records(path: Path) -> dict[str, Any]:
    """What a file of pickled tensors holds, with a TensorRecord for each tensor; reads no numbers.

    Raises UnsafeWeightsError if there is anything but tensors in it, ModelLoadError if it can't be
    read.
    """
    with _opened(path) as file:
        return _records(file)[0]


def tensor_names(path: Path) -> list[str]:
    """The names of all tensors in a file of pickled tensors, however deep they lie; reads no
    numbers. Raises what `read_records` raises.
    """
    with _opened(path) as file:
        return [name for name, _record in _each(_records(file)[0])]


def tensor_records(path: Path) -> dict[str, TensorRecord]:
    """All tensors in a file of pickled tensors, those of a table in a table by both names ("outer.
    inner"); of a checkpoint with a `state_dict` only what is in that. Reads no numbers.

    Raises what `read_records` raises.
    """
    with _opened(path) as file:
        content: Mapping[str, Any] = _records(file)[0]
        inner: object = content.get("state_dict")
        return dict(_each(inner if isinstance(inner, Mapping) else content))


def read_tensors(path: Path) -> dict[str, Any]:
    """What a file of pickled tensors holds: dictionaries of tensors (on the CPU), maybe nested.

    Raises what `read_records` raises. Imports torch.
    """
    with _opened(path) as file:
        content, numbers_in = _records(file)
        check_sharing((record.size_bytes for _name, record in _each(content)), file)
        read: dict[str, Any] = {}

        def tensor(record: TensorRecord) -> torch.Tensor:
            storage = record.storage
            _check_within(record)
            if storage.key not in read:
                read[storage.key] = _numbers(numbers_in(storage, 0, storage.count), storage)
            return read[storage.key].as_strided(record.shape, record.stride, record.offset).clone()

        return _replaced(content, tensor)


class PickledTensors:
    """Tensors in an open file, read one by one as bytes. `content` is what `read_records` gives.

    Raises UnsafeWeightsError, and for a damaged file anything else.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.content, self._numbers_in = _records(file)

    def numbers(self, record: TensorRecord) -> bytes:
        """A tensor's numbers in C order, little endian. Needs numpy if it isn't stored so.

        Raises ValueError if it claims more than there is.
        """
        _check_within(record)
        count = math.prod(record.shape)
        if count == 0:
            return b""
        if record.stride == _in_a_row(record.shape):
            return self._read(record, count)
        import numpy as np  # noqa: PLC0415 (few tensors are stored out of order)

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
            raise ValueError("it ends too early")
        return data


def _in_a_row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose numbers lie one after another."""
    strides: list[int] = []
    step = 1
    for side in reversed(shape):
        strides.append(step)
        step *= max(1, side)
    return tuple(reversed(strides))


def _check_within(record: TensorRecord) -> None:
    """Raise ValueError if a tensor reaches beyond its storage, or claims more numbers than are in
    it (as a stride of 0 could).
    """
    shape, stride = record.shape, record.stride
    if len(shape) != len(stride) or min((record.offset, *shape, *stride)) < 0:
        raise ValueError("a tensor in it has no possible shape")
    reach = sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
    count = math.prod(shape)
    if count and (record.offset + reach >= record.storage.count or count > record.storage.count):
        raise ValueError("a tensor in it claims more numbers than there are")


def check_sharing(sizes: Iterable[int], file: BinaryIO) -> None:
    """Raise ValueError if tensors of these sizes are together far larger than their file: thousands
    of them can be cut from the same numbers.
    """
    size_bytes = file.seek(0, io.SEEK_END)
    total = sum(sizes)
    if total > MAX_SHARING * size_bytes + SHARING_SPARE_BYTES:
        raise ValueError(f"the tensors in it would take {total:,} bytes, and it has {size_bytes:,}")


def _each(content: Mapping[Any, Any]) -> Iterator[tuple[str, TensorRecord]]:
    """All tensors, those of a table in a table by both names; of each table once, as a pickle can
    hold one table in itself, or in many others. Raises ValueError beyond the limits.
    """
    seen, waiting, count = {id(content)}, [("", 0, content)], 0
    while waiting:
        before, depth, table = waiting.pop()
        if depth > MAX_TABLE_DEPTH:
            raise ValueError(f"its tables are nested more than {MAX_TABLE_DEPTH} levels deep")
        for key, value in table.items():
            if not isinstance(value, (TensorRecord, Mapping)):
                continue
            name = before + format_key(key)
            if len(name) > MAX_NAME_CHARACTERS:
                raise ValueError(f"a name in it has more than {MAX_NAME_CHARACTERS:,} letters")
            if isinstance(value, TensorRecord):
                count += 1
                if count > MAX_TENSORS:
                    raise ValueError(f"there are more than {MAX_TENSORS:,} tensors in it")
                yield name, value
            elif id(value) not in seen:
                seen.add(id(value))
                waiting.append((f"{name}.", depth + 1, value))


def format_key(key: object) -> str:
    """Return a table's key as a name. Raises ValueError if it is too long."""
    if isinstance(key, (str, bytes)) and len(key) > MAX_NAME_CHARACTERS:
        raise ValueError(f"a name in it has more than {MAX_NAME_CHARACTERS:,} letters")
    return str(key)


def _replaced(
    content: Mapping[Any, Any], tensor: Callable[[TensorRecord], object]
) -> dict[str, Any]:
    """The content with each record replaced; `_each` has looked at all of it before."""
    done: dict[int, dict[str, Any]] = {}  # a pickle can hold one table in many others

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
def _opened(path: Path) -> Generator[BinaryIO]:
    """The file; what goes wrong with it in between comes out as an error of ours, in words."""
    try:
        with open_file(path) as file:
            yield file
    except UnsafeWeightsError as error:
        raise UnsafeWeightsError(
            f"{path.name} is a pickle that contains more than tensors ({error}) and could run "
            "code. It was not run. Get the .safetensors version."
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise ModelLoadError(
            f"{path.name} is damaged or isn't a weight file: {error or type(error).__name__}."
        ) from error


_NumbersIn = Callable[[Storage, int, int], bytes]
"""Of a storage, from the first number on so many, as bytes."""


def _records(file: BinaryIO) -> tuple[dict[str, Any], _NumbersIn]:
    start = file.read(len(_ZIP_START))
    file.seek(0)
    content, numbers_in = _zipped(file) if start == _ZIP_START else _legacy(file)
    if not isinstance(content, dict):
        raise ValueError("it contains no table of tensors")
    return content, numbers_in


def _zipped(file: BinaryIO) -> tuple[Any, _NumbersIn]:
    """torch's format since 1.6: a zip with a pickle, and a file for each storage."""
    _check_directory(file)
    archive = zipfile.ZipFile(file)
    names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise ValueError("it contains no data.pkl")
    folder = names[0].removesuffix("data.pkl")

    def numbers_in(storage: Storage, first: int, count: int) -> bytes:
        member = _stored(archive, f"{folder}data/{storage.key}")
        size = bytes_per_number(storage)
        if member.file_size != storage.count * size:
            raise ValueError("it ends too early")
        if count == storage.count:
            return archive.read(member)  # its checksum is looked at, too
        with archive.open(member):  # the place that the archive speaks of is one of this member
            file.seek(member.header_offset + 26)
            name_bytes, extra_bytes = (int.from_bytes(file.read(2), "little") for _ in range(2))
        file.seek(member.header_offset + 30 + name_bytes + extra_bytes + first * size)
        return file.read(count * size)

    member = _stored(archive, names[0])
    if member.file_size > MAX_PICKLE_BYTES:
        raise ValueError("its table of tensors is too large")
    pickles = Pickles(io.BytesIO(archive.read(member)))
    content = pickles.load()
    _check_storages(pickles.storages, file)
    return content, numbers_in


def _check_directory(file: BinaryIO) -> None:
    """Raise ValueError if a zip's directory is too large to be read at once."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(max(0, size_bytes - 2**16 - 22))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    found = [int.from_bytes(tail[end + 12 : end + 16], "little")] if end >= 0 else []
    if tail[end - 20 : end - 16] == b"PK\x06\x07":  # of a zip64
        found.append(int.from_bytes(tail[end - 36 : end - 28], "little"))
    directory_bytes = min(found, default=0) if 2**32 - 1 in found else max(found, default=0)
    if directory_bytes > MAX_ZIP_DIRECTORY_BYTES:
        raise ValueError(f"the directory of this zip has {directory_bytes:,} bytes")
    file.seek(0)


def _stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """A member of an archive, which lies in it as it is: torch compresses nothing, and a bomb is
    compressed.
    """
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} in it is compressed")
    if member.compress_size != member.file_size:
        raise ValueError(f"{member.filename} in it has two sizes")
    return member


def _check_storages(storages: Mapping[str, Storage], file: BinaryIO) -> None:
    """Raise ValueError if there are more numbers than the file can have."""
    total = sum(each.count * bytes_per_number(each) for each in storages.values())
    if total > file.seek(0, io.SEEK_END):
        raise ValueError("its tensors claim more numbers than there are in it")


def _legacy(file: BinaryIO) -> tuple[Any, _NumbersIn]:
    """torch's format before 1.6: five pickles, then the storages one after another."""
    pickles = Pickles(file)
    if pickles.load() != _LEGACY_MAGIC or pickles.load() != _LEGACY_VERSION:
        raise UnsafeWeightsError("it wasn't written by torch")
    _system = pickles.load()
    content, keys = pickles.load(), pickles.load()
    first_place = file.tell()
    if not isinstance(keys, list):
        raise ValueError("it doesn't say where its storages are")
    _check_storages(pickles.storages, file)
    names = [storage_key(key) for key in keys]
    places: dict[str, int] = {}

    def numbers_in(storage: Storage, first: int, count: int) -> bytes:
        if not places:  # each storage tells how long it is; where it lies follows from all before
            file.seek(first_place)
            for name in names:
                length = int.from_bytes(file.read(8), "little")
                places[name] = file.tell()
                file.seek(length * bytes_per_number(pickles.storages[name]), io.SEEK_CUR)
        size = bytes_per_number(storage)
        file.seek(places[storage.key] + first * size)
        return file.read(count * size)

    return content, numbers_in


def _numbers(data: bytes, storage: Storage) -> torch.Tensor:
    import torch  # noqa: PLC0415 (what a file holds can be seen without)

    name, size_bytes = STORAGES[storage.kind]
    if len(data) != storage.count * size_bytes:
        raise ValueError("it ends too early")
    if not data:
        return torch.empty(0, dtype=getattr(torch, name))
    return torch.frombuffer(bytearray(data), dtype=getattr(torch, name))

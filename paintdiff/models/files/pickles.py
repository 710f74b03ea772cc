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
import pickle
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from paintdiff.errors import ModelLoadError, UnsafeWeightsError
from paintdiff.models.files.pickle_names import Dropped, lies_beside_tensors

if TYPE_CHECKING:
    import torch

MAX_PICKLE_BYTES = 64 * 2**20

_ZIP_START = b"PK\x03\x04"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
# torch's name of a storage: the dtype, and the bytes of one number.
_STORAGES: Mapping[str, tuple[str, int]] = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}


class _Inert:
    """Something in a pickle that the pickle can't change."""

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it changes what tensors are made of")


@dataclass(frozen=True)
class Storage(_Inert):
    """The numbers that tensors are cut from. `kind` is a key of _STORAGES."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True)
class TensorRecord(_Inert):
    """A tensor that hasn't been read. `stride` and `offset` are in numbers, not in bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Box(dict[Any, Any]):
    """An OrderedDict; what torch notes beside a module's tensors is left out."""

    def __setstate__(self, state: object) -> None:
        return


@dataclass(frozen=True)
class _StorageKind(_Inert):
    name: str


class _ParameterDict(dict[Any, Any]):
    """torch's ParameterDict, in which textual inversions come: a module with named tensors."""

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            parameters: object = state.get("_parameters")  # pyright: ignore[reportUnknownMemberType]
            if isinstance(parameters, dict):
                self.update(parameters)


class _Function(_Inert):
    """Stands for a function of torch's."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_rest: object) -> TensorRecord:
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor has no storage")
    return TensorRecord(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


def _first(value: object, *_rest: object) -> object:
    return value


def _of_a_type(function: object, _type: object, arguments: object, _state: object) -> object:
    """A tensor with attributes, or of a class derived from it."""
    if not isinstance(function, _Function) or not isinstance(arguments, tuple):
        raise pickle.UnpicklingError("a tensor is made in an unknown way")
    return function(*arguments)


_KNOWN: Mapping[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _Box,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _Function(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_tensor),
    ("torch._utils", "_rebuild_parameter"): _Function(_first),
    ("torch._utils", "_rebuild_parameter_with_state"): _Function(_first),
    ("torch._tensor", "_rebuild_from_type_v2"): _Function(_of_a_type),
    ("torch.nn.modules.container", "ParameterDict"): _ParameterDict,
    ("torch.nn.parameter", "Parameter"): _Function(_first),
    **{("torch", name): _StorageKind(name) for name in _STORAGES},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = _KNOWN.get((module_name, global_name))
        if found is not None:
            return found
        if lies_beside_tensors(module_name, global_name):
            return Dropped
        raise UnsafeWeightsError(f"it asks for {module_name}.{global_name}")

    def persistent_load(self, pid: Any) -> Storage:
        kind, key, count = pid[1], pid[2], pid[4]
        if pid[0] != "storage" or not isinstance(kind, _StorageKind) or any(pid[5:]):
            raise pickle.UnpicklingError("it refers to something that isn't a tensor")
        storage = Storage(str(key), kind.name, int(count))
        return self.storages.setdefault(storage.key, storage)


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
        return list(_names(_records(file)[0]))


def tensor_records(path: Path) -> dict[str, TensorRecord]:
    """All tensors in a file of pickled tensors, those of a table in a table by both names ("outer.
    inner"); of a checkpoint with a `state_dict` only what is in that. Reads no numbers.

    Raises what `read_records` raises.
    """
    with _opened(path) as file:
        content: Mapping[str, Any] = _records(file)[0]
        inner: object = content.get("state_dict")
        return dict(_named(inner if isinstance(inner, Mapping) else content))


def read_tensors(path: Path) -> dict[str, Any]:
    """What a file of pickled tensors holds: dictionaries of tensors (on the CPU), maybe nested.

    Raises what `read_records` raises. Imports torch.
    """
    with _opened(path) as file:
        content, numbers_in = _records(file)
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

        size = number_bytes(record.storage)
        reach = sum(
            (side - 1) * step for side, step in zip(record.shape, record.stride, strict=True)
        )
        data = self._read(record, reach + 1)
        flat = np.frombuffer(data, dtype=f"V{size}" if size > 8 else f"u{size}")
        steps = tuple(step * size for step in record.stride)
        return np.lib.stride_tricks.as_strided(flat, record.shape, steps, writeable=False).tobytes()

    def _read(self, record: TensorRecord, count: int) -> bytes:
        data = self._numbers_in(record.storage, record.offset, count)
        if len(data) != count * number_bytes(record.storage):
            raise ValueError("it ends too early")
        return data


def number_bytes(storage: Storage) -> int:
    """How many bytes one of its numbers takes."""
    return _STORAGES[storage.kind][1]


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


def _names(content: Mapping[str, Any]) -> Iterator[str]:
    """Of each table once: a pickle can hold one table in itself, or in many others."""
    seen, waiting = {id(content)}, [content]
    while waiting:
        for name, value in waiting.pop().items():
            if isinstance(value, TensorRecord):
                yield str(name)
            elif isinstance(value, Mapping) and id(value) not in seen:
                seen.add(id(value))
                waiting.append(value)


def _named(content: Mapping[str, Any]) -> Iterator[tuple[str, TensorRecord]]:
    """Of each table once, as `_names`."""
    seen, waiting = {id(content)}, [("", content)]
    while waiting:
        before, table = waiting.pop()
        for name, value in table.items():
            if isinstance(value, TensorRecord):
                yield f"{before}{name}", value
            elif isinstance(value, Mapping) and id(value) not in seen:
                seen.add(id(value))
                waiting.append((f"{before}{name}.", value))


def _replaced(content: dict[str, Any], tensor: Callable[[TensorRecord], object]) -> dict[str, Any]:
    done: dict[int, dict[str, Any]] = {}  # a pickle can hold one table in many others

    def table_of(table: dict[str, Any]) -> dict[str, Any]:
        if id(table) not in done:
            done[id(table)] = {str(key): value_of(value) for key, value in table.items()}
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
        with path.open("rb") as file:
            yield file
    except UnsafeWeightsError as error:
        raise UnsafeWeightsError(
            f"{path.name} is a pickle with more than tensors in it ({error}), which could run "
            "code. Nothing of it was run. Get the .safetensors version."
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise ModelLoadError(
            f"{path.name} is damaged or no file of tensors: {error or type(error).__name__}."
        ) from error


_NumbersIn = Callable[[Storage, int, int], bytes]
"""Of a storage, from the first number on so many, as bytes."""


def _records(file: BinaryIO) -> tuple[dict[str, Any], _NumbersIn]:
    start = file.read(len(_ZIP_START))
    file.seek(0)
    content, numbers_in = _zipped(file) if start == _ZIP_START else _legacy(file)
    if not isinstance(content, dict):
        raise ValueError("there is no table of tensors in it")
    return content, numbers_in


def _zipped(file: BinaryIO) -> tuple[Any, _NumbersIn]:
    """torch's format since 1.6: a zip with a pickle, and a file for each storage."""
    archive = zipfile.ZipFile(file)
    names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise ValueError("there is no data.pkl in it")
    folder = names[0].removesuffix("data.pkl")

    def numbers_in(storage: Storage, first: int, count: int) -> bytes:
        member = archive.getinfo(f"{folder}data/{storage.key}")
        size = number_bytes(storage)
        if member.compress_type != zipfile.ZIP_STORED:  # torch doesn't, and a bomb would be
            raise ValueError(f"{member.filename} in it is compressed")
        if member.file_size != storage.count * size:
            raise ValueError("it ends too early")
        if count == storage.count:
            return archive.read(member)  # its checksum is looked at, too
        with archive.open(member):  # the place that the archive speaks of is one of this member
            file.seek(member.header_offset + 26)
            name_bytes, extra_bytes = (int.from_bytes(file.read(2), "little") for _ in range(2))
        file.seek(member.header_offset + 30 + name_bytes + extra_bytes + first * size)
        return file.read(count * size)

    if archive.getinfo(names[0]).file_size > MAX_PICKLE_BYTES:
        raise ValueError("its table of tensors is too large")
    with archive.open(names[0]) as pickled:
        content = _Unpickler(pickled).load()
    return content, numbers_in


def _legacy(file: BinaryIO) -> tuple[Any, _NumbersIn]:
    """torch's format before 1.6: five pickles, then the storages one after another."""
    if _Unpickler(file).load() != _LEGACY_MAGIC or _Unpickler(file).load() != _LEGACY_VERSION:
        raise UnsafeWeightsError("it wasn't written by torch")
    _system = _Unpickler(file).load()
    unpickler = _Unpickler(file)
    content, keys = unpickler.load(), _Unpickler(file).load()
    places: dict[str, int] = {}

    def numbers_in(storage: Storage, first: int, count: int) -> bytes:
        if not places:  # each storage tells how long it is; where it lies follows from all before
            for key in map(str, keys):
                length = int.from_bytes(file.read(8), "little")
                places[key] = file.tell()
                file.seek(length * number_bytes(unpickler.storages[key]), io.SEEK_CUR)
        size = number_bytes(storage)
        file.seek(places[storage.key] + first * size)
        return file.read(count * size)

    return content, numbers_in


def _numbers(data: bytes, storage: Storage) -> torch.Tensor:
    import torch  # noqa: PLC0415 (what a file holds can be seen without)

    name, size_bytes = _STORAGES[storage.kind]
    if len(data) != storage.count * size_bytes:
        raise ValueError("it ends too early")
    if not data:
        return torch.empty(0, dtype=getattr(torch, name))
    return torch.frombuffer(bytearray(data), dtype=getattr(torch, name))

"""Pickled tensors (.pth, .pt, .ckpt, .bin), read without running anything that is in them.

A pickle is a little program that may call whatever it names. Here the names of tensors and of the
boxes they come in stand for plain records, and every other name is refused, so that there is
nothing to call. The numbers themselves are copied from the file's bytes. Importable without torch.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from paintdiff.errors import ModelLoadError, UnsafeWeightsError

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


class _Note:
    """Something beside the tensors (what pytorch-lightning or numpy wrote down): it is made of
    anything, holds nothing, and does nothing.
    """

    def __init__(self, *_arguments: object) -> None:
        return

    def __setstate__(self, state: object) -> None:
        return

    def __hash__(self) -> int:
        return id(self)


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


_KNOWN: Mapping[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _Box,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _Function(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_tensor),
    ("torch._utils", "_rebuild_parameter"): _Function(_first),
    ("torch.nn.modules.container", "ParameterDict"): _ParameterDict,
    ("torch.nn.parameter", "Parameter"): _Function(_first),
    **{("torch", name): _StorageKind(name) for name in _STORAGES},
    # The original checkpoints have their training's notes in them, as keys or numbers.
    ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"): _Note,
    ("pytorch_lightning.utilities.argparse", "_gpus_arg_default"): _Note,
    ("numpy.core.multiarray", "scalar"): _Note,
    ("numpy._core.multiarray", "scalar"): _Note,
    ("numpy", "dtype"): _Note,
    ("_codecs", "encode"): _Note,
    ("__builtin__", "set"): _Note,
    ("builtins", "set"): _Note,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = _KNOWN.get((module_name, global_name))
        if found is None:
            raise UnsafeWeightsError(f"it asks for {module_name}.{global_name}")
        return found

    def persistent_load(self, pid: Any) -> Storage:
        kind, key, count = pid[1], pid[2], pid[4]
        if pid[0] != "storage" or not isinstance(kind, _StorageKind) or any(pid[5:]):
            raise pickle.UnpicklingError("it refers to something that isn't a tensor")
        return Storage(str(key), kind.name, int(count))


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
        while isinstance(inner := content.get("state_dict"), Mapping):
            content = inner
        return dict(_named(content, ""))


def read_tensors(path: Path) -> dict[str, Any]:
    """What a file of pickled tensors holds: dictionaries of tensors (on the CPU), maybe nested.

    Raises what `read_records` raises. Imports torch.
    """
    with _opened(path) as file:
        content, storages = _records(file)
        read: dict[str, Any] = {}

        def tensor(record: TensorRecord) -> torch.Tensor:
            key = record.storage.key
            if math.prod(record.shape) > record.storage.count:  # a stride of 0 could claim any size
                raise ValueError("a tensor in it claims more numbers than there are")
            if key not in read:
                read[key] = _numbers(storages(record.storage), record.storage)
            return read[key].as_strided(record.shape, record.stride, record.offset).clone()

        return _replaced(content, tensor)


def _names(content: Mapping[str, Any]) -> Generator[str]:
    for name, value in content.items():
        if isinstance(value, TensorRecord):
            yield str(name)
        elif isinstance(value, Mapping):
            yield from _names(value)


def _named(content: Mapping[str, Any], before: str) -> Generator[tuple[str, TensorRecord]]:
    for name, value in content.items():
        if isinstance(value, TensorRecord):
            yield f"{before}{name}", value
        elif isinstance(value, Mapping):
            yield from _named(value, f"{before}{name}.")


def _replaced(content: dict[str, Any], tensor: Callable[[TensorRecord], object]) -> dict[str, Any]:
    def value_of(value: Any) -> Any:
        if isinstance(value, TensorRecord):
            return tensor(value)
        return _replaced(value, tensor) if isinstance(value, dict) else value

    return {str(key): value_of(value) for key, value in content.items()}


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


_StorageBytes = Callable[[Storage], bytes]


def _records(file: BinaryIO) -> tuple[dict[str, Any], _StorageBytes]:
    start = file.read(len(_ZIP_START))
    file.seek(0)
    content, storage_bytes = _zipped(file) if start == _ZIP_START else _legacy(file)
    if not isinstance(content, dict):
        raise ValueError("there is no table of tensors in it")
    return content, storage_bytes


def _zipped(file: BinaryIO) -> tuple[Any, _StorageBytes]:
    """torch's format since 1.6: a zip with a pickle, and a file for each storage."""
    archive = zipfile.ZipFile(file)
    names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise ValueError("there is no data.pkl in it")
    folder = names[0].removesuffix("data.pkl")

    def member(name: str) -> bytes:
        if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} in it is compressed")  # torch doesn't, and a bomb would be
        return archive.read(name)

    if archive.getinfo(names[0]).file_size > MAX_PICKLE_BYTES:
        raise ValueError("its table of tensors is too large")
    with archive.open(names[0]) as pickled:
        content = _Unpickler(pickled).load()
    return content, lambda storage: member(f"{folder}data/{storage.key}")


def _legacy(file: BinaryIO) -> tuple[Any, _StorageBytes]:
    """torch's format before 1.6: five pickles, then the storages one after another."""
    if _Unpickler(file).load() != _LEGACY_MAGIC or _Unpickler(file).load() != _LEGACY_VERSION:
        raise UnsafeWeightsError("it wasn't written by torch")
    _system = _Unpickler(file).load()
    content, keys = _Unpickler(file).load(), _Unpickler(file).load()
    places: dict[str, int] = {}
    sizes = {storage.key: storage for storage in _storages_in(content)}

    def storage_bytes(storage: Storage) -> bytes:
        if not places:  # each storage tells how long it is; where it lies follows from all before
            for key in keys:
                count = int.from_bytes(file.read(8), "little")
                places[str(key)] = file.tell()
                file.seek(count * _STORAGES[sizes[str(key)].kind][1], 1)
        file.seek(places[storage.key])
        return file.read(storage.count * _STORAGES[storage.kind][1])

    return content, storage_bytes


def _storages_in(content: object) -> Generator[Storage]:
    if isinstance(content, TensorRecord):
        yield content.storage
    elif isinstance(content, dict):
        for value in content.values():
            yield from _storages_in(value)


def _numbers(data: bytes, storage: Storage) -> torch.Tensor:
    import torch  # noqa: PLC0415 (what a file holds can be seen without)

    name, size_bytes = _STORAGES[storage.kind]
    if len(data) != storage.count * size_bytes:
        raise ValueError("it ends too early")
    if not data:
        return torch.empty(0, dtype=getattr(torch, name))
    return torch.frombuffer(bytearray(data), dtype=getattr(torch, name))

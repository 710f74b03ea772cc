"""What a pickle of tensors is made of: records of tensors and their storages, and what stands for
the names of torch's functions and classes, so that there is nothing to call. Importable without
torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from paintdiff.errors import UnsafeWeightsError
from paintdiff.models.formats.limits import MAX_DIMENSIONS, MAX_NUMBERS
from paintdiff.models.formats.pickle_allowlist import Dropped, lies_beside_tensors
from paintdiff.models.formats.pickle_machine import PickleMachine, Table, is_plain

_Spend = Callable[[int], None]
STORAGES: Mapping[str, tuple[str, int]] = {
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
"""torch's name of a storage: the dtype, and the bytes of one number."""


@dataclass(frozen=True)
class Storage:
    """The numbers that tensors are cut from. `kind` is a key of STORAGES."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True)
class TensorRecord:
    """A tensor that hasn't been read. `stride` and `offset` are in numbers, not in bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """How many bytes its numbers take."""
        return math.prod(self.shape) * bytes_per_number(self.storage)


def bytes_per_number(storage: Storage) -> int:
    """How many bytes one of its numbers takes."""
    return STORAGES[storage.kind][1]


@dataclass(frozen=True)
class _StorageKind:
    name: str


class _ParameterDict(Table):
    """torch's ParameterDict, in which textual inversions come: a module with named tensors."""

    def take_state(self, state: object, spend: _Spend) -> None:
        parameters: object = state.get("_parameters") if isinstance(state, Table) else None
        if isinstance(parameters, Table):
            spend(len(parameters))
            self.update(parameters)


@dataclass(frozen=True)
class _Function:
    """Stands for a function of torch's that gives a tensor."""

    run: Callable[..., object]

    def made(self, arguments: tuple[Any, ...], spend: _Spend) -> object:
        spend(len(arguments))
        return self.run(*arguments)


@dataclass(frozen=True)
class _TableClass:
    """Stands for a class of dictionaries."""

    kind: type[Table]

    def made(self, arguments: tuple[Any, ...], spend: _Spend) -> object:
        table = self.kind()
        pairs: object = arguments[0] if arguments else ()
        if isinstance(pairs, Table):
            pairs = list(pairs.items())
        if not isinstance(pairs, (list, tuple)):
            raise ValueError("it makes a table of something else")
        spend(len(pairs))
        for pair in pairs:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise ValueError("it makes a table of something else")
            if is_plain(pair[0]):
                table[pair[0]] = pair[1]
        return table


class _SizeClass:
    """Stands for torch.Size."""

    def made(self, arguments: tuple[Any, ...], _spend: _Spend) -> object:
        return _whole_numbers(arguments[0] if arguments else ())


def _whole_numbers(values: object) -> tuple[int, ...]:
    """Sides or strides, of which there are few and none is negative."""
    if not isinstance(values, (list, tuple)) or len(values) > MAX_DIMENSIONS:
        raise ValueError("a tensor in it has no possible shape")
    return tuple(map(_whole_number, values))


def _whole_number(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_NUMBERS:
        raise ValueError("a tensor in it has no possible shape")
    return value


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_rest: object) -> TensorRecord:
    if not isinstance(storage, Storage):
        raise ValueError("a tensor has no storage")
    return TensorRecord(
        storage, _whole_number(offset), _whole_numbers(shape), _whole_numbers(stride)
    )


def _first(value: object, *_rest: object) -> object:
    return value


def _of_a_type(function: object, _type: object, arguments: object, _state: object) -> object:
    """A tensor with attributes, or of a class derived from it."""
    if not isinstance(function, _Function) or not isinstance(arguments, tuple):
        raise ValueError("a tensor is made in an unknown way")
    if function.run is _of_a_type:
        raise ValueError("a tensor is made in an unknown way")
    return function.run(*arguments)


_KNOWN: Mapping[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _TableClass(Table),
    ("torch", "Size"): _SizeClass(),
    ("torch._utils", "_rebuild_tensor"): _Function(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_tensor),
    ("torch._utils", "_rebuild_parameter"): _Function(_first),
    ("torch._utils", "_rebuild_parameter_with_state"): _Function(_first),
    ("torch._tensor", "_rebuild_from_type_v2"): _Function(_of_a_type),
    ("torch.nn.modules.container", "ParameterDict"): _TableClass(_ParameterDict),
    ("torch.nn.parameter", "Parameter"): _Function(_first),
    **{("torch", name): _StorageKind(name) for name in STORAGES},
}


def _named(module_name: str, global_name: str) -> object:
    """The stand-in of a global. Raises UnsafeWeightsError if there is none."""
    found = _KNOWN.get((module_name, global_name))
    if found is not None:
        return found
    if lies_beside_tensors(module_name, global_name):
        return Dropped
    raise UnsafeWeightsError(f"it asks for {module_name[:100]}.{global_name[:100]}")


class Pickles:
    """The pickles in a stream, one after another; `storages` are those that were spoken of."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.storages: dict[str, Storage] = {}
        self._machine = PickleMachine(stream, _named, self._storage)

    def load(self) -> object:
        """Return what the next one holds."""
        return self._machine.load()

    def _storage(self, said: object) -> Storage:
        if not isinstance(said, tuple) or len(said) < 5 or said[0] != "storage":
            raise ValueError("it refers to something that isn't a tensor")
        kind, key, count = said[1], said[2], said[4]
        if not isinstance(kind, _StorageKind) or any(said[5:]):
            raise ValueError("it refers to something that isn't a tensor")
        storage = Storage(storage_key(key), kind.name, _whole_number(count))
        return self.storages.setdefault(storage.key, storage)


def storage_key(key: object) -> str:
    """Return the name of a storage. Raises ValueError if it has none."""
    if not isinstance(key, (str, int)) or not is_plain(key):
        raise ValueError("it refers to a storage that has no name")
    return str(key)

"""Records of pickled tensors and storages, and stand-ins for torch's functions and classes.

With stand-ins there is nothing that a pickle could call. Importable without torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from paintdiff.errors import UnsafeWeightsError
from paintdiff.models.formats import messages
from paintdiff.models.formats.limits import MAX_DIMENSIONS, MAX_NUMBERS
from paintdiff.models.formats.pickles.allowlist import Dropped, lies_beside_tensors
from paintdiff.models.formats.pickles.machine import (
    DamagedPickleError,
    PickleMachine,
    Table,
    is_plain,
)

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
"""torch's name of a storage -> dtype, bytes per number."""


@dataclass(frozen=True)
class Storage:
    """The memory that tensors are cut from. `kind` is a key of STORAGES, `count` counts numbers."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True)
class TensorRecord:
    """A tensor that hasn't been read yet. `stride` and `offset` count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """The size of the tensor in bytes."""
        return math.prod(self.shape) * bytes_per_number(self.storage)


def bytes_per_number(storage: Storage) -> int:
    """Return the size in bytes of one number in a storage."""
    return STORAGES[storage.kind][1]


@dataclass(frozen=True)
class _StorageKind:
    name: str


class _ParameterDict(Table):
    """torch's ParameterDict, the module with named tensors that textual inversions are saved as."""

    def take_state(self, state: object, spend: _Spend) -> None:
        parameters: object = state.get("_parameters") if isinstance(state, Table) else None
        if isinstance(parameters, Table):
            spend(len(parameters))
            self.update(parameters)


@dataclass(frozen=True)
class _Function:
    """A stand-in for one of torch's functions that rebuild a tensor."""

    run: Callable[..., object]

    def call(self, arguments: tuple[Any, ...], spend: _Spend) -> object:
        spend(len(arguments))
        return self.run(*arguments)


@dataclass(frozen=True)
class _TableClass:
    """A stand-in for a dictionary class."""

    kind: type[Table]

    def call(self, arguments: tuple[Any, ...], spend: _Spend) -> object:
        table = self.kind()
        pairs: object = arguments[0] if arguments else ()
        if isinstance(pairs, Table):
            pairs = list(pairs.items())
        if not isinstance(pairs, (list, tuple)):
            raise DamagedPickleError(messages.TABLE_OF_OTHER_THINGS)
        spend(len(pairs))
        for pair in pairs:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise DamagedPickleError(messages.TABLE_OF_OTHER_THINGS)
            if is_plain(pair[0]):
                table[pair[0]] = pair[1]
        return table


class _SizeClass:
    """A stand-in for torch.Size."""

    def call(self, arguments: tuple[Any, ...], _spend: _Spend) -> object:
        return _check_whole_numbers(arguments[0] if arguments else ())


def _check_whole_numbers(values: object) -> tuple[int, ...]:
    """Return a shape or strides. Raise DamagedPickleError if too many or negative."""
    if not isinstance(values, (list, tuple)) or len(values) > MAX_DIMENSIONS:
        raise DamagedPickleError(messages.IMPOSSIBLE_SHAPE)
    return tuple(map(_check_whole_number, values))


def _check_whole_number(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_NUMBERS:
        raise DamagedPickleError(messages.IMPOSSIBLE_SHAPE)
    return value


def _rebuild_tensor(
    storage: Any, offset: Any, shape: Any, stride: Any, *_rest: object
) -> TensorRecord:
    if not isinstance(storage, Storage):
        raise DamagedPickleError(messages.TENSOR_WITHOUT_STORAGE)
    return TensorRecord(
        storage,
        _check_whole_number(offset),
        _check_whole_numbers(shape),
        _check_whole_numbers(stride),
    )


def _pick_first(value: object, *_rest: object) -> object:
    return value


def _rebuild_from_type(
    function: object, _type: object, arguments: object, _state: object
) -> object:
    """Rebuild a tensor with attributes, or of a derived class."""
    if not isinstance(function, _Function) or not isinstance(arguments, tuple):
        raise DamagedPickleError(messages.TENSOR_REBUILT_UNKNOWN_WAY)
    if function.run is _rebuild_from_type:
        raise DamagedPickleError(messages.TENSOR_REBUILT_UNKNOWN_WAY)
    return function.run(*arguments)


_KNOWN: Mapping[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _TableClass(Table),
    ("torch", "Size"): _SizeClass(),
    ("torch._utils", "_rebuild_tensor"): _Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): _Function(_pick_first),
    ("torch._utils", "_rebuild_parameter_with_state"): _Function(_pick_first),
    ("torch._tensor", "_rebuild_from_type_v2"): _Function(_rebuild_from_type),
    ("torch.nn.modules.container", "ParameterDict"): _TableClass(_ParameterDict),
    ("torch.nn.parameter", "Parameter"): _Function(_pick_first),
    **{("torch", name): _StorageKind(name) for name in STORAGES},
}


def _find_global(module_name: str, global_name: str) -> object:
    """Return the stand-in for a global. Raise UnsafeWeightsError if it isn't allowed."""
    found = _KNOWN.get((module_name, global_name))
    if found is not None:
        return found
    if lies_beside_tensors(module_name, global_name):
        return Dropped
    raise UnsafeWeightsError(messages.refers_to(module_name[:100], global_name[:100]))


class Pickles:
    """The consecutive pickles in a stream. `storages` collects the storages they refer to."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.storages: dict[str, Storage] = {}
        self._machine = PickleMachine(stream, _find_global, self._storage)

    def load(self) -> object:
        """Load the next pickle."""
        return self._machine.load()

    def _storage(self, said: object) -> Storage:
        if not isinstance(said, tuple) or len(said) < 5 or said[0] != "storage":
            raise DamagedPickleError(messages.REFERS_TO_NO_TENSOR)
        kind, key, count = said[1], said[2], said[4]
        if not isinstance(kind, _StorageKind) or any(said[5:]):
            raise DamagedPickleError(messages.REFERS_TO_NO_TENSOR)
        storage = Storage(format_storage_key(key), kind.name, _check_whole_number(count))
        return self.storages.setdefault(storage.key, storage)


def format_storage_key(key: object) -> str:
    """Return the name of a storage. Raise DamagedPickleError if it isn't usable."""
    if not isinstance(key, (str, int)) or not is_plain(key):
        raise DamagedPickleError(messages.STORAGE_WITHOUT_NAME)
    return str(key)

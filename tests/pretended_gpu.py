"""A GPU that isn't there: tensors that say they are on "cuda" and compute on the CPU.

Networks move to it and back, and what mixes tensors of both devices raises as it would on a real
one, so that tests see what only runs on a GPU. It has so much memory and no more: what tensors take
of it is counted, and what doesn't fit raises. Kernels take nothing beside their results, and of
speed and numbers it says nothing.
"""

from __future__ import annotations

import operator
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

GPU = torch.device("cuda", 0)
_CPU = torch.device("cpu")
_MAY_MIX = ("aten._to_copy", "aten.copy_", "aten.index_put_", "aten.index")
_WITHOUT_A_DRIVER = ("CUDA error", "NVIDIA driver")
_SET_DATA: Any = getattr(torch.Tensor.data, "__set__")  # noqa: B009 (unknown to type checkers)
_BUILDERS = (torch.tensor, torch.as_tensor, torch.asarray)


class Gpu:
    """The memory of the GPU, in bytes: `others_bytes` are held by other programs, and may be set.
    As torch's allocator it keeps what was freed until `empty_cache`. `peak_bytes` is the most that
    tensors took since `start_peak`, `pinned_bytes` what was ever pinned of main memory.
    """

    def __init__(self, total_bytes: int, others_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.others_bytes = others_bytes
        self.allocated_bytes = self.reserved_bytes = self.peak_bytes = self.pinned_bytes = 0
        self._lock = threading.RLock()  # tensors die in any thread, also inside `take`

    @property
    def free_bytes(self) -> int:
        """The memory that the driver could still give away."""
        return max(0, self.total_bytes - self.others_bytes - self.reserved_bytes)

    def start_peak(self) -> None:
        """Measure the peak from now on."""
        self.peak_bytes = self.allocated_bytes

    def take(self, count_bytes: int) -> None:
        """Raises torch.OutOfMemoryError if there isn't so much."""
        with self._lock:
            wanted = self.allocated_bytes + count_bytes
            if wanted > self.total_bytes - self.others_bytes:
                raise torch.OutOfMemoryError(
                    f"CUDA out of memory. Tried to allocate {count_bytes} bytes."
                )
            self.allocated_bytes = wanted
            self.reserved_bytes = max(self.reserved_bytes, wanted)
            self.peak_bytes = max(self.peak_bytes, wanted)

    def give(self, count_bytes: int) -> None:
        """Free so much; it stays reserved."""
        with self._lock:
            self.allocated_bytes -= count_bytes

    def empty_cache(self) -> None:
        """Let the driver have what was freed."""
        self.reserved_bytes = self.allocated_bytes


class _Block:
    """The memory of one storage, as long as a tensor on the GPU has it."""

    def __init__(self, gpu: Gpu, count_bytes: int) -> None:
        gpu.take(count_bytes)
        self._gpu, self._count_bytes = gpu, count_bytes

    def __del__(self) -> None:
        if hasattr(self, "_gpu"):  # else there was no room for it
            self._gpu.give(self._count_bytes)


_present: list[Gpu] = []
_blocks: weakref.WeakValueDictionary[int, _Block] = weakref.WeakValueDictionary()
"""By the addresses of their numbers."""


def _block_of(here: torch.Tensor) -> _Block | None:
    storage = here.untyped_storage()
    if not _present or not storage.nbytes():
        return None
    address = storage.data_ptr()
    block = _blocks.get(address)
    if block is None:
        block = _blocks[address] = _Block(_present[-1], storage.nbytes())
    return block


class Remote(torch.Tensor):
    """A tensor on the GPU; `here` has its numbers, `block` the memory that they are in."""

    here: torch.Tensor
    block: _Block | None

    @staticmethod
    def __new__(cls: type[Remote], here: torch.Tensor) -> Remote:
        make: Any = torch.Tensor._make_wrapper_subclass
        return make(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            layout=here.layout,
            device=GPU,
        )

    def __init__(self, here: torch.Tensor) -> None:
        self.block = _block_of(here)
        self.here = here

    def __repr__(self, **_options: Any) -> str:
        return f"Remote({self.here})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})

    def record_stream(self, stream: Any) -> None:
        """Nothing is freed early."""


def _is_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _here(value: Any) -> Any:
    if isinstance(value, Remote):
        return value.here
    return _CPU if isinstance(value, torch.device) else value


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """As torch's `tree_map`, which takes most of the time of each operation on small tensors."""
    if isinstance(value, (tuple, list)):
        changed = [_mapped(change, each) for each in value]
        return type(value)(*changed) if hasattr(value, "_fields") else type(value)(changed)
    if isinstance(value, dict):
        return {name: _mapped(change, each) for name, each in value.items()}
    return change(value)


def _tensors(*values: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    _mapped(lambda each: found.append(each) if isinstance(each, torch.Tensor) else None, values)
    return found


@cache
def _name_of(operation: Any) -> str:
    return str(operation)


@cache
def _decomposes(operation: Any) -> bool:
    has_kernel: Any = torch._C._dispatch_has_kernel_for_dispatch_key
    if "scaled_dot" in _name_of(operation):
        return False
    return has_kernel(operation.name(), "CompositeImplicitAutograd")


def _check_devices(name: str, tensors: list[torch.Tensor]) -> None:
    if not any(isinstance(each, Remote) for each in tensors) or name.startswith(_MAY_MIX):
        return
    if any(not isinstance(each, Remote) and each.dim() > 0 for each in tensors):
        places = [(tuple(each.shape), str(each.device)) for each in tensors]
        raise RuntimeError(f"Expected all tensors to be on the same device: {name} got {places}")


def _put(result: Any, given: list[torch.Tensor], *, remote: bool) -> Any:
    """An operation's result, on the GPU if it belongs there; an argument stays itself."""
    known: dict[int, torch.Tensor] = {}
    for each in given:
        known[id(each.here if isinstance(each, Remote) else each)] = each

    def put(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or isinstance(value, Remote):
            return value
        return known.get(id(value), Remote(value) if remote else value)

    return _mapped(put, result)


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = _name_of(func)
    given = _tensors(args, kwargs)
    if name.startswith("aten._has_compatible_shallow_copy_type"):
        return True  # so that a module that moves sets `data`, and its parameters stay themselves
    _check_devices(name, given)
    remote = any(isinstance(each, Remote) for each in given)
    if name.startswith(("aten.copy_", "aten._to_copy")):
        remote = isinstance(args[0], Remote)
    if kwargs.get("device") is not None:
        remote = _is_gpu(kwargs["device"])
    own_args, own_kwargs = _mapped(_here, args), _mapped(_here, kwargs)
    if own_kwargs.get("pin_memory"):
        own_kwargs["pin_memory"] = False
    return _put(func(*own_args, **own_kwargs), given, remote=remote)


def _moved(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """As `Tensor.to`, which would ask the driver."""
    dtype = device = None
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.dtype):
            dtype = value
        elif isinstance(value, torch.Tensor):
            dtype, device = value.dtype, value.device
        elif isinstance(value, (str, torch.device)):
            device = torch.device(value)
    device = GPU if _is_gpu(device) else device
    layout = kwargs.get("memory_format")
    changes = dtype not in (None, tensor.dtype) or device not in (None, tensor.device)
    if not changes and not kwargs.get("copy"):
        if layout in (None, torch.preserve_format):
            return tensor
        if isinstance(tensor, Remote):
            return Remote(tensor.here.contiguous(memory_format=layout))
        return tensor.contiguous(memory_format=layout)
    said = {"dtype": dtype, "device": device, "memory_format": layout}
    wanted: dict[str, Any] = {name: each for name, each in said.items() if each is not None}
    return torch.ops.aten._to_copy.default(tensor, **wanted)


def _become(tensor: torch.Tensor, value: torch.Tensor) -> None:
    """As setting `tensor.data`, which can't make another kind of tensor of it."""
    other = value.detach()
    if isinstance(tensor, torch.nn.Parameter):
        other = torch.nn.Parameter(other, requires_grad=False)
    torch.utils.swap_tensors(tensor, other)


def _without_a_driver(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The result of a tensor's method; NotImplemented where torch does it by itself."""
    if func is torch.Tensor.to:
        return _moved(*args, **kwargs)
    if func in (torch.Tensor.cuda, torch.Tensor.cpu):
        return _moved(args[0], GPU if func is torch.Tensor.cuda else _CPU)
    if func is torch.Tensor.pin_memory:
        if _present:
            _present[-1].pinned_bytes += args[0].numel() * args[0].element_size()
        return args[0]
    if func == _SET_DATA and any(isinstance(each, Remote) for each in args):
        return _become(*args)
    if func is torch.Tensor.__getitem__ and isinstance(args[0], Remote):
        return Remote(args[0].here[_mapped(_here, args[1])])
    if func is torch.Tensor.__setitem__ and isinstance(args[0], Remote):
        return operator.setitem(args[0].here, _mapped(_here, args[1]), _here(args[2]))
    return NotImplemented


class _Functions(TorchFunctionMode):
    """Functions that ask the driver before they reach `_Operations`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = _without_a_driver(func, args, kwargs)
        if result is not NotImplemented:
            return result
        if _is_gpu(kwargs.get("device")):
            if func in _BUILDERS:
                rest = {name: each for name, each in kwargs.items() if name != "device"}
                return _moved(func(*args, **rest), GPU)
            kwargs = {**kwargs, "device": GPU}
        try:
            return func(*args, **kwargs)
        except (RuntimeError, torch.AcceleratorError) as error:
            given = _tensors(args, kwargs)
            if not any(each in str(error) for each in _WITHOUT_A_DRIVER) or not any(
                isinstance(each, Remote) for each in given
            ):
                raise
        _check_devices(str(func), given)
        return _put(func(*_mapped(_here, args), **_mapped(_here, kwargs)), given, remote=True)


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _name_of(func).startswith("aten.to."):
            with self:
                return _moved(*args, **kwargs)
        if _decomposes(func):
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        return _computed(func, args, kwargs)


class _Nothing:
    """A stream, an event, or what is done on one."""

    def __init__(self, *_args: Any, **_options: Any) -> None: ...

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name == "elapsed_time":
            return lambda _other: 1.0
        return lambda *_args, **_options: True


@contextmanager
def pretended_gpu(
    monkeypatch: pytest.MonkeyPatch, *, free_bytes: int, total_bytes: int = 8 * 2**30
) -> Generator[Gpu]:
    """Inside, torch has a GPU with that much memory, in this thread and those that it starts."""
    gpu = Gpu(total_bytes, total_bytes - free_bytes)
    properties = SimpleNamespace(name="Pretended", total_memory=total_bytes, major=8, minor=6)
    answers: dict[str, Any] = {
        "_lazy_init": None,
        "init": None,
        "is_available": True,
        "is_initialized": True,
        "is_bf16_supported": True,
        "device_count": 1,
        "current_device": 0,
        "ipc_collect": None,
        "synchronize": None,
        "get_device_name": properties.name,
        "get_device_capability": (8, 6),
        "get_device_properties": properties,
        "current_stream": _Nothing(),
        "default_stream": _Nothing(),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_a, _answer=answer, **_o: _answer)
    figures: dict[str, Any] = {
        "mem_get_info": lambda: (gpu.free_bytes, gpu.total_bytes),
        "memory_reserved": lambda: gpu.reserved_bytes,
        "memory_allocated": lambda: gpu.allocated_bytes,
        "empty_cache": gpu.empty_cache,
    }
    for name, figure in figures.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_a, _figure=figure, **_o: _figure())
    for name in ("Stream", "Event", "stream", "device"):
        monkeypatch.setattr(torch.cuda, name, _Nothing)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda *_args: False)
    run = threading.Thread.run

    def run_there(thread: threading.Thread) -> None:
        with torch.no_grad(), _Functions(), _Operations():
            run(thread)

    monkeypatch.setattr(threading.Thread, "run", run_there)
    _present.append(gpu)
    try:
        with torch.no_grad(), _Functions(), _Operations():
            yield gpu
    finally:
        _present.remove(gpu)

"""A cache of encoded prompts, in main memory.

A cached prompt is identical to the last bit to one that is encoded again. Imports torch: import it
in a function.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

_ENCODE = "encode_prompt"
_PLAIN = (str, bool, int, float, type(None))


@dataclass
class _Encoded:
    """An encoded prompt; `used_at` counts the uses of the cache until its last one."""

    values: Any
    size_bytes: int
    used_at: int


class PromptCache:
    """Limits what the prompts of all models take together. Safe to use from any thread.

    Beyond `most_bytes` those that were used least recently are dropped.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._models: weakref.WeakSet[ModelPrompts] = weakref.WeakSet()
        self._lock = threading.RLock()
        self._uses = 0

    @property
    def held_bytes(self) -> int:
        """Return the main memory that the prompts of all models in memory take."""
        with self._lock:
            return sum(one.size_bytes for each in self._models for one in each.encoded.values())

    def for_model(self) -> ModelPrompts:
        """Return a place for the prompts of one loaded model. They are dropped with it."""
        with self._lock:
            model = ModelPrompts(self)
            self._models.add(model)
            return model

    def get(self, model: ModelPrompts, key: Hashable) -> Any:
        """Return the values under a key, None if there are none."""
        with self._lock:
            encoded = model.encoded.get(key)
            if encoded is None:
                return None
            self._uses += 1
            encoded.used_at = self._uses
            model.encoded.move_to_end(key)
            return encoded.values

    def store(self, model: ModelPrompts, key: Hashable, values: Any) -> None:
        """Store values under a key, and drop those that were used least recently.

        Values that are larger than the whole cache aren't stored.
        """
        size = _count_bytes(values)
        if size > self._most_bytes:
            return
        with self._lock:
            self._uses += 1
            model.encoded[key] = _Encoded(values, size, self._uses)
            while self.held_bytes > self._most_bytes:
                oldest = min((each for each in self._models if each.encoded), key=_find_oldest_use)
                oldest.encoded.popitem(last=False)


def _find_oldest_use(model: ModelPrompts) -> int:
    """Return when the prompt that was used least recently was used."""
    return next(iter(model.encoded.values())).used_at


class ModelPrompts:
    """The encoded prompts of one loaded model, by all that they depend on.

    `encoded` is in the order of use, and only the cache changes it.
    """

    def __init__(self, cache: PromptCache) -> None:
        self._cache = cache
        self.encoded: OrderedDict[Hashable, _Encoded] = OrderedDict()

    def get_or_encode(self, key: Hashable, encode: Callable[[], Any]) -> Any:
        """Return what `encode` returned for that key before, or returns now. It is stored."""
        kept = self._cache.get(self, key)
        if kept is not None:
            return _copy_to_device(kept)
        encoded = encode()
        self._cache.store(self, key, _copy_to_ram(encoded))
        return encoded

    @contextmanager
    def cache_prompts(self, pipeline: Any, state: Hashable) -> Generator[None]:
        """Let the pipeline encode each prompt only once, inside the `with`.

        `state` is what changes the result beside the prompt: LoRAs, embeddings, skipped layers. A
        pipeline that has no `encode_prompt`, or passes it pictures, encodes every time.
        """
        original: Any = getattr(pipeline, _ENCODE, None)
        if original is None:
            yield
            return
        before = vars(pipeline).get(_ENCODE)
        # diffusers' own __setattr__ would take it for a component of the pipeline.
        vars(pipeline)[_ENCODE] = self._wrap(original, (type(pipeline), state))
        try:
            yield
        finally:
            if before is None:
                del vars(pipeline)[_ENCODE]
            else:
                vars(pipeline)[_ENCODE] = before

    def _wrap(self, original: Callable[..., Any], state: Hashable) -> Callable[..., Any]:
        signature = inspect.signature(original)

        def encode_prompt(*args: Any, **settings: Any) -> Any:
            given = signature.bind(*args, **settings)
            given.apply_defaults()
            try:
                asked = (state, _as_key(given.arguments))
            except TypeError:  # pictures, or prompts that are encoded already
                return original(*args, **settings)
            kept = self._cache.get(self, asked)
            if kept is not None:
                return _copy_to_device(kept)
            encoded = original(*args, **settings)
            if _is_storable(encoded):
                self._cache.store(self, asked, _copy_to_ram(encoded))
            return encoded

        return encode_prompt


@dataclass(frozen=True)
class _InRam:
    """A tensor in main memory, and the device it is used on."""

    tensor: torch.Tensor
    device: torch.device


def _as_key(value: Any) -> Hashable:
    """Return a key for plain values.

    Raises:
        TypeError: A value isn't plain.
    """
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, dict):
        return tuple((name, _as_key(each)) for name, each in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *map(_as_key, value))
    if not isinstance(value, _PLAIN):
        raise TypeError(f"a {type(value).__name__} is no plain value")
    return (type(value).__name__, value)  # True is 1, and 1.0 too


def _is_storable(values: Any) -> bool:
    if isinstance(values, (list, tuple)):
        return all(map(_is_storable, values))
    return isinstance(values, (torch.Tensor, *_PLAIN))


def _copy_to_ram(values: Any) -> Any:
    if isinstance(values, (list, tuple)):
        return type(values)(map(_copy_to_ram, values))
    if isinstance(values, torch.Tensor):
        return _InRam(values.detach().to("cpu", copy=True), values.device)
    return values


def _copy_to_device(values: Any) -> Any:
    """Return copies of the tensors where they are used: pipelines may write into them."""
    if isinstance(values, (list, tuple)):
        return type(values)(map(_copy_to_device, values))
    if isinstance(values, _InRam):
        return values.tensor.to(values.device, copy=True)
    return values


def _count_bytes(values: Any) -> int:
    if isinstance(values, (list, tuple)):
        return sum(map(_count_bytes, values))
    if isinstance(values, _InRam):
        return values.tensor.numel() * values.tensor.element_size()
    return 0

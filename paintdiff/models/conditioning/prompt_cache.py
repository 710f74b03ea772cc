"""What text encoders made of a prompt, kept in main memory and used again: the same numbers to the
last bit, without reading the words once more. Imports torch: import it in a function.
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
class _Made:
    """What was made of one prompt; `used_at` is when, counted in uses of the cache."""

    values: Any
    size_bytes: int
    used_at: int


class PromptCache:
    """Bounds what all models together keep: what was used least recently goes first. Safe to use
    from any thread.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._models: weakref.WeakSet[ModelPrompts] = weakref.WeakSet()
        self._lock = threading.RLock()
        self._uses = 0

    @property
    def held_bytes(self) -> int:
        """Of main memory, for all models that are still there."""
        with self._lock:
            return sum(made.size_bytes for each in self._models for made in each.made.values())

    def for_model(self) -> ModelPrompts:
        """A place for the prompts of one loaded model. They go with it."""
        with self._lock:
            model = ModelPrompts(self)
            self._models.add(model)
            return model

    def found(self, model: ModelPrompts, key: Hashable) -> Any:
        """What is kept, None if nothing is."""
        with self._lock:
            made = model.made.get(key)
            if made is None:
                return None
            self._uses += 1
            made.used_at = self._uses
            model.made.move_to_end(key)
            return made.values

    def keep(self, model: ModelPrompts, key: Hashable, values: Any) -> None:
        """Keep it, and let go of what was used least recently. What is larger than the whole cache
        isn't kept.
        """
        size = _size_bytes(values)
        if size > self._most_bytes:
            return
        with self._lock:
            self._uses += 1
            model.made[key] = _Made(values, size, self._uses)
            while self.held_bytes > self._most_bytes:
                oldest = min((each for each in self._models if each.made), key=_last_use)
                oldest.made.popitem(last=False)


def _last_use(model: ModelPrompts) -> int:
    """When the prompt was used that was used least recently."""
    return next(iter(model.made.values())).used_at


class ModelPrompts:
    """What the text encoders of one loaded model made, by everything that it depends on; the least
    recently used first. `made` is the cache's to change.
    """

    def __init__(self, cache: PromptCache) -> None:
        self._cache = cache
        self.made: OrderedDict[Hashable, _Made] = OrderedDict()

    @contextmanager
    def remembered(self, pipeline: Any, state: Hashable) -> Generator[None]:
        """While inside, the pipeline reads the same words but once. `state` is what changes its
        text encoders and tokenizers beside the words: LoRAs, embeddings, layers left out.

        A pipeline that has no `encode_prompt`, or gives it pictures, reads them every time.
        """
        original: Any = getattr(pipeline, _ENCODE, None)
        if original is None:
            yield
            return
        before = vars(pipeline).get(_ENCODE)
        # Past diffusers' own __setattr__, as it is no part of the pipeline.
        vars(pipeline)[_ENCODE] = self._remembering(original, (type(pipeline), state))
        try:
            yield
        finally:
            if before is None:
                del vars(pipeline)[_ENCODE]
            else:
                vars(pipeline)[_ENCODE] = before

    def _remembering(self, original: Callable[..., Any], state: Hashable) -> Callable[..., Any]:
        signature = inspect.signature(original)

        def encode_prompt(*args: Any, **settings: Any) -> Any:
            given = signature.bind(*args, **settings)
            given.apply_defaults()
            try:
                asked = (state, _as_key(given.arguments))
            except TypeError:  # pictures, or words that somebody else has read
                return original(*args, **settings)
            kept = self._cache.found(self, asked)
            if kept is not None:
                return _copied(kept, home=False)
            made = original(*args, **settings)
            if _is_known(made):
                self._cache.keep(self, asked, _copied(made, home=True))
            return made

        return encode_prompt


@dataclass(frozen=True)
class _Away:
    """A tensor in main memory, and the device that it is used on."""

    tensor: torch.Tensor
    device: torch.device


def _as_key(value: Any) -> Hashable:
    """Raises TypeError for what isn't plain values."""
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, dict):
        return tuple((name, _as_key(each)) for name, each in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *map(_as_key, value))
    if not isinstance(value, _PLAIN):
        raise TypeError(f"a {type(value).__name__} is no plain value")
    return (type(value).__name__, value)  # True is 1, and 1.0 too


def _is_known(made: Any) -> bool:
    if isinstance(made, (list, tuple)):
        return all(map(_is_known, made))
    return isinstance(made, (torch.Tensor, *_PLAIN))


def _copied(made: Any, *, home: bool) -> Any:
    """The same with tensors of its own: `home` to main memory, or back to where they are used."""
    if isinstance(made, (list, tuple)):
        return type(made)(_copied(each, home=home) for each in made)
    if isinstance(made, torch.Tensor):
        return _Away(made.detach().to("cpu", copy=True), made.device)
    if isinstance(made, _Away):
        return made.tensor.to(made.device, copy=True)
    return made


def _size_bytes(values: Any) -> int:
    if isinstance(values, (list, tuple)):
        return sum(map(_size_bytes, values))
    if isinstance(values, _Away):
        return values.tensor.numel() * values.tensor.element_size()
    return 0

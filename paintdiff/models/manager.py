"""The owner of all weights: loads them when they are first asked for, shares them, drops what was
used least.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paintdiff.errors import ModelError, ModelLoadError
from paintdiff.models import memory
from paintdiff.models.catalog import Catalog

if TYPE_CHECKING:
    from paintdiff.models.catalog import ModelRow
    from paintdiff.models.lease import LeasedPipeline
    from paintdiff.models.loaders import LoadedModel

logger = logging.getLogger(__name__)

OnLoading = Callable[[str], None]
"""Told a sentence for people while a lease waits for weights, about ten times a second; may raise
to give up.
"""

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class ManagerStatus:
    """`model` is the one used last ("" if none), `state` "none", "loading", "ready" or "failed".

    `device` is the one asked for ("auto") until the first model is loaded, then the one that is
    used.
    """

    model: str
    state: str
    device: str
    memory_used_bytes: int
    memory_total_bytes: int


@dataclass
class _Entry:
    """A model that is being loaded or has been. Guarded by the manager's lock, save for `ended`."""

    row: ModelRow
    message: str
    ended: threading.Event = field(default_factory=threading.Event)
    loaded: LoadedModel | None = None
    error: Exception | None = None
    leases: int = 0


class ModelManager:
    """Leases pipelines.

    Safe to use from any thread; constructing it loads and imports nothing heavy.

    `device` is "auto" or a torch device; `memory_budget_bytes` is what all weights together may
    take, None for most of the device's memory; `dtype` is "float32", "bfloat16" or "float16", None
    for the best one.
    """

    def __init__(
        self,
        catalog: Catalog | None = None,
        *,
        device: str = "auto",
        memory_budget_bytes: int | None = None,
        dtype: str | None = None,
    ) -> None:
        self.catalog = catalog if catalog is not None else Catalog.default()
        self._asked_device = device
        self._device: str | None = None
        self._budget_bytes = memory_budget_bytes
        self._dtype = dtype
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()
        self._one_load_at_a_time = threading.Lock()
        self._last = ""
        self._last_failed = False

    @contextmanager
    def lease(
        self, name: str, task: str = "text_to_image", on_loading: OnLoading | None = None
    ) -> Generator[LeasedPipeline]:
        """A pipeline that does `task` with the model of that name, loaded first if need be.

        While the weights are loading `on_loading` is called again and again; what it raises ends
        the wait, not the loading. The pipeline is only to be used inside the `with`. Raises
        UnknownNameError, or a ModelError if the model can't be loaded or doesn't fit.
        """
        entry = self._ask(self.catalog.model(name))
        try:
            while not entry.ended.is_set():
                if on_loading is not None:
                    on_loading(entry.message)
                entry.ended.wait(_POLL_SECONDS)
            if entry.error is not None:
                raise entry.error
            if entry.loaded is None:
                raise ModelLoadError(f"The model {name} ended up neither loaded nor failed.")
            from paintdiff.models.lease import LeasedPipeline  # noqa: PLC0415 (imports torch)

            leased = LeasedPipeline(entry.loaded, task)
            try:
                yield leased
            finally:
                leased.release()
        finally:
            with self._lock:
                entry.leases -= 1

    def warm(self, name: str) -> None:
        """Begin to load a model in the background.

        A failure is logged, and raised when it is leased.

        Raises UnknownNameError.
        """
        entry = self._ask(self.catalog.model(name))
        with self._lock:
            entry.leases -= 1

    def unload(self) -> None:
        """Drop every model that isn't on loan."""
        with self._lock:
            for name in [name for name, entry in self._entries.items() if _idle(entry)]:
                del self._entries[name]
        _give_memory_back()

    def status(self) -> ManagerStatus:
        """What there is to say now. Cheap; never imports torch."""
        with self._lock:
            entry = self._entries.get(self._last)
            state = "none" if entry is None else ("ready" if entry.ended.is_set() else "loading")
            if self._last_failed:
                state = "failed"
            device, last = self._device or self._asked_device, self._last
        use = memory.memory_use(device)
        return ManagerStatus(last, state, device, use.used_bytes, use.total_bytes)

    def _ask(self, row: ModelRow) -> _Entry:
        """The model's entry with one more lease on it; the first to ask starts the loading."""
        with self._lock:
            self._last, self._last_failed = row.name, False
            entry = self._entries.get(row.name)
            if entry is None:
                entry = _Entry(row, f"Loading {row.name}")
                self._entries[row.name] = entry
                threading.Thread(
                    target=self._load, args=(entry,), name=f"load {row.name}", daemon=True
                ).start()
            self._entries.move_to_end(row.name)
            entry.leases += 1
            return entry

    def _load(self, entry: _Entry) -> None:
        """Runs in a thread of its own, and always ends with `ended` set."""
        started = time.perf_counter()
        try:
            with self._one_load_at_a_time:
                entry.loaded = self._loaded(entry)
            logger.info("loaded %s in %.1f s", entry.row.name, time.perf_counter() - started)
        except Exception as error:
            logger.warning("loading %s failed", entry.row.name, exc_info=True)
            entry.error = error if isinstance(error, ModelError) else _load_error(entry.row, error)
            with self._lock:  # forgotten, so that the next who asks tries again
                if self._entries.get(entry.row.name) is entry:
                    del self._entries[entry.row.name]
                self._last_failed = self._last == entry.row.name
        finally:
            entry.ended.set()

    def _loaded(self, entry: _Entry) -> LoadedModel:
        from paintdiff.models import loaders  # noqa: PLC0415 (imports torch and diffusers: seconds)

        if self._device is None:
            self._device = loaders.best_device(self._asked_device)

        def report(message: str) -> None:
            entry.message = message

        self._make_room(entry, self._device)
        return loaders.load(entry.row, self._device, self._dtype, report)

    def _make_room(self, entry: _Entry, device: str) -> None:
        """Raises MemoryBudgetError if the model can't fit."""
        folder = entry.row.folder
        if folder is None or not folder.exists():
            return  # not on this machine yet
        full_precision = device == "cpu" and self._dtype in (None, "float32")
        needed = memory.estimated_bytes(folder, 4 if full_precision else 2)
        budget = self._budget_bytes
        if budget is None:
            budget = int(memory.memory_use(device).total_bytes * memory.DEFAULT_SHARE)
        with self._lock:
            residents = [
                memory.Resident(name, other.loaded.weights_bytes, not _idle(other))
                for name, other in self._entries.items()
                if other.loaded is not None
            ]
            evicted = memory.to_evict(residents, needed, budget)
            for name in evicted:
                logger.info("dropping %s to make room for %s", name, entry.row.name)
                del self._entries[name]
        if evicted:
            _give_memory_back()


def _idle(entry: _Entry) -> bool:
    return entry.leases == 0 and entry.ended.is_set()


def _load_error(row: ModelRow, error: Exception) -> ModelError:
    failed = memory.as_memory_error(error) or ModelLoadError(
        f"The model {row.name} can't be loaded: {error}"
    )
    failed.__cause__ = error
    return failed


def _give_memory_back() -> None:
    gc.collect()
    memory.empty_cache()

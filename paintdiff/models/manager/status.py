"""The manager's status, for people who wait. Importable without torch."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paintdiff.models.manager.cache_entry import POLL_SECONDS, Entry, OnLoading
from paintdiff.models.manager.device_memory import DeviceMemory
from paintdiff.models.manager.model_cache import ModelCache
from paintdiff.models.memory import usage
from paintdiff.models.registry.model_rows import ModelRow

if TYPE_CHECKING:
    from paintdiff.models.loading.pipelines import LoadedModel


@dataclass(frozen=True)
class ManagerStatus:
    """The state of the manager.

    `model` is the one used last ("" if none), `state` "none", "loading", "ready" or "failed".
    `device` is the one asked for ("auto") until the first model is loaded, then the one that is
    used.
    """

    model: str
    state: str
    device: str
    memory_used_bytes: int
    memory_total_bytes: int


class StatusReport:
    """The status of the model used last."""

    def __init__(self, cache: ModelCache, memory: DeviceMemory) -> None:
        self._cache, self._memory = cache, memory
        self._last = ""
        self._last_failed = threading.Event()
        self._choosing_device = False
        self._has_no_device = False

    def follow(self, entry: Entry[LoadedModel]) -> None:
        """Report about this model from now on."""
        # The entry itself would keep the weights in memory after the cache has dropped them.
        self._last, self._last_failed, self._has_no_device = entry.row.name, entry.failed, False

    def choose_device(self, name: str, on_loading: OnLoading) -> None:
        """Find out where networks run, and report about the model `name` meanwhile.

        `on_loading` is called about ten times a second. Raises ModelLoadError if this machine has
        no such device.
        """
        if self._memory.is_chosen:
            return
        self._last, self._last_failed, self._has_no_device = name, threading.Event(), False
        self._choosing_device = True
        executor = ThreadPoolExecutor(1, thread_name_prefix="choose device")
        try:
            chosen = executor.submit(self._memory.choose_device)
            while not wait([chosen], POLL_SECONDS).done:
                on_loading(f"Loading {name}")
            self._has_no_device = chosen.exception() is not None
            chosen.result()
        finally:
            self._choosing_device = False
            executor.shutdown(wait=False)

    def report(self) -> ManagerStatus:
        """Return the status. Cheap; never imports torch."""
        last, last_failed = self._last, self._last_failed
        entry = self._cache.find(f"{ModelRow.what} {last}")
        state = "loading" if self._choosing_device else "none"
        if entry is not None:
            state = "ready" if entry.ended.is_set() else "loading"
        if self._has_no_device or last_failed.is_set():
            state = "failed"
        device = self._memory.device
        use = usage.measure_memory(device)
        return ManagerStatus(last, state, device, use.used_bytes, use.total_bytes)

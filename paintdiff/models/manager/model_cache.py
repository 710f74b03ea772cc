"""The model cache: weights are loaded once, when first needed, and dropped to make room.

The cache knows entries, room and eviction; `loaders.py` knows how weights are loaded. Importable
without torch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from paintdiff.errors import RequestError
from paintdiff.models.catalog.disk_usage import LoadedSummary
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.manager import messages
from paintdiff.models.manager.cache_entry import (
    POLL_SECONDS,
    Entry,
    LoadedT,
    OnLoading,
    count_held_bytes,
    entry_key,
    is_idle,
)
from paintdiff.models.manager.eviction import drop_waiting, evict_entries
from paintdiff.models.memory import usage
from paintdiff.models.memory.planner import Room
from paintdiff.models.memory.plans import USUAL_PLAN, Hardware, PartBytes, Plan

if TYPE_CHECKING:
    from paintdiff.models.adapters.applied import AppliedAdapters
    from paintdiff.models.loading.pipelines import LoadedModel
    from paintdiff.models.manager.device_memory import DeviceMemory
    from paintdiff.models.manager.loaders import AnyLoader
    from paintdiff.models.manager.weight_estimates import WeightEstimates
    from paintdiff.models.registry.base_rows import WeightsRow
    from paintdiff.models.registry.model_rows import ModelRow

logger = logging.getLogger(__name__)

Load = Callable[[str, Callable[[str], None]], LoadedT]
"""Loads weights, given a device and a function that takes sentences for people."""

Fetch = Callable[[Callable[[str], None]], object]
"""Downloads files, given a function that takes sentences for people."""


@dataclass(frozen=True)
class LoadRequest(Generic[LoadedT]):
    """Weights that somebody wants, and how to load them if they aren't in memory.

    `key` is that of their entry. `fetch` downloads files first, while others load.
    """

    key: str
    row: WeightsRow
    loader: AnyLoader
    load: Load[LoadedT]
    fetch: Fetch | None = None
    plan: Plan = USUAL_PLAN


class ModelCache:
    """The weights in memory. Safe to use from any thread."""

    _one_load_at_a_time = threading.Lock()
    """Of all caches: while they load, libraries change settings of the whole process, such as
    torch's default dtype, and two loads at once could leave them changed.
    """

    def __init__(self, memory: DeviceMemory, estimates: WeightEstimates) -> None:
        self._memory = memory
        self._estimates = estimates
        self._entries: OrderedDict[str, Entry[Any]] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()

    def find(self, key: str) -> Entry[Any] | None:
        """Return the entry with that key, None without one."""
        with self._lock:
            return self._entries.get(key)

    def loaded_rows(self) -> list[WeightsRow]:
        """Return the rows whose weights are in memory."""
        with self._lock:
            return [entry.row for entry in self._entries.values() if entry.loaded is not None]

    def loaded(self) -> tuple[LoadedSummary, ...]:
        """Return what is in memory or on its way there, the least recently used first."""
        with self._lock:
            return tuple(
                LoadedSummary(
                    what=entry.row.what,
                    name=entry.row.name,
                    weights_bytes=0 if entry.loaded is None else count_held_bytes(entry),
                    in_use=not is_idle(entry),
                    waits=entry.waits,
                )
                for entry in self._entries.values()
            )

    def unload(self, key: str | None = None) -> int:
        """Drop everything that isn't on loan, or only what has that `LoadedSummary.key`.

        A VAE may be loaded several times, once for each model that it was used with. Returns how
        many were dropped. Raises RequestError if what the key names is in use.
        """
        with self._lock:
            named = [each for each in self._entries.values() if key in (None, entry_key(each.row))]
            in_use = next((each for each in named if not is_idle(each)), None)
            if key is not None and in_use is not None:
                raise RequestError(
                    messages.in_use(in_use.row.title),
                    field="name",
                )
            dropped = [each for each in named if is_idle(each)]
            for entry in dropped:
                del self._entries[entry.key]
        self._eject(dropped)
        usage.release_memory()
        return len(dropped)

    def _eject(self, dropped: Sequence[Entry[Any]]) -> None:
        """Eject IP-Adapters that were dropped from idle models, where most of their weights are.

        Models on loan get what their leases need. It takes a while, so don't hold the lock.
        """
        if any(entry.loader.is_injected for entry in dropped):
            with self._lock:
                models = [each.adapting for each in self._entries.values() if is_idle(each)]
            for adapting in models:
                if adapting is not None:
                    adapting.eject_ip_adapters()

    @contextmanager
    def lease(self, wanted: LoadRequest[LoadedT]) -> Generator[Entry[LoadedT]]:
        """Lease weights: inside the `with` nothing evicts them. The first lease starts their load.

        Returns at once; `Entry.wait` waits for the load.
        """
        with self._lock:
            entry = self._find_or_load(wanted)
            entry.leases += 1
        try:  # nothing that could fail comes before it, or a lease would never end
            yield entry
        finally:
            with self._lock:
                entry.leases -= 1
                dropped = entry.forgotten and entry.leases == 0
            if dropped:
                entry.loaded = None
                usage.release_memory()

    def warm(self, wanted: LoadRequest[LoadedT]) -> Entry[LoadedT]:
        """Load weights in the background, though nobody waits for them."""
        with self._lock:
            entry = self._find_or_load(wanted)
            entry.warmed = True
            return entry

    def is_wanted(self, key: str) -> bool:
        """Return whether anybody waits for a load; otherwise forget it, to start over next time."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.leases == 0 and not entry.warmed:
                del self._entries[key]
                return False
            return entry is not None

    def _find_or_load(self, wanted: LoadRequest[LoadedT]) -> Entry[LoadedT]:
        """Return the wanted entry; without one, start to load it. Call this with the lock held.

        Weights that were replaced on the disk, or are here in another precision than the plan's,
        are loaded again.
        """
        key, row, precision = wanted.key, wanted.row, wanted.plan.precision
        entry = self._entries.get(key)
        if entry is not None and (
            entry.row.identity != row.identity or entry.precision != precision
        ):
            self._forget(entry)
            entry = None
        if entry is None:
            entry = Entry[Any](row, wanted.loader, key, f"Loading {row.name}", precision=precision)
            threading.Thread(
                target=self._load, args=(entry, wanted), name=f"load {row.name}", daemon=True
            ).start()  # it may fail, so this comes before anybody can find the entry
            self._entries[key] = entry
        self._entries.move_to_end(key)
        return entry

    def _forget(self, entry: Entry[Any]) -> None:
        """Forget an entry; who has it on loan keeps it. Call this with the lock held."""
        entry.forgotten = True
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]

    def _load(self, entry: Entry[LoadedT], wanted: LoadRequest[LoadedT]) -> None:
        """Load an entry in a thread of its own; `ended` is set whatever happens."""
        started = time.perf_counter()
        try:
            if wanted.fetch is not None:
                wanted.fetch(entry.tell)
            with self._one_load_at_a_time:
                entry.loaded = self._load_with_room(entry, wanted)
            logger.info("loaded %s in %.1f s", entry.row.name, time.perf_counter() - started)
        except BaseException as error:  # also what a library in Rust panics with
            with self._lock:  # forgotten, so that the next request tries again
                entry.failed.set()
                self._forget(entry)
            logger.warning("loading %s from %s failed", entry.row.name, entry.row.source)
            entry.error = make_load_error(messages.cannot_be_loaded(entry.row.title), error)
        finally:
            entry.ended.set()

    def _load_with_room(self, entry: Entry[LoadedT], wanted: LoadRequest[LoadedT]) -> LoadedT:
        memory, plan = self._memory, wanted.plan
        memory.choose_device()
        if plan != USUAL_PLAN:
            usage.release_memory()  # the same weights in another precision, for one
        if memory.on_cuda:  # else nothing waits
            expected = self._estimates.estimate(entry.loader, entry.row)
            with self._lock:
                drop_waiting(self._entries, expected - usage.count_free_bytes())
        if entry.loader.on_cpu and memory.on_cuda:
            with self._lock:
                entry.waits = True
            loaded = wanted.load("cpu", entry.tell)
        else:
            needed = self._estimates.measure(entry.loader, entry.row, plan)
            if needed is not None:
                self.make_room(needed)
            loaded = wanted.load(memory.device, entry.tell)
        usage.trim_memory()
        return loaded

    def make_room(self, needed_bytes: int) -> None:
        """Let idle weights leave the device until so many bytes fit, the least recently used first.

        They have to fit into the budget and into what other programs leave free. Raises
        MemoryBudgetError if the budget is too small even then. What is free may change, and
        estimates are no promises, so too little of that is no error yet.
        """
        memory = self._memory
        available = usage.count_available_bytes(memory.device)
        budget = memory.weights_budget_bytes()
        with self._lock:
            residents = [
                usage.Resident(key, count_held_bytes(other), not is_idle(other))
                for key, other in self._entries.items()
                if other.loaded is not None and not other.waits
            ]
            names = usage.choose_evictions(residents, needed_bytes, budget, available)
            evicted = [self._entries[key] for key in names]
            waiting = evict_entries(self._entries, evicted, may_wait=memory.on_cuda)
        self._free(evicted, waiting)

    def make_room_to_paint(self, peak_bytes: int) -> None:
        """Let idle weights leave the device until a run has room, or until nothing idle is left.

        `peak_bytes` is what the run takes, everything on loan included. The least recently used
        weights leave first.
        """
        memory = self._memory
        available = usage.count_available_bytes(memory.device)
        if available is None:
            return
        budget = memory.weights_budget_bytes()
        with self._lock:
            entries = self._entries.values()
            here = [each for each in entries if each.loaded is not None and not each.waits]
            idle = [each for each in here if is_idle(each)]
            in_use_bytes = sum(count_held_bytes(each) for each in here if each not in idle)
            room = min(available + in_use_bytes, budget - sum(map(count_held_bytes, idle)))
            evicted: list[Entry[Any]] = []
            for entry in idle:
                if room >= peak_bytes:
                    break
                room += count_held_bytes(entry)
                evicted.append(entry)
            waiting = evict_entries(self._entries, evicted, may_wait=memory.on_cuda)
        self._free(evicted, waiting)

    def _free(self, evicted: Sequence[Entry[Any]], waiting: Sequence[Entry[Any]]) -> None:
        """Free what evicted entries took; some of them are `waiting` in main memory.

        It takes seconds, so don't hold the lock.
        """
        at_home = 0
        try:
            for entry in waiting:
                assert entry.adapting is not None  # else it can't wait
                entry.adapting.send_home()
                at_home += 1
        finally:
            with self._lock:  # some of their weights may still be on the device: they can't wait
                for entry in waiting[at_home:]:
                    self._forget(entry)
        self._eject([entry for entry in evicted if not entry.waits])
        if evicted:
            usage.release_memory()

    def place(self, entry: Entry[Any], device_bytes: int, on_loading: OnLoading | None) -> None:
        """Make room on the device for so much of a model that is on loan.

        Its weights may have waited in main memory until now, all or some of them. Raises
        MemoryBudgetError if there can't be room.
        """
        loaded: Any = entry.loaded
        own_bytes: int = loaded.weights_bytes
        held = own_bytes if entry.device_bytes is None else entry.device_bytes
        more = device_bytes - (0 if entry.waits else held)
        while more > 0 and not self._one_load_at_a_time.acquire(timeout=POLL_SECONDS):
            if on_loading is not None:
                on_loading(entry.message)
        try:
            if more > 0:
                self.make_room(more)
            with self._lock:
                entry.waits = False
                entry.device_bytes = None if device_bytes == own_bytes else device_bytes
        finally:
            if more > 0:
                self._one_load_at_a_time.release()

    def measure_room(self, row: ModelRow) -> Room | None:
        """Return the memory that a model can paint with, once idle weights have made room.

        None as long as the device isn't known.
        """
        memory = self._memory
        available = memory.count_available_bytes()
        if available is None:
            return None
        budget = memory.weights_budget_bytes()
        with self._lock:
            own = self._entries.get(entry_key(row))
            loaded = [each for each in self._entries.values() if each.loaded is not None]
            kept = [each for each in loaded if each is not own and not is_idle(each)]
            here = [each for each in loaded if not each.waits]
            available += sum(count_held_bytes(each) for each in here if each not in kept)
            room = min(available, budget - sum(map(count_held_bytes, kept)))
            parts: PartBytes | None = None
            if own is not None and own.precision == USUAL_PLAN.precision and own.loaded is not None:
                parts = own.loaded.parts
        hardware = Hardware(memory.device, usage.attention_is_fused(memory.device))
        return Room(hardware, max(0, room), parts or self._estimates.measure_parts(row))

    def has_room(self, entry: Entry[LoadedModel], more_bytes: int) -> bool:
        """Return whether a loaded model may take so much more."""
        assert entry.loaded is not None  # it is on loan
        room = self.measure_room(entry.loaded.row)
        return room is None or count_held_bytes(entry) + more_bytes <= room.room_bytes

    def get_adapters(
        self, entry: Entry[LoadedT], make: Callable[[LoadedT], AppliedAdapters]
    ) -> AppliedAdapters:
        """Return what is in a loaded model beyond its weights, made at its first lease."""
        with self._lock:
            if entry.adapting is None:
                assert entry.loaded is not None  # it was waited for
                entry.adapting = make(entry.loaded)
            return entry.adapting

"""What is in memory: each thing loaded once, when it is first asked for, and dropped when room is
needed. The half of the manager that knows of no pipelines. Importable without torch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paintdiff.errors import ModelError, ModelLoadError, RequestError
from paintdiff.models.catalog.disk_usage import LoadedSummary
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.manager.cache_entry import (
    Entry,
    LoadedT,
    count_held_bytes,
    entry_files,
    entry_key,
    is_idle,
)
from paintdiff.models.memory import usage
from paintdiff.models.memory.planner import Room
from paintdiff.models.memory.plans import (
    USUAL_PLAN,
    Hardware,
    PartBytes,
    Plan,
    count_weights_on_device,
)
from paintdiff.models.memory.weight_sizes import measure_part_bytes
from paintdiff.models.registry.adapter_rows import IpAdapterRow, VaeRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.preprocessor_rows import PreprocessorRow

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.conditioning.prompt_cache import PromptCache
    from paintdiff.models.registry.base_rows import WeightsRow

logger = logging.getLogger(__name__)

OnLoading = Callable[[str], None]
"""Told a sentence for people while a lease waits for weights, about ten times a second; may raise
to give up.
"""

Load = Callable[[str, Callable[[str], None]], LoadedT]
"""Given a device and someone to tell, returns what was loaded."""

Fetch = Callable[[Callable[[str], None]], object]
"""Given someone to tell, sees to it that the files are on this machine."""

POLL_SECONDS = 0.1

_WAITING_SHARE = 0.5
"""Of the main memory that is free, what a model may take that waits there."""


class ModelCache:
    """Loads, shares and drops weights. Its owner says by `catalog` what there is.

    `device` is "auto" or a torch device; `memory_budget_bytes` is what all weights together may
    take, None for most of the device's memory; `dtype` is what they are kept in, None for the best.
    """

    def __init__(self, device: str, memory_budget_bytes: int | None, dtype: str | None) -> None:
        self._asked_device = device
        self._device: str | None = None
        self._budget_bytes = memory_budget_bytes
        self._dtype = dtype
        self._entries: OrderedDict[str, Entry[Any]] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()
        self._one_load_at_a_time = threading.Lock()
        self._parts: dict[tuple[object, ...], PartBytes] = {}
        self._prompts: PromptCache | None = None
        self._last = ""
        self._last_failed = False

    @property
    def catalog(self) -> Catalog:
        """What there is now."""
        raise NotImplementedError

    def loaded(self) -> tuple[LoadedSummary, ...]:
        """What is in memory or on its way there, the least recently used first."""
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
        """Drop everything that isn't on loan, or only what has that `LoadedSummary.key`: a VAE may
        be loaded several times, once for each model that it was used with.

        Returns how many were dropped. Raises RequestError if what the key names is in use.
        """
        with self._lock:
            named = [each for each in self._entries.values() if key in (None, entry_key(each.row))]
            in_use = next((each for each in named if not is_idle(each)), None)
            if key is not None and in_use is not None:
                raise RequestError(
                    f"{in_use.row.title} is in use. Wait for the job to finish, or cancel it.",
                    field="name",
                )
            dropped = [each for each in named if is_idle(each)]
            for entry in dropped:
                del self._entries[entry.key]
        self._eject(dropped)
        usage.release_memory()
        return len(dropped)

    def _eject(self, dropped: Sequence[Entry[Any]]) -> None:
        """Take IP-Adapters that were dropped out of the idle models that still have them; otherwise
        most of their weights would stay. (Models on loan are given what their leases want.) It
        takes a while: not to be called with the lock held.
        """
        if any(isinstance(entry.row, IpAdapterRow) for entry in dropped):
            with self._lock:
                models = [each.adapting for each in self._entries.values() if is_idle(each)]
            for adapting in models:
                if adapting is not None:
                    adapting.eject_ip_adapters()

    def budget_bytes(self) -> int:
        """What all weights together may take: as was asked for, or most of the device's memory."""
        if self._budget_bytes is not None:
            return self._budget_bytes
        with self._lock:
            device = self._device or self._asked_device
        return int(usage.measure_memory(device).total_bytes * usage.DEFAULT_SHARE)

    @contextmanager
    def _waited(self, entry: Entry[LoadedT], on_loading: OnLoading | None) -> Generator[LoadedT]:
        """What an entry that was asked for has loaded; its lease ends with the `with`."""
        try:
            while not entry.ended.is_set():
                if on_loading is not None:
                    on_loading(entry.message)
                entry.ended.wait(POLL_SECONDS)
            if entry.error is not None:
                raise entry.error
            if entry.loaded is None:
                raise ModelLoadError(f"{entry.row.name} ended up neither loaded nor failed.")
            yield entry.loaded
        finally:
            with self._lock:
                entry.leases -= 1
                dropped = entry.superseded and entry.leases == 0
            if dropped:
                entry.loaded = None
                usage.release_memory()

    def _wanted(self, key: str) -> bool:
        """Whether anybody waits for what is being loaded. If not it is forgotten, so that who asks
        for it next starts anew.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.leases == 0 and not entry.warmed:
                del self._entries[key]
                return False
            return entry is not None

    def _ask(
        self,
        row: WeightsRow,
        load: Load[LoadedT],
        key: str = "",
        fetch: Fetch | None = None,
        plan: Plan = USUAL_PLAN,
        *,
        on_cpu: bool = False,
    ) -> Entry[LoadedT]:
        """The row's entry with one more lease on it; the first to ask starts the loading. What is
        there in another precision than the plan's is loaded again. What is `on_cpu` is loaded into
        main memory and stays there. Called with the lock held.
        """
        key = key or entry_key(row)
        entry = self._entries.get(key)
        if entry is not None and (
            entry.row.identity != row.identity or entry.precision != plan.precision
        ):
            entry.superseded = True  # who has it on loan keeps it, until the lease ends
            del self._entries[key]
            entry = None
        if entry is None:
            entry = Entry[Any](row, key, f"Loading {row.name}")
            entry.precision, entry.on_cpu = plan.precision, on_cpu
            threading.Thread(
                target=self._load,
                args=(entry, load, fetch, plan),
                name=f"load {row.name}",
                daemon=True,
            ).start()  # it may fail, so this comes before anybody can find the entry
            self._entries[key] = entry
        self._entries.move_to_end(key)
        entry.leases += 1
        return entry

    def _load(
        self, entry: Entry[LoadedT], load: Load[LoadedT], fetch: Fetch | None, plan: Plan
    ) -> None:
        """Runs in a thread of its own, and always ends with `ended` set."""
        started = time.perf_counter()
        try:
            if fetch is not None:
                fetch(entry.tell)
            with self._one_load_at_a_time:
                entry.loaded = self._loaded(entry, load, plan)
            logger.info("loaded %s in %.1f s", entry.row.name, time.perf_counter() - started)
        except BaseException as error:  # also what a library in Rust panics with
            with self._lock:  # forgotten, so that the next who asks tries again
                if self._entries.get(entry.key) is entry:
                    del self._entries[entry.key]
                if entry.key == f"model {self._last}":
                    self._last_failed = True
            logger.warning("loading %s from %s failed", entry.row.name, entry.row.source)
            entry.error = make_load_error(f"{entry.row.title} can't be loaded", error)
        finally:
            entry.ended.set()

    def _loaded(self, entry: Entry[LoadedT], load: Load[LoadedT], plan: Plan) -> LoadedT:
        self.settle_device()
        assert self._device is not None
        if plan != USUAL_PLAN:
            usage.release_memory()  # the same weights in another precision, for one
        if self._device.startswith("cuda"):  # else nothing waits
            expected = self.expected_bytes(entry.row)
            with self._lock:
                self._drop_waiting(expected - usage.count_free_bytes())
        if entry.on_cpu and self._device.startswith("cuda"):
            with self._lock:
                entry.waits = True
            loaded = load("cpu", entry.tell)
        else:
            self._make_room(entry.row, plan)
            loaded = load(self._device, entry.tell)
        usage.trim_memory()
        return loaded

    def _make_room(self, row: WeightsRow, plan: Plan = USUAL_PLAN) -> None:
        """See to it that weights fit onto the device before they are loaded. Raises as
        `_make_room_for` does.
        """
        device = self._device or self._asked_device
        folder = row.folder
        if folder is None or not folder.exists():
            return  # not on this machine yet
        if isinstance(row, ModelRow) and plan != USUAL_PLAN:
            files = entry_files(row, folder, find_companions(self.catalog))
            parts = measure_part_bytes(files, self._bytes_per_number(device)).planned(plan)
            self._make_room_for(count_weights_on_device(plan, row.family, parts))
        else:
            self._make_room_for(self._estimated_bytes(row, folder))

    def _make_room_for(self, needed_bytes: int) -> None:
        """Let what is idle leave the device, the least recently used first, until so much more fits
        into the budget and into what other programs leave free.

        Raises MemoryBudgetError if the budget is too small even then. What is free may change, and
        estimates are no promises, so too little of that is no error yet.
        """
        device = self._device or self._asked_device
        available = usage.count_available_bytes(device)
        budget = self.budget_bytes() - self._prompt_bytes(device)
        with self._lock:
            residents = [
                usage.Resident(key, count_held_bytes(other), not is_idle(other))
                for key, other in self._entries.items()
                if other.loaded is not None and not other.waits
            ]
            names = usage.choose_evictions(residents, needed_bytes, budget, available)
            evicted = [self._entries[key] for key in names]
            waiting = self._evict(evicted, device)
        self._free(evicted, waiting)

    def make_room_to_paint(self, peak_bytes: int) -> None:
        """Let what is idle leave the device, the least recently used first, until a run has room
        that takes so much, all that is on loan included; or until nothing idle is left.
        """
        device = self._device or self._asked_device
        available = usage.count_available_bytes(device)
        if available is None:
            return
        budget = self.budget_bytes() - self._prompt_bytes(device)
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
            waiting = self._evict(evicted, device)
        self._free(evicted, waiting)

    def _evict(self, entries: Sequence[Entry[Any]], device: str) -> list[Entry[Any]]:
        """Forget what has to leave the device, but for models that may wait in main memory, which
        are returned: they are to be sent there. Called with the lock held.
        """
        waiting: list[Entry[Any]] = []
        for entry in entries:
            if device.startswith("cuda") and self._can_wait(entry, waiting):
                logger.info("offloading %s to RAM", entry.key)
                waiting.append(entry)
            else:
                logger.info("dropping %s to make room", entry.key)
                del self._entries[entry.key]
        for entry in waiting:
            entry.waits, entry.device_bytes = True, None
        return waiting

    def _free(self, evicted: Sequence[Entry[Any]], waiting: Sequence[Entry[Any]]) -> None:
        """Free what those that were evicted took; of these some are `waiting` in main memory. It
        takes seconds: not to be called with the lock held.
        """
        for entry in waiting:
            assert entry.adapting is not None  # else it can't wait
            entry.adapting.send_home()
        self._eject([entry for entry in evicted if not entry.waits])
        if evicted:
            usage.release_memory()

    def _can_wait(self, entry: Entry[Any], before: Sequence[Entry[Any]]) -> bool:
        """Whether a model that has to leave the device can go to main memory, half of what is free
        of which it may take once those `before` it are there; those that have waited longest make
        room. Called with the lock held.
        """
        if entry.adapting is None:
            return False
        moved: list[Any] = [each.loaded for each in before]
        lacking = sum(each.weights_bytes for each in moved) - usage.count_free_bytes()
        loaded: Any = entry.loaded
        lacking += int(loaded.weights_bytes / _WAITING_SHARE)
        if lacking > sum(count_held_bytes(each) for each in self._waiting()):
            return False
        self._drop_waiting(lacking)
        return True

    def _waiting(self) -> list[Entry[Any]]:
        """What is in main memory away from the device, the least recently used first. Called with
        the lock held.
        """
        return [each for each in self._entries.values() if each.waits and is_idle(each)]

    def _drop_waiting(self, lacking_bytes: int) -> None:
        """Drop as many of those as take so much, the least recently used first. Called with the
        lock held.
        """
        for entry in self._waiting():
            if lacking_bytes <= 0:
                break
            lacking_bytes -= count_held_bytes(entry)
            logger.info("dropping %s, which is offloaded to RAM", entry.key)
            del self._entries[entry.key]

    def _place(self, entry: Entry[Any], device_bytes: int, on_loading: OnLoading | None) -> None:
        """Make room for so much of a model that is on loan, whose weights may have waited in main
        memory until now, all or some of them. Raises MemoryBudgetError if there can't be any.
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
                self._make_room_for(more)
            with self._lock:
                entry.waits = False
                entry.device_bytes = None if device_bytes == own_bytes else device_bytes
        finally:
            if more > 0:
                self._one_load_at_a_time.release()

    def _prompt_bytes(self, device: str) -> int:
        """What prompts that were read take of the memory that weights are in."""
        return self._prompts.held_bytes if self._prompts and device == "cpu" else 0

    def settle_device(self) -> None:
        """Find out where networks run, so that it is known what memory there is. Imports torch.

        Raises ModelLoadError if this machine has no such device.
        """
        from paintdiff.models.memory import devices  # noqa: PLC0415 (imports torch: seconds)

        if self._device is None:
            self._device = devices.choose_device(self._asked_device)
            devices.start_device(self._device)

    def _bytes_per_number(self, device: str) -> int:
        """Of weights in their usual precision."""
        return 4 if self._dtype == "float32" or (self._dtype is None and device == "cpu") else 2

    def _room_for(self, row: ModelRow) -> Room | None:
        """What there is to paint with by that model, once others have made room; None as long as
        the device isn't known.
        """
        device = self._device or self._asked_device
        available = None if device == "auto" else usage.count_available_bytes(device)
        if available is None:
            return None
        budget = self.budget_bytes() - self._prompt_bytes(device)
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
        hardware = Hardware(device, usage.attention_is_fused(device))
        return Room(hardware, max(0, room), parts or self._parts_of(row, device))

    def expected_bytes(self, row: WeightsRow) -> int:
        """What weights are thought to take by their files, 0 if those aren't here or can't be read.
        They are read anew at each call.
        """
        try:
            if row.folder is None or not row.folder.exists():
                return 0
            return self._estimated_bytes(row, row.folder)
        except (ModelError, OSError):
            logger.info("nobody knows how large %s is", row.name, exc_info=True)
            return 0

    def _estimated_bytes(self, row: WeightsRow, folder: Path) -> int:
        files = entry_files(row, folder, find_companions(self.catalog))
        if isinstance(row, PreprocessorRow):  # they stay in the precision that they have
            return sum(file.stat().st_size for file in files)
        device = self._device or self._asked_device
        return usage.estimate_bytes(files, self._bytes_per_number(device))

    def _parts_of(self, row: ModelRow, device: str) -> PartBytes | None:
        """By the files' headers, which are read once."""
        folder = row.folder
        if folder is None or not folder.exists():
            return None
        key = (row.name, row.source, row.fingerprint, device)
        if key not in self._parts:
            try:
                files = entry_files(row, folder, find_companions(self.catalog))
                found = measure_part_bytes(files, self._bytes_per_number(device))
            except (ModelError, OSError):
                logger.info("nobody knows how large %s is", row.name, exc_info=True)
                return None
            self._parts[key] = found
        return self._parts[key]


def find_companions(catalog: Catalog) -> dict[str, Path]:
    """For each family the first model that is a folder here, for the parts that a file lacks."""
    folders: dict[str, Path] = {}
    for row in catalog.rows(ModelRow):
        if row.folder is not None and (row.folder / "model_index.json").is_file():
            folders.setdefault(row.family.name, row.folder)
    return folders


def find_spare_vae(model: ModelRow, catalog: Catalog) -> Path | None:
    """The VAE for a checkpoint that has none of its own: the first for its family among the VAEs,
    else that of a model that is a folder; None if there is none.
    """
    row = next(iter(catalog.fitting(VaeRow, model)), None)
    if row is not None:
        return row.file
    folder = find_companions(catalog).get(model.family.name)
    return folder / "vae" if folder is not None and (folder / "vae").is_dir() else None

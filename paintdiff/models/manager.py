"""The owner of all weights: loads them when they are first asked for, shares them, drops what was
used least.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paintdiff.errors import ModelError, ModelLoadError, RequestError
from paintdiff.models import memory
from paintdiff.models.adapters import NO_ADAPTERS, Adapters
from paintdiff.models.catalog import Catalog
from paintdiff.models.downloads import Downloads
from paintdiff.models.entries import (
    Entry,
    LoadedT,
    files_of,
    held_bytes,
    is_idle,
    is_other,
    key_of,
    load_error,
)
from paintdiff.models.holdings import LoadedSummary
from paintdiff.models.library import Library
from paintdiff.models.locating import is_to_fetch, located
from paintdiff.models.model_rows import ModelRow

if TYPE_CHECKING:
    from paintdiff.models.adapter_rows import IpAdapterRow, VaeRow
    from paintdiff.models.adapting import Adapted, Adapting
    from paintdiff.models.controlnets import ControlNetRow
    from paintdiff.models.face_restorers import FaceRestorerRow
    from paintdiff.models.face_restoring import LeasedFaceRestorer, LoadedFaceRestorer
    from paintdiff.models.ip_adapters import LoadedIpAdapter
    from paintdiff.models.lease import LeasedPipeline
    from paintdiff.models.loaders import LoadedControlNet, LoadedModel
    from paintdiff.models.sources import SourceRow, WeightsRow
    from paintdiff.models.upscalers import UpscalerRow
    from paintdiff.models.upscaling import LeasedUpscaler, LoadedUpscaler
    from paintdiff.models.vaes import LoadedVae

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


_Load = Callable[[str, Callable[[str], None]], LoadedT]
"""Given a device and someone to tell, returns what was loaded."""

_Fetch = Callable[[Callable[[str], None]], object]
"""Given someone to tell, sees to it that the files are on this machine."""


class ModelManager:
    """Leases pipelines, upscalers and face restorers.

    Safe to use from any thread; constructing it loads and imports nothing heavy.

    `device` is "auto" or a torch device; `memory_budget_bytes` is what all weights together may
    take, None for most of the device's memory; `dtype` is "float32", "bfloat16" or "float16", None
    for the best one. `catalog` is what there is, or a library that looks again; None is what ships
    with the app. `downloads` fetches what isn't here, None for some of its own.
    """

    def __init__(
        self,
        catalog: Catalog | Library | None = None,
        *,
        device: str = "auto",
        memory_budget_bytes: int | None = None,
        dtype: str | None = None,
        downloads: Downloads | None = None,
    ) -> None:
        self._source = catalog if catalog is not None else Catalog.default()
        self._downloads = downloads if downloads is not None else Downloads()
        self._with_gone: tuple[Catalog, tuple[ModelRow, ...], Catalog] | None = None
        self._asked_device = device
        self._device: str | None = None
        self._budget_bytes = memory_budget_bytes
        self._dtype = dtype
        self._entries: OrderedDict[str, Entry[Any]] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()
        self._one_load_at_a_time = threading.Lock()
        self._last = ""
        self._last_failed = False

    @property
    def catalog(self) -> Catalog:
        """What there is now. A model whose file has gone stays in it while it is loaded."""
        if isinstance(self._source, Catalog):
            return self._source
        catalog = self._source.catalog()
        names = {row.name for row in catalog.models()}
        with self._lock:
            rows = [entry.row for entry in self._entries.values() if entry.loaded is not None]
        gone = tuple(row for row in rows if isinstance(row, ModelRow) and row.name not in names)
        if not gone:
            return catalog
        last = self._with_gone
        if last is None or last[0] is not catalog or last[1] != gone:
            last = self._with_gone = (catalog, gone, catalog.with_models(gone))
        return last[2]

    @contextmanager
    def lease(
        self,
        name: str,
        task: str = "text_to_image",
        on_loading: OnLoading | None = None,
        controlnets: Iterable[str] = (),
        adapters: Adapters = NO_ADAPTERS,
    ) -> Generator[LeasedPipeline]:
        """A pipeline that does `task` with the model of that name and the ControlNets of those
        names, all loaded first if need be. `adapters` act in it and in all its `for_task`. One set
        of them is in a model at a time: who wants another waits until nobody has it on loan.

        While weights are loading `on_loading` is called again and again; what it raises ends the
        wait, not the loading. The pipeline is only to be used inside the `with`. Raises
        UnknownNameError, or a ModelError if something can't be loaded or doesn't fit.
        """
        rows = [self.catalog.controlnet(each) for each in dict.fromkeys(controlnets)]
        with ExitStack() as leases:
            entry = self._ask_model(self.catalog.model(name))
            model = leases.enter_context(self._waited(entry, on_loading))
            networks = [
                leases.enter_context(self._waited(self._ask_controlnet(row, model), on_loading))
                for row in rows
            ]
            from paintdiff.models.lease import LeasedPipeline  # noqa: PLC0415 (imports torch)

            adapted, refiner = leases.enter_context(
                self._adapted(entry, model, adapters, on_loading)
            )
            leased = LeasedPipeline(model, task, networks, adapted=adapted, refiner=refiner)
            try:
                yield leased
            finally:
                leased.release()

    @contextmanager
    def _adapted(
        self,
        entry: Entry[LoadedModel],
        model: LoadedModel,
        adapters: Adapters,
        on_loading: OnLoading | None,
    ) -> Generator[tuple[Adapted, LeasedPipeline | None]]:
        """What a loaded model is given for a lease, and its refiner."""
        from paintdiff.models import adapting  # noqa: PLC0415 (imports torch)
        from paintdiff.models.lease import LeasedPipeline  # noqa: PLC0415 (imports torch)

        with ExitStack() as leases:

            def waited(asked: Entry[LoadedT]) -> LoadedT:
                return leases.enter_context(self._waited(asked, on_loading))

            vae = None
            if adapters.vae is not None:
                vae = waited(self._ask_vae(self.catalog.vae(adapters.vae), model))
            wanted = adapters.injected
            sources = adapting.Sources(
                {use.name: self.catalog.lora(use.name) for use in wanted.loras},
                {name: self.catalog.embedding(name) for name in wanted.embeddings},
                {
                    use.name: waited(self._ask_ip_adapter(self.catalog.ip_adapter(use.name)))
                    for use in wanted.ip_adapters
                },
            )
            turns = [adapting.Turn(entry.key, self._adapting_of(entry), wanted, sources)]
            second: LoadedModel | None = None
            if adapters.refiner is not None:
                asked = self._ask_model(self.catalog.model(adapters.refiner), used=False)
                second = waited(asked)
                turns.append(adapting.Turn(asked.key, self._adapting_of(asked)))
            given = leases.enter_context(adapting.all_adapted(turns, self._make_room, on_loading))
            refiner = None if second is None else LeasedPipeline(second, "image_to_image")
            yield adapting.with_vae(given[entry.key], vae), refiner

    def _adapting_of(self, entry: Entry[LoadedModel]) -> Adapting:
        from paintdiff.models.adapting import Adapting  # noqa: PLC0415 (imports torch)

        with self._lock:
            if entry.adapting is None:
                assert entry.loaded is not None  # it was waited for
                entry.adapting = Adapting(entry.loaded)
            return entry.adapting

    @contextmanager
    def upscaler(self, name: str, on_loading: OnLoading | None = None) -> Generator[LeasedUpscaler]:
        """The upscaler of that name, downloaded and loaded first if need be.

        `on_loading` is as for `lease`; if nobody waits any more a download is given up. To be used
        inside the `with` and by one thread. Raises UnknownNameError, or a ModelError if it can't be
        had.
        """
        with self._waited(self._ask_upscaler(self.catalog.upscaler(name)), on_loading) as loaded:
            yield loaded

    @contextmanager
    def face_restorer(
        self, name: str, on_loading: OnLoading | None = None
    ) -> Generator[LeasedFaceRestorer]:
        """The face restorer of that name, loaded first if need be, with what finds the faces.

        `on_loading` is as for `lease`. To be used inside the `with` and by one thread. Raises
        UnknownNameError, or a ModelError if it can't be loaded.
        """
        entry = self._ask_face_restorer(self.catalog.face_restorer(name))
        with self._waited(entry, on_loading) as loaded:
            yield loaded

    @contextmanager
    def _waited(self, entry: Entry[LoadedT], on_loading: OnLoading | None) -> Generator[LoadedT]:
        """What an entry that was asked for has loaded; its lease ends with the `with`."""
        try:
            while not entry.ended.is_set():
                if on_loading is not None:
                    on_loading(entry.message)
                entry.ended.wait(_POLL_SECONDS)
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
                _give_memory_back()

    def warm(self, name: str) -> None:
        """Begin to load a model in the background.

        A failure is logged, and raised when it is leased.

        Raises UnknownNameError.
        """
        entry = self._ask_model(self.catalog.model(name))
        with self._lock:
            entry.warmed = True
            entry.leases -= 1

    def loaded(self) -> tuple[LoadedSummary, ...]:
        """What is in memory or on its way there, the least recently used first."""
        with self._lock:
            return tuple(
                LoadedSummary(
                    what=entry.row.what,
                    name=entry.row.name,
                    weights_bytes=0 if entry.loaded is None else held_bytes(entry),
                    in_use=not is_idle(entry),
                )
                for entry in self._entries.values()
            )

    def unload(self, key: str | None = None) -> None:
        """Drop everything that isn't on loan, or only what has that `LoadedSummary.key`.

        A key of nothing that is loaded does nothing. Raises RequestError if what it names is in
        use.
        """
        with self._lock:
            entry = None if key is None else self._entries.get(key)
            if entry is not None and not is_idle(entry):
                raise RequestError(
                    f"{entry.row.title} is in use. Wait until the job is done, or cancel it.",
                    field="name",
                )
            idle = [name for name, each in self._entries.items() if is_idle(each)]
            for name in idle:
                if key in (None, name):
                    del self._entries[name]
        _give_memory_back()

    def budget_bytes(self) -> int:
        """What all weights together may take: as was asked for, or most of the device's memory."""
        if self._budget_bytes is not None:
            return self._budget_bytes
        with self._lock:
            device = self._device or self._asked_device
        return int(memory.memory_use(device).total_bytes * memory.DEFAULT_SHARE)

    def status(self) -> ManagerStatus:
        """What there is to say now. Cheap; never imports torch."""
        with self._lock:
            entry = self._entries.get(f"model {self._last}")
            state = "none" if entry is None else ("ready" if entry.ended.is_set() else "loading")
            if self._last_failed:
                state = "failed"
            device, last = self._device or self._asked_device, self._last
        use = memory.memory_use(device)
        return ManagerStatus(last, state, device, use.used_bytes, use.total_bytes)

    def _ask_model(self, row: ModelRow, *, used: bool = True) -> Entry[LoadedModel]:
        def load(device: str, report: Callable[[str], None]) -> LoadedModel:
            from paintdiff.models import loaders, pipeline_files  # noqa: PLC0415 (imports torch)

            companions = _companions(self.catalog)
            road = pipeline_files.Road(companions, wanted=lambda: self._wanted(key_of(row)))
            return loaders.load(row, device, self._dtype, report, road)

        with self._lock:
            if used:
                self._last, self._last_failed = row.name, False
            return self._ask(row, load, fetch=self._fetching(row))

    def _ask_controlnet(self, row: ControlNetRow, model: LoadedModel) -> Entry[LoadedControlNet]:
        def load(_device: str, report: Callable[[str], None]) -> LoadedControlNet:
            from paintdiff.models import loaders  # noqa: PLC0415 (imports torch)

            return loaders.load_controlnet(row, model, self._dtype, report)

        with self._lock:
            return self._ask(row, load, fetch=self._fetching(row))

    def _fetching(self, row: SourceRow) -> _Fetch | None:
        """What fetches the row's files before they are loaded, None if there is nothing to fetch.

        Not while the lock of the loads is held: others may be loaded meanwhile.
        """
        if not is_to_fetch(row):
            return None
        key = key_of(row)
        return lambda report: located(row, report, self._downloads, lambda: self._wanted(key))

    def _ask_vae(self, row: VaeRow, model: LoadedModel) -> Entry[LoadedVae]:
        def load(_device: str, report: Callable[[str], None]) -> LoadedVae:
            from paintdiff.models import vaes  # noqa: PLC0415 (imports torch)

            return vaes.load_vae(row, model, report)

        with self._lock:  # how a single file is built is told by the model
            return self._ask(row, load, f"{key_of(row)} for {model.row.name}")

    def _ask_ip_adapter(self, row: IpAdapterRow) -> Entry[LoadedIpAdapter]:
        def load(device: str, report: Callable[[str], None]) -> LoadedIpAdapter:
            from paintdiff.models import ip_adapters  # noqa: PLC0415 (imports torch)

            return ip_adapters.load_ip_adapter(row, device, self._dtype, report)

        with self._lock:
            return self._ask(row, load)

    def _ask_upscaler(self, row: UpscalerRow) -> Entry[LoadedUpscaler]:
        def load(device: str, report: Callable[[str], None]) -> LoadedUpscaler:
            from paintdiff.models import upscaling  # noqa: PLC0415 (imports torch and spandrel)

            return upscaling.load(row, device, self._dtype, report, lambda: self._wanted(key))

        key = key_of(row)
        with self._lock:
            return self._ask(row, load)

    def _ask_face_restorer(self, row: FaceRestorerRow) -> Entry[LoadedFaceRestorer]:
        def load(device: str, report: Callable[[str], None]) -> LoadedFaceRestorer:
            from paintdiff.models import face_restoring  # noqa: PLC0415 (imports torch, spandrel)

            return face_restoring.load(row, device, self._dtype, report)

        with self._lock:
            return self._ask(row, load)

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
        load: _Load[LoadedT],
        key: str = "",
        fetch: _Fetch | None = None,
    ) -> Entry[LoadedT]:
        """The row's entry with one more lease on it; the first to ask starts the loading. Called
        with the lock held.
        """
        key = key or key_of(row)
        entry = self._entries.get(key)
        if entry is not None and is_other(entry.row, row):
            entry.superseded = True  # who has it on loan keeps it, until the lease ends
            del self._entries[key]
            entry = None
        if entry is None:
            entry = self._entries[key] = Entry[Any](row, key, f"Loading {row.name}")
            threading.Thread(
                target=self._load, args=(entry, load, fetch), name=f"load {row.name}", daemon=True
            ).start()
        self._entries.move_to_end(key)
        entry.leases += 1
        return entry

    def _load(self, entry: Entry[LoadedT], load: _Load[LoadedT], fetch: _Fetch | None) -> None:
        """Runs in a thread of its own, and always ends with `ended` set."""
        started = time.perf_counter()
        try:
            if fetch is not None:
                fetch(entry.tell)
            with self._one_load_at_a_time:
                entry.loaded = self._loaded(entry, load)
            logger.info("loaded %s in %.1f s", entry.row.name, time.perf_counter() - started)
        except Exception as error:
            logger.warning("loading %s failed", entry.row.name, exc_info=True)
            entry.error = error if isinstance(error, ModelError) else load_error(entry.row, error)
            with self._lock:  # forgotten, so that the next who asks tries again
                if self._entries.get(entry.key) is entry:
                    del self._entries[entry.key]
                if entry.key == f"model {self._last}":
                    self._last_failed = True
        finally:
            entry.ended.set()

    def _loaded(self, entry: Entry[LoadedT], load: _Load[LoadedT]) -> LoadedT:
        from paintdiff.models import devices  # noqa: PLC0415 (imports torch: seconds)

        if self._device is None:
            self._device = devices.best_device(self._asked_device)

        self._make_room(entry.row)
        return load(self._device, entry.tell)

    def _make_room(self, row: WeightsRow) -> None:
        """Raises MemoryBudgetError if the weights can't fit."""
        device = self._device or self._asked_device
        folder = row.folder
        if folder is None or not folder.exists():
            return  # not on this machine yet
        full_precision = device == "cpu" and self._dtype in (None, "float32")
        files = files_of(row, folder, _companions(self.catalog))
        needed = memory.estimated_bytes(files, 4 if full_precision else 2)
        budget = self.budget_bytes()
        with self._lock:
            residents = [
                memory.Resident(key, held_bytes(other), not is_idle(other))
                for key, other in self._entries.items()
                if other.loaded is not None
            ]
            evicted = memory.to_evict(residents, needed, budget)
            for key in evicted:
                logger.info("dropping %s to make room for %s", key, row.name)
                del self._entries[key]
        if evicted:
            _give_memory_back()


def _companions(catalog: Catalog) -> dict[str, Path]:
    """For each family the first model that is a folder here, for the parts that a file lacks."""
    folders: dict[str, Path] = {}
    for row in catalog.models():
        if row.folder is not None and (row.folder / "model_index.json").is_file():
            folders.setdefault(row.family.name, row.folder)
    return folders


def _give_memory_back() -> None:
    gc.collect()
    memory.empty_cache()

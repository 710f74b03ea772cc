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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from paintdiff.errors import ModelError, ModelLoadError, RequestError
from paintdiff.models import memory
from paintdiff.models.catalog import Catalog
from paintdiff.models.controlnets import ControlNetRow, weights_file
from paintdiff.models.face_restorers import FaceRestorerRow
from paintdiff.models.holdings import LoadedSummary
from paintdiff.models.library import Library
from paintdiff.models.model_rows import ModelRow
from paintdiff.models.upscalers import UpscalerRow
from paintdiff.models.weights import weight_files

if TYPE_CHECKING:
    from paintdiff.models.face_restoring import LeasedFaceRestorer, LoadedFaceRestorer
    from paintdiff.models.lease import LeasedPipeline
    from paintdiff.models.loaders import LoadedControlNet, LoadedModel
    from paintdiff.models.sources import WeightsRow
    from paintdiff.models.upscaling import LeasedUpscaler, LoadedUpscaler

logger = logging.getLogger(__name__)

LoadedT = TypeVar("LoadedT")

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


@dataclass
class _Entry(Generic[LoadedT]):
    """A model, ControlNet or network that is being loaded or has been. Guarded by the manager's
    lock, save for `ended`.
    """

    row: WeightsRow
    message: str
    ended: threading.Event = field(default_factory=threading.Event)
    loaded: LoadedT | None = None
    error: Exception | None = None
    leases: int = 0
    superseded: bool = False  # other weights lie at its place by now

    @property
    def key(self) -> str:
        return _key(self.row)


def _key(row: WeightsRow) -> str:
    """A model and a ControlNet may have the same name."""
    return f"{row.what} {row.name}"


class ModelManager:
    """Leases pipelines, upscalers and face restorers.

    Safe to use from any thread; constructing it loads and imports nothing heavy.

    `device` is "auto" or a torch device; `memory_budget_bytes` is what all weights together may
    take, None for most of the device's memory; `dtype` is "float32", "bfloat16" or "float16", None
    for the best one. `catalog` is what there is, or a library that looks again; None is what ships
    with the app.
    """

    def __init__(
        self,
        catalog: Catalog | Library | None = None,
        *,
        device: str = "auto",
        memory_budget_bytes: int | None = None,
        dtype: str | None = None,
    ) -> None:
        self._source = catalog if catalog is not None else Catalog.default()
        self._with_gone: tuple[Catalog, tuple[ModelRow, ...], Catalog] | None = None
        self._asked_device = device
        self._device: str | None = None
        self._budget_bytes = memory_budget_bytes
        self._dtype = dtype
        self._entries: OrderedDict[str, _Entry[Any]] = OrderedDict()  # least recently used first
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
    ) -> Generator[LeasedPipeline]:
        """A pipeline that does `task` with the model of that name and the ControlNets of those
        names, all loaded first if need be.

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

            leased = LeasedPipeline(model, task, networks)
            try:
                yield leased
            finally:
                leased.release()

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
    def _waited(self, entry: _Entry[LoadedT], on_loading: OnLoading | None) -> Generator[LoadedT]:
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
            entry.leases -= 1

    def loaded(self) -> tuple[LoadedSummary, ...]:
        """What is in memory or on its way there, the least recently used first."""
        with self._lock:
            return tuple(
                LoadedSummary(
                    what=entry.row.what,
                    name=entry.row.name,
                    weights_bytes=0 if entry.loaded is None else entry.loaded.weights_bytes,
                    in_use=not _idle(entry),
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
            if entry is not None and not _idle(entry):
                raise RequestError(
                    f"{entry.row.title} is in use. Wait until the job is done, or cancel it.",
                    field="name",
                )
            idle = [name for name, each in self._entries.items() if _idle(each)]
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

    def _ask_model(self, row: ModelRow) -> _Entry[LoadedModel]:
        def load(device: str, report: Callable[[str], None]) -> LoadedModel:
            from paintdiff.models import loaders  # noqa: PLC0415 (imports torch: seconds)

            return loaders.load(row, device, self._dtype, report)

        with self._lock:
            self._last, self._last_failed = row.name, False
            return self._ask(row, load)

    def _ask_controlnet(self, row: ControlNetRow, model: LoadedModel) -> _Entry[LoadedControlNet]:
        def load(_device: str, report: Callable[[str], None]) -> LoadedControlNet:
            from paintdiff.models import loaders  # noqa: PLC0415 (imports torch)

            return loaders.load_controlnet(row, model, self._dtype, report)

        with self._lock:
            return self._ask(row, load)

    def _ask_upscaler(self, row: UpscalerRow) -> _Entry[LoadedUpscaler]:
        def load(device: str, report: Callable[[str], None]) -> LoadedUpscaler:
            from paintdiff.models import upscaling  # noqa: PLC0415 (imports torch and spandrel)

            return upscaling.load(row, device, self._dtype, report, lambda: self._wanted(key))

        key = _key(row)
        with self._lock:
            return self._ask(row, load)

    def _ask_face_restorer(self, row: FaceRestorerRow) -> _Entry[LoadedFaceRestorer]:
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
            if entry is not None and entry.leases == 0:
                del self._entries[key]
                return False
            return entry is not None

    def _ask(self, row: WeightsRow, load: _Load[LoadedT]) -> _Entry[LoadedT]:
        """The row's entry with one more lease on it; the first to ask starts the loading. Called
        with the lock held.
        """
        key = _key(row)
        entry = self._entries.get(key)
        if entry is not None and _is_other(entry.row, row):
            entry.superseded = True  # who has it on loan keeps it, until the lease ends
            del self._entries[key]
            entry = None
        if entry is None:
            entry = self._entries[key] = _Entry[Any](row, f"Loading {row.name}")
            threading.Thread(
                target=self._load, args=(entry, load), name=f"load {row.name}", daemon=True
            ).start()
        self._entries.move_to_end(key)
        entry.leases += 1
        return entry

    def _load(self, entry: _Entry[LoadedT], load: _Load[LoadedT]) -> None:
        """Runs in a thread of its own, and always ends with `ended` set."""
        started = time.perf_counter()
        try:
            with self._one_load_at_a_time:
                entry.loaded = self._loaded(entry, load)
            logger.info("loaded %s in %.1f s", entry.row.name, time.perf_counter() - started)
        except Exception as error:
            logger.warning("loading %s failed", entry.row.name, exc_info=True)
            entry.error = error if isinstance(error, ModelError) else _load_error(entry.row, error)
            with self._lock:  # forgotten, so that the next who asks tries again
                if self._entries.get(entry.key) is entry:
                    del self._entries[entry.key]
                if entry.key == f"model {self._last}":
                    self._last_failed = True
        finally:
            entry.ended.set()

    def _loaded(self, entry: _Entry[LoadedT], load: _Load[LoadedT]) -> LoadedT:
        from paintdiff.models import devices  # noqa: PLC0415 (imports torch: seconds)

        if self._device is None:
            self._device = devices.best_device(self._asked_device)

        def report(message: str) -> None:
            entry.message = message

        self._make_room(entry.row, self._device)
        return load(self._device, report)

    def _make_room(self, row: WeightsRow, device: str) -> None:
        """Raises MemoryBudgetError if the weights can't fit."""
        folder = row.folder
        if folder is None or not folder.exists():
            return  # not on this machine yet
        full_precision = device == "cpu" and self._dtype in (None, "float32")
        needed = memory.estimated_bytes(_files_of(row, folder), 4 if full_precision else 2)
        budget = self.budget_bytes()
        with self._lock:
            residents = [
                memory.Resident(key, other.loaded.weights_bytes, not _idle(other))
                for key, other in self._entries.items()
                if other.loaded is not None
            ]
            evicted = memory.to_evict(residents, needed, budget)
            for key in evicted:
                logger.info("dropping %s to make room for %s", key, row.name)
                del self._entries[key]
        if evicted:
            _give_memory_back()


def _files_of(row: WeightsRow, source: Path) -> tuple[Path, ...]:
    """The files with the row's weights."""
    if isinstance(row, (UpscalerRow, FaceRestorerRow)):
        return (source,)
    return (weights_file(source),) if isinstance(row, ControlNetRow) else weight_files(source)


def _is_other(one: WeightsRow, other: WeightsRow) -> bool:
    """Whether two rows of a name are of different weights."""
    return (one.source, one.fingerprint) != (other.source, other.fingerprint)


def _idle(entry: _Entry[Any]) -> bool:
    return entry.leases == 0 and entry.ended.is_set()


def _load_error(row: WeightsRow, error: Exception) -> ModelError:
    failed = memory.as_memory_error(error) or ModelLoadError(f"{row.name} can't be loaded: {error}")
    failed.__cause__ = error
    return failed


def _give_memory_back() -> None:
    gc.collect()
    memory.empty_cache()

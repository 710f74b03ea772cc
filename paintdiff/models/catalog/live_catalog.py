"""The models folders, and a catalog that always says what lies in them now. Importable without
torch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paintdiff.config.presets import presets_folder
from paintdiff.errors import ModelError, PresetError, RequestError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.detection_cache import DetectionCache
from paintdiff.models.discovery.permanent_names import FILE_NAME as NAMES_FILE
from paintdiff.models.discovery.permanent_names import PermanentNames
from paintdiff.models.discovery.row_builder import Problem, RowBuilder
from paintdiff.models.discovery.scanning import ScanResult, read_stamp, scan_folders
from paintdiff.models.hub.cache import CachedModel, list_cached_models
from paintdiff.models.registry.model_rows import ModelRow

LOOK_SECONDS = 1.0
"""How long what was seen in the folders counts as what is there."""

logger = logging.getLogger(__name__)

_Choice = Callable[[Catalog], Catalog]


@dataclass
class _Added:
    """A model that was asked for by its place; `row` is kept when it can't be found any more."""

    source: str
    row: ModelRow


class LiveCatalog:
    """The models in several folders, in the layouts of A1111 and Forge, of ComfyUI, and of ours.

    `models_dirs` needn't exist yet. `cache` is the folder in which what the files are, and what
    they were named, is kept between two starts (None: it isn't kept). `base` is what there is
    without any folder (None: what ships with the app). Safe to use from any thread; constructing it
    looks at nothing.
    """

    def __init__(
        self,
        models_dirs: Sequence[Path] = (),
        *,
        cache: Path | None = None,
        base: Catalog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.models_dirs = tuple(models_dirs)
        self._base = base if base is not None else Catalog.from_folder(presets_folder())
        self._known = DetectionCache(cache, self._base.unet_widths())
        self._clock = clock
        self._lock = threading.RLock()
        self._names = PermanentNames(cache and cache / NAMES_FILE)
        self._shelvings: tuple[Catalog, RowBuilder] | None = None
        self._added: dict[str, _Added] = {}
        self._choices: dict[str, _Choice] = {}
        self._found: ScanResult | None = None
        self._cached: tuple[CachedModel, ...] = ()
        self._current: Catalog | None = None
        self._looked = 0.0
        self._logged: set[Problem] = set()

    def catalog(self) -> Catalog:
        """What there is now: the folders are looked at again at most every LOOK_SECONDS, and files
        are only when their size or time has changed. While another thread looks, what it saw
        before.
        """
        current = self._current
        if current is not None and self._clock() - self._looked < LOOK_SECONDS:
            return current
        if not self._lock.acquire(blocking=current is None):
            assert current is not None
            return current
        try:
            if self._current is None or self._clock() - self._looked >= LOOK_SECONDS:
                self._look()
            assert self._current is not None
            return self._current
        finally:
            self._lock.release()

    def rescan(self) -> Catalog:
        """The same, but the folders are looked at now."""
        with self._lock:
            self._look()
            assert self._current is not None
            return self._current

    def add_model(self, source: str) -> str:
        """Have a model in the catalog from now on: a folder, a file, or a hub id. Returns its name,
        which stays; one that is there already isn't added again.

        Raises what `Catalog.with_source` raises.
        """
        with self._lock:
            catalog = self.rescan()
            place = Path(source).expanduser()
            same = {source, str(place.absolute()), str(place.resolve())}
            for row in catalog.models():
                if row.name == source or (place.exists() and row.source in same):
                    return row.name
            row = catalog.with_source(source).models()[-1]
            self._added[row.name] = _Added(source, row)
            self._shelvings = None
            self._rebuild()
            return row.name

    def prefer_controlnet(self, source: str) -> None:
        """Have a ControlNet come first from now on, as `Catalog.with_controlnet` does; raises what
        that raises.
        """
        self._prefer("ControlNet", lambda catalog: catalog.with_controlnet(source))

    def prefer_upscaler(self, source: str) -> None:
        """Have an upscaler come first from now on, as `Catalog.with_upscaler` does; raises what
        that raises.
        """
        self._prefer("upscaler", lambda catalog: catalog.with_upscaler(source))

    def _prefer(self, what: str, choice: _Choice) -> None:
        with self._lock:
            choice(self.rescan())  # raises if there is nothing of the kind
            self._choices[what] = choice
            self._rebuild()

    def _look(self) -> None:
        """Called with the lock held, as all below."""
        found = scan_folders(self.models_dirs)
        changed = self._refresh_added()
        cached = list_cached_models()
        if cached != self._cached:
            self._cached, self._shelvings, changed = cached, None, True
        if self._current is None or changed or found != self._found or self._known.waiting:
            self._found = found
            self._rebuild()
        self._looked = self._clock()

    def _rebuild(self) -> None:
        base, shelving = self._shelving()
        self._known.waiting = 0
        try:
            shelves = shelving.build(self._found or ScanResult(), self.models_dirs)
        finally:
            self._known.finish()
        self._names.save()
        own = {added.row.source for added in self._added.values()}
        models = tuple(
            row for row in shelves.models if row.source not in own or row.name in self._added
        )
        shelves = replace(shelves, models=models)
        catalog = base.with_shelves(shelves)
        for what, choice in self._choices.items():
            try:
                catalog = choice(catalog)
            except (ModelError, PresetError, RequestError) as error:
                logger.warning("the %s that was chosen has gone: %s", what, error)
        for problem in shelves.problems:
            if problem not in self._logged:
                self._logged.add(problem)
                problem.log()
        self._current = catalog

    def _shelving(self) -> tuple[Catalog, RowBuilder]:
        if self._shelvings is None:
            base = self._base.with_models(added.row for added in self._added.values())
            base = self._with_cached(base)
            self._shelvings = (base, base.shelving(self._known, self._names))
        return self._shelvings

    def _with_cached(self, base: Catalog) -> Catalog:
        """With the models that any program has fetched from the hub and that no row is of."""
        listed = {row.source for row in base.models()}
        for cached in self._cached:
            if cached.hub_id in listed:
                continue
            try:
                base = base.with_source(cached.hub_id)
            except (ModelError, PresetError, RequestError) as error:
                logger.info("%s in the hub's cache is no model to paint with: %s", cached, error)
        return base

    def _refresh_added(self) -> bool:
        """Whether an added model is another than it was. One that has gone stays as it was: it may
        be loaded, and it may come back.
        """
        changed = False
        for name, added in self._added.items():
            place = added.row.folder
            try:
                if place is None or read_stamp(place)["fingerprint"] == added.row.fingerprint:
                    continue
                row = self._base.with_source(added.source, name=name).models()[-1]
            except (OSError, ModelError, PresetError, RequestError) as error:
                logger.info("the model %r can't be looked at: %s", added.source, error)
                continue
            added.row, changed = row.model_copy(update={"name": name}), True
            self._shelvings = None
        return changed

"""A catalog that follows the models folders. Importable without torch."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow

LOOK_SECONDS = 1.0
"""How long a scan of the folders stays valid."""

logger = logging.getLogger(__name__)

_Choice = Callable[[Catalog], Catalog]


@dataclass
class _Added:
    """A model that a person added by its path or hub id; `row` stays when its file has gone."""

    source: str
    row: ModelRow


class LiveCatalog:
    """The catalog of several models folders, in the layouts of A1111, Forge, ComfyUI and ours.

    `models_dirs` needn't exist yet. Kinds and names of files are kept in the folder `cache` between
    two starts, unless it is None. `base` is the catalog without any folder, None for what ships
    with the app. Safe to use from any thread; constructing it looks at nothing.
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
        self._builder: tuple[Catalog, RowBuilder] | None = None
        self._added: dict[str, _Added] = {}
        self._choices: dict[str, _Choice] = {}
        self._found: ScanResult | None = None
        self._cached: tuple[CachedModel, ...] = ()
        self._current: Catalog | None = None
        self._looked = 0.0
        self._logged: set[Problem] = set()

    def catalog(self) -> Catalog:
        """Return the current catalog; the folders are scanned at most every LOOK_SECONDS.

        Files are read only if their size or time has changed. While another thread scans, return
        the catalog from before.
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
        """Scan the folders now and return the catalog."""
        with self._lock:
            self._look()
            assert self._current is not None
            return self._current

    def add_model(self, source: str) -> str:
        """Add a model for good, a folder, a file or a hub id, and return its name.

        The name stays. A model that is there already isn't added again. Raises what
        `Catalog.with_source` raises.
        """
        with self._lock:
            catalog = self.rescan()
            place = Path(source).expanduser()
            same = {source, str(place.absolute()), str(place.resolve())}
            for row in catalog.rows(ModelRow):
                if row.name == source or (place.exists() and row.source in same):
                    return row.name
            row = catalog.with_source(source).rows(ModelRow)[-1]
            self._added[row.name] = _Added(source, row)
            self._builder = None
            self._rebuild()
            return row.name

    def prefer_controlnet(self, source: str) -> None:
        """Make a ControlNet the first for good. Raises what `Catalog.with_first` raises."""
        self._prefer("ControlNet", lambda catalog: catalog.with_first(ControlNetRow, source))

    def prefer_upscaler(self, source: str) -> None:
        """Make an upscaler the first for good. Raises what `Catalog.with_first` raises."""
        self._prefer("upscaler", lambda catalog: catalog.with_first(UpscalerRow, source))

    def _prefer(self, what: str, choice: _Choice) -> None:
        with self._lock:
            choice(self.rescan())  # raises if there is nothing of the kind
            self._choices[what] = choice
            self._rebuild()

    def _look(self) -> None:
        """Scan the folders. The lock has to be held, as for all methods below."""
        found = scan_folders(self.models_dirs)
        changed = self._refresh_added()
        cached = list_cached_models()
        if cached != self._cached:
            self._cached, self._builder, changed = cached, None, True
        if self._current is None or changed or found != self._found or self._known.waiting:
            self._found = found
            self._rebuild()
        self._looked = self._clock()

    def _rebuild(self) -> None:
        base, builder = self._row_builder()
        self._known.waiting = 0
        try:
            found = builder.build(self._found or ScanResult(), self.models_dirs)
        finally:
            self._known.finish()
        self._names.save()
        own = {added.row.source for added in self._added.values()}
        models = tuple(
            row for row in found.of(ModelRow) if row.source not in own or row.name in self._added
        )
        catalog = base.with_found(found).replace(ModelRow, models)
        for what, choice in self._choices.items():
            try:
                catalog = choice(catalog)
            except (ModelError, PresetError, RequestError) as error:
                logger.warning("the %s that was chosen has gone: %s", what, error)
        for problem in found.problems:
            if problem not in self._logged:
                self._logged.add(problem)
                problem.log()
        self._current = catalog

    def _row_builder(self) -> tuple[Catalog, RowBuilder]:
        if self._builder is None:
            base = self._base.replace(
                ModelRow,
                (*self._base.rows(ModelRow), *(added.row for added in self._added.values())),
            )
            base = self._with_cached(base)
            self._builder = (base, base.make_row_builder(self._known, self._names))
        return self._builder

    def _with_cached(self, base: Catalog) -> Catalog:
        """Return the catalog with the models in Hugging Face's cache that have no row."""
        listed = {row.source for row in base.rows(ModelRow)}
        for cached in self._cached:
            if cached.hub_id in listed:
                continue
            try:
                base = base.with_source(cached.hub_id)
            except (ModelError, PresetError, RequestError) as error:
                logger.info("%s in Hugging Face's cache can't be painted with: %s", cached, error)
        return base

    def _refresh_added(self) -> bool:
        """Read added models again that have changed, and return whether any has.

        A model that has gone stays as it was: it may be loaded, and it may come back.
        """
        changed = False
        for name, added in self._added.items():
            place = added.row.folder
            try:
                if place is None or read_stamp(place)["fingerprint"] == added.row.fingerprint:
                    continue
                row = self._base.with_source(added.source, name=name).rows(ModelRow)[-1]
            except (OSError, ModelError, PresetError, RequestError) as error:
                logger.info("the model %r can't be looked at: %s", added.source, error)
                continue
            added.row, changed = row.model_copy(update={"name": name}), True
            self._builder = None
        return changed

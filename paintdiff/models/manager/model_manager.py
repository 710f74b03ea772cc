"""The owner of all weights: loads them when they are first asked for, shares them, drops what was
used least.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.errors import ModelError
from paintdiff.models.acceleration.engines import EngineName
from paintdiff.models.adapters.specs import NO_ADAPTERS, Adapters
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.hub.downloads import Downloads
from paintdiff.models.manager.cache_entry import Entry, LoadedT, count_held_bytes, entry_key
from paintdiff.models.manager.compute_backends import ComputeBackends
from paintdiff.models.manager.model_cache import POLL_SECONDS, OnLoading
from paintdiff.models.manager.weight_requests import WeightRequests
from paintdiff.models.memory import usage
from paintdiff.models.memory.planner import Planner
from paintdiff.models.memory.plans import USUAL_PLAN, Plan, count_weights_on_device
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import EXACT, Profile

if TYPE_CHECKING:
    from diffusers.models.autoencoders.vae import DecoderTiny

    from paintdiff.models.adapters.applied import AppliedAdapters, LeasedAdapters
    from paintdiff.models.inference.leased_pipeline import LeasedPipeline
    from paintdiff.models.loading.pipelines import LoadedModel
    from paintdiff.models.registry.preprocessor_rows import PreprocessorRow
    from paintdiff.models.upscaling.face_restorer import LeasedFaceRestorer
    from paintdiff.models.upscaling.upscaler import LeasedUpscaler

logger = logging.getLogger(__name__)


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


class ModelManager(WeightRequests):
    """Leases pipelines, upscalers and face restorers.

    Safe to use from any thread; constructing it loads and imports nothing heavy.

    `device` is "auto" or a torch device; `memory_budget_bytes` is what all weights together may
    take, None for most of the device's memory; `dtype` is "float32", "bfloat16" or "float16", None
    for the best one. `catalog` is what there is, or a library that looks again; None is what ships
    with the app. `downloads` fetches what isn't here, None for some of its own.
    `prompt_cache_bytes` is what may be kept of words that were read, in main memory: some 50
    prompts of SDXL, or 15 of FLUX's 512 tokens; 0 reads them every time. `engine` computes UNets on
    a CPU where a profile allows it; raises SettingsError if it isn't installed.

    `planner` says how a picture can be painted within the memory that there is.
    """

    def __init__(  # noqa: PLR0913 (what the app wires, by name)
        self,
        catalog: Catalog | LiveCatalog | None = None,
        *,
        device: str = "auto",
        memory_budget_bytes: int | None = None,
        dtype: str | None = None,
        downloads: Downloads | None = None,
        prompt_cache_bytes: int = 64 * 2**20,
        engine: EngineName = "auto",
    ) -> None:
        super().__init__(device, memory_budget_bytes, dtype, downloads or Downloads())
        self._source = catalog if catalog is not None else Catalog.default()
        self.planner = Planner(self._room_for)
        self._prompt_cache_bytes = prompt_cache_bytes
        self._settling = False
        self._computers = ComputeBackends(engine, self._has_room)
        self._with_gone: tuple[Catalog, tuple[ModelRow, ...], Catalog] | None = None

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
    def lease(  # noqa: PLR0913 (all that leases differ in)
        self,
        name: str,
        task: str = "text_to_image",
        on_loading: OnLoading | None = None,
        controlnets: Iterable[str] = (),
        adapters: Adapters = NO_ADAPTERS,
        plan: Plan = USUAL_PLAN,
        *,
        profile: Profile = EXACT,
    ) -> Generator[LeasedPipeline]:
        """A pipeline that does `task` with the model of that name and the ControlNets of those
        names, all loaded first if need be. `adapters` act in it and in all its `for_task`. One set
        of them is in a model at a time: who wants another waits until nobody has it on loan. So
        it is with the placement of `plan`, which says how memory is saved. `profile` says how exact
        its runs have to be.

        While weights are loading `on_loading` is called again and again; what it raises ends the
        wait, not the loading. The pipeline is only to be used inside the `with`. Raises
        UnknownNameError, or a ModelError if something can't be loaded or doesn't fit.
        """
        rows = [self.catalog.controlnet(each) for each in dict.fromkeys(controlnets)]
        with ExitStack() as leases:
            entry = self._ask_model(self.catalog.model(name), plan)
            model = leases.enter_context(self._waited(entry, on_loading))
            networks = [
                leases.enter_context(self._waited(self._ask_controlnet(row, model), on_loading))
                for row in rows
            ]
            from paintdiff.models.inference.leased_pipeline import LeasedPipeline  # noqa: PLC0415 (imports torch)

            kernels = self._computers.kernels(model, profile)
            adapters = replace(adapters, channels_last=kernels.channels_last)
            adapted, refiner = leases.enter_context(
                self._adapted(entry, model, adapters, plan, profile, on_loading)
            )
            leased = LeasedPipeline(
                model,
                task,
                networks,
                adapters=adapted,
                refiner=refiner,
                tiny_autoencoder=leases.enter_context(self._preview_decoder(model, on_loading)),
                plan=plan,
                profile=profile,
                computing=self._computers.computing(entry, kernels, profile, adapters, plan),
            )
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
        plan: Plan,
        profile: Profile,
        on_loading: OnLoading | None,
    ) -> Generator[tuple[LeasedAdapters, LeasedPipeline | None]]:
        """What a loaded model is given for a lease, and its refiner."""
        from paintdiff.models.adapters import applied  # noqa: PLC0415 (imports torch)
        from paintdiff.models.inference.leased_pipeline import LeasedPipeline  # noqa: PLC0415 (imports torch)

        with ExitStack() as leases:

            def waited(asked: Entry[LoadedT]) -> LoadedT:
                return leases.enter_context(self._waited(asked, on_loading))

            vae = None
            if adapters.vae is not None:
                vae = waited(self._ask_vae(self.catalog.vae(adapters.vae), model))
            wanted = adapters.injected
            sources = applied.Sources(
                {use.name: self.catalog.lora(use.name) for use in wanted.loras},
                {name: self.catalog.embedding(name) for name in wanted.embeddings},
                {
                    use.name: waited(self._ask_ip_adapter(self.catalog.ip_adapter(use.name)))
                    for use in wanted.ip_adapters
                },
            )
            own = self._adapting_of(entry)
            turns = [applied.AdapterTurn(entry.key, own, wanted, sources, plan.placement)]
            self._make_room_to_place(entry, model, plan, on_loading)
            second: LoadedModel | None = None
            if adapters.refiner is not None:
                asked = self._ask_model(self.catalog.model(adapters.refiner), plan, used=False)
                second = waited(asked)
                self._make_room_to_place(asked, second, plan, on_loading)
                refining = self._adapting_of(asked)
                turns.append(applied.AdapterTurn(asked.key, refining, placement=plan.placement))
            given = leases.enter_context(applied.apply_adapters(turns, self._make_room, on_loading))
            refiner: LeasedPipeline | None = None
            if second is not None:
                theirs = given[entry_key(second.row)]
                refiner = LeasedPipeline(
                    second, "image_to_image", adapters=theirs, plan=plan, profile=profile
                )
            yield applied.swap_vae(given[entry.key], vae), refiner

    def _make_room_to_place(
        self,
        entry: Entry[LoadedModel],
        model: LoadedModel,
        plan: Plan,
        on_loading: OnLoading | None,
    ) -> None:
        """Raises MemoryBudgetError if there is no room for what the plan has on the device."""
        on_device = model.weights_bytes
        if plan.placement != "resident":
            on_device = count_weights_on_device(plan, model.row.family, model.parts)
        self._place(entry, on_device, on_loading)

    def _has_room(self, entry: Entry[LoadedModel], more_bytes: int) -> bool:
        """Whether a loaded model may take so much more."""
        assert isinstance(entry.row, ModelRow)
        room = self._room_for(entry.row)
        return room is None or count_held_bytes(entry) + more_bytes <= room.room_bytes

    def _adapting_of(self, entry: Entry[LoadedModel]) -> AppliedAdapters:
        from paintdiff.models.adapters.applied import AppliedAdapters  # noqa: PLC0415 (imports torch)
        from paintdiff.models.conditioning.prompt_cache import PromptCache  # noqa: PLC0415 (imports torch)

        with self._lock:
            if self._prompts is None:
                self._prompts = PromptCache(self._prompt_cache_bytes)
            if entry.adapting is None:
                assert entry.loaded is not None  # it was waited for
                entry.adapting = AppliedAdapters(entry.loaded, self._prompts)
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
    def preprocessor(
        self,
        row: PreprocessorRow,
        read: Callable[[Path], LoadedT],
        on_loading: OnLoading | None = None,
    ) -> Generator[LoadedT]:
        """What `read` makes of the folder with a preprocessor's weights, fetched first if need be.
        It has `weights_bytes`, which are in main memory.

        `on_loading` is as for `lease`; if nobody waits any more a download is given up. Raises a
        ModelError if it can't be had.
        """
        with self._waited(self._ask_preprocessor(row, read), on_loading) as loaded:
            yield loaded

    def settle(self, name: str, on_loading: OnLoading) -> None:
        """Find out where networks run, if nobody has yet, before the model `name` is leased, so
        that it is known what memory there is. The first time it imports torch, for seconds, with
        `on_loading` called meanwhile as for `lease`.

        Raises ModelLoadError if this machine has no such device.
        """
        if self._device is not None:
            return
        self._last, self._last_failed, self._settling = name, False, True
        executor = ThreadPoolExecutor(1, thread_name_prefix="settle")
        try:
            settled = executor.submit(self.settle_device)
            while not wait([settled], POLL_SECONDS).done:
                on_loading(f"Loading {name}")
            self._last_failed = settled.exception() is not None
            settled.result()
        finally:
            self._settling = False
            executor.shutdown(wait=False)

    def warm(self, name: str) -> None:
        """Begin to load a model in the background.

        A failure is logged, and raised when it is leased.

        Raises UnknownNameError.
        """
        entry = self._ask_model(self.catalog.model(name))
        with self._lock:
            entry.warmed = True
            entry.leases -= 1

    def status(self) -> ManagerStatus:
        """What there is to say now. Cheap; never imports torch."""
        with self._lock:
            entry = self._entries.get(f"model {self._last}")
            state = "loading" if self._settling else "none"
            if entry is not None:
                state = "ready" if entry.ended.is_set() else "loading"
            if self._last_failed:
                state = "failed"
            device, last = self._device or self._asked_device, self._last
        use = usage.measure_memory(device)
        return ManagerStatus(last, state, device, use.used_bytes, use.total_bytes)

    @contextmanager
    def _preview_decoder(
        self, model: LoadedModel, on_loading: OnLoading | None
    ) -> Generator[DecoderTiny | None]:
        """The decoder of the first tiny autoencoder for the model's family, None without one. One
        that can't be used costs nobody a picture.
        """
        rows = self.catalog.tiny_autoencoders_for(model.row)
        row = next((each for each in rows if "decoder" in each.parts), None)
        with ExitStack() as leases:
            decoder: DecoderTiny | None = None
            if row is not None:
                asked = self._ask_tiny_autoencoder(row, model.row.family)
                try:
                    decoder = leases.enter_context(self._waited(asked, on_loading)).decoder
                except ModelError as error:
                    logger.warning("previews are without %s: %s", row.name, error)
            yield decoder

"""The owner of all weights: it leases them, loaded once and shared. Importable without torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from paintdiff.errors import ModelError
from paintdiff.models.acceleration.engines import EngineName
from paintdiff.models.adapters.specs import NO_ADAPTERS, Adapters
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.hub.downloads import Downloads
from paintdiff.models.loading.resolving import locate, needs_fetching
from paintdiff.models.manager.cache_entry import Entry, OnLoading, entry_key
from paintdiff.models.manager.compute_backends import ComputeBackends
from paintdiff.models.manager.device_memory import DeviceMemory
from paintdiff.models.manager.loaders import (
    CONTROLNET,
    IP_ADAPTER,
    LOADERS,
    MODEL,
    TINY_AUTOENCODER,
    VAE,
    AnyLoader,
    ArgumentT,
    LoadContext,
    LoadedT,
    Loader,
    LoaderTable,
    RowT,
)
from paintdiff.models.manager.model_cache import LoadRequest, ModelCache
from paintdiff.models.manager.status import ManagerStatus, StatusReport
from paintdiff.models.manager.weight_estimates import WeightEstimates
from paintdiff.models.memory import usage
from paintdiff.models.memory.planner import Planner
from paintdiff.models.memory.plans import USUAL_PLAN, Plan, count_weights_on_device
from paintdiff.models.registry.adapter_rows import (
    EmbeddingRow,
    LoraRow,
    TinyAutoencoderRow,
    VaeRow,
)
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.speed_profiles import EXACT, Profile

if TYPE_CHECKING:
    from diffusers.models.autoencoders.vae import DecoderTiny

    from paintdiff.models.adapters.applied import AppliedAdapters, LeasedAdapters
    from paintdiff.models.conditioning.prompt_cache import PromptCache
    from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
    from paintdiff.models.loading.pipelines import LoadedModel

logger = logging.getLogger(__name__)


class ModelManager:
    """Leases pipelines and other networks. Safe to use from any thread.

    Constructing it loads and imports nothing heavy. It is composed of `cache` (the weights in
    memory), `memory` (the device and the budget), `estimates` (sizes of what isn't loaded), a table
    of loaders by kind of weights, and `planner` (how a picture fits into memory).

    `catalog` is a catalog, or a live one that rescans; None: the one that ships with the app.
    `device` is "auto" or a torch device. `memory_budget_bytes` limits all weights together; None:
    most of the device's memory. `dtype` is "float32", "bfloat16" or "float16"; None: the best one.
    `downloads` fetches missing files; None: downloads of its own. `prompt_cache_bytes` limits the
    RAM of encoded prompts: 64 MiB hold about 50 prompts of SDXL, or 15 of FLUX with 512 tokens
    each; 0 turns the cache off. `engine` computes UNets on a CPU where a profile allows it; raises
    SettingsError if it isn't installed.
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
        loaders: LoaderTable = LOADERS,
    ) -> None:
        self._source = catalog if catalog is not None else Catalog.default()
        self._downloads = downloads or Downloads()
        self._prompt_cache_bytes = prompt_cache_bytes
        self._prompts: PromptCache | None = None
        self.memory = DeviceMemory(device, memory_budget_bytes, dtype, self._count_prompt_bytes)
        self.estimates = WeightEstimates(loaders, self.memory, lambda: self.catalog)
        self.cache = ModelCache(self.memory, self.estimates)
        self.planner = Planner(self.cache.measure_room)
        self._backends = ComputeBackends(engine, self.cache.has_room)
        self._with_gone: tuple[Catalog, tuple[ModelRow, ...], Catalog] | None = None
        self._status = StatusReport(self.cache, self.memory)

    @property
    def catalog(self) -> Catalog:
        """Return the current catalog; a loaded model stays in it when its file has gone."""
        if isinstance(self._source, Catalog):
            return self._source
        catalog = self._source.catalog()
        names = {row.name for row in catalog.rows(ModelRow)}
        rows = self.cache.loaded_rows()
        gone = tuple(row for row in rows if isinstance(row, ModelRow) and row.name not in names)
        if not gone:
            return catalog
        last = self._with_gone
        if last is None or last[0] is not catalog or last[1] != gone:
            last = self._with_gone = (
                catalog,
                gone,
                catalog.replace(ModelRow, (*catalog.rows(ModelRow), *gone)),
            )
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
        every_step: bool = False,
    ) -> Generator[LeasedPipeline]:
        """Lease a pipeline that does `task` with a model and ControlNets, loaded first if need be.

        `adapters` act in it, and in what its `for_task` returns. A model has one set of adapters at
        a time: a lease that needs another set waits until all leases with this one have ended. The
        same holds for the placement of weights in `plan`, which says how memory is saved. `profile`
        says how exact the runs must be. With `every_step` each of their steps has a preview, at
        full quality where memory allows.

        While weights are loading, `on_loading` is called about ten times a second; an error that it
        raises ends the wait, not the load. Use the pipeline inside the `with` only. Raises
        UnknownNameError, or a ModelError if something can't be loaded or doesn't fit.
        """
        rows = [self.catalog.find(ControlNetRow, each) for each in dict.fromkeys(controlnets)]
        with ExitStack() as leases:
            wanted = self._request(MODEL, self.catalog.find(ModelRow, name), None, plan)
            entry = leases.enter_context(self.cache.lease(wanted))
            self._status.follow(entry)
            model = entry.wait(on_loading)
            networks = [
                leases.enter_context(self._lease(CONTROLNET, row, model, on_loading))
                for row in rows
            ]
            from paintdiff.models.inference.pipelines.leased_pipeline import (  # noqa: PLC0415 (imports torch)
                LeasedPipeline,
                LeaseTerms,
            )

            kernels = self._backends.choose_kernels(model, profile)
            adapters = replace(adapters, channels_last=kernels.channels_last)
            adapted, refiner = leases.enter_context(
                self._apply_adapters(entry, model, adapters, plan, profile, on_loading, every_step)
            )
            terms = LeaseTerms(
                networks,
                adapted,
                refiner,
                leases.enter_context(self._lease_preview_decoder(model, on_loading)),
                plan,
                profile,
                self._backends.choose_computation(entry, kernels, profile, adapters, plan),
                every_step,
            )
            leased = LeasedPipeline(model, task, terms)
            try:
                yield leased
            finally:
                leased.release()

    @contextmanager
    def _apply_adapters(  # noqa: PLR0913 (all that leases differ in)
        self,
        entry: Entry[LoadedModel],
        model: LoadedModel,
        adapters: Adapters,
        plan: Plan,
        profile: Profile,
        on_loading: OnLoading | None,
        every_step: bool,
    ) -> Generator[tuple[LeasedAdapters, LeasedPipeline | None]]:
        """Apply adapters to a loaded model for a lease; yield them and its refiner."""
        from paintdiff.models.adapters import applied  # noqa: PLC0415 (imports torch)
        from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline, LeaseTerms  # noqa: PLC0415 (imports torch)

        with ExitStack() as leases:
            vae = None
            if adapters.vae is not None:
                row = self.catalog.find(VaeRow, adapters.vae)
                vae = leases.enter_context(self._lease(VAE, row, model, on_loading))
            wanted = adapters.injected
            sources = applied.Sources(
                {use.name: self.catalog.find(LoraRow, use.name) for use in wanted.loras},
                {name: self.catalog.find(EmbeddingRow, name) for name in wanted.embeddings},
                {
                    use.name: leases.enter_context(
                        self.lease_weights(IP_ADAPTER, use.name, on_loading)
                    )
                    for use in wanted.ip_adapters
                },
            )
            own = self._get_adapters(entry)
            turns = [applied.AdapterTurn(entry.key, own, wanted, sources, plan.placement)]
            self._make_room_to_place(entry, model, plan, on_loading)
            second: LoadedModel | None = None
            if adapters.refiner is not None:
                row = self.catalog.find(ModelRow, adapters.refiner)
                other = leases.enter_context(
                    self.cache.lease(self._request(MODEL, row, None, plan))
                )
                second = other.wait(on_loading)
                self._make_room_to_place(other, second, plan, on_loading)
                refining = self._get_adapters(other)
                turns.append(applied.AdapterTurn(other.key, refining, placement=plan.placement))
            given = leases.enter_context(
                applied.apply_adapters(turns, self._make_room_for_lora, on_loading)
            )
            refiner: LeasedPipeline | None = None
            if second is not None:
                theirs = given[entry_key(second.row)]
                terms = LeaseTerms(
                    adapters=theirs, plan=plan, profile=profile, every_step=every_step
                )
                refiner = LeasedPipeline(second, "image_to_image", terms)
            yield applied.swap_vae(given[entry.key], vae), refiner

    def _make_room_to_place(
        self,
        entry: Entry[LoadedModel],
        model: LoadedModel,
        plan: Plan,
        on_loading: OnLoading | None,
    ) -> None:
        """Make room for what the plan has on the device. Raises MemoryBudgetError."""
        on_device = model.weights_bytes
        if plan.placement != "resident":
            on_device = count_weights_on_device(plan, model.row.family, model.parts)
        self.cache.place(entry, on_device, on_loading)

    def _make_room_for_lora(self, row: LoraRow) -> None:
        if row.file.exists():
            needed = usage.estimate_bytes([row.file], self.memory.bytes_per_number)
            self.cache.make_room(needed)

    def _get_adapters(self, entry: Entry[LoadedModel]) -> AppliedAdapters:
        from paintdiff.models.adapters.applied import AppliedAdapters  # noqa: PLC0415 (imports torch)
        from paintdiff.models.conditioning.prompt_cache import PromptCache  # noqa: PLC0415 (imports torch)

        def make(model: LoadedModel) -> AppliedAdapters:
            if self._prompts is None:  # the cache calls this with its lock held
                self._prompts = PromptCache(self._prompt_cache_bytes)
            return AppliedAdapters(model, self._prompts)

        return self.cache.get_adapters(entry, make)

    def _count_prompt_bytes(self) -> int:
        return self._prompts.held_bytes if self._prompts else 0

    @overload
    def lease_weights(
        self,
        loader: Loader[RowT, None, LoadedT],
        row: RowT | str,
        on_loading: OnLoading | None = None,
    ) -> AbstractContextManager[LoadedT]: ...

    @overload
    def lease_weights(
        self,
        loader: Loader[RowT, ArgumentT, LoadedT],
        row: RowT | str,
        on_loading: OnLoading | None = None,
        *,
        argument: ArgumentT,
    ) -> AbstractContextManager[LoadedT]: ...

    @contextmanager
    def lease_weights(
        self,
        loader: AnyLoader,
        row: WeightsRow | str,
        on_loading: OnLoading | None = None,
        *,
        argument: Any = None,
    ) -> Generator[Any]:
        """Lease weights of any kind, such as an upscaler: downloaded and loaded first if need be.

        `row` is a row, or the name of one in the catalog; `argument` is what the loader takes
        besides it. `on_loading` is as for `lease`; a download ends when nobody waits for it any
        more. Use the weights inside the `with`, in one thread. Raises UnknownNameError, or a
        ModelError if they can't be loaded.
        """
        if isinstance(row, str):
            row = self.catalog.find(loader.row_class, row)
        with self._lease(loader, row, argument, on_loading) as loaded:
            yield loaded

    @contextmanager
    def _lease(
        self,
        loader: Loader[RowT, ArgumentT, LoadedT],
        row: RowT,
        argument: ArgumentT,
        on_loading: OnLoading | None,
    ) -> Generator[LoadedT]:
        with self.cache.lease(self._request(loader, row, argument)) as entry:
            yield entry.wait(on_loading)

    def _request(
        self,
        loader: Loader[RowT, ArgumentT, LoadedT],
        row: RowT,
        argument: ArgumentT,
        plan: Plan = USUAL_PLAN,
    ) -> LoadRequest[LoadedT]:
        """Return a request for a row's weights, for the cache."""
        key = entry_key(row) + loader.key_suffix(argument)

        def is_wanted() -> bool:
            return self.cache.is_wanted(key)

        def fetch(report: Callable[[str], None]) -> object:
            return locate(row, report, self._downloads, is_wanted)

        def load(device: str, report: Callable[[str], None]) -> LoadedT:
            context = LoadContext(
                device,
                self.memory.dtype,
                plan,
                self.catalog,
                self._downloads,
                report,
                is_wanted,
            )
            return loader.load(row, argument, context)

        fetches = loader.from_hub and needs_fetching(row)
        return LoadRequest(key, row, loader, load, fetch if fetches else None, plan)

    def choose_device(self, name: str, on_loading: OnLoading) -> None:
        """Find out where networks run, before the model `name` is planned and leased.

        The first time it imports torch, which takes seconds; `on_loading` is called meanwhile as
        for `lease`. Raises ModelLoadError if this machine has no such device.
        """
        self._status.choose_device(name, on_loading)

    def warm(self, name: str) -> None:
        """Begin to load a model in the background. Raises UnknownNameError.

        A failure is logged, and raised when the model is leased.
        """
        row = self.catalog.find(ModelRow, name)
        self._status.follow(self.cache.warm(self._request(MODEL, row, None)))

    def status(self) -> ManagerStatus:
        """Return the state of the last used model and the memory. Cheap; never imports torch."""
        return self._status.report()

    @contextmanager
    def _lease_preview_decoder(
        self, model: LoadedModel, on_loading: OnLoading | None
    ) -> Generator[DecoderTiny | None]:
        """Lease the decoder of the first tiny autoencoder for the model's family, None without one.

        If it can't be used, previews do without it, and nobody loses a picture.
        """
        rows = self.catalog.fitting(TinyAutoencoderRow, model.row)
        row = next((each for each in rows if "decoder" in each.parts), None)
        with ExitStack() as leases:
            decoder: DecoderTiny | None = None
            if row is not None:
                lent = self._lease(TINY_AUTOENCODER, row, model.row.family, on_loading)
                try:
                    decoder = leases.enter_context(lent).decoder
                except ModelError as error:
                    logger.warning("previews are without %s: %s", row.name, error)
            yield decoder

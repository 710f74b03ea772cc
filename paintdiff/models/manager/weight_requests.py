"""How each kind of weights is asked for: the middle of the manager, between what is in memory and
who leases it. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.models.hub.downloads import Downloads
from paintdiff.models.loading.resolving import locate, needs_fetching
from paintdiff.models.manager.cache_entry import Entry, LoadedT, entry_key
from paintdiff.models.manager.model_cache import Fetch, ModelCache, find_companions, find_spare_vae
from paintdiff.models.memory.plans import USUAL_PLAN, Plan
from paintdiff.models.registry.model_rows import ModelRow

if TYPE_CHECKING:
    from paintdiff.models.adapters.ip_adapter import LoadedIpAdapter
    from paintdiff.models.inference.tiny_autoencoder import LoadedTinyAutoencoder
    from paintdiff.models.loading.pipelines import LoadedControlNet, LoadedModel
    from paintdiff.models.loading.vae import LoadedVae
    from paintdiff.models.registry.adapter_rows import IpAdapterRow, TinyAutoencoderRow, VaeRow
    from paintdiff.models.registry.base_rows import WeightsRow
    from paintdiff.models.registry.controlnet_rows import ControlNetRow
    from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
    from paintdiff.models.registry.families import Family
    from paintdiff.models.registry.preprocessor_rows import PreprocessorRow
    from paintdiff.models.registry.upscaler_rows import UpscalerRow
    from paintdiff.models.upscaling.face_restorer import LoadedFaceRestorer
    from paintdiff.models.upscaling.upscaler import LoadedUpscaler


class WeightRequests(ModelCache):
    """A keeper that knows how each kind of weights is loaded. `downloads` fetches what isn't here.

    Every method gives an entry with one more lease on it, whose loading has begun.
    """

    def __init__(
        self,
        device: str,
        memory_budget_bytes: int | None,
        dtype: str | None,
        downloads: Downloads,
    ) -> None:
        super().__init__(device, memory_budget_bytes, dtype)
        self._downloads = downloads

    def _ask_model(
        self, row: ModelRow, plan: Plan = USUAL_PLAN, *, used: bool = True
    ) -> Entry[LoadedModel]:
        def load(device: str, report: Callable[[str], None]) -> LoadedModel:
            from paintdiff.models.loading import (  # noqa: PLC0415 (both import torch)
                pipeline_files,
                pipelines,
            )

            companions = find_companions(self.catalog)
            road = pipeline_files.LoadingContext(
                companions,
                wanted=lambda: self._wanted(entry_key(row)),
                vae=find_spare_vae(row, self.catalog),
            )
            dtype, resident = plan.dtype or self._dtype, plan.placement == "resident"
            road = replace(road, resident=resident, eight_bits=plan.eight_bits)
            return pipelines.load_pipeline(row, device, dtype, report, road)

        with self._lock:
            if used:
                self._last, self._last_failed = row.name, False
            return self._ask(row, load, fetch=self._fetching(row), plan=plan)

    def _ask_controlnet(self, row: ControlNetRow, model: LoadedModel) -> Entry[LoadedControlNet]:
        def load(_device: str, report: Callable[[str], None]) -> LoadedControlNet:
            from paintdiff.models.loading import pipelines  # noqa: PLC0415 (imports torch)

            return pipelines.load_controlnet(row, model, self._dtype, report)

        with self._lock:
            return self._ask(row, load, fetch=self._fetching(row))

    def _fetching(self, row: WeightsRow) -> Fetch | None:
        """What fetches the row's files before they are loaded, None if there is nothing to fetch.

        Not while the lock of the loads is held: others may be loaded meanwhile.
        """
        if not needs_fetching(row):
            return None
        key = entry_key(row)
        return lambda report: locate(row, report, self._downloads, lambda: self._wanted(key))

    def _ask_vae(self, row: VaeRow, model: LoadedModel) -> Entry[LoadedVae]:
        def load(_device: str, report: Callable[[str], None]) -> LoadedVae:
            from paintdiff.models.loading import vae  # noqa: PLC0415 (imports torch)

            return vae.load_vae(row, model, report)

        with self._lock:  # how a single file is built is told by the model
            return self._ask(row, load, f"{entry_key(row)} for {model.row.name}")

    def _ask_ip_adapter(self, row: IpAdapterRow) -> Entry[LoadedIpAdapter]:
        def load(device: str, report: Callable[[str], None]) -> LoadedIpAdapter:
            from paintdiff.models.adapters import ip_adapter  # noqa: PLC0415 (imports torch)

            return ip_adapter.load_ip_adapter(row, device, self._dtype, report)

        with self._lock:
            return self._ask(row, load)

    def _ask_upscaler(self, row: UpscalerRow) -> Entry[LoadedUpscaler]:
        def load(device: str, report: Callable[[str], None]) -> LoadedUpscaler:
            from paintdiff.models.upscaling import upscaler  # noqa: PLC0415 (imports torch and spandrel)

            return upscaler.load_upscaler(
                row, device, self._dtype, report, lambda: self._wanted(key)
            )

        key = entry_key(row)
        with self._lock:
            return self._ask(row, load)

    def _ask_face_restorer(self, row: FaceRestorerRow) -> Entry[LoadedFaceRestorer]:
        def load(device: str, report: Callable[[str], None]) -> LoadedFaceRestorer:
            from paintdiff.models.upscaling import face_restorer  # noqa: PLC0415 (imports torch, spandrel)

            return face_restorer.load_face_restorer(row, device, self._dtype, report)

        with self._lock:
            return self._ask(row, load)

    def _ask_preprocessor(
        self, row: PreprocessorRow, read: Callable[[Path], LoadedT]
    ) -> Entry[LoadedT]:
        def load(_device: str, report: Callable[[str], None]) -> LoadedT:
            return read(locate(row, report, self._downloads))

        with self._lock:
            return self._ask(row, load, fetch=self._fetching(row), on_cpu=True)

    def _ask_tiny_autoencoder(
        self, row: TinyAutoencoderRow, family: Family
    ) -> Entry[LoadedTinyAutoencoder]:
        def load(_device: str, _report: Callable[[str], None]) -> LoadedTinyAutoencoder:
            from paintdiff.models.inference import tiny_autoencoder  # noqa: PLC0415 (imports torch)

            return tiny_autoencoder.get_tiny_autoencoder(row.file, family)

        with self._lock:
            return self._ask(row, load, f"{entry_key(row)} for {family.name}")

"""How each kind of weights is asked for: the middle of the manager, between what is in memory and
who leases it. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from paintdiff.models.entries import Entry, LoadedT, key_of
from paintdiff.models.hub.downloads import Downloads
from paintdiff.models.keeping import Fetch, Keeper, companions_in, spare_vae
from paintdiff.models.locating import is_to_fetch, located
from paintdiff.models.model_rows import ModelRow
from paintdiff.models.plans import USUAL_PLAN, Plan

if TYPE_CHECKING:
    from paintdiff.models.adapter_rows import IpAdapterRow, TinyAutoencoderRow, VaeRow
    from paintdiff.models.controlnets import ControlNetRow
    from paintdiff.models.face_restorers import FaceRestorerRow
    from paintdiff.models.face_restoring import LoadedFaceRestorer
    from paintdiff.models.families import Family
    from paintdiff.models.ip_adapters import LoadedIpAdapter
    from paintdiff.models.loaders import LoadedControlNet, LoadedModel
    from paintdiff.models.preprocessor_rows import PreprocessorRow
    from paintdiff.models.sources import WeightsRow
    from paintdiff.models.tiny_autoencoder import LoadedTinyAutoencoder
    from paintdiff.models.upscalers import UpscalerRow
    from paintdiff.models.upscaling import LoadedUpscaler
    from paintdiff.models.vaes import LoadedVae


class Asker(Keeper):
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
            from paintdiff.models import loaders  # noqa: PLC0415 (imports torch)
            from paintdiff.models.loading import pipeline_files  # noqa: PLC0415 (imports torch)

            companions = companions_in(self.catalog)
            road = pipeline_files.Road(
                companions,
                wanted=lambda: self._wanted(key_of(row)),
                vae=spare_vae(row, self.catalog),
            )
            dtype, resident = plan.dtype or self._dtype, plan.placement == "resident"
            road = replace(road, resident=resident, eight_bits=plan.eight_bits)
            return loaders.load(row, device, dtype, report, road)

        with self._lock:
            if used:
                self._last, self._last_failed = row.name, False
            return self._ask(row, load, fetch=self._fetching(row), plan=plan)

    def _ask_controlnet(self, row: ControlNetRow, model: LoadedModel) -> Entry[LoadedControlNet]:
        def load(_device: str, report: Callable[[str], None]) -> LoadedControlNet:
            from paintdiff.models import loaders  # noqa: PLC0415 (imports torch)

            return loaders.load_controlnet(row, model, self._dtype, report)

        with self._lock:
            return self._ask(row, load, fetch=self._fetching(row))

    def _fetching(self, row: WeightsRow) -> Fetch | None:
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

    def _ask_preprocessor(
        self, row: PreprocessorRow, read: Callable[[Path], LoadedT]
    ) -> Entry[LoadedT]:
        def load(_device: str, report: Callable[[str], None]) -> LoadedT:
            return read(located(row, report, self._downloads))

        with self._lock:
            return self._ask(row, load, fetch=self._fetching(row), on_cpu=True)

    def _ask_tiny_autoencoder(
        self, row: TinyAutoencoderRow, family: Family
    ) -> Entry[LoadedTinyAutoencoder]:
        def load(_device: str, _report: Callable[[str], None]) -> LoadedTinyAutoencoder:
            from paintdiff.models import tiny_autoencoder  # noqa: PLC0415 (imports torch)

            return tiny_autoencoder.loaded_tiny_autoencoder(row.file, family)

        with self._lock:
            return self._ask(row, load, f"{key_of(row)} for {family.name}")

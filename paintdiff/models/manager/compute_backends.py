"""How networks are computed: by the kernels and the engine that were measured to be quickest.

Only where a profile lets a picture change for it. Importable without torch.
"""

from __future__ import annotations

import json
import platform
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from paintdiff.config.user_folders import find_user_cache_folder
from paintdiff.models.acceleration.batch_tuning import BatchTuning
from paintdiff.models.acceleration.engines import EngineName, check_engine, explain_torch
from paintdiff.models.adapters.specs import Adapters
from paintdiff.models.manager import messages
from paintdiff.models.manager.cache_entry import Entry
from paintdiff.models.memory.plans import USUAL_PLAN, Plan
from paintdiff.models.registry.speed_profiles import Profile

if TYPE_CHECKING:
    import torch

    from paintdiff.models.acceleration.kernel_choice import KernelChoice, Kernels
    from paintdiff.models.acceleration.openvino.engine import BackendWorkspace, OpenVinoEngine
    from paintdiff.models.acceleration.openvino.unet import ComputeChoice
    from paintdiff.models.loading.pipelines import LoadedModel


class ComputeBackends:
    """Chooses kernels and engines. Safe to use from any thread.

    `has_room` returns whether a loaded model may take so many bytes more. Raises SettingsError if
    `engine` isn't installed.
    """

    def __init__(
        self, engine: EngineName, has_room: Callable[[Entry[LoadedModel], int], bool]
    ) -> None:
        self._engine: EngineName = check_engine(engine)
        self._has_room = has_room
        self._measuring = threading.Lock()
        self._kernel_choice: KernelChoice | None = None
        self._workspace: BackendWorkspace | None = None
        self._batch_tuning: BatchTuning | None = None

    def choose_kernels(self, model: LoadedModel, profile: Profile) -> Kernels:
        """Return the quickest kernels for a model's UNet, if the profile lets a picture change."""
        from paintdiff.models.acceleration.kernel_choice import USUAL, KernelChoice  # noqa: PLC0415 (imports torch)

        unet = model.components.get("unet")
        if profile.kernels == "usual" or unet is None:
            return USUAL
        with self._measuring:  # one at a time, or they would slow each other down
            if self._kernel_choice is None:
                self._kernel_choice = KernelChoice(find_user_cache_folder())
            channels: int = unet.config["block_out_channels"][0]
            return self._kernel_choice.choose(model.device, unet.dtype, channels)

    def choose_computation(
        self,
        entry: Entry[LoadedModel],
        kernels: Kernels,
        profile: Profile,
        adapters: Adapters,
        plan: Plan,
    ) -> ComputeChoice:
        """Return how a lease of a loaded model computes, with the adapters that are applied now."""
        from paintdiff.models.acceleration.openvino.unet import ComputeChoice  # noqa: PLC0415 (imports torch)

        model = entry.loaded
        assert model is not None  # it was waited for
        if plan != USUAL_PLAN and entry.openvino_engine is not None:
            entry.openvino_engine.drop()
        unet = model.components.get("unet")
        why = explain_torch(
            self._engine,
            model.device.type,
            exact=profile.kernels == "usual",
            adapted=bool(adapters.ip_adapters or adapters.free_u),
            saves_memory=plan != USUAL_PLAN,
        )
        if why is None and unet is None:
            why = messages.NO_UNET
        backend: OpenVinoEngine | None = None
        if why is None and unet is not None:
            backend = self._get_openvino_engine(entry, unet)
        why = why if why is not None and self._engine == "openvino" else ""
        computing = ComputeChoice(kernels, backend, why)
        if kernels.bfloat16 and backend is None and unet is not None and plan == USUAL_PLAN:
            halves = sum(each.nbytes for each in unet.parameters()) // 2
            computing.half_weights = self._has_room(entry, halves)
        if profile.pictures_together > 1:
            computing.batch_tuning = self._get_batch_tuning()
            computing.kind = _describe_run_time(model, computing, profile, adapters, plan)
        return computing

    def _get_batch_tuning(self) -> BatchTuning:
        with self._measuring:
            if self._batch_tuning is None:
                self._batch_tuning = BatchTuning(find_user_cache_folder())
            return self._batch_tuning

    def _get_openvino_engine(
        self, entry: Entry[LoadedModel], unet: torch.nn.Module
    ) -> OpenVinoEngine:
        from paintdiff.models.acceleration.merged_lora_weights import find_active_loras  # noqa: PLC0415 (imports torch)
        from paintdiff.models.acceleration.openvino.engine import (  # noqa: PLC0415 (imports torch)
            BackendWorkspace,
            OpenVinoEngine,
        )

        with self._measuring:
            if self._workspace is None:
                self._workspace = BackendWorkspace.of(find_user_cache_folder())
            backend = entry.openvino_engine
            if backend is None or backend.loras != find_active_loras(unet):
                backend = entry.openvino_engine = OpenVinoEngine(
                    unet,
                    self._workspace,
                    always=self._engine == "openvino",
                    has_room=lambda count: self._has_room(entry, count),
                )
            return backend


def _describe_run_time(
    model: LoadedModel, computing: ComputeChoice, profile: Profile, adapters: Adapters, plan: Plan
) -> str:
    """Return everything that the time of a step depends on, except for the run, as JSON.

    That is the machine, versions, the denoiser's structure, and how it is computed.
    """
    import torch  # noqa: PLC0415 (takes a second; the page is served before)

    device = model.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    machine = (platform.node(), torch.__version__, torch.get_num_threads(), name)
    built = (model.row.family.name, model.parts.denoiser, model.parts.bytes_per_number)
    settings = profile.model_dump(exclude={"name", "title", "says"})
    put_in = (len(adapters.loras), len(adapters.ip_adapters), adapters.free_u is not None)
    how = (str(computing.kernels), computing.backend is not None, plan.words, *put_in, settings)
    return json.dumps([*machine, *built, *how])

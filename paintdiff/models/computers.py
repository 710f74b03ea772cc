"""How each model's networks are computed on this machine: what was measured to be quickest, where a
profile lets a picture change for it. Importable without torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from paintdiff.models.adapters import Adapters
from paintdiff.models.cache_folder import user_cache_folder
from paintdiff.models.computing.engines import EngineName, checked_engine, why_torch
from paintdiff.models.entries import Entry
from paintdiff.models.plans import USUAL_PLAN, Plan
from paintdiff.models.profiles import Profile

if TYPE_CHECKING:
    from paintdiff.models.computing.engine_unet import Computing
    from paintdiff.models.computing.kernels import KernelChoice, Kernels
    from paintdiff.models.computing.second_engine import SecondEngine, Workshop
    from paintdiff.models.loaders import LoadedModel


class Computers:
    """Chooses kernels and engines. `has_room` says whether a loaded model may take so many bytes
    more.

    Safe to use from any thread. Raises SettingsError if `engine` isn't installed.
    """

    def __init__(
        self, engine: EngineName, has_room: Callable[[Entry[LoadedModel], int], bool]
    ) -> None:
        self._engine: EngineName = checked_engine(engine)
        self._has_room = has_room
        self._measuring = threading.Lock()
        self._kernel_choice: KernelChoice | None = None
        self._workshop: Workshop | None = None

    def kernels(self, model: LoadedModel, profile: Profile) -> Kernels:
        """What the model's UNet is quickest with, if the profile lets a picture change for it."""
        from paintdiff.models.computing.kernels import USUAL, KernelChoice  # noqa: PLC0415 (imports torch)

        unet = model.components.get("unet")
        if profile.kernels == "usual" or unet is None:
            return USUAL
        with self._measuring:  # one at a time, or they would slow each other down
            if self._kernel_choice is None:
                self._kernel_choice = KernelChoice(user_cache_folder())
            channels: int = unet.config["block_out_channels"][0]
            return self._kernel_choice.of(model.device, unet.dtype, channels)

    def computing(
        self,
        entry: Entry[LoadedModel],
        kernels: Kernels,
        profile: Profile,
        adapters: Adapters,
        plan: Plan,
    ) -> Computing:
        """How a lease of a loaded model computes, with what is injected by now."""
        from paintdiff.models.computing.engine_unet import Computing  # noqa: PLC0415 (imports torch)

        model = entry.loaded
        assert model is not None  # it was waited for
        if plan != USUAL_PLAN and entry.second_engine is not None:
            entry.second_engine.drop()
        unet = model.components.get("unet")
        why = why_torch(
            self._engine,
            model.device.type,
            exact=profile.kernels == "usual",
            adapted=bool(adapters.loras or adapters.ip_adapters or adapters.free_u),
            saves_memory=plan != USUAL_PLAN,
        )
        if why is None and unet is None:
            why = "it has no UNet"
        if why is None:
            return Computing(kernels, self._engine_of(entry, unet))
        return Computing(kernels, why_torch=why if self._engine == "openvino" else "")

    def _engine_of(self, entry: Entry[LoadedModel], unet: object) -> SecondEngine:
        from paintdiff.models.computing.second_engine import (  # noqa: PLC0415 (imports torch)
            SecondEngine,
            Workshop,
        )

        with self._measuring:
            if self._workshop is None:
                self._workshop = Workshop.of(user_cache_folder())
            if entry.second_engine is None:
                entry.second_engine = SecondEngine(
                    unet,
                    self._workshop,
                    always=self._engine == "openvino",
                    has_room=lambda count: self._has_room(entry, count),
                )
            return entry.second_engine

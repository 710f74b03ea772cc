"""What the manager keeps of each thing it was asked to load. Importable without torch."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from paintdiff.models.formats.weight_files import list_weight_files
from paintdiff.models.loading.single_file_configs import (
    find_companion,
    list_companion_files,
    needs_companion,
)
from paintdiff.models.memory.plans import USUAL_PLAN
from paintdiff.models.registry.adapter_rows import IpAdapterRow, LoraRow, TinyAutoencoderRow, VaeRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow, find_weights_file
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.preprocessor_rows import PreprocessorRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow

if TYPE_CHECKING:
    from paintdiff.models.acceleration.openvino_engine import OpenVinoEngine
    from paintdiff.models.adapters.applied import AppliedAdapters
    from paintdiff.models.registry.base_rows import WeightsRow

LoadedT = TypeVar("LoadedT")


@dataclass
class Entry(Generic[LoadedT]):
    """A model, ControlNet or network that is being loaded or has been. Guarded by the manager's
    lock, save for `ended`. `precision` is what it was asked for in (a plan's), `device_bytes`
    what it takes on the device if its weights don't all stay there; one that `waits` has none there
    until it is leased again. What is `on_cpu` never goes to
    the device, and waits all the time. `adapting` is what is in a
    model beyond its weights, None before it was first leased; `second_engine` may compute its
    UNet in torch's place.
    """

    row: WeightsRow
    key: str
    message: str
    ended: threading.Event = field(default_factory=threading.Event)
    loaded: LoadedT | None = None
    error: Exception | None = None
    leases: int = 0
    warmed: bool = False  # somebody wants it, though nobody waits
    superseded: bool = False  # other weights lie at its place by now
    adapting: AppliedAdapters | None = None
    second_engine: OpenVinoEngine | None = None
    precision: tuple[str | None, bool] = USUAL_PLAN.precision
    device_bytes: int | None = None
    waits: bool = False
    on_cpu: bool = False

    def tell(self, message: str) -> None:
        """What those who wait are told from now on."""
        self.message = message


def entry_key(row: WeightsRow) -> str:
    """A model and a ControlNet may have the same name."""
    return f"{row.what} {row.name}"


def entry_files(row: WeightsRow, source: Path, companions: Mapping[str, Path]) -> tuple[Path, ...]:
    """The files with the row's weights; `companions` are folders by their family's name, for the
    parts that a single file lacks.
    """
    if isinstance(row, (UpscalerRow, FaceRestorerRow, LoraRow)):
        return (source,)
    if isinstance(row, (VaeRow, IpAdapterRow, TinyAutoencoderRow)) and source.is_file():
        return (source,)
    if isinstance(row, PreprocessorRow):
        return tuple(source / name for name in row.files)
    if isinstance(row, ControlNetRow):
        return (find_weights_file(source),)
    if isinstance(row, ModelRow) and needs_companion(row, source):
        return (source, *list_companion_files(find_companion(row, source, companions)))
    return list_weight_files(source)


def count_held_bytes(entry: Entry[Any]) -> int:
    """What a loaded entry takes of its device, or of main memory if it waits there: with the LoRAs
    that are in it and another engine's copies.
    """
    injected = 0 if entry.adapting is None else entry.adapting.injected_bytes
    injected += 0 if entry.second_engine is None else entry.second_engine.held_bytes
    loaded: Any = entry.loaded
    held: int = loaded.weights_bytes if entry.device_bytes is None else entry.device_bytes
    return held + injected


def is_idle(entry: Entry[Any]) -> bool:
    """Whether nobody has it or waits for it."""
    return entry.leases == 0 and entry.ended.is_set()

"""The cache's entries, one for each row that it was asked to load. Importable without torch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from paintdiff.errors import ModelLoadError
from paintdiff.models.manager import messages
from paintdiff.models.memory.plans import USUAL_PLAN

if TYPE_CHECKING:
    from paintdiff.models.acceleration.openvino.engine import OpenVinoEngine
    from paintdiff.models.adapters.applied import AppliedAdapters
    from paintdiff.models.manager.loaders import AnyLoader
    from paintdiff.models.registry.base_rows import WeightsRow

LoadedT = TypeVar("LoadedT")

OnLoading = Callable[[str], None]
"""Called with a sentence for people while a lease waits for weights, about ten times a second; may
raise to give up.
"""

POLL_SECONDS = 0.1


@dataclass
class Entry(Generic[LoadedT]):
    """Weights that are loaded, or on their way. The cache's lock guards all but the two events.

    `precision` is that of the plan that it was loaded for. `device_bytes` is what it takes on the
    device if not all of its weights stay there. An entry that `waits` is offloaded to main memory
    until it is leased again; what is loaded on the CPU alone always waits. `adapting` has
    the adapters in a model, None before its first lease. `openvino_engine` may compute its UNet
    instead of torch.
    """

    row: WeightsRow
    loader: AnyLoader
    key: str
    message: str
    ended: threading.Event = field(default_factory=threading.Event)
    loaded: LoadedT | None = None
    failed: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    leases: int = 0
    warmed: bool = False  # somebody wants it, though nobody waits
    forgotten: bool = False  # the cache has, so its weights go when its last lease ends
    adapting: AppliedAdapters | None = None
    openvino_engine: OpenVinoEngine | None = None
    precision: tuple[str | None, bool] = USUAL_PLAN.precision
    device_bytes: int | None = None
    waits: bool = False

    def tell(self, message: str) -> None:
        """Set the message for those who wait."""
        self.message = message

    def wait(self, on_loading: OnLoading | None) -> LoadedT:
        """Wait for the load and return the weights; call it during a lease.

        Raises what ended the load, or what `on_loading` raises.
        """
        while not self.ended.is_set():
            if on_loading is not None:
                on_loading(self.message)
            self.ended.wait(POLL_SECONDS)
        if self.error is not None:
            raise self.error
        if self.loaded is None:
            raise ModelLoadError(messages.neither_loaded_nor_failed(self.row.name))
        return self.loaded


def entry_key(row: WeightsRow) -> str:
    """Return the key of a row: its kind and name, as rows of two kinds may have one name."""
    return f"{row.what} {row.name}"


def count_held_bytes(entry: Entry[Any]) -> int:
    """Return the bytes of a loaded entry on its device, or in RAM if it waits there.

    They include injected LoRAs, and OpenVINO's copy of the UNet.
    """
    injected = 0 if entry.adapting is None else entry.adapting.injected_bytes
    injected += 0 if entry.openvino_engine is None else entry.openvino_engine.held_bytes
    loaded: Any = entry.loaded
    held: int = loaded.weights_bytes if entry.device_bytes is None else entry.device_bytes
    return held + injected


def is_idle(entry: Entry[Any]) -> bool:
    """Return whether it has loaded and no lease holds it."""
    return entry.leases == 0 and entry.ended.is_set()

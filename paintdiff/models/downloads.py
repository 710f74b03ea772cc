"""Downloads from the hub, as the page sees them. A stand-in for the real module: shapes only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class DownloadState:
    """How far a download is; `total_bytes` is 0 while it isn't known."""

    id: str
    hub_id: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done_bytes: int
    total_bytes: int
    message: str


@dataclass(frozen=True)
class HubModel:
    """One result of a search on the hub. `downloads` counts how often it has been fetched."""

    hub_id: str
    title: str
    pipeline_class: str
    family: str | None
    downloads: int
    licence: str
    gated: bool
    revision: str


class Downloads(Protocol):
    """What fetches models in the background."""

    def start(self, hub_id: str, revision: str = "") -> object:
        """Begin, or wait for a turn. Raises PaintError if it can't."""
        ...

    def all(self) -> tuple[DownloadState, ...]:
        """All that there were since the start, the newest last."""
        ...

    def cancel(self, id: str) -> None:
        """Give one up; does nothing if it has ended."""
        ...

    def forget(self, id: str) -> None:
        """Tell no more of one that has ended."""
        ...

    def search(self, words: str) -> tuple[HubModel, ...]:
        """The models on the hub that fit the words. Raises PaintError."""
        ...

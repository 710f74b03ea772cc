"""What every tab has that makes pictures: run buttons and easel, notes beside the settings, and a
memory. Studios paint on it; the Upscale tab enlarges."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from paintdiff.events import Picture
from paintdiff.requests import Request
from paintdiff.ui import canvas, widgets
from paintdiff.ui.easel import Easel, Values
from paintdiff.ui.form import Updates
from paintdiff.ui.notes import Note, listen
from paintdiff.ui.parts import Parts
from paintdiff.ui.remembered import Remembered
from paintdiff.ui.widgets import Ids

QUIET: Mapping[str, Any] = {
    "show_progress": "hidden",
    # The page goes over every component that ever had a progress of its own at each event.
    "show_progress_on": [],
    "api_visibility": "private",
}
QUICK: Mapping[str, Any] = {"queue": False, **QUIET}


@dataclass(frozen=True)
class Workbench(ABC):
    """One tab's easel and handlers. The easel's `notes` have room for a sentence about a field of
    the request, by field; "" is for all others."""

    parts: Parts
    ids: Ids
    easel: Easel

    @property
    def notes(self) -> Mapping[str, Note]:
        """Places for sentences, by the request's fields."""
        return self.easel.notes

    # What a tab says of itself

    @abstractmethod
    def asked(self) -> set[Any]:
        """The components that `request` looks at."""

    @abstractmethod
    def canvases(self) -> tuple[gr.HTML, ...]:
        """Those of `asked` whose pixels have to be sent before a job starts."""

    @abstractmethod
    def request(self, values: Values) -> Request:
        """The request that the page asks for. Raises RequestError with the first bad field."""

    @abstractmethod
    def kept(self) -> dict[str, Any]:
        """The components whose values the browser remembers, by name."""

    @abstractmethod
    def settings_restored(self, memory: Remembered) -> Updates:
        """The settings as they were before a reload, each checked."""

    @abstractmethod
    def filled(self, request: Request) -> Updates:
        """The settings as those of a picture that was made before."""

    @abstractmethod
    def received(self, picture: Picture) -> Updates:
        """A finished picture to go on from. Raises RequestError if it can't be taken."""

    @abstractmethod
    def receivable(self) -> list[Any]:
        """The components that `filled` and `received` may change."""

    # What all tabs do

    def wire_run(self) -> None:
        """Let a job be started, watched and found again after a reload."""
        listen(
            self.easel.buttons.generate.click,
            self.start,
            self.started_with(),
            self.started(),
            trigger_mode="once",
            js=self.start_js(),
            **QUICK,
        )
        self.easel.wire(QUIET)

    def started_with(self) -> set[Any]:
        """The components that `start` looks at."""
        return {self.easel.job, self.easel.film, *self.asked()}

    def started(self) -> list[Any]:
        """The components that `start` changes."""
        return self.easel.shown()

    def start_js(self) -> str | None:
        """The script of an event that starts a job."""
        canvases = self.canvases()
        return canvas.flush_js(self.started_with(), *canvases) if canvases else None

    def start(self, values: Values) -> Updates:
        """Submit a job, or say next to a setting why it can't be."""
        return self.easel.start(self.request, values)

    def keep(self) -> None:
        """Let the page's script store what should survive a reload."""
        # Not with every change: the page searches all of itself for each value that is asked for.
        kept, keep = self.kept(), widgets.hidden_button(self.ids("keep"), "keep")
        changes = [component.change for component in kept.values()]
        gr.on(changes, None, js=f"() => paintdiff.keepSoon({json.dumps(self.ids.tab)})", **QUICK)
        names = f"{json.dumps(self.ids.tab)}, {json.dumps(list(kept))}"
        elements = json.dumps([component.elem_id or "" for component in kept.values()])
        js = f"(...values) => paintdiff.keepSettings({names}, {elements}, values)"
        keep.click(None, list(kept.values()), None, js=js, **QUICK)

    def restored(self, memory: Remembered) -> Updates:
        """Everything as it was before the reload, and the job if the engine still knows it."""
        return {**self.settings_restored(memory), **self.easel.restored(memory)}

    def restorable(self) -> list[Any]:
        """The components that `restored` may change."""
        return list(dict.fromkeys([*self.easel.shown(), *self.kept().values()]))

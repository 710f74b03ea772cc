"""What every tab has that makes pictures: run buttons and easel, notes beside the settings, and a
memory. Studios paint on it; the Upscale tab enlarges."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import Request
from paintdiff.ui.common import widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, listen
from paintdiff.ui.common.updates import QUICK, QUIET, Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.run.run_panel import RunPanel


@dataclass(frozen=True)
class PictureTab(ABC):
    """One tab's easel and handlers. The easel's `notes` have room for a sentence about a field of
    the request, by field; "" is for all others."""

    parts: PageContext
    ids: Ids
    easel: RunPanel

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
    def settings_restored(self, memory: BrowserState) -> Updates:
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

    def restored(self, memory: BrowserState) -> Updates:
        """Everything as it was before the reload, and the job if the engine still knows it."""
        return {**self.settings_restored(memory), **self.easel.restored(memory)}

    def restorable(self) -> list[Any]:
        """The components that `restored` may change."""
        return list(dict.fromkeys([*self.easel.shown(), *self.kept().values()]))

"""A tab that makes pictures: run buttons, run panel, notes beside settings, and storage.

Painting tabs and the Upscale tab build on it.
"""

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
    """One tab's run panel and handlers.

    The run panel's `notes` are places for messages, by the request's field; "" takes all others.
    """

    context: PageContext
    ids: Ids
    run_panel: RunPanel

    @property
    def notes(self) -> Mapping[str, Note]:
        """Return the places for messages, by the request's fields."""
        return self.run_panel.notes

    # What each tab defines

    @abstractmethod
    def request_inputs(self) -> set[Any]:
        """Return the components that `request` reads."""

    @abstractmethod
    def canvases(self) -> tuple[gr.HTML, ...]:
        """Return those `request_inputs` whose pixels must be sent before a job starts."""

    @abstractmethod
    def request(self, values: Values) -> Request:
        """Build the page's request.

        Raises:
            RequestError: A value is invalid; it names the first such field.
        """

    @abstractmethod
    def stored_inputs(self) -> dict[str, Any]:
        """Return the components whose values the browser stores, by key."""

    @abstractmethod
    def restore_settings(self, memory: BrowserState) -> Updates:
        """Return updates with the settings from before a reload, each checked."""

    @abstractmethod
    def fill(self, request: Request) -> Updates:
        """Return updates with the settings of an earlier picture."""

    @abstractmethod
    def receive(self, picture: Picture) -> Updates:
        """Take a finished picture to continue from.

        Raises:
            RequestError: It can't be used here.
        """

    @abstractmethod
    def receive_outputs(self) -> list[Any]:
        """Return the components that `fill` and `receive` may change."""

    # What all tabs share

    def wire_run(self) -> None:
        """Register the events that start a job, watch it, and find it again after a reload."""
        listen(
            self.run_panel.buttons.generate.click,
            self.start,
            self.start_inputs(),
            self.start_outputs(),
            trigger_mode="once",
            js=self.start_js(),
            **QUICK,
        )
        self.run_panel.wire(QUIET)

    def start_inputs(self) -> set[Any]:
        """Return the components that `start` reads."""
        return {self.run_panel.job, self.run_panel.film, *self.request_inputs()}

    def start_outputs(self) -> list[Any]:
        """Return the components that `start` changes."""
        return self.run_panel.outputs()

    def start_js(self) -> str | None:
        """Return the script of an event that starts a job."""
        canvases = self.canvases()
        return canvas.flush_js(self.start_inputs(), *canvases) if canvases else None

    def start(self, values: Values) -> Updates:
        """Submit a job, or say beside a setting what is wrong."""
        return self.run_panel.start(self.request, values)

    def add_storage(self) -> None:
        """Let the page's script store the values that survive a reload."""
        # Not at each change: the page searches all of itself for each value that an event reads.
        kept, keep = self.stored_inputs(), widgets.hidden_button(self.ids("keep"), "keep")
        changes = [component.change for component in kept.values()]
        gr.on(changes, None, js=f"() => paintdiff.keepSoon({json.dumps(self.ids.tab)})", **QUICK)
        names = f"{json.dumps(self.ids.tab)}, {json.dumps(list(kept))}"
        elements = json.dumps([component.elem_id or "" for component in kept.values()])
        js = f"(...values) => paintdiff.keepSettings({names}, {elements}, values)"
        keep.click(None, list(kept.values()), None, js=js, **QUICK)

    def restore(self, memory: BrowserState) -> Updates:
        """Return everything as it was before a reload, and the job if the engine still knows it."""
        return {**self.restore_settings(memory), **self.run_panel.restore(memory)}

    def restore_outputs(self) -> list[Any]:
        """Return the components that `restore` may change."""
        return list(dict.fromkeys([*self.run_panel.outputs(), *self.stored_inputs().values()]))

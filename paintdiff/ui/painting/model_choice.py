"""The model dropdowns of all painting tabs. They follow the catalog while a page is open."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from paintdiff.ui.common import message_markup, widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import listen
from paintdiff.ui.common.updates import QUICK, Updates
from paintdiff.ui.painting import messages
from paintdiff.ui.settings.form import Form

_COUNT = re.compile(r"[0-9]{1,9}")


class ModelChoice:
    """Keeps the model dropdowns of these forms in step with the catalog.

    `known` is the state of the catalog that the page has seen, `passed_on` the model that unopened
    tabs will start with. Gradio refuses a value that isn't among the choices it sent to a page, so
    a new value is always sent with its choices.
    """

    def __init__(self, context: PageContext, forms: Sequence[Form]) -> None:
        self._context, self._forms = context, tuple(forms)
        self.known = widgets.hidden_text("models-known")
        self.passed_on = widgets.hidden_text("models-chosen")

    def wire(self) -> None:
        """Check the catalog for changes whenever a dropdown is opened or closed."""
        for form in self._forms:
            for event, look in (
                (form.model.focus, self.refresh_open),
                (form.model.blur, self.refresh),
            ):
                listen(event, look, self.inputs(), self.outputs(), **QUICK)
        script = "(name) => paintdiff.modelChosen(name)"
        self.passed_on.change(None, [self.passed_on], None, js=script, **QUICK)

    def inputs(self) -> set[Any]:
        """Return the components that handlers read."""
        return {self.known, *(each for form in self._forms for each in form.model_inputs())}

    def outputs(self) -> list[Any]:
        """Return the components that the updates change."""
        forms = [
            each for form in self._forms for each in (*form.model_outputs(), form.notes["model"])
        ]
        return [self.known, self.passed_on, *forms]

    def refresh_open(self, values: Mapping[Any, Any]) -> Updates:
        """Do the same as `refresh` for an open list, without removing choices.

        Gradio's script fails if an open list gets shorter. Removed models disappear when it is
        closed.
        """
        before = str(values[self.known]).rpartition(":")[2]
        shorter = _COUNT.fullmatch(before) and len(self._context.models) < int(before)
        return {self.known: gr.skip()} if shorter else self.refresh(values)

    def refresh(self, values: Mapping[Any, Any]) -> Updates:
        """Return the choices if they changed since the page saw them.

        Where the chosen model is gone, select the default one and say so.
        """
        if values[self.known] == self.stamp():
            return {self.known: gr.skip()}
        choices = self._context.model_choices()
        names = {name for _, name in choices}
        updates: Updates = {self.known: self.stamp()}
        for form in self._open_forms(values):
            chosen = values[form.model]
            if chosen in names:
                updates[form.model] = gr.Dropdown(choices=choices)
            else:
                usual = self._context.model(None)
                updates |= form.with_model(usual.name, values)
                said = messages.model_gone(chosen, usual.title)
                updates[form.notes["model"]] = message_markup.note([said], "warning")
        return updates

    def choose(self, name: str, values: Mapping[Any, Any]) -> Updates:
        """Select a model in all forms, with its own sizes and settings.

        Tabs that weren't opened yet select it when they are.
        """
        updates: Updates = {self.known: self.stamp(), self.passed_on: name}
        for form in self._open_forms(values):
            updates |= {**form.with_model(name, values), form.notes["model"]: ""}
        return updates

    def with_start_model(self, memory: BrowserState) -> BrowserState:
        """Return a tab's stored values with the model that it starts with.

        That is the model chosen for it, the pinned one if the values come from another page, else
        its own.
        """
        pinned = None if self._context.model_asked_for else self._context.pinned_model
        model = memory.model or (pinned if memory.fresh else None)
        return memory if model is None else memory.with_model(model)

    def _open_forms(self, values: Mapping[Any, Any]) -> list[Form]:
        """Return the forms of opened tabs: the page sends no values of the others."""
        return [form for form in self._forms if values.get(form.model) is not None]

    def stamp(self) -> str:
        """Return a text that identifies the current choices, and says how many there are."""
        choices = self._context.model_choices()
        return f"{hashlib.sha256(repr(choices).encode()).hexdigest()[:16]}:{len(choices)}"

"""The dropdowns of models in all tabs that paint. They follow the catalog: files come and go while
a page is open."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from paintdiff.ui.common import markup, widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import listen
from paintdiff.ui.common.updates import QUICK, Updates
from paintdiff.ui.settings.form import Form

_COUNT = re.compile(r"[0-9]{1,9}")


class ModelChoice:
    """Keeps the model dropdowns of these forms as the catalog is. `known` says which state of the
    catalog the page has been told of, `passed_on` which model tabs are to open with.

    Gradio refuses a value that isn't among the choices it has sent to a page, so a new value is
    never sent without them.
    """

    def __init__(self, parts: PageContext, forms: Sequence[Form]) -> None:
        self._parts, self._forms = parts, tuple(forms)
        self.known = widgets.hidden_text("models-known")
        self.passed_on = widgets.hidden_text("models-chosen")

    def wire(self) -> None:
        """Look whether there is something new whenever a dropdown is opened or closed."""
        for form in self._forms:
            for event, look in (
                (form.model.focus, self.looked_at_open),
                (form.model.blur, self.looked_at),
            ):
                listen(event, look, self.asked(), self.changeable(), **QUICK)
        script = "(name) => paintdiff.modelChosen(name)"
        self.passed_on.change(None, [self.passed_on], None, js=script, **QUICK)

    def asked(self) -> set[Any]:
        """The components that are looked at."""
        return {self.known, *(each for form in self._forms for each in form.asked())}

    def changeable(self) -> list[Any]:
        """The components that the updates change."""
        forms = [
            each for form in self._forms for each in (*form.brought_by_model(), form.notes["model"])
        ]
        return [self.known, self.passed_on, *forms]

    def looked_at_open(self, values: Mapping[Any, Any]) -> Updates:
        """The same while a list is open, which mustn't get shorter then: Gradio's script stumbles
        over that. What is gone goes when it is closed."""
        before = str(values[self.known]).rpartition(":")[2]
        shorter = _COUNT.fullmatch(before) and len(self._parts.models) < int(before)
        return {self.known: gr.skip()} if shorter else self.looked_at(values)

    def looked_at(self, values: Mapping[Any, Any]) -> Updates:
        """The choices, if they have changed since the page was told. Where a model was chosen that
        is gone, the usual one is, and that is said."""
        if values[self.known] == self.stamp():
            return {self.known: gr.skip()}
        choices = self._parts.model_choices()
        names = {name for _, name in choices}
        updates: Updates = {self.known: self.stamp()}
        for form in self._opened(values):
            chosen = values[form.model]
            if chosen in names:
                updates[form.model] = gr.Dropdown(choices=choices)
            else:
                usual = self._parts.model(None)
                updates |= form.with_model(usual.name, values)
                said = (
                    f"The model {chosen} is no longer available; {usual.title} is selected instead."
                )
                updates[form.notes["model"]] = markup.note([said], "warning")
        return updates

    def chosen(self, name: str, values: Mapping[Any, Any]) -> Updates:
        """That model in all forms, with its own sizes and figures. Tabs that weren't opened yet
        get it when they are."""
        updates: Updates = {self.known: self.stamp(), self.passed_on: name}
        for form in self._opened(values):
            updates |= {**form.with_model(name, values), form.notes["model"]: ""}
        return updates

    def remembered(self, memory: BrowserState) -> BrowserState:
        """Return what a browser remembers of a tab with the model that the tab begins with: the
        one chosen for it, the pinned one where the memory is of another page, else its own."""
        pinned = None if self._parts.model_asked_for else self._parts.pinned_model
        model = memory.model or (pinned if memory.fresh else None)
        return memory if model is None else memory.with_model(model)

    def _opened(self, values: Mapping[Any, Any]) -> list[Form]:
        """The forms of tabs that were opened: the page sends nothing of the others."""
        return [form for form in self._forms if values.get(form.model) is not None]

    def stamp(self) -> str:
        """Stands for the choices as they are now, and says how many there are."""
        choices = self._parts.model_choices()
        return f"{hashlib.sha256(repr(choices).encode()).hexdigest()[:16]}:{len(choices)}"

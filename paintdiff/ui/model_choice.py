"""The dropdowns of models in all tabs that paint. They follow the catalog: files come and go while
a page is open."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from paintdiff.ui import widgets
from paintdiff.ui.form import Form, Updates
from paintdiff.ui.parts import Parts
from paintdiff.ui.remembered import Memory
from paintdiff.ui.workbench import QUICK


class ModelChoice:
    """Keeps the model dropdowns of these forms as the catalog is. `known` says which state of the
    catalog the page has been told of."""

    def __init__(self, parts: Parts, forms: Sequence[Form]) -> None:
        self._parts = parts
        self.dropdowns: list[Any] = [form.model for form in forms]
        self.known = widgets.hidden_text("models-known")

    def wire(self) -> None:
        """Look whether there is something new whenever a dropdown is about to be opened."""
        gr.on(
            [dropdown.focus for dropdown in self.dropdowns],
            self.looked_at,
            {self.known, *self.dropdowns},
            self.changeable(),
            **QUICK,
        )

    def changeable(self) -> list[Any]:
        """The components that the updates change."""
        return [self.known, *self.dropdowns]

    def looked_at(self, values: Mapping[Any, Any]) -> Updates:
        """The choices, if they have changed since the page was told; a model that is gone stays
        chosen, so that Generate says so."""
        if values[self.known] == self.stamp():
            return {self.known: gr.skip()}
        choices = self._parts.model_choices()
        return {
            self.known: self.stamp(),
            **{each: gr.Dropdown(choices=choices) for each in self.dropdowns},
        }

    def remembered(self, memory: Memory) -> Memory:
        """What a browser remembers, as a page begins with it: a new one with the pinned model, one
        that is loaded again with the model that it had."""
        pinned = None if self._parts.model_asked_for else self._parts.pinned_model
        return memory.with_model(pinned) if memory.fresh and pinned is not None else memory

    def stamp(self) -> str:
        """Stands for the choices as they are now."""
        return hashlib.sha256(repr(self._parts.model_choices()).encode()).hexdigest()[:16]

"""The inputs in which one painting tab differs from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import gradio as gr
from gradio.components import Component

from paintdiff.imaging.geometry import Size, check_size, round_to_multiple
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import PaintingRequest, Request
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.painting import messages
from paintdiff.ui.settings.control_map import SizeOf
from paintdiff.ui.settings.form import Form


@dataclass(frozen=True)
class Sizing:
    """The size of a tab's pictures, and the size at which they are `painted` if it differs.

    Both, and `TabInputs.refined_size`, read `inputs` and the `canvases`.
    """

    size: SizeOf
    inputs: frozenset[Any]
    canvases: tuple[gr.HTML, ...] = ()
    painted: SizeOf | None = None


class FormTab(Protocol):
    """A painting tab as its inputs see it: they read its form and fill in all its settings."""

    @property
    def form(self) -> Form:
        """Return the settings."""
        ...

    def fill(self, request: Request) -> Updates:
        """Return updates with the settings of an earlier picture."""
        ...

    def receive_outputs(self) -> list[Any]:
        """Return the components that `fill` may change."""
        ...


class TabInputs:
    """A tab's inputs besides the prompt. Subclasses add theirs; this class adds none.

    `ids` names the tab and its elements. `sized` says whether the person may choose the picture's
    size, `size_shown` whether that is visible at first, `prompt_needed` whether a prompt is
    required. Components are made in `add_controls` (between the prompt and Generate),
    `add_settings` (below the settings) and `add_canvas` (beside the picture).
    """

    ids = Ids("")
    sized = True
    size_shown = True
    title = messages.WHAT_TO_PAINT
    text = messages.HOW_TO_START
    prompt_needed = True

    def __init__(self, context: PageContext) -> None:
        self.context = context

    def add_controls(self) -> None:
        """Lay out the components beside the settings."""

    def add_settings(self) -> None:
        """Lay out the components below the settings."""

    def add_canvas(self) -> None:
        """Lay out the components beside the picture."""

    def inputs(self) -> dict[str, Component]:
        """Return the components that are part of a request, by the keys of their storage."""
        return {}

    def self_storing_inputs(self) -> frozenset[str]:
        """Return the keys of those `inputs` that store their values themselves."""
        return frozenset()

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        return {}

    def wire(self, tab: FormTab) -> None:
        """Register events."""

    def sizing(self, form: Form) -> Sizing:
        """Return the size of the pictures, as the form says. It reads the model, too."""
        return Sizing(self.form_size(form), frozenset({form.model, form.width, form.height}))

    def form_size(self, form: Form) -> SizeOf:
        """Return a function for the form's size, rounded to what its model can paint."""

        def size(values: Values) -> Size:
            multiple = self.context.model(values[form.model]).family.size_multiple
            chosen = Size(int(values[form.width] or 0), int(values[form.height] or 0))
            return round_to_multiple(check_size(chosen), multiple)

        return size

    def refined_size(self, values: Values, form: Form, size: Size) -> Size | None:
        """Return the size of a second pass over a picture of that size; None without one."""
        return None

    def canvases(self) -> tuple[gr.HTML, ...]:
        """Return those `inputs` whose pixels must be sent before a job starts."""
        return ()

    def request(self, fields: dict[str, object], values: Values) -> Request:
        """Build the request. All painting requests share `fields`.

        Raises:
            RequestError: A value is invalid.
        """
        raise NotImplementedError

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored values, each checked."""
        return {}

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with the settings of an earlier picture."""
        return {}

    def receive(self, picture: Picture) -> Updates:
        """Return updates that put a finished picture in."""
        return {}

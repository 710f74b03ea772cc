"""Face restoration for pictures that are enlarged.

It is only shown if a face restorer and its detector are installed.
"""

from __future__ import annotations

import gradio as gr
from gradio.components import Component

from paintdiff.jobs.request_parts import Upscaling
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.settings import messages

FACES_OFF = "/off"
"""Can't be a restorer's name, as those are file names."""

FIRST_STRENGTH = Upscaling().face_strength
_BY, _STRENGTH = "face_restorer", "face_strength"


class FaceSetting:
    """The components of a request's `upscaling.face_restorer` and `upscaling.face_strength`.

    There are none if nothing can restore a face. `element` prefixes their ids, `remembered` the
    keys of their storage.
    """

    def __init__(self, context: PageContext, ids: Ids, element: str, remembered: str) -> None:
        self._rows = context.face_restorers()
        self._ids = ids
        self._element = element
        self._remembered = remembered
        self._components: dict[str, Component] = {}
        self._notes: dict[str, Note] = {}

    def add(self) -> None:
        """Add the components to the page."""
        if not self._rows:
            return
        self._components[_BY] = gr.Dropdown(
            [(messages.FACES_OFF, FACES_OFF), *((row.title, row.name) for row in self._rows)],
            value=FACES_OFF,
            label=messages.FACES,
            filterable=False,
            elem_id=self._ids(f"{self._element}faces"),
            elem_classes=["upscale-by"],
        )
        self._notes[_BY] = add_note(self._ids, f"{self._element}faces")
        self._components[_STRENGTH] = gr.Slider(
            0,
            1,
            FIRST_STRENGTH,
            step=0.05,
            label=messages.FACE_STRENGTH,
            elem_id=self._ids(f"{self._element}face-strength"),
            elem_classes=["upscale-by"],
        )
        self._notes[_STRENGTH] = add_note(self._ids, f"{self._element}face-strength")

    def inputs(self) -> dict[str, Component]:
        """Return the components, by the keys of their storage."""
        return {f"{self._remembered}{name}": each for name, each in self._components.items()}

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the fields of `upscaling`."""
        return dict(self._notes)

    def read(self, values: Values) -> dict[str, object]:
        """Return the fields of a request's `upscaling`."""
        asked = {name: values[each] for name, each in self._components.items()}
        return asked if asked.get(_BY, FACES_OFF) != FACES_OFF else {}

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings, each checked."""
        offered = [FACES_OFF, *(row.name for row in self._rows)]
        by = memory.choice(f"{self._remembered}{_BY}", offered, FACES_OFF)
        strength = memory.number(f"{self._remembered}{_STRENGTH}", FIRST_STRENGTH, 0, 1)
        return self._set(by, strength)

    def fill(self, upscaling: Upscaling) -> Updates:
        """Return updates with the settings of an earlier picture.

        An unknown restorer changes nothing.
        """
        if upscaling.face_restorer is None:
            return self._set(FACES_OFF, FIRST_STRENGTH)
        if all(row.name != upscaling.face_restorer for row in self._rows):
            return {}
        return self._set(upscaling.face_restorer, upscaling.face_strength)

    def _set(self, by: str, strength: float | None) -> Updates:
        settings = {_BY: by, _STRENGTH: strength}
        return {each: settings[name] for name, each in self._components.items()}

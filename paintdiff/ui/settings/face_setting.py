"""Whether the faces in a picture that is enlarged are restored, and by what. It is there only for
who has a face restorer and the detector that it needs.
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

FACES_OFF = "/off"
"""Can't be the name of a restorer, as those are the names of files."""

FIRST_STRENGTH = Upscaling().face_strength
_BY, _STRENGTH = "face_restorer", "face_strength"


class FaceSetting:
    """The components of a request's `upscaling.face_restorer` and `upscaling.face_strength`; none
    if there is nothing that could restore a face.

    Their ids begin with `element`, and the names under which they are remembered with `remembered`.
    """

    def __init__(self, parts: PageContext, ids: Ids, element: str, remembered: str) -> None:
        self._rows = parts.face_restorers()
        self._ids = ids
        self._element = element
        self._remembered = remembered
        self._components: dict[str, Component] = {}
        self._notes: dict[str, Note] = {}

    def add(self) -> None:
        """Lay it out where we are."""
        if not self._rows:
            return
        self._components[_BY] = gr.Dropdown(
            [("Don't restore", FACES_OFF), *((row.title, row.name) for row in self._rows)],
            value=FACES_OFF,
            label="Faces",
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
            label="Face restoration strength",
            elem_id=self._ids(f"{self._element}face-strength"),
            elem_classes=["upscale-by"],
        )
        self._notes[_STRENGTH] = add_note(self._ids, f"{self._element}face-strength")

    def inputs(self) -> dict[str, Component]:
        """The components, by the names under which they are remembered."""
        return {f"{self._remembered}{name}": each for name, each in self._components.items()}

    def notes(self) -> dict[str, Note]:
        """Places for errors, by the fields of `upscaling`."""
        return dict(self._notes)

    def requested(self, values: Values) -> dict[str, object]:
        """What goes into a request's `upscaling`."""
        asked = {name: values[each] for name, each in self._components.items()}
        return asked if asked.get(_BY, FACES_OFF) != FACES_OFF else {}

    def restored(self, memory: BrowserState) -> Updates:
        """The settings as they were, each checked."""
        offered = [FACES_OFF, *(row.name for row in self._rows)]
        by = memory.choice(f"{self._remembered}{_BY}", offered, FACES_OFF)
        strength = memory.number(f"{self._remembered}{_STRENGTH}", FIRST_STRENGTH, 0, 1)
        return self._set(by, strength)

    def filled(self, upscaling: Upscaling) -> Updates:
        """The settings that a picture was made with. A restorer that isn't here leaves ours."""
        if upscaling.face_restorer is None:
            return self._set(FACES_OFF, FIRST_STRENGTH)
        if all(row.name != upscaling.face_restorer for row in self._rows):
            return {}
        return self._set(upscaling.face_restorer, upscaling.face_strength)

    def _set(self, by: str, strength: float | None) -> Updates:
        settings = {_BY: by, _STRENGTH: strength}
        return {each: settings[name] for name, each in self._components.items()}

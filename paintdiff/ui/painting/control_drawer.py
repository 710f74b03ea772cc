"""A control with a picture of its own, in a drawer. It is off without a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paintdiff.errors import RequestError
from paintdiff.ui.common import message_markup, widgets
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import listen
from paintdiff.ui.common.updates import Updates
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.painting import messages
from paintdiff.ui.painting.control_panel import ControlPanel
from paintdiff.ui.painting.picture_input import PictureInput
from paintdiff.ui.painting.tab_inputs import FormTab
from paintdiff.ui.settings.control_map import SizeOf, has_strokes


class ControlDrawer:
    """The drawer `title` with a `ControlPanel` in it."""

    def __init__(
        self,
        context: PageContext,
        ids: Ids,
        *,
        title: str = messages.CONTROLNET,
        name: str = "control",
        index: int = 0,
    ) -> None:
        self.context = context
        self.panel = ControlPanel(context, ids, name=name, index=index)
        self._ids, self._title, self._name = ids, title, name

    def add(self) -> None:
        """Add the drawer to the page."""
        with widgets.drawer(self._title, self._ids(f"{self._name}-drawer")):
            self.panel.add_well()
            self.panel.add_figures()
            self.panel.add_reach()

    def wire(
        self,
        tab: FormTab,
        quick: Mapping[str, Any],
        *,
        picture: PictureInput,
        size: SizeOf,
        inputs: set[Any],
    ) -> None:
        """Register events.

        `picture` is the tab's own picture, `size` returns the size that would be painted, and
        `inputs` are the components that `size` reads.
        """
        own, well = picture.canvas, self.panel.canvas
        asked = {own, *inputs}
        self.panel.wire(tab, quick, size=size, inputs=asked, flushed=[own])
        listen(
            self.panel.take.click,
            self.take,
            [own],
            [well, self.panel.map.notes["image"]],
            js=canvas.flush_js([own], own),
            **quick,
        )

    def take(self, value: object) -> Updates:
        """Use the tab's own picture, with its strokes, for the control."""
        note = self.panel.map.notes["image"]
        try:
            drawn = has_strokes(canvas.read_canvas(value, self.context.uploads))
        except RequestError as error:
            return {note: message_markup.note([str(error)])}
        upload = self.context.uploads.add(drawn.data or b"")
        return {self.panel.canvas: canvas.show_image(upload), note: ""}

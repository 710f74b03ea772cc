"""A control in a drawer: it has a picture of its own, and is off until it is given one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paintdiff.errors import RequestError
from paintdiff.ui.common import markup, widgets
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import listen
from paintdiff.ui.common.updates import Updates
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.painting.control_panel import ControlPanel
from paintdiff.ui.painting.picture_input import PictureInput
from paintdiff.ui.settings.control_map import SizeOf, has_strokes

if TYPE_CHECKING:
    from paintdiff.ui.painting.painting_tab import PaintingTab


class ControlDrawer:
    """The drawer `title` with a `ControlPanel` in it."""

    def __init__(
        self,
        parts: PageContext,
        ids: Ids,
        *,
        title: str = "ControlNet",
        name: str = "control",
        index: int = 0,
    ) -> None:
        self.parts = parts
        self.panel = ControlPanel(parts, ids, name=name, index=index)
        self._ids, self._title, self._name = ids, title, name

    def add(self) -> None:
        """Lay it out where we are."""
        with widgets.drawer(self._title, self._ids(f"{self._name}-drawer")):
            self.panel.add_well()
            self.panel.add_figures()
            self.panel.add_reach()

    def wire(
        self,
        studio: PaintingTab,
        quick: Mapping[str, Any],
        *,
        picture: PictureInput,
        size: SizeOf,
        inputs: set[Any],
    ) -> None:
        """Let it live. `picture` is the tab's own, `size` says what would be painted, and `inputs`
        are what it looks at besides."""
        own, well = picture.canvas, self.panel.canvas
        asked = {own, *inputs}
        self.panel.wire(studio, quick, size=size, inputs=asked, flushed=[own])
        listen(
            self.panel.take.click,
            self.taken,
            [own],
            [well, self.panel.map.notes["image"]],
            js=canvas.flush_js([own], own),
            **quick,
        )

    def taken(self, value: object) -> Updates:
        """The tab's own picture, strokes and all, as the control's."""
        note = self.panel.map.notes["image"]
        try:
            drawn = has_strokes(canvas.read_canvas(value, self.parts.uploads))
        except RequestError as error:
            return {note: markup.note([str(error)])}
        upload = self.parts.uploads.add(drawn.data or b"")
        return {self.panel.canvas: canvas.show_image(upload), note: ""}

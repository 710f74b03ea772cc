"""A canvas in a tab, and the offer to use the settings that an opened picture carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from paintdiff.errors import MetadataError, RequestError
from paintdiff.jobs.events import Picture
from paintdiff.ui.common import markup, widgets
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.pictures import encode_whole_png
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.painting.settings_offer import (
    PaintingSettings,
    build_offer,
    read_painting_settings,
)

if TYPE_CHECKING:
    from paintdiff.ui.painting.painting_tab import PaintingTab


@dataclass(frozen=True)
class PictureInput:
    """The canvas of a tab. `build_offer` has a button where the picture carries settings."""

    parts: PageContext
    canvas: gr.HTML
    offer: gr.HTML
    note: Note

    @classmethod
    def built(
        cls, parts: PageContext, ids: Ids, *, tools: bool, masks: bool = True
    ) -> PictureInput:
        """Lay it out where we are; with `tools` it can be painted on, and with `masks` masked."""
        return cls(
            parts,
            canvas.paint_canvas(ids("canvas"), tools=tools, masks=masks),
            widgets.clickable("", ids("offer"), "offer-place", use="click"),
            add_note(ids, "image"),
        )

    def wire(self, studio: PaintingTab, quick: Mapping[str, Any]) -> None:
        """Look at each picture that is opened; fill the studio's form when that is asked for."""
        inputs: list[Any] = [self.canvas, studio.form.model]
        script = canvas.flush_js(inputs, self.canvas)
        self.canvas.upload(self.offered, inputs, [self.offer], js=script, **quick)
        self.canvas.clear(lambda: "", None, [self.offer], **quick)

        def use(value: object, model: object) -> Updates:
            try:
                found = self._settings_in(value)
            except MetadataError as error:
                raise gr.Error(str(error), print_exception=False) from error
            if found is None:
                return {self.offer: ""}
            return {self.offer: "", **studio.filled(found.for_page(self.parts, model).painting)}

        self.offer.click(use, inputs, [self.offer, *studio.receivable()], js=script, **quick)

    def content(self, values: Values) -> canvas.CanvasContent:
        """What is on the canvas. Raises RequestError."""
        return canvas.read_canvas(values[self.canvas], self.parts.uploads)

    def received(self, picture: Picture) -> Updates:
        """Show a finished picture. Raises RequestError if it can't be taken."""
        return {self.canvas: canvas.show_image(self.parts.uploads.add(encode_whole_png(picture)))}

    def offered(self, value: object, model: object = None) -> str:
        """The offer to use the settings of the picture on the canvas, or why they can't be used; ""
        if it carries none. `model` is the one that is chosen."""
        try:
            found = self._settings_in(value)
        except MetadataError as error:
            return markup.note([f"{error} The picture itself can be used."], "warning")
        return "" if found is None else build_offer(found, self.parts, model)

    def _settings_in(self, value: object) -> PaintingSettings | None:
        """The settings to paint with that the picture on the canvas carries, None if it carries
        none. Raises MetadataError if they can't be used.
        """
        try:
            content = canvas.read_canvas(value, self.parts.uploads)
        except RequestError:
            return None
        return read_painting_settings(content.image)

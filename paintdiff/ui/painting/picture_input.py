"""A canvas in a tab, and the offer to use the settings stored in an opened picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from paintdiff.errors import MetadataError, RequestError
from paintdiff.jobs.events import Picture
from paintdiff.ui.common import message_markup, widgets
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note
from paintdiff.ui.common.pictures import encode_whole_png
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas
from paintdiff.ui.painting import messages
from paintdiff.ui.painting.settings_offer import (
    PaintingSettings,
    build_offer,
    read_painting_settings,
)
from paintdiff.ui.painting.tab_inputs import FormTab


@dataclass(frozen=True)
class PictureInput:
    """The canvas of a tab. `offer` has a button if the picture contains settings."""

    context: PageContext
    canvas: gr.HTML
    offer: gr.HTML
    note: Note

    @classmethod
    def build(
        cls, context: PageContext, ids: Ids, *, tools: bool, masks: bool = True
    ) -> PictureInput:
        """Add the canvas to the page; with `tools` for painting, with `masks` for masking."""
        return cls(
            context,
            canvas.paint_canvas(ids("canvas"), tools=tools, masks=masks),
            widgets.clickable_html("", ids("offer"), "offer-place", use="click"),
            add_note(ids, "image"),
        )

    def wire(self, tab: FormTab, quick: Mapping[str, Any]) -> None:
        """Check each opened picture for settings; fill the tab's form on request."""
        inputs: list[Any] = [self.canvas, tab.form.model]
        script = canvas.flush_js(inputs, self.canvas)

        def offer(value: object, model: object, event: gr.EventData) -> str:
            # One that another tab sent has filled the form already.
            sent = getattr(event, "origin", "") == "app"
            return "" if sent else self.build_offer(value, model)

        self.canvas.upload(offer, inputs, [self.offer], js=script, **quick)
        self.canvas.clear(lambda: "", None, [self.offer], **quick)

        def use(value: object, model: object) -> Updates:
            try:
                found = self._settings_in(value)
            except MetadataError as error:
                raise gr.Error(str(error), print_exception=False) from error
            if found is None:
                return {self.offer: ""}
            return {self.offer: "", **tab.fill(found.for_page(self.context, model).request)}

        self.offer.click(use, inputs, [self.offer, *tab.receive_outputs()], js=script, **quick)

    def read(self, values: Values) -> canvas.CanvasContent:
        """Read the canvas.

        Raises:
            RequestError: Its content is invalid.
        """
        return canvas.read_canvas(values[self.canvas], self.context.uploads)

    def receive(self, picture: Picture) -> Updates:
        """Show a finished picture.

        Raises:
            RequestError: It can't be used here.
        """
        return {self.canvas: canvas.show_image(self.context.uploads.add(encode_whole_png(picture)))}

    def build_offer(self, value: object, model: object = None) -> str:
        """Return the offer to use the settings in the canvas's picture, or why they can't be used.

        "" if it contains none. `model` is the chosen one.
        """
        try:
            found = self._settings_in(value)
        except MetadataError as error:
            return message_markup.note([messages.unreadable_settings(error)], "warning")
        return "" if found is None else build_offer(found, self.context, model)

    def _settings_in(self, value: object) -> PaintingSettings | None:
        """Return the painting settings in the canvas's picture; None if it contains none.

        Raises:
            MetadataError: They can't be used.
        """
        try:
            content = canvas.read_canvas(value, self.context.uploads)
        except RequestError:
            return None
        return read_painting_settings(content.image)

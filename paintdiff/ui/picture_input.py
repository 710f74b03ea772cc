"""A canvas in a tab, and the offer to use the settings that an opened picture carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import gradio as gr

from paintdiff.errors import MetadataError, NoMetadataError, RequestError
from paintdiff.events import Picture
from paintdiff.gallery.metadata import read_request
from paintdiff.requests import Painting, PaintingRequest
from paintdiff.ui import canvas, markup, widgets
from paintdiff.ui.easel import Values
from paintdiff.ui.form import Updates
from paintdiff.ui.notes import Note, note_below
from paintdiff.ui.parts import Parts
from paintdiff.ui.pictures import painting_of, whole_png
from paintdiff.ui.widgets import Ids

if TYPE_CHECKING:
    from paintdiff.ui.studio import Studio

_OFFER_CHARACTERS = 90


@dataclass(frozen=True)
class PictureInput:
    """The canvas of a tab. `offer` has a button where the picture carries settings."""

    parts: Parts
    canvas: gr.HTML
    offer: gr.HTML
    note: Note

    @classmethod
    def built(cls, parts: Parts, ids: Ids, *, tools: bool, masks: bool = True) -> PictureInput:
        """Lay it out where we are; with `tools` it can be painted on, and with `masks` masked."""
        return cls(
            parts,
            canvas.paint_canvas(ids("canvas"), tools=tools, masks=masks),
            widgets.clickable("", ids("offer"), "offer-place", use="click"),
            note_below(ids, "image"),
        )

    def wire(self, studio: Studio, quick: Mapping[str, Any]) -> None:
        """Look at each picture that is opened; fill the studio's form when that is asked for."""
        inputs: list[Any] = [self.canvas]
        script = canvas.flush_js(inputs, self.canvas)
        self.canvas.upload(self.offered, inputs, [self.offer], js=script, **quick)
        self.canvas.clear(lambda: "", None, [self.offer], **quick)

        def use(value: object) -> Updates:
            try:
                request = self._request_in(value)
            except MetadataError as error:
                raise gr.Error(str(error), print_exception=False) from error
            return {self.offer: "", **(studio.filled(request) if request is not None else {})}

        self.offer.click(use, inputs, [self.offer, *studio.receivable()], js=script, **quick)

    def content(self, values: Values) -> canvas.CanvasContent:
        """What is on the canvas. Raises RequestError."""
        return canvas.read(values[self.canvas], self.parts.uploads)

    def received(self, picture: Picture) -> Updates:
        """Show a finished picture. Raises RequestError if it can't be taken."""
        return {self.canvas: canvas.showing(self.parts.uploads.add(whole_png(picture)))}

    def offered(self, value: object) -> str:
        """The offer to use the settings of the picture on the canvas, or why they can't be used; ""
        if it carries none."""
        try:
            request = self._request_in(value)
        except MetadataError as error:
            return markup.note([f"{error} The picture itself can be used."], "warning")
        if request is None:
            return ""
        known = any(row.name == request.model for row in self.parts.models)
        return offer(request, model_known=known)

    def _request_in(self, value: object) -> Painting | None:
        """The settings to paint with that the picture on the canvas carries, None if it carries
        none. Raises MetadataError if they can't be used.
        """
        try:
            return painting_of(read_request(canvas.read(value, self.parts.uploads).image))
        except (RequestError, NoMetadataError):
            return None


def offer(request: PaintingRequest, *, model_known: bool) -> str:
    """An offer to use a picture's own settings, as markup. It says if their model isn't here."""
    apart = "" if model_known else f" Its model, {escape(request.model)}, isn't here; yours stays."
    if request.controls:
        apart += " A control picture led it, which isn't in the file: give that again."
    words = shorten(request.prompt, _OFFER_CHARACTERS, placeholder=" …") or "no prompt"
    return (
        f'<p class="offer">This picture carries its settings: “{escape(words)}”.{apart} '
        '<button type="button" data-use="settings">Use them</button></p>'
    )

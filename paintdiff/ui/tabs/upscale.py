"""The tab where pictures are made larger: one, several, or a folder of them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from paintdiff.errors import MetadataError, RequestError, SizeError
from paintdiff.gallery.metadata import read_request
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import MAX_IMAGES, Request, Upscale
from paintdiff.ui.common import markup, widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import add_note
from paintdiff.ui.common.pictures import encode_whole_png
from paintdiff.ui.common.updates import QUICK, Updates, Values
from paintdiff.ui.common.uploads import Upload
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas, picture_list
from paintdiff.ui.painting.picture_tab import PictureTab
from paintdiff.ui.run.run_panel import RunButtons, RunPanel
from paintdiff.ui.settings.upscale_setting import UpscaleSetting

TITLE = "Which pictures should be enlarged?"
TEXT = "Open or drop one, several or a whole folder, then upscale and compare."


@dataclass(frozen=True)
class UpscaleTab(PictureTab):
    """The tab's components and handlers. Build it with `built`."""

    ids = Ids("upscale")

    pictures: gr.HTML
    offer: gr.HTML
    setting: UpscaleSetting
    foreseen: gr.HTML

    @classmethod
    def built(cls, parts: PageContext) -> UpscaleTab:
        """Lay the tab out inside the current `gr.Tab`, and wire it."""
        ids = cls.ids
        setting = UpscaleSetting(parts, ids, optional=False)
        with gr.Row(elem_classes=["studio", f"studio-{ids.tab}"]):
            with gr.Column(elem_classes=["controls"], scale=0, min_width=0):
                with gr.Column(elem_classes=["group", "prompt-group"]):
                    pictures = picture_list.picture_list(ids("pictures"))
                    note = add_note(ids, "images")
                    offer = widgets.clickable("", ids("offer"), "offer-place", use="click")
                    setting.add()
                    foreseen = widgets.static("", ids("foreseen"), "foreseen-place")
                with gr.Column(elem_classes=["group", "run-group"]):
                    buttons = RunButtons.built(ids, "Upscale", "Queue these too")
                with (
                    gr.Column(elem_classes=["group", "settings-group"]),
                    widgets.drawer("More", ids("more-drawer")),
                ):
                    setting.add_tile()
            images = {f"images.{index}": note for index in range(MAX_IMAGES)}
            notes = {"": buttons.note, "images": note, "image": note, **images, **setting.notes()}
            with gr.Column(elem_classes=["easel-side"], min_width=0):
                widgets.static("", ids("warnings"), "foreseen-place")
                notes["warnings"] = add_note(ids, "warnings")
                easel = RunPanel.built(
                    parts,
                    ids,
                    markup.empty_stage((), TITLE, TEXT),
                    buttons=buttons,
                    notes=notes,
                )
        bench = cls(parts, ids, easel, pictures, offer, setting, foreseen)
        bench._wire()
        return bench

    def _wire(self) -> None:
        self.wire_run()
        self.setting.wire(QUICK)
        pictures = self.pictures
        script = canvas.flush_js([pictures], pictures)
        pictures.input(self.offered, [pictures], [self.offer], js=script, **QUICK)
        self.offer.click(
            self.use_offered, [pictures], [self.offer, *self.receivable()], js=script, **QUICK
        )
        looked_at: set[Any] = {pictures, self.setting.factor, self.setting.other}
        gr.on(
            [pictures.input, self.setting.factor.change, self.setting.other.change],
            self.foreseen_words,
            looked_at,
            [self.foreseen],
            js=canvas.flush_js(looked_at, pictures),
            trigger_mode="always_last",
            **QUICK,
        )

    # What a job is made of

    def asked(self) -> set[Any]:
        """The components that `request` looks at."""
        return {self.pictures, *self.setting.inputs().values()}

    def canvases(self) -> tuple[gr.HTML, ...]:
        """The list of pictures."""
        return (self.pictures,)

    def request(self, values: Values) -> Upscale:
        """The request that the page asks for. Raises RequestError with the first bad field."""
        found = picture_list.read_pictures(values[self.pictures], self.parts.uploads)
        images = [InputImage(data=upload.data) for upload in found]
        upscaling = self.setting.requested(values)
        return Upscale.parsed({"images": images, "upscaling": upscaling})

    def kept(self) -> dict[str, Any]:
        """The settings; the list remembers its pictures by itself."""
        return dict(self.setting.inputs())

    # What is said before

    def foreseen_words(self, values: Values) -> str:
        """What will become of the pictures' sizes, as markup."""
        try:
            found = picture_list.read_pictures(values[self.pictures], self.parts.uploads)
            sizes = [Size(upload.width, upload.height) for upload in found]
            largest = max(sizes, key=lambda size: max(size.width, size.height))
            enlarged = self.setting.enlarged(values, largest)
        except SizeError as error:
            return markup.note([str(error)], "warning")
        except RequestError:
            return ""  # no picture, or no factor: Upscale says what is wrong
        if enlarged is None:
            return ""
        if len(sizes) == 1:
            return markup.aside(f"{largest} will become {enlarged}.")
        if len(set(sizes)) == 1:
            return markup.aside(f"{len(sizes)} pictures of {largest} will become {enlarged}.")
        return markup.aside(f"{len(sizes)} pictures, the largest becomes {enlarged}.")

    def offered(self, value: object) -> str:
        """The offer to use the settings of the first picture that carries some, "" if none does."""
        found = self._upscaling_in(value)
        return "" if found is None else _offer(found)

    def use_offered(self, value: object) -> Updates:
        """Take the settings that were offered."""
        found = self._upscaling_in(value)
        return {self.offer: "", **({} if found is None else self.setting.filled(found))}

    def _upscaling_in(self, value: object) -> Upscaling | None:
        try:
            found = picture_list.read_pictures(value, self.parts.uploads)
        except RequestError:
            return None
        return next((each for each in map(_carried, found) if each is not None), None)

    # Settings and pictures that come from elsewhere

    def settings_restored(self, memory: BrowserState) -> Updates:
        """The settings as they were before a reload, each checked."""
        return self.setting.restored(memory)

    def filled(self, request: Request) -> Updates:
        """The settings that a picture was enlarged with, if it was."""
        return {} if request.upscaling is None else self.setting.filled(request.upscaling)

    def received(self, picture: Picture) -> Updates:
        """A finished picture, to be enlarged in place of those in the list. The settings stay.

        Raises RequestError if it can't be taken.
        """
        upload = self.parts.uploads.add(encode_whole_png(picture))
        return {self.pictures: picture_list.show_pictures([upload])}

    def receivable(self) -> list[Any]:
        """The components that `filled` and `received` may change."""
        return [self.pictures, *self.setting.inputs().values()]


def _carried(upload: Upload) -> Upscaling | None:
    """How the picture in a file was enlarged, None if it wasn't or doesn't say."""
    try:
        return read_request(upload.data).upscaling
    except MetadataError:
        return None


def _offer(upscaling: Upscaling) -> str:
    by = f" with {escape(upscaling.upscaler)}" if upscaling.upscaler else ""
    return (
        f'<p class="offer">A picture here was upscaled {upscaling.scale:g}x{by}. '
        '<button type="button" data-use="settings">Use that</button></p>'
    )

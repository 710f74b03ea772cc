"""The Upscale tab: enlarges one picture, several, or a folder of them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from paintdiff.errors import MetadataError, RequestError, SizeError
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import MAX_IMAGES, Request, Upscale, find_upscaling
from paintdiff.ui.common import markup, message_markup, widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import add_note
from paintdiff.ui.common.messages import UPSCALE
from paintdiff.ui.common.pictures import encode_whole_png
from paintdiff.ui.common.updates import QUICK, Updates, Values
from paintdiff.ui.common.uploads import Upload
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.inputs import canvas, picture_list
from paintdiff.ui.painting.picture_tab import PictureTab
from paintdiff.ui.run.run_panel import RunButtons, RunPanel
from paintdiff.ui.settings.upscale_setting import UpscaleSetting
from paintdiff.ui.tabs import messages


@dataclass(frozen=True)
class UpscaleTab(PictureTab):
    """The tab's components and handlers. Call `build` to create it."""

    ids = Ids("upscale")

    pictures: gr.HTML
    offer: gr.HTML
    setting: UpscaleSetting
    foreseen: gr.HTML

    @classmethod
    def build(cls, context: PageContext) -> UpscaleTab:
        """Lay out the tab inside the current `gr.Tab`, and register its events."""
        ids = cls.ids
        setting = UpscaleSetting(context, ids, optional=False)
        with gr.Row(elem_classes=["studio", f"studio-{ids.tab}"]):
            with gr.Column(elem_classes=["controls"], scale=0, min_width=0):
                with gr.Column(elem_classes=["group", "prompt-group"]):
                    pictures = picture_list.picture_list(ids("pictures"))
                    note = add_note(ids, "images")
                    offer = widgets.clickable_html("", ids("offer"), "offer-place", use="click")
                    setting.add()
                    foreseen = widgets.static_html("", ids("foreseen"), "foreseen-place")
                with gr.Column(elem_classes=["group", "run-group"]):
                    buttons = RunButtons.build(ids, UPSCALE, messages.QUEUE_THESE_TOO)
                with (
                    gr.Column(elem_classes=["group", "settings-group"]),
                    widgets.drawer(messages.MORE, ids("more-drawer")),
                ):
                    setting.add_tile()
            images = {f"images.{index}": note for index in range(MAX_IMAGES)}
            notes = {"": buttons.note, "images": note, "image": note, **images, **setting.notes()}
            with gr.Column(elem_classes=["easel-side"], min_width=0):
                widgets.static_html("", ids("warnings"), "foreseen-place")
                notes["warnings"] = add_note(ids, "warnings")
                run_panel = RunPanel.build(
                    context,
                    ids,
                    markup.empty_stage((), messages.WHICH_PICTURES, messages.HOW_TO_UPSCALE),
                    buttons=buttons,
                    notes=notes,
                )
        tab = cls(context, ids, run_panel, pictures, offer, setting, foreseen)
        tab._wire()
        return tab

    def _wire(self) -> None:
        self.wire_run()
        self.setting.wire(QUICK)
        pictures = self.pictures
        script = canvas.flush_js([pictures], pictures)
        pictures.input(self.build_offer, [pictures], [self.offer], js=script, **QUICK)
        self.offer.click(
            self.use_offer, [pictures], [self.offer, *self.receive_outputs()], js=script, **QUICK
        )
        looked_at: set[Any] = {pictures, self.setting.factor, self.setting.other}
        gr.on(
            [pictures.input, self.setting.factor.change, self.setting.other.change],
            self.describe_sizes,
            looked_at,
            [self.foreseen],
            js=canvas.flush_js(looked_at, pictures),
            trigger_mode="always_last",
            **QUICK,
        )

    # Request

    def request_inputs(self) -> set[Any]:
        """Return the components that `request` reads."""
        return {self.pictures, *self.setting.inputs().values()}

    def canvases(self) -> tuple[gr.HTML, ...]:
        """Return the list of pictures."""
        return (self.pictures,)

    def request(self, values: Values) -> Upscale:
        """Build the page's request.

        Raises:
            RequestError: A value is invalid; it names the first such field.
        """
        found = picture_list.read_pictures(values[self.pictures], self.context.uploads)
        images = [InputImage(data=upload.data) for upload in found]
        upscaling = self.setting.read(values)
        return Upscale.parse({"images": images, "upscaling": upscaling})

    def stored_inputs(self) -> dict[str, Any]:
        """Return the settings; the list stores its pictures itself."""
        return dict(self.setting.inputs())

    # Before a job

    def describe_sizes(self, values: Values) -> str:
        """Describe the pictures' final sizes, as markup."""
        try:
            found = picture_list.read_pictures(values[self.pictures], self.context.uploads)
            sizes = [Size(upload.width, upload.height) for upload in found]
            largest = max(sizes, key=lambda size: max(size.width, size.height))
            enlarged = self.setting.enlarged_size(values, largest)
        except SizeError as error:
            return message_markup.note([str(error)], "warning")
        except RequestError:
            return ""  # no picture, or no scale: Upscale says what is wrong
        if enlarged is None:
            return ""
        if len(sizes) == 1:
            return message_markup.aside(messages.one_becomes(largest, enlarged))
        if len(set(sizes)) == 1:
            return message_markup.aside(messages.all_become(len(sizes), largest, enlarged))
        return message_markup.aside(messages.largest_becomes(len(sizes), enlarged))

    def build_offer(self, value: object) -> str:
        """Return the offer to use the first settings found in a picture; "" without any."""
        found = self._upscaling_in(value)
        return "" if found is None else _offer(found)

    def use_offer(self, value: object) -> Updates:
        """Use the offered settings."""
        found = self._upscaling_in(value)
        return {self.offer: "", **({} if found is None else self.setting.fill(found))}

    def _upscaling_in(self, value: object) -> Upscaling | None:
        try:
            found = picture_list.read_pictures(value, self.context.uploads)
        except RequestError:
            return None
        return next((each for each in map(_read_upscaling, found) if each is not None), None)

    # Settings and pictures from elsewhere

    def restore_settings(self, memory: BrowserState) -> Updates:
        """Return updates with the settings from before a reload, each checked."""
        return self.setting.restore(memory)

    def fill(self, request: Request) -> Updates:
        """Return updates with an earlier picture's upscaling settings, if any."""
        upscaling = find_upscaling(request)
        return {} if upscaling is None else self.setting.fill(upscaling)

    def receive(self, picture: Picture) -> Updates:
        """Replace the pictures in the list by a finished one. The settings stay.

        Raises:
            RequestError: It can't be used here.
        """
        upload = self.context.uploads.add(encode_whole_png(picture))
        return {self.pictures: picture_list.show_pictures([upload])}

    def receive_outputs(self) -> list[Any]:
        """Return the components that `fill` and `receive` may change."""
        return [self.pictures, *self.setting.inputs().values()]


def _read_upscaling(upload: Upload) -> Upscaling | None:
    """Return the upscaling settings in a picture; None if it has none."""
    try:
        return find_upscaling(read_request(upload.data))
    except MetadataError:
        return None


def _offer(upscaling: Upscaling) -> str:
    said = messages.was_upscaled(upscaling.scale, upscaling.upscaler)
    return (
        f'<p class="offer">{escape(said, quote=False)} '
        f'<button type="button" data-use="settings">{escape(messages.USE_THAT)}</button></p>'
    )

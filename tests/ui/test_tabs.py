"""Requests of the tabs with a picture, and pictures that go from tab to tab."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.errors import RequestError
from paintdiff.gallery.settings.metadata import png_info
from paintdiff.jobs.events import Finished, Picture
from paintdiff.jobs.requests import ImageToImage, Inpaint, TextToImage
from paintdiff.ui.common import markup
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.widgets import hex_colour
from paintdiff.ui.inputs import canvas
from paintdiff.ui.page import TABS, build_page
from paintdiff.ui.painting.painting_tab import PaintingTab
from paintdiff.ui.painting.tab_inputs import TabInputs
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.inpaint import InpaintInputs
from tests.loops import inside_a_loop
from tests.ui.fake_engine import FakeEngine, picture


def tab_of(tab_inputs: type[TabInputs], context: PageContext) -> PaintingTab:
    def build() -> PaintingTab:
        with gr.Blocks():
            return PaintingTab.build(context, tab_inputs(context))

    return inside_a_loop(build)


def png(mode: str, size: tuple[int, int] = (96, 64), **settings: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 255 if mode == "L" else "red").save(buffer, "PNG", **settings)
    return buffer.getvalue()


def values(tab: PaintingTab, canvas_value: object, **changed: Any) -> dict[Any, Any]:
    """The page's values: each component's first one, the canvas's, and what a test changes."""
    inputs = tab.tab_inputs.inputs()
    by_name = tab.inputs()
    by_name["keep_seed"] = tab.form.keep_seed
    sent: dict[Any, Any] = {component: component.value for component in by_name.values()}
    sent |= {tab.prompt: "a cat", tab.run_panel.job: "", tab.run_panel.film: "[]"}
    sent[inputs["picture"]] = canvas_value
    return {**sent, **{by_name[name]: value for name, value in changed.items()}}


def opened(context: PageContext, *layers: str) -> dict[str, object]:
    """The canvas's value with a picture of 96x64 and these layers on it."""
    value = {**canvas.show_image(context.uploads.add(png("RGB"))), "sketch": None, "mask": None}
    modes = {"sketch": "RGBA", "mask": "L"}
    return {**value, **{layer: context.uploads.add(png(modes[layer])).id for layer in layers}}


def test_image_to_image_asks_for_what_the_page_says(context: PageContext) -> None:
    tab = tab_of(ImageToImageInputs, context)
    changed = {
        "strength": 0.4,
        "resize": "crop",
        "loopback": 2,
        "background": "rgba(0, 9.6, 255, 1)",
    }
    request = tab.request(values(tab, opened(context), width=64, height=64, **changed))
    assert isinstance(request, ImageToImage)
    assert (request.strength, request.resize_mode, request.loopback) == (0.4, "crop", 2)
    assert (request.width, request.height, request.background) == (64, 64, "#000aff")
    assert request.image.data == png("RGB")


@pytest.mark.parametrize(("typed", "words"), [(1.5, "a whole number, not 1.5"), (-7, "at least 0")])
def test_a_growth_is_neither_rounded_nor_refused_by_gradio(
    context: PageContext, typed: float, words: str
) -> None:
    tab = tab_of(InpaintInputs, context)
    for side in ("left", "top", "right", "bottom"):
        number = tab.tab_inputs.inputs()[side]
        sent = {**values(tab, opened(context, "mask")), number: number.preprocess(typed)}
        assert words in tab.start(sent)[tab.notes["outpaint.left"]]


def test_as_the_picture_leaves_the_size_to_the_engine(context: PageContext) -> None:
    tab = tab_of(ImageToImageInputs, context)
    request = tab.request(values(tab, opened(context), width=64, height=64))
    assert (request.width, request.height) == (None, None)


def test_what_happens_to_the_size_is_said_before(context: PageContext) -> None:
    tab = tab_of(ImageToImageInputs, context)
    tab_inputs = tab.tab_inputs
    assert isinstance(tab_inputs, ImageToImageInputs)
    foresee = tab_inputs.describe_size(tab.form)
    sent = values(tab, opened(context), resize="crop", width=64, height=64)
    assert "cropped" in foresee(sent) and "64x64" in foresee(sent)
    sent = values(tab, opened(context), resize="pad", width=64, height=64)
    assert "padded" in foresee(sent)
    assert "96x64 will be resized to 160x104" in foresee(values(tab, opened(context)))
    assert foresee(values(tab, None)) == ""


def test_inpaint_asks_for_what_the_page_says(context: PageContext) -> None:
    tab = tab_of(InpaintInputs, context)
    changed = {"mask_blur_px": 2, "only_masked": True, "masked_content": "noise", "left": 16}
    request = tab.request(values(tab, opened(context, "mask", "sketch"), **changed))
    assert isinstance(request, Inpaint)
    assert (request.mask_blur_px, request.only_masked, request.masked_content) == (2, True, "noise")
    assert (request.outpaint.left, request.outpaint.right) == (16, 0)
    assert request.mask is not None and request.mask.data == png("L")
    assert request.sketch is not None and request.sketch.data == png("RGBA")
    empty = tab.request(values(tab, opened(context)))
    assert isinstance(empty, Inpaint) and empty.mask is None and empty.sketch is None


@pytest.mark.parametrize("tab_inputs", [ImageToImageInputs, InpaintInputs])
def test_without_a_picture_the_place_for_it_says_so(
    context: PageContext, engine: FakeEngine, tab_inputs: type[TabInputs]
) -> None:
    tab = tab_of(tab_inputs, context)
    updates = tab.start(values(tab, None))
    assert "Open or drop a picture first" in updates[tab.notes["image"]]
    assert not engine.jobs


@pytest.mark.parametrize("tab_inputs", [ImageToImageInputs, InpaintInputs])
def test_ids_the_server_never_gave_are_refused(
    context: PageContext, tab_inputs: type[TabInputs]
) -> None:
    tab = tab_of(tab_inputs, context)
    for image in ("../../etc/passwd", "gone", 7, ["x"]):
        sent = {"image": image, "sketch": None, "mask": None, "width": 96, "height": 64}
        with pytest.raises(RequestError):
            tab.request(values(tab, sent))


def test_settings_come_back_checked(context: PageContext) -> None:
    tab = tab_of(InpaintInputs, context)
    inputs = tab.tab_inputs.inputs()
    updates = tab.restore(BrowserState({"mask_blur_px": 9, "soft": True, "left": -4}))
    assert updates[inputs["mask_blur_px"]] == 9 and updates[inputs["soft"]] is True
    assert updates[inputs["left"]] == 0
    assert set(updates) <= set(tab.restore_outputs())
    assert inputs["picture"] not in tab.stored_inputs().values()


def test_a_picture_with_settings_offers_them(context: PageContext, engine: FakeEngine) -> None:
    tab = tab_of(ImageToImageInputs, context)
    tab_inputs = tab.tab_inputs
    assert isinstance(tab_inputs, ImageToImageInputs)
    job = engine.submit(TextToImage(prompt="a <b>red</b> house", seed=3, sampler="Euler"))
    file = png("RGB", pnginfo=png_info(picture(job)))
    value = canvas.show_image(context.uploads.add(file))
    offered = tab_inputs.picture.build_offer(value)
    assert "a &lt;b&gt;red&lt;/b&gt; house" in offered and "data-use" in offered
    assert "isn't installed" not in offered
    other = engine.submit(TextToImage(prompt="a cat", model="<i>dreamer"))
    elsewhere = context.uploads.add(png("RGB", pnginfo=png_info(picture(other))))
    told = tab_inputs.picture.build_offer(canvas.show_image(elsewhere))
    assert "&lt;i&gt;dreamer, isn't installed" in told
    assert tab_inputs.picture.build_offer(opened(context)) == ""
    filled = tab.fill(job.request)
    assert filled[tab.prompt] == "a <b>red</b> house"
    assert (filled[tab.form.seed], filled[tab.form.keep_seed]) == (3, True)
    assert filled[tab.form.sampler].value == "Euler"


def test_a_picture_with_damaged_settings_says_so(context: PageContext) -> None:
    tab_inputs = tab_of(ImageToImageInputs, context).tab_inputs
    assert isinstance(tab_inputs, ImageToImageInputs)
    info = PngInfo()
    info.add_text("paintdiffusion", '{"request": {"prompt": "a red hou')
    value = canvas.show_image(context.uploads.add(png("RGB", pnginfo=info)))
    told = tab_inputs.picture.build_offer(value)
    assert "damaged" in told and "can be used" in told and "data-use" not in told


@pytest.mark.parametrize("tab_inputs", [ImageToImageInputs, InpaintInputs])
def test_a_finished_picture_can_be_received(
    context: PageContext, engine: FakeEngine, tab_inputs: type[TabInputs]
) -> None:
    tab = tab_of(tab_inputs, context)
    job = engine.submit(TextToImage(prompt="a cat"))
    job.latest = Finished((picture(job),), (), 1.0, 1.0)
    updates = tab.receive(picture(job))
    shown = updates[tab.tab_inputs.inputs()["picture"]]
    content = canvas.read_canvas({**shown, "sketch": None, "mask": None}, context.uploads)
    sent = Image.open(io.BytesIO(content.image))
    assert sent.tobytes() == picture(job).image.tobytes()
    assert updates[tab.prompt] == "a cat"
    assert set(updates) <= set(tab.receive_outputs())


def test_a_saved_picture_is_sent_as_its_file(context: PageContext, tmp_path: Path) -> None:
    """The gallery knows it by its bytes, and so what is made from it."""
    path = tmp_path / "saved.png"
    Image.new("RGB", (64, 64), "red").save(path, compress_level=9)
    finished = Picture(Image.new("RGB", (64, 64), "red"), TextToImage(prompt="a cat"), path=path)
    tab = tab_of(ImageToImageInputs, context)
    shown = tab.receive(finished)[tab.tab_inputs.inputs()["picture"]]
    content = canvas.read_canvas({**shown, "sketch": None, "mask": None}, context.uploads)
    assert content.image == path.read_bytes()


def test_every_destination_is_a_tab(context: PageContext) -> None:
    tabs = {tab_inputs.ids.tab for tab_inputs in TABS.values()}
    assert {tab for _, tab in markup.DESTINATIONS} <= tabs
    assert inside_a_loop(lambda: build_page(context)) is not None


def test_colours_of_the_picker() -> None:
    assert hex_colour("rgba(255.0, 127.6, 0, 1)") == "#ff8000"
    assert hex_colour("#abcdef") == "#abcdef"
    assert hex_colour(None) == "None"

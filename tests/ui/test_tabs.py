"""What the tabs with a picture ask for, and how pictures go from tab to tab."""

from __future__ import annotations

import io
from typing import Any

import gradio as gr
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.errors import RequestError
from paintdiff.gallery.metadata import png_info
from paintdiff.jobs.events import Finished
from paintdiff.jobs.requests import ImageToImage, Inpaint, TextToImage
from paintdiff.ui.common import markup
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.widgets import hex_colour
from paintdiff.ui.inputs import canvas
from paintdiff.ui.page import TABS, build_page
from paintdiff.ui.painting.painting_tab import PaintingTab, TabInputs
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.inpaint import InpaintInputs
from tests.loops import inside_a_loop
from tests.ui.fake_engine import FakeEngine, picture


def studio_of(ingredients: type[TabInputs], parts: PageContext) -> PaintingTab:
    def build() -> PaintingTab:
        with gr.Blocks():
            return PaintingTab.built(parts, ingredients(parts))

    return inside_a_loop(build)


def png(mode: str, size: tuple[int, int] = (96, 64), **settings: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 255 if mode == "L" else "red").save(buffer, "PNG", **settings)
    return buffer.getvalue()


def values(studio: PaintingTab, canvas_value: object, **changed: Any) -> dict[Any, Any]:
    """What the page sends: each component's first value, the canvas's, and what a test changes."""
    inputs = studio.ingredients.inputs()
    by_name = studio.inputs()
    by_name["keep_seed"] = studio.form.keep_seed
    sent: dict[Any, Any] = {component: component.value for component in by_name.values()}
    sent |= {studio.prompt: "a cat", studio.easel.job: "", studio.easel.film: "[]"}
    sent[inputs["picture"]] = canvas_value
    return {**sent, **{by_name[name]: value for name, value in changed.items()}}


def opened(parts: PageContext, *layers: str) -> dict[str, object]:
    """The canvas's value with a picture of 96x64 and these layers on it."""
    value = {**canvas.show_image(parts.uploads.add(png("RGB"))), "sketch": None, "mask": None}
    modes = {"sketch": "RGBA", "mask": "L"}
    return {**value, **{layer: parts.uploads.add(png(modes[layer])).id for layer in layers}}


def test_image_to_image_asks_for_what_the_page_says(parts: PageContext) -> None:
    studio = studio_of(ImageToImageInputs, parts)
    changed = {
        "strength": 0.4,
        "resize": "crop",
        "loopback": 2,
        "background": "rgba(0, 9.6, 255, 1)",
    }
    request = studio.request(values(studio, opened(parts), width=64, height=64, **changed))
    assert isinstance(request, ImageToImage)
    assert (request.strength, request.resize_mode, request.loopback) == (0.4, "crop", 2)
    assert (request.width, request.height, request.background) == (64, 64, "#000aff")
    assert request.image.data == png("RGB")


def test_as_the_picture_leaves_the_size_to_the_engine(parts: PageContext) -> None:
    studio = studio_of(ImageToImageInputs, parts)
    request = studio.request(values(studio, opened(parts), width=64, height=64))
    assert (request.width, request.height) == (None, None)


def test_what_happens_to_the_size_is_said_before(parts: PageContext) -> None:
    studio = studio_of(ImageToImageInputs, parts)
    ingredients = studio.ingredients
    assert isinstance(ingredients, ImageToImageInputs)
    foresee = ingredients.foreseen_words(studio.form)
    sent = values(studio, opened(parts), resize="crop", width=64, height=64)
    assert "cropped" in foresee(sent) and "64x64" in foresee(sent)
    sent = values(studio, opened(parts), resize="pad", width=64, height=64)
    assert "padded" in foresee(sent)
    assert "96x64 will be resized to 160x104" in foresee(values(studio, opened(parts)))
    assert foresee(values(studio, None)) == ""


def test_inpaint_asks_for_what_the_page_says(parts: PageContext) -> None:
    studio = studio_of(InpaintInputs, parts)
    changed = {"mask_blur_px": 2, "only_masked": True, "masked_content": "noise", "left": 16}
    request = studio.request(values(studio, opened(parts, "mask", "sketch"), **changed))
    assert isinstance(request, Inpaint)
    assert (request.mask_blur_px, request.only_masked, request.masked_content) == (2, True, "noise")
    assert (request.outpaint.left, request.outpaint.right) == (16, 0)
    assert request.mask is not None and request.mask.data == png("L")
    assert request.sketch is not None and request.sketch.data == png("RGBA")
    empty = studio.request(values(studio, opened(parts)))
    assert isinstance(empty, Inpaint) and empty.mask is None and empty.sketch is None


@pytest.mark.parametrize("ingredients", [ImageToImageInputs, InpaintInputs])
def test_without_a_picture_the_place_for_it_says_so(
    parts: PageContext, engine: FakeEngine, ingredients: type[TabInputs]
) -> None:
    studio = studio_of(ingredients, parts)
    updates = studio.start(values(studio, None))
    assert "Open or drop a picture first" in updates[studio.notes["image"]]
    assert not engine.jobs


@pytest.mark.parametrize("ingredients", [ImageToImageInputs, InpaintInputs])
def test_ids_the_server_never_gave_are_refused(
    parts: PageContext, ingredients: type[TabInputs]
) -> None:
    studio = studio_of(ingredients, parts)
    for image in ("../../etc/passwd", "gone", 7, ["x"]):
        sent = {"image": image, "sketch": None, "mask": None, "width": 96, "height": 64}
        with pytest.raises(RequestError):
            studio.request(values(studio, sent))


def test_settings_come_back_checked(parts: PageContext) -> None:
    studio = studio_of(InpaintInputs, parts)
    inputs = studio.ingredients.inputs()
    updates = studio.restored(BrowserState({"mask_blur_px": 9, "soft": True, "left": -4}))
    assert updates[inputs["mask_blur_px"]] == 9 and updates[inputs["soft"]] is True
    assert updates[inputs["left"]] == 0
    assert set(updates) <= set(studio.restorable())
    assert inputs["picture"] not in studio.kept().values()


def test_a_picture_with_settings_offers_them(parts: PageContext, engine: FakeEngine) -> None:
    studio = studio_of(ImageToImageInputs, parts)
    ingredients = studio.ingredients
    assert isinstance(ingredients, ImageToImageInputs)
    job = engine.submit(TextToImage(prompt="a <b>red</b> house", seed=3, sampler="Euler"))
    file = png("RGB", pnginfo=png_info(picture(job)))
    value = canvas.show_image(parts.uploads.add(file))
    offered = ingredients.picture.offered(value)
    assert "a &lt;b&gt;red&lt;/b&gt; house" in offered and "data-use" in offered
    assert "isn't installed" not in offered
    other = engine.submit(TextToImage(prompt="a cat", model="<i>dreamer"))
    elsewhere = parts.uploads.add(png("RGB", pnginfo=png_info(picture(other))))
    told = ingredients.picture.offered(canvas.show_image(elsewhere))
    assert "&lt;i&gt;dreamer, isn't installed" in told
    assert ingredients.picture.offered(opened(parts)) == ""
    filled = studio.filled(job.request)
    assert filled[studio.prompt] == "a <b>red</b> house"
    assert (filled[studio.form.seed], filled[studio.form.keep_seed]) == (3, True)
    assert filled[studio.form.sampler].value == "Euler"


def test_a_picture_with_damaged_settings_says_so(parts: PageContext) -> None:
    ingredients = studio_of(ImageToImageInputs, parts).ingredients
    assert isinstance(ingredients, ImageToImageInputs)
    info = PngInfo()
    info.add_text("paintdiffusion", '{"request": {"prompt": "a red hou')
    value = canvas.show_image(parts.uploads.add(png("RGB", pnginfo=info)))
    told = ingredients.picture.offered(value)
    assert "damaged" in told and "can be used" in told and "data-use" not in told


@pytest.mark.parametrize("ingredients", [ImageToImageInputs, InpaintInputs])
def test_a_finished_picture_can_be_received(
    parts: PageContext, engine: FakeEngine, ingredients: type[TabInputs]
) -> None:
    studio = studio_of(ingredients, parts)
    job = engine.submit(TextToImage(prompt="a cat"))
    job.latest = Finished((picture(job),), (), 1.0, 1.0)
    updates = studio.received(picture(job))
    shown = updates[studio.ingredients.inputs()["picture"]]
    content = canvas.read_canvas({**shown, "sketch": None, "mask": None}, parts.uploads)
    sent = Image.open(io.BytesIO(content.image))
    assert sent.tobytes() == picture(job).image.tobytes()
    assert updates[studio.prompt] == "a cat"
    assert set(updates) <= set(studio.receivable())


def test_every_destination_is_a_tab(parts: PageContext) -> None:
    tabs = {ingredients.ids.tab for ingredients in TABS.values()}
    assert {tab for _, tab in markup.DESTINATIONS} <= tabs
    assert inside_a_loop(lambda: build_page(parts)) is not None


def test_colours_of_the_picker() -> None:
    assert hex_colour("rgba(255.0, 127.6, 0, 1)") == "#ff8000"
    assert hex_colour("#abcdef") == "#abcdef"
    assert hex_colour(None) == "None"

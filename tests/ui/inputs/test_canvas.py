"""A canvas's content is checked; the values sent to it are small."""

from __future__ import annotations

import re
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.ui.common.uploads import Uploads
from paintdiff.ui.inputs.canvas import (
    SCRIPTS,
    canvas_head,
    flush_js,
    is_empty,
    paint_canvas,
    read_canvas,
    show_image,
)
from tests.loops import inside_a_loop
from tests.pictures import encoded, png_of

SIZE = (40, 30)


@pytest.fixture
def uploads() -> Uploads:
    return Uploads()


@pytest.fixture
def value(uploads: Uploads) -> dict[str, Any]:
    """The content of a canvas with a picture, a stroke and a mask."""
    files = {
        "image": encoded(Image.new("RGB", SIZE, "red"), "JPEG"),
        "sketch": png_of(Image.new("RGBA", SIZE, (1, 2, 3, 4))),
        "mask": png_of(Image.new("L", SIZE, 200)),
    }
    ids = {name: uploads.add(data).id for name, data in files.items()}
    return {**ids, "width": SIZE[0], "height": SIZE[1]}


def test_a_canvas_is_read(value: dict[str, Any], uploads: Uploads) -> None:
    content = read_canvas(value, uploads)
    assert (content.width, content.height) == SIZE
    for name in ("image", "sketch", "mask"):
        upload = uploads.get(value[name])
        assert upload is not None and getattr(content, name) == upload.data


def test_empty_layers_are_none(value: dict[str, Any], uploads: Uploads) -> None:
    content = read_canvas({**value, "sketch": None, "mask": None}, uploads)
    assert content.sketch is None and content.mask is None


@pytest.mark.parametrize("nothing", [None, "", {}, {"image": None, "width": 0, "height": 0}])
def test_without_a_picture_there_is_a_word_about_it(nothing: Any, uploads: Uploads) -> None:
    assert is_empty(nothing)
    with pytest.raises(RequestError, match="Open or drop a picture first") as caught:
        read_canvas(nothing, uploads)
    assert caught.value.field == "image"


@pytest.mark.parametrize("value", ["data:image/png;base64,AAAA", ["x"], 3, {"image": 5}])
def test_what_no_canvas_sends_is_refused(value: Any, uploads: Uploads) -> None:
    assert not is_empty(value)
    with pytest.raises(RequestError, match="can't be read"):
        read_canvas(value, uploads)


@pytest.mark.parametrize("name", ["image", "sketch", "mask"])
@pytest.mark.parametrize("bad", ["unknown", "/etc/passwd", "../x", 7, ["a"], {"path": "/etc"}])
def test_only_ids_that_were_given_count(
    value: dict[str, Any], uploads: Uploads, name: str, bad: Any
) -> None:
    with pytest.raises(RequestError) as caught:
        read_canvas({**value, name: bad}, uploads)
    assert caught.value.field == ("mask" if name == "mask" else "image")
    assert "/etc" not in str(caught.value)


def test_a_forgotten_drawing_can_be_sent_again(value: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="Try again"):
        read_canvas(value, Uploads())


@pytest.mark.parametrize("size", [(41, 30), (40, 29), ("40", "30"), (None, None), (40.5, 30)])
def test_the_size_has_to_be_the_pictures(
    value: dict[str, Any], uploads: Uploads, size: tuple[Any, Any]
) -> None:
    with pytest.raises(RequestError, match="40x30"):
        read_canvas({**value, "width": size[0], "height": size[1]}, uploads)


@pytest.mark.parametrize("name", ["sketch", "mask"])
def test_a_layer_has_to_have_the_pictures_size(
    value: dict[str, Any], uploads: Uploads, name: str
) -> None:
    mode = {"sketch": "RGBA", "mask": "L"}[name]
    other = uploads.add(png_of(Image.new(mode, (30, 40))))
    with pytest.raises(RequestError, match="30x40, the picture 40x30"):
        read_canvas({**value, name: other.id}, uploads)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("sketch", png_of(Image.new("RGB", SIZE))),
        ("sketch", encoded(Image.new("RGB", SIZE), "WEBP")),
        ("mask", png_of(Image.new("RGBA", SIZE))),
        ("mask", encoded(Image.new("L", SIZE), "JPEG")),
    ],
)
def test_a_layer_has_to_be_of_its_kind(
    value: dict[str, Any], uploads: Uploads, name: str, data: bytes
) -> None:
    with pytest.raises(RequestError, match="must be a PNG"):
        read_canvas({**value, name: uploads.add(data).id}, uploads)


def test_a_turned_photograph_is_as_large_as_it_looks(uploads: Uploads) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upload = uploads.add(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif))
    content = read_canvas(show_image(upload), uploads)
    assert (content.width, content.height) == (20, 40)
    assert content.image == upload.data


def test_a_canvas_shows_what_it_is_told_to(value: dict[str, Any], uploads: Uploads) -> None:
    upload = uploads.get(value["image"])
    assert upload is not None
    assert show_image(upload) == {"image": upload.id, "width": 40, "height": 30}


def test_the_flush_puts_each_canvas_in_its_place() -> None:
    def build() -> tuple[gr.Textbox, gr.HTML, gr.HTML]:
        with gr.Blocks():
            return gr.Textbox(), paint_canvas("one"), paint_canvas("two", tools=False)

    prompt, canvas, other = inside_a_loop(build)
    script = flush_js([canvas, prompt, other], canvas, other)
    assert 'values[0] = await paintdiff.canvas.flush("one")' in script
    assert 'values[2] = await paintdiff.canvas.flush("two")' in script
    # Gradio hands over a set in the order in which its components were made.
    script = flush_js({other, canvas, prompt}, other)
    assert re.findall(r"values\[(\d)\]", script) == ["2"]
    with pytest.raises(ValueError, match="'two' is not among"):
        flush_js([prompt, canvas], other)


def test_a_canvas_carries_its_limits_and_no_markup_from_outside() -> None:
    def build() -> gr.HTML:
        with gr.Blocks():
            return paint_canvas("one", tools=False, blank=Size(128, 64))

    canvas = inside_a_loop(build)
    assert 'data-name="one" data-tools=""' in canvas.html_template
    assert 'data-blank-width="128"' in canvas.html_template
    assert "$" not in canvas.html_template and "{" not in canvas.html_template


@pytest.mark.parametrize("name", ["", "1st", "a b", 'x"y', "x" * 65])
def test_a_name_has_to_be_an_id(name: str) -> None:
    with pytest.raises(ValueError, match="elem_id"):
        paint_canvas(name)


def test_the_head_holds_everything_and_fetches_nothing() -> None:
    head = canvas_head()
    assert head.count("<script>") == len(SCRIPTS)
    assert "src=" not in head and "http:" not in head and "https:" not in head
    for sink in ("outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert sink not in head
    assert head.count("innerHTML") == 1, "the constant markup of the bars"

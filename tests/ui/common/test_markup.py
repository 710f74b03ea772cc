"""User text stays text."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from paintdiff.imaging.geometry import Size
from paintdiff.jobs.requests import TextToImage
from paintdiff.ui.common import markup, message_markup
from tests.ui.fake_engine import FakeEngine, picture

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "${alert(1)} {{alert(1)}} `",
]


class Tags(HTMLParser):
    """Collects the tags and attributes that a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def shown_with(prompt: str) -> list[str]:
    """All markup that a prompt, a message or a title can get into."""
    job = FakeEngine().submit(TextToImage(prompt=prompt))
    return [
        markup.finished_stage([markup.Result((job.id, 0), picture(job), settings=prompt)]),
        markup.empty_stage([prompt], prompt, prompt),
        markup.failed_stage(prompt),
        markup.filmstrip([markup.Result((job.id, 0), picture(job), settings=prompt)]),
        message_markup.note([prompt]),
        message_markup.progress_line(prompt, prompt),
        message_markup.error_line(prompt),
    ]


@pytest.mark.parametrize("prompt", HOSTILE)
def test_user_text_never_becomes_markup(prompt: str) -> None:
    for hostile, harmless in zip(shown_with(prompt), shown_with("a cat"), strict=True):
        assert Tags(hostile).names == Tags(harmless).names
        names = {name for name, _ in Tags(hostile).attributes}
        assert not any(name.startswith("on") for name in names)


def test_the_check_sees_what_it_should() -> None:
    """Negative control: without escaping the same check finds the tag and the handler."""
    tags = Tags(f"<p>{HOSTILE[0]}</p>")
    assert tags.names == ["p", "img"]
    assert ("onerror", "alert(1)") in tags.attributes


def test_a_prompt_is_shown_as_it_was_written() -> None:
    job = FakeEngine().submit(TextToImage(prompt=HOSTILE[0]))
    tags = Tags(markup.filmstrip([markup.Result((job.id, 0), picture(job))]))
    assert ("alt", HOSTILE[0]) in tags.attributes


def test_a_preview_is_a_small_jpeg_that_is_not_shown_as_blocks() -> None:
    url = markup.preview_url(Image.new("RGB", (16, 12), "navy"))
    kind, data = url.split(",", 1)
    assert kind == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.size == (256, 192)
    assert len(data) < 20_000
    big = markup.preview_url(Image.new("RGB", (2048, 1024), "navy"))
    assert Image.open(io.BytesIO(base64.b64decode(big.split(",", 1)[1]))).size == (512, 256)


def test_several_pictures_share_the_stage() -> None:
    job = FakeEngine().submit(TextToImage(prompt="a cat"))
    stage = markup.finished_stage(
        [markup.Result((job.id, index), picture(job)) for index in range(5)]
    )
    assert stage.count("<figure") == 5
    assert "--columns:3" in stage
    assert len(set(re.findall(r'href="([^"]+)"', stage))) == 5


def test_a_progress_of_unknown_length_has_no_value() -> None:
    assert "value=" not in message_markup.progress_line("Loading mini…")
    assert 'value="1.000"' in message_markup.progress_line("Painting", "Step 9 of 8", 9 / 8)


def test_the_blank_canvas_has_the_shape_of_the_picture() -> None:
    assert "--aspect:1.50000" in markup.blank_stage(Size(192, 128), "queued")


def test_a_picture_of_the_gallery_can_be_rated() -> None:
    job = FakeEngine().submit(TextToImage(prompt="a cat"))
    unknown = markup.finished_stage([markup.Result((job.id, 0), picture(job))])
    assert "data-rate" not in unknown
    made = replace(picture(job), id="abc")
    stage = markup.finished_stage([markup.Result((job.id, 0), made)])
    assert 'data-rated="abc"' in stage and stage.count("data-rate=") == 2
    assert 'aria-label="Like picture 1"' in stage

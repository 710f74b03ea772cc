"""Sizes that a model wasn't made for: the page warns, and offers its own size and upscaling."""

from __future__ import annotations

from typing import Any

import pytest

from paintdiff.imaging.geometry import Size
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.settings.size_advice import SizeAdvice
from paintdiff.ui.tabs.image_to_image import ImageToImageInputs
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from tests.ui.test_memory_line import page_of
from tests.ui.test_tabs import studio_of


@pytest.mark.parametrize(
    ("wanted", "scale", "painted", "upscaled"),
    [
        (Size(512, 512), 1.0, Size(128, 128), 4.0),
        (Size(256, 256), 2.0, Size(128, 128), 4.0),
        (Size(512, 256), 1.0, Size(184, 88), 2.91),
        (Size(2048, 2048), 1.0, Size(128, 128), 8.0),
        (Size(64, 64), 1.0, Size(128, 128), 1.0),
    ],
)
def test_another_size_is_offered(
    wanted: Size, scale: float, painted: Size, upscaled: float, parts: PageContext
) -> None:
    advice = SizeAdvice.about(wanted, parts.model("mini"), scale)
    assert advice is not None
    assert (advice.size, advice.scale) == (painted, upscaled)
    assert f"Paint at {painted}" in advice.markup


@pytest.mark.parametrize("size", [Size(128, 128), Size(160, 128), Size(96, 128), Size(176, 176)])
def test_sizes_that_suit_are_left_alone(size: Size, parts: PageContext) -> None:
    assert SizeAdvice.about(size, parts.model("mini")) is None


def test_it_stands_below_the_size_and_a_click_follows_it(parts: PageContext) -> None:
    studio = studio_of(TextToImageInputs, parts)
    size_of = studio.ingredients.sizing(studio.form).size
    page: dict[Any, Any] = page_of(studio) | {studio.form.width: 512, studio.form.height: 512}
    said = studio.final_words(page, size_of)
    assert "Mini was made for 128x128" in said and "then upscale 4x" in said
    updates = studio.use_native_size(page)
    assert updates[studio.form.width] == updates[studio.form.height] == 128
    assert updates[studio.upscaling.factor] == "4"
    assert "was made for" not in studio.final_words(page | updates, size_of)
    assert "512x512" in studio.final_words(page | updates, size_of), "it comes out as large"
    assert studio.use_native_size(page | updates) == {}


def test_sizes_that_follow_a_picture_are_not_advised_on(parts: PageContext) -> None:
    studio = studio_of(ImageToImageInputs, parts)
    page = page_of(studio) | {studio.form.width: 512, studio.form.height: 512}
    assert studio.use_native_size(page) == {}

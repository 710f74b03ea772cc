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
from tests.ui.test_tabs import tab_of


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
    wanted: Size, scale: float, painted: Size, upscaled: float, context: PageContext
) -> None:
    advice = SizeAdvice.about(wanted, context.model("mini"), scale)
    assert advice is not None
    assert (advice.size, advice.scale) == (painted, upscaled)
    assert f"Paint at {painted}" in advice.markup


@pytest.mark.parametrize("size", [Size(128, 128), Size(160, 128), Size(96, 128), Size(176, 176)])
def test_sizes_that_suit_are_left_alone(size: Size, context: PageContext) -> None:
    assert SizeAdvice.about(size, context.model("mini")) is None


def test_it_stands_below_the_size_and_a_click_follows_it(context: PageContext) -> None:
    tab = tab_of(TextToImageInputs, context)
    size_of = tab.tab_inputs.sizing(tab.form).size
    page: dict[Any, Any] = page_of(tab) | {tab.form.width: 512, tab.form.height: 512}
    said = tab.describe_final_size(page, size_of)
    assert "Mini was made for 128x128" in said and "then upscale 4x" in said
    updates = tab.use_native_size(page)
    assert updates[tab.form.width] == updates[tab.form.height] == 128
    assert updates[tab.upscaling.factor] == "4"
    assert "was made for" not in tab.describe_final_size(page | updates, size_of)
    assert "512x512" in tab.describe_final_size(page | updates, size_of), "it comes out as large"
    assert tab.use_native_size(page | updates) == {}


def test_sizes_that_follow_a_picture_are_not_advised_on(context: PageContext) -> None:
    tab = tab_of(ImageToImageInputs, context)
    page = page_of(tab) | {tab.form.width: 512, tab.form.height: 512}
    assert tab.use_native_size(page) == {}

"""From tab to tab, as a person goes: paint, send on, change, repaint a part."""

from __future__ import annotations

import io
import urllib.request
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import expect

from tests.browser.driver import Studio
from tests.browser.easel import Easel

TABS = (
    ("Text to image", ""),
    ("Image to image", "image_to_image"),
    ("Sketch & inpaint", "inpaint"),
    ("Draw & control", "controlnet"),
    ("Upscale", "upscale"),
)


def canvas_of(studio: Studio) -> Easel:
    """The canvas of the open tab."""
    return Easel(studio.page, cast("Any", None), f"{studio.tab}-canvas")


def send_to(studio: Studio, title: str, tab: str) -> None:
    """Send the finished picture to another tab."""
    studio.page.locator(f"{studio.id('stage')} details.send summary").click()
    studio.page.locator(f"{studio.id('stage')} .send-menu button", has_text=title).click()
    studio.arrive(tab)


def send_on(studio: Studio, title: str, tab: str) -> None:
    """Send the finished picture to another tab from the dialog that shows it large."""
    studio.page.locator(f"{studio.id('stage')} .open").click()
    studio.page.locator("#look-dialog details.send summary").click()
    studio.page.locator("#look-dialog .send-menu button", has_text=title).click()
    expect(studio.page.locator("#look-dialog")).to_be_hidden()
    studio.arrive(tab)


def shown(studio: Studio, url: str) -> NDArray[np.uint8]:
    """The finished picture's pixels: (height, width, 3) RGB."""
    source = studio.page.locator(f"{studio.id('stage')} img.final").get_attribute("src")
    with urllib.request.urlopen(f"{url}{source}", timeout=30) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))


def test_a_picture_goes_from_tab_to_tab(studio: Studio, url: str) -> None:
    studio.paint("a red house on a green hill at night", side=96)
    studio.expect_picture()
    first = shown(studio, url)

    send_to(studio, "Image to image", "image_to_image")
    expect(studio.prompt).to_have_value("a red house on a green hill at night")
    canvas_of(studio).expect_size((96, 96))
    studio.fast()
    studio.prompt.fill("a blue house on a green hill at night")
    studio.generate.click()
    studio.expect_picture()
    second = shown(studio, url)
    assert second.shape == first.shape and not np.array_equal(first, second)

    send_on(studio, "Sketch & inpaint", "inpaint")
    easel = canvas_of(studio)
    easel.expect_size((96, 96))
    easel.set("size", 12)
    easel.stroke((12, 12), (36, 12))
    studio.fast()
    studio.prompt.fill("a blue house behind a stroke")
    studio.generate.dblclick()  # at once after the last stroke, and once all the same
    studio.expect_picture()
    expect(studio.thumbnails_of("a blue house behind a stroke")).to_have_count(1)
    expect(studio.line).to_contain_text("0 pixels changed outside the mask")
    third = shown(studio, url)
    changed = np.abs(third.astype(int) - second).max(axis=2) > 0
    assert changed[6:18, 6:42].any()
    assert not changed[60:, :].any() and not changed[:, 80:].any()

    studio.page.reload()
    studio.wait_until_ready()
    expect(studio.generate).to_be_visible()
    easel.expect_size((96, 96))
    studio.go("Text to image", "")
    expect(studio.prompt).to_have_value("a red house on a green hill at night")


def test_inpainting_without_a_mask_is_refused_beside_the_canvas(studio: Studio) -> None:
    studio.go("Sketch & inpaint", "inpaint")
    studio.generate.click()
    expect(studio.page.locator("#inpaint-note-image .error")).to_contain_text("Open or drop")
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "green").save(buffer, "PNG")
    canvas_of(studio).open_picture(buffer.getvalue(), (64, 64))
    studio.generate.click()
    expect(studio.page.locator("#inpaint-note-image .error")).to_contain_text("mask")
    studio.expect_state("empty")


def test_what_a_resize_will_do_is_said_before(studio: Studio) -> None:
    studio.go("Image to image", "image_to_image")
    buffer = io.BytesIO()
    Image.new("RGB", (640, 480), "green").save(buffer, "PNG")
    canvas_of(studio).open_picture(buffer.getvalue(), (640, 480))
    foreseen = studio.page.locator("#image_to_image-foreseen")
    expect(foreseen).to_contain_text("640x480 will be resized to")
    studio.page.locator("#image_to_image-resize label", has_text="Crop").click()
    expect(foreseen).to_contain_text("cropped")


def test_every_tab_is_in_reach_and_none_is_too_wide(studio: Studio) -> None:
    page, opened = studio.page, set[str]()
    expect(page.get_by_role("tab")).to_have_count(len(TABS) + 2)  # and Models, Gallery
    for width in (390, 870, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        expect_in_reach(studio, "Gallery", width)
        for title, tab in TABS[::-1]:
            expect_in_reach(studio, title, width)
            studio.go(title, tab)
            if title not in opened:
                for drawer in page.locator("#tabs .drawer-title:visible").all():
                    drawer.click()
                opened.add(title)
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, f"{title} is {wide} px too wide on {width}"


def expect_in_reach(studio: Studio, title: str, width: int) -> None:
    box = studio.page.get_by_role("tab", name=title).bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width

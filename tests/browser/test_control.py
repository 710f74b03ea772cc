"""ControlNet as a person uses it: draw, look at the map, edit it, paint, and find it all again."""

from __future__ import annotations

import io
import urllib.request

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser.driver import Studio
from tests.browser.test_tabs import canvas_of, send_to, shown
from tests.pictures import png_of

HALVES = np.zeros((96, 96, 3), np.uint8)
HALVES[:, 48:] = (250, 240, 60)


def preprocessor(studio: Studio, name: str = "preprocessor") -> Locator:
    """The chosen preprocessor."""
    return studio.page.locator(f"{studio.id(name)} input")


def choose(studio: Studio, name: str, title: str) -> None:
    """Choose from a list."""
    studio.page.locator(f"{studio.id(name)} input").click()
    studio.page.get_by_role("option", name=title, exact=True).click()


def map_of(studio: Studio, url: str, name: str = "") -> NDArray[np.uint8]:
    """Click "Show the map"; returns the new one's pixels: (height, width, 3) RGB."""
    place = studio.id(f"{name}map")
    before = studio.page.locator(f"{place} .map img")
    known = before.get_attribute("src") if before.count() else ""
    studio.page.locator(studio.id(f"{name}show-map")).click()
    image = studio.page.locator(f'{place} .map:not(.outdated) img:not([src="{known}"])')
    expect(image).to_be_visible()
    with urllib.request.urlopen(f"{url}{image.get_attribute('src')}", timeout=30) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))


def painted(studio: Studio, url: str) -> NDArray[np.int64]:
    """Generate with the same seed as ever; returns the picture's pixels."""
    known = studio.thumbnails.count()
    studio.generate.click()
    expect(studio.thumbnails).to_have_count(known + 1)
    studio.expect_picture()
    return shown(studio, url).astype(int)


def ready_to_paint(studio: Studio, prompt: str) -> None:
    """A prompt, few steps, a seed that stays, and pictures that are equal to the last bit."""
    studio.prompt.fill(prompt)
    studio.fast()
    studio.page.locator(f"{studio.id('profile')} label", has_text="Exact").click()
    studio.number("seed", 5)
    studio.page.locator(f"{studio.id('keep-seed')} input").check()


def test_a_drawing_is_shown_edited_painted_and_kept(studio: Studio, url: str) -> None:
    studio.go("Draw & control", "controlnet")
    page, easel = studio.page, canvas_of(studio)
    studio.generate.click()
    note = page.locator("#controlnet-note-image .error")
    expect(note).to_contain_text("Draw or open a picture first")

    easel.root.locator("[data-do=makeBlank]").click()
    easel.expect_size((512, 512))
    expect(preprocessor(studio)).to_have_value("Invert")
    easel.settled().stroke((64, 256), (448, 256))
    drawn = map_of(studio, url)
    assert drawn.shape == (128, 128, 3)
    assert drawn[64, 20:108].min() > 150 and drawn[:56].max() < 16 and drawn[72:].max() < 16
    easel.settled().stroke((256, 64), (256, 200))
    expect(page.locator("#controlnet-map .map.outdated")).to_be_visible()
    expect(page.locator("#controlnet-map")).to_contain_text("Settings have changed")
    assert map_of(studio, url)[20:48, 64].min() > 150
    with page.expect_download() as download:
        page.locator("#controlnet-map a").click()
    assert download.value.suggested_filename == "control-map.png"

    ready_to_paint(studio, "a red house on a green hill at night")
    with_control = painted(studio, url)
    expect(note).to_have_count(0)
    page.fill("#controlnet-conditioning-scale input[type=number]", "0")
    page.locator("#controlnet-conditioning-scale input[type=number]").blur()
    assert not np.array_equal(painted(studio, url), with_control), "the drawing counts"

    page.locator("#controlnet-map [data-keep]").click()
    easel.expect_size((128, 128))
    expect(preprocessor(studio)).to_have_value("None: it is a control map")
    expect(easel.root.locator("input[data-set=colour]")).to_have_value("#ffffff")
    easel.settled().stroke((20, 110), (108, 110))
    edited = map_of(studio, url)
    assert edited[64, 20:108].min() > 150 and edited[110, 24:104].min() > 150

    page.reload()
    studio.wait_until_ready()
    expect(studio.generate).to_be_visible()
    easel.expect_size((128, 128))
    expect(preprocessor(studio)).to_have_value("None: it is a control map")
    scale = page.locator("#controlnet-conditioning-scale input[type=number]")
    expect(scale).to_have_value("0")
    assert np.array_equal(map_of(studio, url), edited)

    send_to(studio, "Draw & control", "controlnet")
    expect(preprocessor(studio)).to_have_value("Edges (Canny)")
    assert set(np.unique(map_of(studio, url))) <= {0, 255}
    choose(studio, "preprocessor", "Invert")
    expect(page.locator("#controlnet-map .map.outdated")).to_be_visible()
    choose(studio, "preprocessor", "Edges (Canny)")
    expect(page.locator("#controlnet-map .map:not(.outdated)")).to_be_visible()


@pytest.mark.parametrize(
    ("title", "tab"), [("Image to image", "image_to_image"), ("Sketch & inpaint", "inpaint")]
)
def test_a_drawer_leads_while_it_has_a_picture(
    studio: Studio, url: str, title: str, tab: str
) -> None:
    studio.go(title, tab)
    page, easel = studio.page, canvas_of(studio)
    easel.open_picture(png_of(Image.fromarray(HALVES)), (96, 96))
    if tab == "inpaint":
        easel.set("size", 20)
        easel.settled().stroke((20, 20), (76, 20), (20, 60), (76, 60))
    ready_to_paint(studio, "a red house on a green hill at night")
    without = painted(studio, url)

    drawer = page.locator(studio.id("control-drawer"))
    in_use = drawer.locator(".in-use")
    well = drawer.locator(".paint-well")
    expect(in_use).to_be_hidden()
    expect(well).to_be_hidden()
    drawer.locator(".drawer-title").click()
    expect(well).to_be_visible()
    page.locator(studio.id("control-take")).click()
    expect(in_use).to_be_visible()
    edges = map_of(studio, url, "control-")
    assert edges[:, 44:52].max() == 255 and edges[:, :40].max() == 0
    led = painted(studio, url)
    assert not np.array_equal(led, without)

    page.reload()
    studio.wait_until_ready()
    expect(studio.generate).to_be_visible()
    expect(well).to_be_hidden()
    expect(in_use).to_be_visible()
    assert np.array_equal(painted(studio, url), led), "closed, it counts as before"
    drawer.locator(".drawer-title").click()
    well.locator("[data-do=clearAll]").click()
    expect(in_use).to_be_hidden()
    assert np.array_equal(painted(studio, url), without)


def test_what_needs_weights_says_so_before_anything_is_fetched(studio: Studio) -> None:
    studio.go("Draw & control", "controlnet")
    choose(studio, "preprocessor", "Depth (MiDaS), 470 MiB")
    said = studio.page.locator("#controlnet-preprocessor")
    expect(said).to_contain_text("Downloads 470 MiB")
    choose(studio, "preprocessor", "Scribble")
    expect(said).not_to_contain_text("Downloads")

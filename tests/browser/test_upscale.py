"""Upscaling as a person does it: open, enlarge, compare, look closely, download."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, FilePayload, Locator, expect

from tests.browser.driver import Studio
from tests.pictures import png_of

Opened = Callable[[BrowserContext], Studio]

UPSCALE = ("Upscale", "upscale")


def ramp(width: int, height: int, blue: int = 0) -> bytes:
    """A picture (PNG) that is nowhere the same."""
    pixels = np.full((height, width, 3), blue, np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return png_of(Image.fromarray(pixels))


def file(name: str, data: bytes, mime: str = "image/png") -> FilePayload:
    return {"name": name, "mimeType": mime, "buffer": data}


def open_files(studio: Studio, *files: FilePayload, known: int) -> None:
    """Open files through the button, and wait until `known` pictures are in the list."""
    page = studio.page
    with page.expect_file_chooser() as chooser:
        page.locator("#upscale-pictures [data-do=files]:visible").click()
    chooser.value.set_files(list(files))
    expect(page.locator(".pile-row:not(.pile-busy)")).to_have_count(known)


def viewer(studio: Studio) -> Locator:
    return studio.page.locator(f"{studio.id('stage')} .viewer")


def divider(studio: Studio) -> Locator:
    return studio.page.get_by_role("slider", name="Before and after")


def middle(place: Locator) -> tuple[float, float]:
    box = place.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def zoomed(studio: Studio) -> int:
    """The zoom in percent."""
    return int(viewer(studio).locator(".viewer-scale").inner_text().split()[0])


def test_a_picture_is_enlarged_compared_and_downloaded_whole(studio: Studio) -> None:
    studio.go(*UPSCALE)
    page = studio.page
    open_files(studio, file("small.png", ramp(48, 32)), known=1)
    expect(page.locator(".pile-size")).to_have_text("48x32")
    page.locator("#upscale-factor label", has_text="4x").click()
    expect(page.locator("#upscale-foreseen")).to_contain_text("48x32 will become 192x128.")
    studio.generate.click()
    studio.expect_picture()
    expect(studio.line).to_contain_text("Upscaled 48x32 to 192x128 with Mini upscaler")

    slider, before = divider(studio), viewer(studio).locator(".viewer-before img")
    expect(slider).to_have_attribute("aria-valuenow", "50")
    assert before.evaluate("image => image.naturalWidth") == 48
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "52 % before, 48 % after")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0")
    slider.press("End")
    x, y = middle(slider)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(*middle(before))
    page.mouse.up()
    expect(slider).to_have_attribute("aria-valuenow", re.compile("49|50|51"))

    fitted = zoomed(studio)
    view = viewer(studio).locator(".viewer-view")
    view.dblclick(position={"x": 100, "y": 60})
    assert zoomed(studio) == 100
    view.dblclick(position={"x": 100, "y": 60})
    assert zoomed(studio) == fitted
    page.mouse.move(*middle(view))
    page.mouse.wheel(0, -900)
    page.wait_for_function("document.querySelector('.viewer-crisp.viewer-roams')")
    after = viewer(studio).locator("img.final")
    for each in (before, after):
        assert each.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    held = after.bounding_box()
    view.press("ArrowRight")
    moved = after.bounding_box()
    assert held is not None and moved is not None and moved["x"] < held["x"]
    assert before.bounding_box() == moved, "both halves show the same place"

    with page.expect_download() as download:
        page.locator("#upscale-stage a.save").click()
    assert download.value.suggested_filename == "paintdiffusion-upscaled-1.png"
    got = Path(download.value.path()).read_bytes()
    assert Image.open(io.BytesIO(got)).size == (192, 128)
    whole = page.request.get(page.url + str(after.get_attribute("src"))).body()
    assert got == whole, "what is downloaded is the file that was saved"


def test_of_a_folder_what_is_no_picture_says_so_and_the_others_stay(
    studio: Studio, tmp_path: Path
) -> None:
    studio.go(*UPSCALE)
    page = studio.page
    studio.generate.click()
    expect(page.locator("#upscale-note-images .error")).to_contain_text("Open or drop a picture")
    bad = file("<b>bad</b>.png", b"no picture at all")
    open_files(studio, file("one.png", ramp(40, 40)), bad, known=1)
    refused = page.locator(".pile-refused li")
    expect(refused).to_have_text(re.compile(r"^<b>bad</b>\.png Can.t open this"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (10, 9):
        (folder / f"{number}.png").write_bytes(ramp(32, 48, 10 * number))
    (folder / "notes.txt").write_text("beside the pictures")
    with page.expect_file_chooser() as chooser:
        page.locator("#upscale-pictures [data-do=folder]:visible").click()
    chooser.value.set_files(folder)
    expect(page.locator(".pile-row:not(.pile-busy)")).to_have_count(3)
    expect(page.locator(".pile-name")).to_have_text(["one.png", "9.png", "10.png"])
    expect(refused).to_have_count(0)
    page.get_by_role("button", name="Remove one.png").click()
    expect(page.locator("#upscale-foreseen")).to_contain_text(
        "2 pictures of 32x48 will become 64x96."
    )

    page.reload()
    studio.wait_until_ready()
    expect(page.locator(".pile-row:not(.pile-busy)")).to_have_count(2)
    studio.generate.click()
    studio.expect_picture()
    page.get_by_role("button", name="Look closely at picture 2").click()
    look = page.locator("#look-dialog")
    expect(look.locator(".viewer-tag").first).to_have_text("After, 64x96")
    look.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Look closely at picture 1")).to_be_visible()


def test_a_result_is_upscaled_from_its_button_and_a_reload_finds_the_run(studio: Studio) -> None:
    page = studio.page
    page.locator("#enlarge-factor label", has_text="2x").click()
    studio.ask("a red house on a green hill at night", side=32)
    expect(page.locator("#final-size")).to_contain_text("32x32, upscaled to 64x64.")
    studio.generate.click()
    studio.expect_picture()
    expect(studio.line).to_contain_text("64x64")
    expect(divider(studio)).to_be_hidden()
    page.locator("#stage details.send summary").click()
    page.locator("#stage .send-menu button", has_text="Upscale").click()
    studio.arrive("upscale")
    expect(page.locator(".pile-size")).to_have_text("64x64")
    page.locator("#upscale-factor label", has_text="Other").click()
    page.locator("#upscale-other input").fill("8")
    page.locator("#upscale-other input").blur()
    expect(page.locator("#upscale-foreseen")).to_contain_text("64x64 will become 512x512.")
    studio.generate.click()
    studio.expect_state("queued", "loading", "painting")
    page.reload()
    studio.wait_until_ready()
    expect(page.locator("#upscale-other input")).to_have_value("8")
    expect(page.locator(".pile-size")).to_have_text("64x64")
    studio.expect_picture()
    page.reload()  # now it is finished before the tab is there
    studio.wait_until_ready()
    expect(viewer(studio).locator("img.final")).to_have_js_property("naturalWidth", 512)
    expect(divider(studio)).to_be_visible()


@pytest.fixture
def phone(browser: Browser, opened: Opened) -> Iterator[Studio]:
    visitor = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    yield opened(visitor)
    visitor.close()


def test_fingers_move_the_divider_and_the_picture(phone: Studio) -> None:
    phone.go(*UPSCALE)
    page = phone.page
    open_files(phone, file("small.png", ramp(40, 40)), known=1)
    phone.generate.click()
    phone.expect_picture()
    slider, after = divider(phone), viewer(phone).locator("img.final")
    slider.scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    x, y = middle(slider)
    fingers("touchStart", (x, y))
    fingers("touchMove", (x + 40, y))
    fingers("touchMove", (x + 80, y))
    fingers("touchEnd")
    moved = int(slider.get_attribute("aria-valuenow") or 0)
    assert 65 <= moved <= 90
    width = (after.bounding_box() or {})["width"]
    x, y = middle(viewer(phone).locator(".viewer-view"))
    fingers("touchStart", (x - 30, y), (x + 30, y))
    fingers("touchMove", (x - 60, y), (x + 60, y))
    fingers("touchEnd")
    pinched = after.bounding_box()
    assert pinched is not None and abs(pinched["width"] / width - 2) < 0.1
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    small = [
        each.bounding_box()
        for each in page.locator(".viewer-foot button, .pile button:visible").all()
    ]
    assert all(box is not None and box["height"] >= 44 for box in small)

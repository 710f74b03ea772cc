"""The canvas in a real browser: drawings arrive unchanged, compared pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from tests.browser.canvas_app import CanvasApp
from tests.browser.easel import Easel, covered, painted
from tests.pictures import encoded, pixels_of, png_of

SIZE = (128, 96)
NOTHING = np.zeros((SIZE[1], SIZE[0]), np.uint8)


@pytest.fixture(scope="module")
def app() -> Iterator[CanvasApp]:
    served = CanvasApp()
    served.start()
    yield served
    served.stop()


@pytest.fixture
def visit(app: CanvasApp, browser: Browser, kept_tab: Page) -> Iterator[Callable[..., Easel]]:
    """Opens the page on a desktop with `ratio` pixels of the screen in one of the page; afterwards
    no script may have failed.
    """
    easels: list[Easel] = []
    sharp = ExitStack()

    def open_with(name: str = "easel-canvas", ratio: int = 1) -> Easel:
        page = kept_tab
        if ratio > 1:
            page = sharp.enter_context(browser.new_context(device_scale_factor=ratio)).new_page()
        page.set_viewport_size({"width": 1100, "height": 800})
        easels.append(Easel(page, app, name))
        return easels[-1].open()

    with sharp:
        yield open_with
    for easel in easels:
        assert easel.script_errors == []


@pytest.fixture(scope="module")
def noise() -> bytes:
    """A picture that no other is like, as a PNG."""
    values = np.random.default_rng(7).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    return png_of(Image.fromarray(values))


def assert_close(found: NDArray[Any], expected: NDArray[Any], most: int = 1) -> None:
    """Equal but for the last bit of a rounding; and the drawing isn't empty."""
    assert found.shape == expected.shape and found.max() > 0
    difference = np.abs(found.astype(float) - expected)
    assert difference.max() <= most, f"{(difference > most).sum()} pixels differ"


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_drawing_lives_through_everything(
    visit: Callable[..., Easel], noise: bytes, ratio: int
) -> None:
    """Tools, undo, zoom, a smaller window, another tab, a reload: not a pixel is lost."""
    easel = visit(ratio=ratio)
    page = easel.page
    easel.open_picture(noise, SIZE)
    easel.set("softness", 0)
    width = easel.brush_width()
    strokes = [easel.stroke((20, 20), (90, 30), (64, 80))]
    undone = easel.stroke((5, 90), (120, 90))
    page.keyboard.press("Control+z")

    page.keyboard.press("b")
    easel.set("softness", 0)
    easel.root.locator("input[data-set=colour]").fill("#0a7bff")
    coloured = easel.stroke((30, 70), (110, 15))
    page.keyboard.press("e")
    expect(easel.root.locator(".paint-erases")).to_have_text("Erases colour strokes")
    easel.set("softness", 0)
    erased = easel.stroke((70, 10), (70, 86))

    page.keyboard.press("m")
    before = easel.place()["scale"]
    page.mouse.move(*easel.on_page((100, 70)))
    page.mouse.wheel(0, -400)
    page.wait_for_function(
        "([name, scale]) => paintdiff.canvas.placement(name).scale > scale * 1.3",
        arg=[easel.name, before],
    )
    strokes.append(easel.stroke((95, 60), (112, 74)))
    easel.resized(900, 720)
    strokes.append(easel.stroke((90, 65), (105, 72)))
    page.get_by_role("tab", name="Well").click()
    expect(easel.root).to_be_hidden()
    page.get_by_role("tab", name="Paint").click()
    expect(easel.root).to_be_visible()
    easel.press("0")
    page.wait_for_function(
        "name => { const place = paintdiff.canvas.placement(name);"
        " return place.left > 0 && place.left + 128 * place.scale < window.innerWidth; }",
        arg=easel.name,
    )
    strokes.append(easel.stroke((10, 50), (30, 60)))

    expected: NDArray[Any] = NOTHING.astype(float)
    for points in strokes:
        expected = painted(expected, covered(SIZE, points, width))
    alpha = covered(SIZE, coloured, width) * 255
    alpha = np.rint(alpha * (1 - covered(SIZE, erased, width)))

    def check(content: Any) -> None:
        assert content.image == noise, "the picture's file arrives untouched"
        assert_close(pixels_of(content.mask), expected)
        sketch = pixels_of(content.sketch)
        assert_close(sketch[..., 3], alpha)
        assert np.array_equal(
            sketch[..., :3], np.where(sketch[..., 3:] > 0, [0x0A, 0x7B, 0xFF], 0)
        ), "straight alpha: the colour is whole also where it is thin"

    check(easel.send())
    # Negative control: the model does see a stroke that isn't there.
    assert np.abs(painted(expected, covered(SIZE, undone, width)) - expected).max() > 200

    page.reload()
    easel.ready()
    easel.expect_size(SIZE)
    check(easel.send())
    expect(easel.root.locator("[data-do=undo]")).to_be_disabled()


def test_each_tab_of_the_browser_keeps_its_own_drawing(
    visit: Callable[..., Easel], app: CanvasApp, noise: bytes
) -> None:
    """A new one begins with what was drawn last; a reload brings back its own."""
    first = visit()
    first.open_picture(noise, SIZE)
    first.set("softness", 0)
    first.stroke((20, 20), (60, 20))
    drawn = first.send().mask
    assert drawn is not None
    second = Easel(first.page.context.new_page(), app).open()
    second.expect_size(SIZE)
    assert second.send().mask == drawn
    second.page.bring_to_front()
    second.stroke((20, 70), (100, 70))
    more = second.send().mask
    assert more is not None and more != drawn
    for easel, mask in ((first, drawn), (second, more)):
        easel.page.bring_to_front()
        easel.page.reload()
        easel.ready()
        easel.expect_size(SIZE)
        assert easel.send().mask == mask
    # Eight tabs are remembered, and no more.
    for _ in range(8):
        Easel(first.page.context.new_page(), app).open().expect_size(SIZE)
    kept = second.page.evaluate(
        """() => new Promise((resolve) => {
          indexedDB.open("paintdiff.canvas").onsuccess = ({target}) => {
            const store = target.result.transaction("parts").objectStore("parts");
            store.getAllKeys().onsuccess = ({target}) => resolve(target.result);
          };
        })"""
    )
    assert len([key for key in kept if key.startswith("seen/easel-canvas/")]) == 8
    assert len([key for key in kept if key.endswith("/easel-canvas/picture")]) == 8


def test_the_last_stroke_is_sent_though_it_was_only_just_drawn(
    visit: Callable[..., Easel], noise: bytes
) -> None:
    easel = visit()
    easel.open_picture(noise, SIZE)
    easel.set("softness", 0)
    first = easel.stroke((20, 20), (60, 20))
    easel.send()

    def late(route: Route) -> None:
        easel.page.wait_for_timeout(700)
        route.continue_()

    easel.page.route("**/uploads*", late)
    second = easel.stroke((20, 60), (100, 60))
    content = easel.send()
    expected: NDArray[Any] = NOTHING.astype(float)
    for points in (first, second):
        expected = painted(expected, covered(SIZE, points, easel.brush_width()))
    assert content.mask is not None
    assert_close(pixels_of(content.mask), expected)


def test_undo_and_redo_are_exact(visit: Callable[..., Easel], noise: bytes) -> None:
    easel = visit()
    easel.open_picture(noise, SIZE)
    states = [None]
    for y in (20, 48, 76):
        easel.stroke((10, y), (110, y + 10))
        states.append(easel.send().mask)
    for state in reversed(states[:-1]):
        easel.press("Control+z")
        assert_same(easel.send().mask, state)
    for state, keys in zip(
        states[1:], ("Control+Shift+z", "Control+y", "Control+Shift+z"), strict=True
    ):
        easel.press(keys)
        assert_same(easel.send().mask, state)
    easel.menu("Picture", "clearAll")
    expect(easel.root.locator(".paint-empty")).to_be_visible()
    assert "Open or drop a picture first" in easel.said()
    easel.press("Control+z")
    easel.expect_size(SIZE)
    content = easel.send()
    assert content.image == noise
    assert_same(content.mask, states[-1])


def assert_same(one: bytes | None, other: bytes | None) -> None:
    """Two masks, either of which may be none, have the same pixels."""
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert np.array_equal(pixels_of(one), pixels_of(other))


def centre(locator: Locator) -> tuple[float, float]:
    box = locator.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("ratio", [1, 2])
def test_what_is_clicked_is_what_is_seen(visit: Callable[..., Easel], ratio: int) -> None:
    """Knows only the screenshot: where the white spot is seen, the mask lands on it."""
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    picture[60:65, 90:95] = (0, 255, 0)
    easel = visit(ratio=ratio)
    easel.open_picture(png_of(Image.fromarray(picture)), SIZE)
    for zoomed in (False, True):
        if zoomed:
            easel.page.mouse.move(*easel.on_page((90, 60)))
            easel.page.mouse.wheel(0, -500)
        easel.page.mouse.move(5, 5)
        shot = easel.seen().astype(int)
        y, x = np.nonzero((shot[..., 1] > 200) & (shot[..., 0] < 60) & (shot[..., 2] < 60))
        assert len(x) > 100
        easel.page.mouse.click(x.mean() / ratio, y.mean() / ratio)
        mask = easel.send().mask
        assert mask is not None
        rows, columns = np.nonzero(pixels_of(mask))
        assert abs(columns.mean() - 92) < 0.5 and abs(rows.mean() - 62) < 0.5
        easel.menu("Mask", "clearMask")


def test_a_soft_brush_fades_and_opacity_holds(visit: Callable[..., Easel], noise: bytes) -> None:
    easel = visit()
    easel.open_picture(noise, SIZE)
    easel.set("size", 28)
    easel.set("softness", 100)
    easel.set("opacity", 60)
    points = easel.stroke((30, 48), (100, 48), (30, 48))
    mask = easel.send().mask
    assert mask is not None
    amount = covered(SIZE, points, easel.brush_width(), 1.0) * 0.6
    assert_close(pixels_of(mask), painted(NOTHING, amount))
    assert len(np.unique(pixels_of(mask)[:, 64])) > 12


def test_masks_are_uploaded_inverted_downloaded_and_cleared(
    visit: Callable[..., Easel], noise: bytes, tmp_path: Path
) -> None:
    easel = visit()
    easel.open_picture(noise, SIZE)
    grey = np.random.default_rng(3).integers(0, 256, (SIZE[1], SIZE[0]), dtype=np.uint8)

    def upload(mask: NDArray[np.uint8]) -> None:
        with easel.page.expect_file_chooser() as chooser:
            easel.menu("Mask", "chooseMask")
        data = png_of(Image.fromarray(mask))
        chooser.value.set_files({"name": "m.png", "mimeType": "image/png", "buffer": data})

    upload(grey[:50])
    expect(easel.note).to_contain_text("128x50, but the picture is 128x96")
    assert easel.send().mask is None
    upload(grey)
    mask = None
    for _ in range(200):  # until the file has been read
        mask = mask or easel.send().mask
    assert mask is not None and np.array_equal(pixels_of(mask), grey)
    easel.menu("Mask", "invertMask")
    mask = easel.send().mask
    assert mask is not None and np.array_equal(pixels_of(mask), 255 - grey)
    with easel.page.expect_download() as download:
        easel.menu("Mask", "downloadMask")
    assert download.value.suggested_filename == "mask.png"
    assert np.array_equal(pixels_of(Path(download.value.path()).read_bytes()), 255 - grey)
    easel.menu("Mask", "clearMask")
    content = easel.send()
    assert content.mask is None and content.image == noise


def test_the_app_sets_and_empties_it(visit: Callable[..., Easel], noise: bytes) -> None:
    easel = visit()
    page = easel.page
    for _ in range(2):  # the same picture again drops what was drawn on it
        page.locator("#show").click()
        easel.expect_size(SIZE)
        expect(page.locator("#events textarea, #events input")).to_have_value("upload 128x96")
        content = easel.send()
        assert content.mask is None and pixels_of(content.image)[10, 20].tolist() == [20, 10, 0]
        easel.stroke((20, 20), (90, 70))
        assert easel.send().mask is not None
    page.locator("#empty").click()
    expect(easel.root.locator(".paint-empty")).to_be_visible()
    expect(page.locator("#events textarea, #events input")).to_have_value("clear")
    assert "image: Open or drop a picture first" in easel.said()


def test_a_restarted_app_is_sent_everything_again(
    visit: Callable[..., Easel], app: CanvasApp, noise: bytes
) -> None:
    easel = visit()
    easel.open_picture(noise, SIZE)
    easel.stroke((20, 20), (90, 70))
    first = easel.send()
    unchanged = dict(app.values[-1])
    assert easel.send() == first and app.values[-1] == unchanged, "nothing is sent twice"
    app.forget()
    assert easel.send() == first
    assert not set(unchanged.values()) & {app.values[-1]["image"], app.values[-1]["mask"]}


def test_keys_are_for_the_canvas_only_when_nothing_is_written(
    visit: Callable[..., Easel], noise: bytes
) -> None:
    easel = visit()
    easel.open_picture(noise, SIZE)
    easel.stroke((20, 20), (90, 70))
    width = easel.brush_width()
    prompt = easel.page.locator("#prompt textarea, #prompt input")
    prompt.click()
    easel.page.mouse.move(*easel.on_page((50, 50)))
    easel.page.keyboard.type("be [ ] 01")
    easel.page.keyboard.press("Control+z")
    assert easel.pressed() == "mask" and easel.brush_width() == width
    assert easel.send().mask is not None
    easel.page.mouse.move(*easel.on_page((50, 50)))
    easel.root.locator("canvas").focus()
    easel.page.keyboard.type("]]]")
    assert easel.brush_width() > width
    easel.page.keyboard.type("i")
    assert easel.pressed() == "pick"
    easel.page.mouse.click(*easel.on_page((60.5, 90.5)))
    colour = easel.root.locator("input[data-set=colour]").input_value()
    assert colour == "#" + bytes(pixels_of(noise)[90, 60].tolist()).hex()
    before = easel.place()
    easel.page.keyboard.down(" ")
    easel.page.mouse.down()
    there = easel.on_page((60.5, 90.5))
    easel.page.mouse.move(there[0] - 40, there[1] - 25)
    easel.page.mouse.up()
    easel.page.keyboard.up(" ")
    after = easel.place()
    assert round(before["left"] - after["left"]) == 40 and round(before["top"] - after["top"]) == 25


def test_pictures_are_dropped_and_pasted(visit: Callable[..., Easel], noise: bytes) -> None:
    easel = visit()
    script = """([selector, kind, bytes, mime]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "it", { type: mime }));
      const options = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
      const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
      document.querySelector(selector).dispatchEvent(new Kind(kind, options));
    }"""
    place = f"#{easel.name} .paint-view"
    easel.page.evaluate(script, [place, "drop", list(noise), "image/png"])
    easel.expect_size(SIZE)
    assert easel.send().image == noise
    easel.page.evaluate(script, [place, "drop", [1, 2], "text/plain"])
    expect(easel.note).to_have_text(
        "This isn\N{RIGHT SINGLE QUOTATION MARK}t a picture. Use PNG, JPEG or WebP."
    )
    gif = encoded(Image.new("P", (50, 40), 3), "GIF")
    easel.page.mouse.move(*centre(easel.root))
    easel.page.evaluate(script, [place, "paste", list(gif), "image/gif"])
    easel.expect_size((50, 40))
    content = easel.send()
    assert content.image.startswith(b"\x89PNG") and (content.width, content.height) == (50, 40)
    start = noise[:16] + (32_768).to_bytes(4, "big") * 2 + noise[24:]
    easel.choose(start)
    expect(easel.note).to_contain_text("1073.7 million pixels")
    easel.choose(b"not a picture")
    expect(easel.note).to_contain_text("Use PNG, JPEG or WebP")
    assert easel.send().image == content.image, "what was there stays"


def test_a_well_takes_a_picture_as_it_is(visit: Callable[..., Easel]) -> None:
    easel = visit("well-canvas")
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph = encoded(Image.new("RGB", (40, 20), "red"), "JPEG", exif=exif)
    easel.choose(photograph, "p.jpg", "image/jpeg")
    easel.expect_size((20, 40))
    expect(easel.root.locator(".paint-bar")).to_have_count(0)
    content = easel.send()
    assert content.image == photograph and (content.width, content.height) == (20, 40)
    easel.root.locator("[data-do=clearAll]").click()
    assert "Open or drop a picture first" in easel.said()


def test_lines_are_drawn_in_what_is_seen(visit: Callable[..., Easel]) -> None:
    """A canvas without a mask: black on white, white on black, as thick as it looks."""
    easel = visit("lines-canvas")
    root, page = easel.root, easel.page
    told = page.locator("#events-lines textarea, #events-lines input")
    assert root.locator("[data-tool=mask], [data-show=mask], [data-do=clearMask]").count() == 0
    root.locator("[data-do=makeBlank]").click()
    easel.expect_size((256, 192))
    expect(told).to_have_value("blank  False")
    easel.press("m")
    assert easel.pressed() == "sketch", "there is no mask to paint"
    colour = root.locator("input[data-set=colour]")
    expect(colour).to_have_value("#000000")
    assert easel.brush_width() == 4
    easel.set("softness", 0)
    points = easel.settled().stroke((30, 40), (200, 150))
    content = easel.send()
    assert content.mask is None and content.sketch is not None
    assert (pixels_of(content.image) == 255).all()
    sketch = pixels_of(content.sketch)
    assert_close(sketch[..., 3], covered((256, 192), points, 4) * 255)
    assert sketch[..., :3].max() == 0

    night = png_of(Image.new("RGB", (512, 384), (10, 10, 60)))
    with page.expect_file_chooser() as chooser:
        easel.menu("Picture", "choosePicture")
    chooser.value.set_files({"name": "n.png", "mimeType": "image/png", "buffer": night})
    easel.expect_size((512, 384))
    expect(told).to_have_value("file blank True")
    expect(colour).to_have_value("#ffffff")
    assert easel.brush_width() == 8, "a line is as thick as it was, seen beside the picture"
    colour.fill("#ff0000")
    easel.press("Control+z")
    easel.expect_size((256, 192))
    expect(colour).to_have_value("#ff0000")  # whoever has chosen a colour keeps it
    expect(told).to_have_value("None None False")
    assert_same(easel.send().sketch, content.sketch)


def test_a_phone_draws_with_one_finger_and_moves_with_two(
    browser: Browser, app: CanvasApp, noise: bytes
) -> None:
    phone = browser.new_context(
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        has_touch=True,
        is_mobile=True,
    )
    easel = Easel(phone.new_page(), app).open()
    easel.open_picture(noise, SIZE)
    easel.set("softness", 0)
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    assert easel.page.evaluate(overflow) <= 0
    for button in easel.root.locator("button:visible, summary:visible").all():
        box = button.bounding_box()
        assert box is not None and box["height"] >= 44 and box["width"] >= 44
    points = touched(phone, easel, [[(20, 20)], [(60, 30)], [(100, 70)]])
    before = easel.place()["scale"]
    fingers = [(50.0, 40.0), (70.0, 55.0)]
    spread = [[fingers[0]], fingers, [(40, 35), (80, 60)], [(30, 28), (95, 70)]]
    touched(phone, easel, spread)
    assert easel.place()["scale"] > before * 1.5
    mask = easel.send().mask
    assert mask is not None
    expected = painted(NOTHING, covered(SIZE, points, easel.brush_width()))
    assert_close(pixels_of(mask), expected)  # and so the pinch drew nothing
    phone.close()
    assert easel.script_errors == []


def touched(
    phone: BrowserContext, easel: Easel, steps: list[list[tuple[float, float]]]
) -> list[tuple[float, float]]:
    """Move fingers through the steps (a point of the picture for each finger); returns where on
    the picture the first really was."""
    session = phone.new_cdp_session(easel.page)
    easel.root.locator(".paint-view").scroll_into_view_if_needed()
    there = [[easel.on_page(point) for point in fingers] for fingers in steps]
    first = [easel.in_picture(fingers[0]) for fingers in there]
    count = 0
    for fingers in there:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        kind = "touchStart" if len(fingers) > count else "touchMove"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        count = len(fingers)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()
    return first

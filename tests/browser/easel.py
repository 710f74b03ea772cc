"""A canvas as a person uses it, and a model of its brush that knows nothing of its code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Locator, Page, expect

from paintdiff.ui.inputs.canvas import CanvasContent
from tests.browser.canvas_app import CanvasApp
from tests.browser.driver import WAIT_MS
from tests.pictures import pixels_of

Point = tuple[float, float]


def covered(
    size: tuple[int, int], points: Sequence[Point], width: float, softness: float = 0.0
) -> NDArray[np.float64]:
    """How much of each pixel a stroke covers: (height, width), 0..1 in steps of 1/255.

    A pixel's distance is that of its centre to the line through `points`. The brush reaches half a
    pixel beyond its radius, and fades out (smoothstep) over a pixel, or over `softness` of its
    reach if that is more.
    """
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    nearest = np.full(x.shape, np.inf)
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[-1]], strict=True):
        length2 = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-12)
        along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2, 0, 1)
        distance = np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))
        nearest = np.minimum(nearest, distance)
    reach = width / 2 + 0.5
    part = np.clip((reach - nearest) / max(1.0, softness * reach), 0, 1)
    return np.round(255 * part**2 * (3 - 2 * part)) / 255


def painted(mask: NDArray[Any], amount: NDArray[np.float64]) -> NDArray[np.float64]:
    """A mask with one more stroke on it."""
    return np.rint(mask + (255 - mask) * amount)


class Easel:
    """The page of CanvasApp in one tab of a browser."""

    def __init__(self, page: Page, app: CanvasApp, name: str = "easel-canvas") -> None:
        self.page, self.app, self.name = page, app, name
        self.script_errors: list[str] = []
        page.on("pageerror", lambda error: self.script_errors.append(str(error)))
        page.set_default_timeout(WAIT_MS)

    def open(self) -> Easel:
        """Go to the page, and to the tab that the canvas is in."""
        self.page.goto(self.app.url)
        if self.suffix:
            title = self.suffix.removeprefix("-").capitalize()
            self.page.get_by_role("tab", name=title).click()
        self.ready()
        return self

    def ready(self) -> None:
        """Wait until the canvas is there."""
        self.root.wait_for()

    @property
    def suffix(self) -> str:
        """The ending of the ids in this canvas's tab of CanvasApp."""
        return {"well-canvas": "-well", "lines-canvas": "-lines"}.get(self.name, "")

    @property
    def root(self) -> Locator:
        return self.page.locator(f"#{self.name} .paint-canvas")

    @property
    def note(self) -> Locator:
        return self.root.locator(".paint-note")

    def choose(self, data: bytes, name: str = "picture.png", mime: str = "image/png") -> None:
        """Open a file through the button of an empty canvas, or through the menu."""
        with self.page.expect_file_chooser() as chooser:
            if self.root.locator(".paint-empty").is_visible():
                self.root.locator(".paint-empty [data-do=choosePicture]").click()
            else:
                self.menu("Picture", "choosePicture")
        chooser.value.set_files({"name": name, "mimeType": mime, "buffer": data})

    def open_picture(self, data: bytes, size: tuple[int, int]) -> None:
        """Open a PNG and wait until it is there."""
        self.choose(data)
        self.expect_size(size)

    def expect_size(self, size: tuple[int, int]) -> None:
        """Wait until a picture of that size is on the canvas."""
        expect(self.root.locator(".paint-size")).to_have_text(f"{size[0]}x{size[1]}")

    def menu(self, name: str, action: str) -> None:
        """Click an entry of a menu."""
        self.root.locator(f"summary:text-is('{name}')").click()
        self.root.locator(f".paint-menu [data-do={action}]").click()

    def set(self, name: str, value: float) -> None:
        """Move a slider."""
        self.root.locator(f"input[data-set={name}]").fill(str(value))

    def brush_width(self) -> int:
        """The brush's width, in pixels of the picture, as the bar says."""
        return int(self.root.locator("[data-of=size]").inner_text().split()[0])

    def pressed(self) -> str | None:
        """The tool in hand."""
        return self.root.locator("button[data-tool][aria-pressed=true]").get_attribute("data-tool")

    def place(self) -> dict[str, float]:
        """Where the picture lies: left, top, scale, in CSS pixels."""
        found: dict[str, float] = self.page.evaluate(
            "name => paintdiff.canvas.placement(name)", self.name
        )
        return found

    def on_page(self, point: Point) -> tuple[int, int]:
        """The whole point of the page next to a point of the picture."""
        place = self.place()
        return (
            round(place["left"] + point[0] * place["scale"]),
            round(place["top"] + point[1] * place["scale"]),
        )

    def in_picture(self, point: tuple[int, int]) -> Point:
        """Where on the picture a point of the page is."""
        place = self.place()
        return (
            (point[0] - place["left"]) / place["scale"],
            (point[1] - place["top"]) / place["scale"],
        )

    def press(self, keys: str) -> None:
        """Press a key with the pointer over the canvas."""
        box = self.root.locator(".paint-view").bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.keyboard.press(keys)

    def resized(self, width: int, height: int) -> None:
        """Change the window's size, and wait until the canvas has taken it in."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.wait_for_function(
            """([name, width]) => {
              const surface = document.querySelector(`#${name} .paint-surface`);
              const shown = Math.round(surface.clientWidth * window.devicePixelRatio);
              return window.innerWidth === width && surface.width === shown;
            }""",
            arg=[self.name, width],
        )

    def settled(self) -> Easel:
        """Wait until nothing beside the picture moves it any more."""
        self.page.wait_for_function(
            """async (name) => {
              const place = () => JSON.stringify(paintdiff.canvas.placement(name));
              const before = place();
              await new Promise((resolve) => setTimeout(resolve, 300));
              return place() === before;
            }""",
            arg=self.name,
        )
        return self

    def seen(self) -> NDArray[np.uint8]:
        """Return a screenshot's pixels, once two in a row are alike: (height, width, RGB)."""
        before = pixels_of(self.page.screenshot())
        for _ in range(100):
            self.page.wait_for_timeout(200)
            now = pixels_of(self.page.screenshot())
            if np.array_equal(now, before):
                return now[..., :3]
            before = now
        raise AssertionError("the page never rests")

    def stroke(self, *points: Point) -> list[Point]:
        """Draw with the mouse; returns where on the picture the pointer really was."""
        there = [self.on_page(point) for point in points]
        box = self.root.locator(".paint-view").bounding_box()
        assert box is not None
        for x, y in there:
            assert 0 < x - box["x"] < box["width"] and 0 < y - box["y"] < box["height"], "not seen"
        mouse = self.page.mouse
        mouse.move(*there[0])
        mouse.down()
        for point in there[1:]:
            mouse.move(*point)
        mouse.up()
        return [self.in_picture(point) for point in there]

    def send(self) -> CanvasContent:
        """Click Send; returns what arrived on the server."""
        said = self.said()
        assert said.endswith("received"), said
        return self.app.received[-1]

    def said(self) -> str:
        """Click Send; returns what the server says."""
        count = len(self.app.values)
        self.page.locator(f"#send{self.suffix}").click()
        answer = self.page.locator(f"#said{self.suffix}").locator("textarea, input")
        expect(answer).to_have_value(re.compile(f"^{count + 1}: "), timeout=WAIT_MS)
        return answer.input_value()

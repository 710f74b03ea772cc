"""The README's pictures of the app: `python -m docs.pictures [NAME ...]`, all of them by default.

Starts the app, uses it in a headless browser as the tests do, and writes `docs/images/NAME.png`.
Needs what the tests need (requirements-dev.txt, a browser).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import ViewportSize, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, EXECUTABLE, running_app
from tests.browser.driver import Studio
from tests.browser.easel import Point
from tests.browser.test_tabs import canvas_of, send_to

IMAGES = Path(__file__).with_name("images")
WINDOW: ViewportSize = {"width": 1440, "height": 900}
TO_THE_TOP = "document.querySelectorAll('*').forEach((each) => each.scrollTo(0, 0))"
HOUSE = "a red house on a green hill at night"
FILMSTRIP = (
    ("an orange fish in the deep sea", 6),
    ("a pink castle on a snowy mountain at dusk", 8),
    ("a purple flower on a green hill at sunrise", 2),
    ("a black cat under the aurora", 10),
    ("a white bird by a mountain lake by day", 7),
)
"""Prompts and seeds; the last is the one that is seen large."""


def text_to_image(studio: Studio) -> None:
    """Five pictures painted, the last one large."""
    for number, (prompt, seed) in enumerate(FILMSTRIP, start=1):
        _paint(studio, prompt, seed)
        expect(studio.thumbnails).to_have_count(number)
        studio.expect_picture()


def inpaint(studio: Studio) -> None:
    """A house masked, and a flower painted in its place."""
    _paint(studio, HOUSE, 7)
    studio.expect_picture()
    send_to(studio, "Sketch & inpaint", "inpaint")
    easel = canvas_of(studio)
    easel.expect_size((128, 128))
    easel.set("size", 22)
    easel.settled().stroke(*((x, y) for y in (50, 68, 86, 104) for x in (34, 96)))
    studio.page.fill(f"{studio.id('strength')} input[type=number]", "0.95")
    _paint(studio, "a yellow flower on a green hill at night", 11)
    studio.expect_picture()


def controlnet(studio: Studio) -> None:
    """A house drawn with black lines, its map, and the painting."""
    studio.go("Draw & control", "controlnet")
    easel = canvas_of(studio)
    easel.root.locator("[data-do=makeBlank]").click()
    easel.expect_size((512, 512))
    easel.set("size", 15)
    easel.settled()
    walls: tuple[Point, ...] = ((150, 400), (150, 250), (256, 150), (362, 250), (362, 400))
    door: tuple[Point, ...] = ((220, 400), (220, 320), (290, 320), (290, 400))
    for line in (walls, door, ((40, 400), (480, 400))):
        easel.stroke(*line)
    studio.page.locator(studio.id("show-map")).click()
    expect(studio.page.locator(f"{studio.id('map')} .map img")).to_be_visible()
    _paint(studio, "a blue house on a snowy mountain by day", 8)
    studio.expect_picture()


def upscale(studio: Studio) -> None:
    """A painting before and after."""
    _paint(studio, HOUSE, 7)
    studio.expect_picture()
    send_to(studio, "Upscale", "upscale")
    studio.page.locator("#upscale-factor label", has_text="4x").click()
    studio.generate.click()
    studio.expect_picture()


def models(studio: Studio) -> None:
    """The cards of what comes with the app."""
    studio.page.get_by_role("tab", name="Models").click()
    expect(studio.page.get_by_text("Mini sketch").first).to_be_visible()


PICTURES: Mapping[str, Callable[[Studio], None]] = {
    "app": text_to_image,
    "inpaint": inpaint,
    "controlnet": controlnet,
    "upscale": upscale,
    "models": models,
}


def main() -> None:
    """Take those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    names = parser.parse_args().names or list(PICTURES)
    if unknown := set(names) - PICTURES.keys():
        parser.error(f"there is no picture {', '.join(sorted(unknown))}")
    for name in names:
        with _studio() as studio:
            PICTURES[name](studio)
            studio.page.mouse.move(0, 0)
            studio.page.evaluate(TO_THE_TOP)
            studio.page.screenshot(path=IMAGES / f"{name}.png")


def _paint(studio: Studio, prompt: str, seed: int) -> None:
    studio.prompt.fill(prompt)
    studio.number("seed", seed)
    studio.page.locator(f"{studio.id('seed')} input[type=number]").blur()
    studio.generate.click()


@contextmanager
def _studio() -> Iterator[Studio]:
    """The page of an app of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_app(Path(folder)) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=ARGUMENTS)
        studio = Studio(browser.new_page(viewport=WINDOW))
        studio.page.goto(url)
        studio.wait_until_ready()
        yield studio
        browser.close()


if __name__ == "__main__":
    main()

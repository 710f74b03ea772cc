"""axe-core finds nothing to complain about, on any tab, idle or with a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.driver import Studio
from tests.browser.test_tabs import TABS, canvas_of, send_to

Opened = Callable[[BrowserContext], Studio]
Scheme = Literal["light", "dark"]
TALL_PX = 4000
"""High enough that nothing scrolls: axe can't tell the colour behind what is covered."""
QUICK: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
"""Stylesheets needn't be read again: of the rules that are on, only that of audio which plays by
itself asks for more than the page has, and there is none."""
SCHEMES: dict[Scheme, dict[str, Any]] = {
    "light": QUICK,
    "dark": {**QUICK, "runOnly": ["color-contrast"]},  # the same elements in other colours
}


def check(page: Page, where: str) -> None:
    """Fail with axe's report if it finds a violation in either theme."""
    page.mouse.move(0, 0)
    for scheme, options in SCHEMES.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_function(
            "dark => document.body.classList.contains('dark') === dark", arg=scheme == "dark"
        )
        results = Axe().run(page, options=options)
        assert not results.violations_count, f"{where}, {scheme}: {results.generate_report()}"


def open_drawers(page: Page) -> None:
    for title in page.locator("#tabs :is(.drawer-title, button.label-wrap):visible").all():
        title.click()


@pytest.fixture(params=[1440, 390], ids=["desktop", "phone"])
def page_of_width(context: BrowserContext, opened: Opened, request: pytest.FixtureRequest) -> Any:
    studio = opened(context)
    studio.page.set_viewport_size({"width": request.param, "height": TALL_PX})
    yield studio
    studio.stop()
    assert studio.script_errors == []


def test_axe_finds_no_fault_on_an_idle_page(page_of_width: Studio) -> None:
    studio = page_of_width
    for title, tab in TABS:
        studio.go(title, tab)
        open_drawers(studio.page)
        check(studio.page, title)
    studio.page.get_by_role("tab", name="Models").click()
    expect(studio.page.locator(".thing").first).to_be_visible()
    open_drawers(studio.page)
    check(studio.page, "Models")
    studio.page.get_by_role("tab", name="Gallery").click()
    expect(studio.page.locator(".gallery-count")).not_to_be_empty()
    check(studio.page, "Gallery")


def test_axe_finds_no_fault_with_a_picture(page_of_width: Studio) -> None:
    studio, page = page_of_width, page_of_width.page
    studio.paint("a red dragon zeppelin", pictures=2)
    studio.expect_picture()
    check(page, "several pictures")
    studio.paint("a red house", pictures=1)
    studio.expect_picture()
    studio.number("width", 7)
    page.locator("#width input[type=number]").blur()
    studio.generate.click()
    expect(page.locator(".note.error:visible").first).to_be_visible()
    check(page, "a picture and an error")
    page.locator("#stage .open").click()
    check(page, "the viewer")
    page.keyboard.press("Escape")
    for title, tab in TABS[1:]:
        studio.go("Text to image", "")
        send_to(studio, title, tab)
        if tab != "upscale":
            canvas_of(studio).expect_size((64, 64))
        check(page, title)
    page.get_by_role("tab", name="Gallery").click()
    page.locator(".gallery-item").first.hover()
    page.locator(".gallery-item .gallery-check").first.click()
    expect(page.locator(".gallery-selection")).to_be_visible()
    check(page, "Gallery with a selection")
    page.locator(".gallery-item").nth(1).click()
    expect(page.locator(".gallery-settings div").first).to_be_visible()
    check(page, "a picture in the gallery")
    page.keyboard.press("Escape")
    # Negative control.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=favicon.ico>')")
    with pytest.raises(AssertionError, match="image-alt"):
        check(page, "a picture without a text")

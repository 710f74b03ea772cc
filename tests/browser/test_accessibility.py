"""axe-core finds nothing to complain about, on any tab, idle or with a picture."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.driver import Studio
from tests.browser.test_tabs import TABS, canvas_of, send_to

Scheme = Literal["light", "dark"]
TALL_PX = 4000
"""High enough that nothing scrolls: axe can't tell the colour behind what is covered."""
WIDTHS = (1440, 390)
"""A desktop's and a phone's."""
AXE = Axe()
QUICK: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
"""Stylesheets needn't be read again: of the rules that are on, only that of audio which plays by
itself asks for more than the page has, and there is none."""
SCHEMES: dict[Scheme, dict[str, Any]] = {
    "light": QUICK,
    "dark": {**QUICK, "runOnly": ["color-contrast"]},  # the same elements in other colours
}
PANEL = "[...document.querySelectorAll('[role=tabpanel]')].filter((each) => each.checkVisibility())"


def check(page: Page, where: str, part: str = "document") -> None:
    """Fail with axe's report if it finds a violation in either theme, in a part of the page."""
    page.mouse.move(0, 0)
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.axe_script)
    for scheme, options in SCHEMES.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_function(
            "dark => document.body.classList.contains('dark') === dark", arg=scheme == "dark"
        )
        results = AxeResults(page.evaluate(f"options => axe.run({part}, options)", options))
        assert not results.violations_count, f"{where}, {scheme}: {results.generate_report()}"


def check_widths(page: Page, where: str, part: str = "document") -> None:
    """Check the page on a desktop and on a phone."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": TALL_PX})
        check(page, f"{where}, {width} px wide", part)
    page.set_viewport_size({"width": WIDTHS[0], "height": TALL_PX})


def open_drawers(page: Page) -> None:
    for title in page.locator("#tabs :is(.drawer-title, button.label-wrap):visible").all():
        title.click()


@pytest.fixture
def tall(studio: Studio) -> Studio:
    studio.page.set_viewport_size({"width": WIDTHS[0], "height": TALL_PX})
    return studio


def test_axe_finds_no_fault_on_an_idle_page(tall: Studio) -> None:
    """What is around the tabs' panels is checked with the first."""
    studio, page = tall, tall.page
    for title, tab in TABS:
        studio.go(title, tab)
        open_drawers(page)
        check_widths(page, title, PANEL if tab else "document")
    page.get_by_role("tab", name="Models").click()
    expect(page.locator(".thing").first).to_be_visible()
    open_drawers(page)
    check_widths(page, "Models", PANEL)
    page.get_by_role("tab", name="Gallery").click()
    expect(page.locator(".gallery-count")).not_to_be_empty()
    check_widths(page, "Gallery", PANEL)


def test_axe_finds_no_fault_with_a_picture(tall: Studio) -> None:
    studio, page = tall, tall.page
    studio.paint("a red dragon zeppelin", pictures=2)
    studio.expect_picture()
    check_widths(page, "several pictures", PANEL)
    studio.paint("a red house", pictures=1)
    studio.expect_picture()
    studio.number("width", 7)
    page.locator("#width input[type=number]").blur()
    studio.generate.click()
    expect(page.locator(".note.error:visible").first).to_be_visible()
    check_widths(page, "a picture and an error")
    page.locator("#stage .open").click()
    check_widths(page, "the viewer")
    page.keyboard.press("Escape")
    for title, tab in TABS[1:]:
        studio.go("Text to image", "")
        send_to(studio, title, tab)
        if tab != "upscale":
            canvas_of(studio).expect_size((64, 64))
        check_widths(page, title, PANEL)
    page.get_by_role("tab", name="Gallery").click()
    page.locator(".gallery-item").first.hover()
    page.locator(".gallery-item .gallery-check").first.click()
    expect(page.locator(".gallery-selection")).to_be_visible()
    check_widths(page, "Gallery with a selection")
    page.locator(".gallery-item").nth(1).click()
    expect(page.locator(".gallery-settings div").first).to_be_visible()
    check_widths(page, "a picture in the gallery")
    page.keyboard.press("Escape")
    # Negative control.
    page.evaluate(f"{PANEL}[0].insertAdjacentHTML('beforeend', '<img src=favicon.ico>')")
    for part in ("document", PANEL):
        with pytest.raises(AssertionError, match="image-alt"):
            check(page, "a picture without a text", part)

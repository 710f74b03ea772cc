"""The page as a person uses it."""

from __future__ import annotations

import os
from typing import Any

from playwright.sync_api import Locator, Page, expect

WAIT_MS = int(os.environ.get("BROWSER_TEST_WAIT_MS", "90000"))
"""How long a test waits for one thing, beside a worker that keeps the other core busy."""

LONG: dict[str, Any] = {"side": 512, "pictures": 8, "quality": "High"}
"""A run that a test means to interrupt: no machine should have finished it by then."""

expect.set_options(timeout=WAIT_MS)

_COUNT_PREVIEWS = """
if (!window.previews) {  // once, however many tests used this tab before
  window.previews = new Set();
  document.addEventListener("load", (event) => {
    if (event.target.matches?.("img.preview")) window.previews.add(event.target.src);
  }, true);
}
"""


class Studio:
    """One tab of the browser with the page in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.tab = ""
        self.script_errors: list[str] = []
        page.on("pageerror", lambda error: self.script_errors.append(str(error)))
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(_COUNT_PREVIEWS)

    def id(self, name: str) -> str:
        """The selector of one of the open tab's elements."""
        return f"#{self.tab}-{name}" if self.tab else f"#{name}"

    def go(self, title: str, tab: str) -> None:
        """Open another tab."""
        self.page.get_by_role("tab", name=title).click()
        self.arrive(tab)

    def arrive(self, tab: str) -> None:
        """Wait until a tab is open. The first one is called ""."""
        self.tab = tab
        expect(self.generate).to_be_visible()

    @property
    def prompt(self) -> Locator:
        return self.page.locator(f"{self.id('prompt')} textarea")

    @property
    def generate(self) -> Locator:
        return self.page.locator(self.id("generate"))

    @property
    def cancel(self) -> Locator:
        return self.page.locator(self.id("cancel"))

    @property
    def stage(self) -> Locator:
        return self.page.locator(f"{self.id('stage')} .stage")

    @property
    def line(self) -> Locator:
        return self.page.locator(self.id("progress"))

    @property
    def thumbnails(self) -> Locator:
        return self.page.locator(f"{self.id('filmstrip')} li img")

    def thumbnails_of(self, prompt: str) -> Locator:
        """Return those of one prompt's pictures: a strip begins with what the gallery has."""
        return self.page.locator(f"{self.id('filmstrip')} li img[alt='{prompt}']")

    def wait_until_ready(self) -> None:
        self.page.wait_for_selector("body[data-ready]")

    def number(self, name: str, value: int) -> None:
        """Type a number into `width`, `height` or `seed`."""
        self.page.fill(f"{self.id(name)} input[type=number]", str(value))

    def ask(
        self, prompt: str, *, side: int = 64, pictures: int = 1, quality: str = "Draft"
    ) -> None:
        """Fill the form, with something quick unless told otherwise."""
        self.prompt.fill(prompt)
        self.fast(pictures, quality)
        self.number("width", side)
        self.number("height", side)
        self.page.locator(f"{self.id('height')} input[type=number]").blur()

    def fast(self, pictures: int = 1, quality: str = "Draft") -> None:
        """Choose few steps, or another quality."""
        self.page.locator(f"{self.id('quality')} label", has_text=quality).click()
        self.number("num-images", pictures)
        self.page.locator(f"{self.id('num-images')} input[type=number]").blur()

    def paint(
        self, prompt: str, *, side: int = 64, pictures: int = 1, quality: str = "Draft"
    ) -> None:
        """Fill the form, mark the picture shown so far as an earlier one, and click Generate."""
        self.ask(prompt, side=side, pictures=pictures, quality=quality)
        self.page.evaluate(
            """stage => document.querySelectorAll(`${stage} img.final`)
            .forEach((image) => { image.dataset.earlier = ""; })""",
            self.id("stage"),
        )
        self.generate.click()

    def expect_state(self, *states: str) -> None:
        """Wait until the stage is in one of the states."""
        stage = self.id("stage")
        wanted = ", ".join(f'{stage} .stage[data-state="{state}"]' for state in states)
        expect(self.page.locator(wanted)).to_be_attached(timeout=WAIT_MS)

    def expect_picture(self) -> None:
        """Wait until a finished picture's pixels are really there, and not an earlier picture's."""
        self.expect_state("finished")
        self.page.wait_for_function(
            "stage => [...document.querySelectorAll(`${stage} img.final:not([data-earlier])`)]"
            ".some((image) => image.complete && image.naturalWidth > 0)",
            arg=self.id("stage"),
        )
        expect(self.cancel).to_be_disabled(timeout=WAIT_MS)

    def expect_previews(self, count: int) -> None:
        """Wait until this many more previews have been shown.

        A fast machine shows several only of a long run.
        """
        self.page.evaluate("window.previews.clear()")
        self.page.wait_for_function("count => window.previews.size >= count", arg=count)

    def stored_job(self) -> str:
        stored = self.page.evaluate("sessionStorage.getItem('paintdiff.text_to_image.job')")
        return str(stored or "")

    def stop(self) -> None:
        """Cancel whatever runs, so that the next test finds an idle engine."""
        if self.page.is_closed():
            return
        idle = 0
        while idle < 5:  # between two jobs the button is disabled for a moment
            if self.cancel.is_enabled():  # once for each job
                self.cancel.evaluate("button => button.click()")  # it may have ended meanwhile
                idle = 0
            else:
                idle += 1
            self.page.wait_for_timeout(100)

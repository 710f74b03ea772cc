"""Settings that are dropped or pasted on Text to image, as a person does."""

from __future__ import annotations

import base64
from typing import Any

from playwright.sync_api import expect

from tests.browser.driver import Studio
from tests.gallery.test_other_programs import TEXT, png

BRING = """([kind, selector, base64, text]) => {
  const data = new DataTransfer();
  if (base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    data.items.add(new File([bytes], "a.png", { type: "image/png" }));
  }
  if (text) data.setData("text/plain", text);
  const options = { bubbles: true, cancelable: true };
  const event = kind === "drop"
    ? new DragEvent("drop", { ...options, dataTransfer: data })
    : new ClipboardEvent("paste", { ...options, clipboardData: data });
  document.querySelector(selector).dispatchEvent(event);
}"""


def bring(studio: Studio, kind: str, selector: str, picture: bytes = b"", text: str = "") -> None:
    arguments: list[Any] = [kind, selector, base64.b64encode(picture).decode(), text]
    studio.page.evaluate(BRING, arguments)


def test_settings_that_are_brought_are_offered_and_used(studio: Studio) -> None:
    """On one page, in every way that there is."""
    offer = studio.page.locator("#offer .offer")
    for way, place in {
        "drop": "#stage",
        "drop on the prompt": "#prompt textarea",
        "paste": "body",
        "paste as text": "#prompt textarea",
    }.items():
        studio.ask("a dog", side=64)
        studio.number("seed", 1)
        if way == "paste as text":
            studio.prompt.fill(TEXT)
            bring(studio, "paste", place, text=TEXT)
        else:
            bring(studio, way.split()[0], place, png(parameters=TEXT))
        expect(offer, way).to_contain_text("“a cat”")
        expect(offer).to_contain_text("Its model, dream, isn't installed")
        offer.locator("button").click()
        expect(studio.prompt, way).to_have_value("a cat")
        expect(studio.page.locator("#seed input"), way).to_have_value("5")
        expect(studio.page.locator("#width input"), way).to_have_value("512")
        expect(offer).to_have_count(0)


def test_what_carries_nothing_says_so(studio: Studio) -> None:
    bring(studio, "drop", "#stage", png())
    expect(studio.page.locator("#offer")).to_contain_text("contains no settings")
    bring(studio, "drop", "#stage", b"no picture")
    expect(studio.page.locator("#offer")).to_contain_text("Use PNG, JPEG or WebP")

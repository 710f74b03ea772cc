"""Replays in the browser: step through a run, verify it, continue it, download it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.driver import Studio


def test_a_run_is_replayed_continued_and_downloaded(studio: Studio) -> None:
    studio.paint("a red house on a green hill by day")
    studio.expect_picture()
    studio.page.locator(f"{studio.id('stage')} [data-replay]").click()
    dialog = studio.page.locator("#replay-dialog")
    expect(dialog.locator(".replay-steps")).to_be_visible()
    expect(dialog.locator(".replay-verified li").first).to_have_text("identical")
    slider = dialog.locator("input[type=range]")
    slider.focus()
    slider.press("Home")
    expect(dialog.locator("output")).to_have_text("Step 1 of 12")
    shown = "image => image.complete && image.naturalWidth === 64 && /frames\\/0$/.test(image.src)"
    studio.page.wait_for_function(shown, arg=dialog.locator("img").element_handle())
    slider.press("ArrowRight")
    expect(dialog.locator("output")).to_have_text("Step 2 of 12")
    with studio.page.expect_download() as download:
        dialog.locator("select").select_option("gif")
        dialog.locator(".save").click()
    assert download.value.suggested_filename == "paintdiffusion-replay.gif"
    dialog.locator("summary").click()
    dialog.locator("[type=submit]").click()
    expect(dialog.locator(".replay-said")).to_contain_text("Change something first")
    before = dialog.locator("img").get_attribute("src")
    dialog.locator("[name=prompt]").fill("a blue house on a snowy mountain by day")
    dialog.locator("[type=submit]").click()
    expect(dialog.locator(".replay-steps")).to_be_hidden()
    expect(dialog.locator(".replay-steps")).to_be_visible()
    assert dialog.locator("img").get_attribute("src") != before
    studio.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

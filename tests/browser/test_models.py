"""The Models tab as a person uses it: over a models folder that is there for this test alone."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.model_rows import ModelRow
from tests.browser.conftest import ROOT, TORCH, open_page, running_app
from tests.browser.driver import Studio
from tests.models.weight_files import kohya_lora, write_sparse

HOSTILE = "<img src=x onerror=window.hacked=1> ${window.hacked=1} {{window}}"
MANY = 70


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder: LoRAs with and without pictures, one with a hostile name, a broken file."""
    folder = tmp_path_factory.mktemp("models")
    loras = folder / "Lora"
    write_sparse(
        loras / "ink wash.safetensors", kohya_lora(768), modelspec__trigger_phrase="sumi-e"
    )
    Image.new("RGB", (512, 768), "navy").save(loras / "ink wash.png")
    write_sparse(
        loras / f"{HOSTILE.replace('/', ' ')}.safetensors",
        kohya_lora(768),
        modelspec__trigger_phrase=HOSTILE,
    )
    write_sparse(loras / "to be deleted.safetensors", kohya_lora(768))
    for number in range(MANY):
        write_sparse(loras / f"style {number:03}.safetensors", kohya_lora(2048))
    (loras / "broken.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    return folder


@pytest.fixture(scope="module")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where an app of its own answers: with that folder, and preferences of its own."""
    with running_app(tmp_path_factory.mktemp("own"), *TORCH, "--models-dir", str(models)) as found:
        yield found


@pytest.fixture
def page(kept_tab: Page, address: str) -> Iterator[Studio]:
    """The page with the Models tab open."""
    studio = open_page(kept_tab, address)
    open_models(studio)
    yield studio
    assert studio.script_errors == []
    assert studio.page.evaluate("window.hacked") is None


def open_models(studio: Studio) -> None:
    studio.page.get_by_role("tab", name="Models").click()
    expect(studio.page.locator("#models-shelf .thing").first).to_be_visible()


def cards(studio: Studio) -> Locator:
    return studio.page.locator("#models-shelf .thing")


def card(studio: Studio, title: str) -> Locator:
    heading = studio.page.get_by_role("heading", name=title, exact=True)
    return cards(studio).filter(has=heading)


def filter_for(studio: Studio, words: str) -> None:
    studio.page.locator("#models-words").locator("input, textarea").fill(words)


def said(studio: Studio) -> Locator:
    return studio.page.locator("#models-said .shelf-said")


def test_what_there_is_is_listed_filtered_and_counted(page: Studio) -> None:
    expect(cards(page)).to_have_count(60)
    page.page.get_by_role("button", name="Show more").click()
    others = len(Catalog.default().rows(ModelRow)) + 6  # what else ships or can be had
    expect(cards(page)).to_have_count(3 + MANY + others)
    filter_for(page, "ink")
    expect(cards(page)).to_have_count(1)
    expect(page.page.locator("#models-kind label", has_text="LoRAs 1")).to_be_visible()
    face = card(page, "ink wash").locator("img")
    expect(face).to_have_js_property("naturalHeight", 320)
    filter_for(page, "")
    page.page.locator("#models-kind label", has_text="Models").click()
    expect(cards(page)).to_have_count(len(Catalog.default().rows(ModelRow)))
    page.page.locator("#models-problems-drawer-title button").click()
    left_out = page.page.locator("#models-problems li")
    expect(left_out).to_have_count(1)
    expect(left_out).to_contain_text("broken.safetensors")


def test_a_click_puts_a_lora_into_the_prompt_that_was_written_last(page: Studio) -> None:
    page.go("Image to image", "image_to_image")
    page.prompt.fill("a red house")
    page.go("Upscale", "upscale")
    open_models(page)
    card(page, "ink wash").get_by_role("button", name="Insert").click()
    expect(said(page)).to_contain_text("Added <lora:ink wash:1> to the prompt of “Image to image”")
    assert page.page.evaluate("document.activeElement.dataset.do") == "insert"
    card(page, "ink wash").get_by_role("button", name="sumi-e").click()
    expect(said(page)).to_contain_text("Added sumi-e to the prompt")
    page.page.get_by_role("button", name="Go there").click()
    page.arrive("image_to_image")
    expect(page.prompt).to_have_value("a red house <lora:ink wash:1>, sumi-e")
    page.page.reload()
    page.wait_until_ready()
    expect(page.prompt).to_have_value("a red house <lora:ink wash:1>, sumi-e")


def test_a_hostile_name_is_text(page: Studio) -> None:
    filter_for(page, "onerror")
    expect(cards(page)).to_have_count(1)
    expect(cards(page).locator("h3")).to_have_text(HOSTILE)
    expect(cards(page).locator(".thing-words button")).to_have_text(HOSTILE)
    cards(page).locator(".thing-words button").click()
    expect(said(page)).to_contain_text(HOSTILE)
    cards(page).get_by_role("button", name="Insert").click()
    expect(said(page)).to_contain_text("Rename its file")
    expect(page.page.locator("#tabs img[src=x]")).to_have_count(0)


def test_deleting_asks_first_and_escape_is_no(page: Studio, models: Path) -> None:
    path = models / "Lora" / "to be deleted.safetensors"
    filter_for(page, "deleted")
    expect(cards(page)).to_have_count(1)
    delete = card(page, "to be deleted").locator("summary")
    delete.focus()
    page.page.keyboard.press("Enter")
    question = card(page, "to be deleted").get_by_text("This deletes the file")
    expect(question).to_contain_text(str(path))
    page.page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    expect(delete).to_be_focused()
    assert path.exists()
    delete.click()
    card(page, "to be deleted").get_by_role("button", name="Delete it").click()
    expect(said(page)).to_contain_text(f"Deleted {path}")
    expect(cards(page)).to_have_count(0)
    assert not path.exists()


def test_a_model_that_comes_later_is_used_pinned_and_gone(
    page: Studio, models: Path, context: BrowserContext, address: str
) -> None:
    new = models / "late painter"
    new.symlink_to(ROOT / "presets" / "mini")
    page.page.locator("#models-rescan").click()
    expect(said(page)).to_contain_text(f"{len(Catalog.default().rows(ModelRow)) + 1} Models")
    filter_for(page, "painter")
    late = card(page, "late painter")
    late.get_by_role("button", name="Use").click()
    expect(said(page)).to_contain_text("late painter is selected in all painting tabs")
    late.get_by_role("button", name="Pin as default").click()
    expect(late.get_by_role("button", name="Unpin")).to_be_visible()
    page.go("Text to image", "")
    model = page.page.locator("#model input")
    expect(model).to_have_value("late painter")
    page.paint("a red house", side=64)
    page.expect_picture()
    expect(page.line).to_contain_text("late painter")

    fresh = open_page(context.new_page(), address)
    expect(fresh.page.locator("#model input")).to_have_value("late painter")
    open_models(page)
    page.page.locator("#models-memory-drawer-title button").click()
    memory = page.page.locator("#models-memory li", has_text="late painter")
    memory.get_by_role("button", name="Unload").click()
    expect(memory).to_have_count(0)

    new.unlink()
    page.page.locator("#models-rescan").click()
    expect(said(page)).to_contain_text(f"{len(Catalog.default().rows(ModelRow))} Models,")
    fresh.page.locator("#model input").click()
    late_option = fresh.page.get_by_role("option", name="late painter")
    expect(late_option).to_have_count(1)
    fresh.page.get_by_role("heading", name="PaintDiffusion").click()  # the prompt is under the list
    expect(fresh.page.locator("#note-model")).to_contain_text("late painter is no longer available")
    fresh.page.locator("#model input").click()
    expect(late_option).to_have_count(0)
    fresh.paint("a red house", side=64)
    fresh.expect_picture()
    assert fresh.script_errors == []


def test_nothing_is_asked_for_until_the_tab_is_opened(kept_tab: Page, address: str) -> None:
    asked: list[str] = []
    kept_tab.on("request", lambda request: asked.append(request.url))
    studio = open_page(kept_tab, address)
    studio.page.wait_for_timeout(1500)
    assert not [url for url in asked if "/models/" in url]
    expect(studio.page.locator(".thing")).to_have_count(0)
    open_models(studio)
    studio.page.wait_for_timeout(2500)
    assert not [url for url in asked if "models/downloads" in url], "nothing is being downloaded"
    studio.page.locator(".thing-face img").first.scroll_into_view_if_needed()
    studio.page.wait_for_function("document.querySelector('.thing-face img')?.complete")
    previews = [url for url in asked if "models/preview" in url]
    assert len(previews) == 1
    stored = json.loads(studio.page.evaluate("JSON.stringify({...localStorage})"))
    assert not [key for key in stored if "models." in key]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_room_for_it(browser: Browser, address: str, scheme: str) -> None:
    phone = browser.new_context(
        viewport={"width": 390, "height": 844},
        color_scheme="dark" if scheme == "dark" else "light",
        has_touch=True,
        is_mobile=True,
    )
    studio = open_page(phone.new_page(), address)
    open_models(studio)
    for drawer in studio.page.locator(".studio-models .drawer-title:visible").all():
        drawer.click()
    filter_for(studio, "onerror")
    expect(cards(studio)).to_have_count(1)
    cards(studio).locator("summary").click()
    cards(studio).locator(".thing-words button").click()
    expect(said(studio)).to_be_in_viewport(ratio=0.99)
    wide = studio.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{wide} px too wide"
    for button in studio.page.locator(".thing-acts :is(button, summary):visible").all():
        box = button.bounding_box()
        assert box is not None and box["height"] >= 44
    colour = cards(studio).first.evaluate("card => getComputedStyle(card).backgroundColor")
    red = int(re.findall(r"\d+", colour)[0])
    assert red < 60 if scheme == "dark" else red > 200
    phone.close()

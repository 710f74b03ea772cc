"""The Gallery tab as a person uses it, over an output folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, expect

from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.store import PictureQuery
from tests.browser.conftest import running_app
from tests.browser.driver import Studio
from tests.browser.test_tabs import canvas_of
from tests.gallery.records import record

COUNT = 230
HOSTILE = "<img src=x onerror=window.hacked=1> ${window.hacked=1} {{window}}"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gallery")


@pytest.fixture(scope="module")
def gallery(own: Path) -> Iterator[Gallery]:
    """A gallery with more pictures than a page has, beside the app that shows it."""
    opened = Gallery(own / "outputs")
    for number in range(COUNT):
        prompt = HOSTILE if number == 100 else f"a {'red' if number % 2 else 'blue'} boat {number}"
        params = {"kind": "text_to_image", "prompt": prompt, "model": "mini", "seed": number}
        made = record(prompt, number, seed=number, params=params, model="mini")
        path = opened.path_of(made.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (96, 64), (number, 90, 255 - number)).save(path)
        opened.store.add(made)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def address(own: Path, gallery: Gallery) -> Iterator[str]:
    with running_app(own) as found:
        yield found


@pytest.fixture
def studio(context: BrowserContext, address: str) -> Iterator[Studio]:
    """The page with the Gallery tab open."""
    page = Studio(context.new_page())
    open_gallery(page, address)
    yield page
    assert page.script_errors == []
    assert page.page.evaluate("window.hacked") is None


def open_gallery(studio: Studio, address: str) -> None:
    studio.page.goto(address)
    studio.wait_until_ready()
    studio.page.get_by_role("tab", name="Gallery").click()
    expect(items(studio).first).to_be_visible()


def items(studio: Studio) -> Locator:
    return studio.page.locator(".gallery-item")


def count(studio: Studio) -> Locator:
    return studio.page.locator(".gallery-count")


def field(studio: Studio, name: str) -> Locator:
    return studio.page.locator(f".gallery-bar [name={name}]")


def search(studio: Studio, words: str, found: str) -> None:
    field(studio, "search").fill(words)
    expect(count(studio)).to_have_text(found)


def newest(gallery: Gallery, words: str) -> str:
    (found,) = gallery.store.page(PictureQuery(search=words), limit=1).records
    return found.id


def test_all_pictures_can_be_scrolled_to_and_few_are_in_the_document(studio: Studio) -> None:
    expect(items(studio).first).to_have_attribute("aria-label", f"a red boat {COUNT - 1}")
    studio.page.wait_for_function("document.querySelector('.gallery-item img').naturalWidth > 0")
    oldest = studio.page.locator('.gallery-item[aria-label="a blue boat 0"]')
    most = 0
    while oldest.count() == 0:
        studio.page.evaluate("document.querySelector('.gallery-scroll').scrollBy(0, 1500)")
        studio.page.wait_for_timeout(100)
        most = max(most, items(studio).count())
    expect(oldest).to_be_visible()
    assert most < 120, f"{most} of {COUNT} are in the document at once"
    assert "gallery-option" in str(items(studio).first.get_attribute("id"))


def test_search_asks_once_after_typing_and_filters_narrow(studio: Studio) -> None:
    asked: list[str] = []
    studio.page.on("request", lambda request: asked.append(request.url))
    field(studio, "search").press_sequentially("red boat", delay=5)
    expect(count(studio)).to_have_text(f"{COUNT // 2} pictures")
    searches = [url for url in asked if "search=" in url]
    assert 1 <= len(searches) <= 3, searches
    search(studio, "boat 17", "11 pictures")
    search(studio, "onerror", "1 picture")
    expect(items(studio).first).to_have_attribute("aria-label", HOSTILE)
    search(studio, "zeppelin", "0 pictures")
    expect(studio.page.get_by_role("heading", name="Nothing found")).to_be_visible()
    studio.page.locator(".gallery-empty [data-do=clear]").click()
    expect(count(studio)).to_have_text(f"{COUNT} pictures")
    field(studio, "order").select_option("oldest")
    expect(items(studio).first).to_have_attribute("aria-label", "a blue boat 0")
    field(studio, "model").select_option("mini")
    expect(count(studio)).to_have_text(f"{COUNT} pictures")


def test_the_keyboard_moves_rates_selects_and_deletes(studio: Studio, gallery: Gallery) -> None:
    press = studio.page.keyboard.press
    search(studio, "boat 2", "41 pictures")
    studio.page.locator("#gallery-grid").focus()
    active = studio.page.locator(".gallery-item.active")
    press("ArrowRight")
    press("ArrowRight")
    press("ArrowLeft")
    expect(active).to_have_attribute("aria-posinset", "2")
    press("3")
    expect(active).to_have_attribute("aria-label", "a blue boat 228, liked")
    press("f")
    expect(active).to_have_attribute("aria-label", "a blue boat 228, liked, favourite")
    found = gallery.store.get(newest(gallery, "boat 228"))
    assert (found.feedback, found.favourite) == (1, True)
    press("1")
    expect(active).to_have_attribute("aria-label", "a blue boat 228, disliked, favourite")
    press("2")
    press("f")
    expect(active).to_have_attribute("aria-label", "a blue boat 228")
    press("Delete")
    expect(count(studio)).to_have_text("40 pictures")
    assert gallery.store.get(found.id).deleted_at is not None
    studio.page.get_by_role("button", name="Undo").click()
    expect(count(studio)).to_have_text("41 pictures")
    studio.page.locator("#gallery-grid").focus()
    press("Control+a")
    expect(studio.page.locator(".gallery-selected")).to_have_text("41 selected")
    press("Escape")
    press("Shift+ArrowRight")
    expect(studio.page.locator(".gallery-selected")).to_have_text("2 selected")
    studio.page.locator(".gallery-selection [name=tag]").fill("sea")
    press("Enter")
    expect(field(studio, "tag").locator("option[value=sea]")).to_be_attached()
    assert gallery.store.count(PictureQuery(tags=("sea",))) == 2


def test_a_picture_is_shown_with_its_settings_and_sent_on(studio: Studio) -> None:
    page, dialog = studio.page, studio.page.locator(".gallery-detail")
    search(studio, "boat 15", "11 pictures")
    page.locator("#gallery-grid").focus()
    page.keyboard.press("Enter")
    expect(dialog.locator(".gallery-prompt")).to_have_text("a red boat 159")
    expect(dialog.locator(".gallery-settings")).to_contain_text("159")
    page.wait_for_function(
        "document.querySelector('.gallery-shown .viewer-after img').naturalWidth"
    )
    page.keyboard.press("ArrowRight")
    expect(dialog.locator(".gallery-prompt")).to_have_text("a blue boat 158")
    dialog.locator("[data-do=like]").click()
    expect(dialog.locator("[data-do=like]")).to_have_attribute("aria-pressed", "true")
    dialog.locator("[name=tag]").fill("harbour")
    page.keyboard.press("Enter")
    expect(dialog.locator("ul.gallery-tags li")).to_contain_text("harbour")
    dialog.get_by_role("button", name="Remove the tag harbour").click()
    expect(dialog.locator("ul.gallery-tags li")).to_have_count(0)
    dialog.locator(".act", has_text="Use settings").click()
    studio.arrive("")
    expect(studio.prompt).to_have_value("a blue boat 158")
    page.get_by_role("tab", name="Gallery").click()
    items(studio).first.click()
    dialog.locator("details.send summary").click()
    dialog.locator(".send-menu button", has_text="Image to image").click()
    studio.arrive("image_to_image")
    canvas_of(studio).expect_size((96, 64))


def test_the_bin_gives_back_and_is_emptied_after_a_question(
    studio: Studio, gallery: Gallery
) -> None:
    page = studio.page
    search(studio, "boat 3", "11 pictures")
    id = newest(gallery, "boat 38")
    page.locator("#gallery-grid").focus()
    page.keyboard.press("Delete")
    expect(count(studio)).to_have_text("10 pictures")
    page.keyboard.press("Delete")
    expect(count(studio)).to_have_text("9 pictures")
    search(studio, "", f"{COUNT - 2} pictures")
    field(studio, "view").select_option("bin")
    expect(count(studio)).to_have_text("2 pictures")
    page.locator("#gallery-grid").focus()
    page.keyboard.press("Space")
    page.locator(".gallery-selection [data-do=restore]").click()
    expect(count(studio)).to_have_text("1 picture")
    path = gallery.path_of(gallery.store.get(id).file)
    page.locator("[data-do=ask-empty]").click()
    page.locator("[data-do=keep]").click()
    assert path.exists()
    page.locator("[data-do=ask-empty]").click()
    page.locator("[data-do=erase]").click()
    expect(page.get_by_role("heading", name="The bin is empty")).to_be_visible()
    assert not path.exists()


def test_a_new_picture_is_rated_kept_and_found(studio: Studio, gallery: Gallery) -> None:
    studio.go("Text to image", "")
    studio.paint("a green windmill")
    studio.expect_picture()
    like = studio.page.locator("#stage [data-rate='1']")
    like.click()
    expect(like).to_have_attribute("aria-pressed", "true")
    assert gallery.store.get(newest(gallery, "windmill")).feedback == 1
    studio.page.reload()
    studio.wait_until_ready()
    expect(like).to_have_attribute("aria-pressed", "true")
    studio.page.get_by_role("tab", name="Gallery").click()
    search(studio, "windmill", "1 picture")
    expect(items(studio).first).to_have_attribute("aria-label", "a green windmill, liked")
    gallery.store.delete([newest(gallery, "windmill")])


def test_the_strip_outlives_the_app(
    stranger: BrowserContext, address: str, gallery: Gallery
) -> None:
    id = newest(gallery, "boat 77")
    stranger.add_init_script(
        f"localStorage.setItem('paintdiff.text_to_image.film', '[\"gone/0/{id}\"]')"
    )
    studio = Studio(stranger.new_page())
    studio.page.goto(address)
    studio.wait_until_ready()
    expect(studio.thumbnails).to_have_count(1)
    expect(studio.thumbnails).to_have_attribute("alt", "a red boat 77")
    expect(studio.thumbnails).to_have_js_property("naturalWidth", 96)
    studio.thumbnails.click()
    expect(studio.page.locator("#look-dialog .look-words")).to_have_text("a red boat 77")
    assert studio.script_errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_room_for_it(
    browser: Browser, address: str, scheme: Literal["light", "dark"]
) -> None:
    phone = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True, is_mobile=True
    )
    studio = Studio(phone.new_page())
    open_gallery(studio, address)
    wide = "document.documentElement.scrollWidth - window.innerWidth"
    assert studio.page.evaluate(wide) <= 0
    for button in studio.page.locator(".gallery :is(button, select, input):visible").all():
        box = button.bounding_box()
        assert box is not None and box["height"] >= 44
    items(studio).nth(1).tap()
    expect(studio.page.locator(".gallery-settings div").first).to_be_attached()
    assert studio.page.evaluate(wide) <= 0
    assert studio.script_errors == []
    phone.close()

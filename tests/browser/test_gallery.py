"""The Gallery tab as a person uses it, over an output folder of its own."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from paintdiff.gallery.adoption import empty_bin
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.store import PictureQuery
from tests.browser.conftest import TORCH, open_page, running_app
from tests.browser.driver import Studio
from tests.browser.test_tabs import canvas_of
from tests.gallery.records import record

COUNT = 230
MORE = 1_800
"""Older pictures without words, so that there are two thousand to scroll through."""
ALL = COUNT + MORE
HOSTILE = "<img src=x onerror=window.hacked=1> ${window.hacked=1} {{window}}"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gallery")


@pytest.fixture(scope="module")
def gallery(own: Path) -> Iterator[Gallery]:
    """A gallery with more pictures than a page has, beside the app that shows it.

    The oldest have no file.
    """
    opened = Gallery(own / "outputs")
    for number in range(COUNT):
        prompt = HOSTILE if number == 100 else f"a {'red' if number % 2 else 'blue'} boat {number}"
        params = {"kind": "text_to_image", "prompt": prompt, "model": "mini", "seed": number}
        made = record(prompt, number, seed=number, params=params, model="mini")
        path = opened.path_of(made.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (96, 64), (number, 90, 255 - number)).save(path)
        opened.store.add(made)
    for number in range(MORE):
        opened.store.add(record("", -number - 1, file=made.file + str(number)))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def address(own: Path, gallery: Gallery) -> Iterator[str]:
    with running_app(own, *TORCH) as found:
        yield found


@pytest.fixture
def studio(kept_tab: Page, address: str) -> Iterator[Studio]:
    """The page with the Gallery tab open."""
    studio = open_gallery(kept_tab, address)
    yield studio
    assert studio.script_errors == []
    assert studio.page.evaluate("window.hacked") is None


def open_gallery(page: Page, address: str) -> Studio:
    studio = open_page(page, address)
    page.get_by_role("tab", name="Gallery").click()
    expect(items(studio).first).to_be_visible()
    return studio


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


def test_two_thousand_pictures_can_be_scrolled_to_and_few_are_in_the_document(
    studio: Studio,
) -> None:
    expect(items(studio).first).to_have_attribute("aria-label", f"a red boat {COUNT - 1}")
    studio.page.wait_for_function("document.querySelector('.gallery-item img').naturalWidth > 0")
    last = studio.page.locator(f'.gallery-item[aria-posinset="{ALL}"]')
    most = 0
    while last.count() == 0:
        studio.page.evaluate(
            "(place => place.scrollTo(0, place.scrollHeight))"
            "(document.querySelector('.gallery-scroll'))"
        )
        studio.page.wait_for_timeout(100)
        most = max(most, studio.page.evaluate("document.querySelectorAll('.gallery *').length"))
    expect(last).to_be_visible()
    assert items(studio).count() < 120
    assert most < 1_200, f"{most} elements for {ALL} pictures"


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
    expect(count(studio)).to_have_text(f"{ALL:,} pictures")
    search(studio, "boat", f"{COUNT - 1} pictures")
    field(studio, "order").select_option("oldest")
    expect(items(studio).first).to_have_attribute("aria-label", "a blue boat 0")
    search(studio, "", f"{ALL:,} pictures")
    field(studio, "model").select_option("mini")
    expect(count(studio)).to_have_text(f"{COUNT} pictures")
    field(studio, "model").select_option("")
    studio.page.locator("[data-do=more]").click()
    field(studio, "until").fill("2026-11-29")
    expect(count(studio)).not_to_have_text(f"{ALL:,} pictures")
    field(studio, "since").fill("2026-11-30")
    expect(studio.page.get_by_role("heading", name="Nothing found")).to_be_visible()
    studio.page.locator(".gallery-empty [data-do=clear]").click()
    field(studio, "size").select_option("256x128")
    expect(count(studio)).to_have_text(f"{ALL:,} pictures")


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
    search(studio, "", f"{ALL:,} pictures")
    studio.page.locator("#gallery-grid").focus()
    press("Control+a")
    expect(studio.page.locator(".gallery-selected")).to_have_text(f"{ALL:,} selected")
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


def select(studio: Studio, *numbers: int) -> None:
    for number in numbers:
        items(studio).nth(number).locator(".gallery-check").click(force=True)
    expect(studio.page.locator(".gallery-selected")).to_have_text(f"{len(numbers)} selected")


def test_a_selection_is_compared_and_downloaded(studio: Studio) -> None:
    page, dialog = studio.page, studio.page.locator(".gallery-compare")
    search(studio, "boat 13", "11 pictures")
    select(studio, 0)
    expect(page.locator("[data-do=compare]")).to_be_hidden()
    page.locator("[data-do=unselect]").click()
    select(studio, 0, 2)
    page.locator("[data-do=compare]").click()
    expect(dialog.locator(".compare-pane")).to_have_count(2)
    expect(dialog.locator("th").first).to_have_text("Prompt")
    expect(dialog.locator("td")).to_contain_text(["a red boat 139", "a red boat 137"])
    images = dialog.locator(".compare-view img")
    expect(images.nth(1)).to_have_js_property("naturalWidth", 96)
    page.wait_for_function("document.querySelectorAll('.compare-view img')[1].style.width")
    before = images.nth(1).evaluate("each => each.clientWidth")
    images.nth(0).locator("..").hover()
    page.mouse.wheel(0, -600)
    page.wait_for_function(
        "before => document.querySelectorAll('.compare-view img')[1].clientWidth > 1.5 * before",
        arg=before,
    )
    places = [each.evaluate("each => each.style.transform") for each in images.all()]
    assert places[0] == places[1], "both show the same part"
    settings = dialog.get_by_role("region", name="Settings that differ")
    settings.focus()
    page.keyboard.press("ArrowDown")
    assert images.nth(0).evaluate("each => each.style.transform") == places[0], "settings scroll"
    dialog.locator("[data-do=fit-all]").click()
    assert images.nth(1).evaluate("each => each.clientWidth") == before
    dialog.get_by_role("button", name="Open picture 2").click()
    expect(page.locator(".gallery-prompt")).to_have_text("a red boat 137")
    page.locator("[data-do=close]").click()
    with page.expect_download() as started:
        page.locator("[data-do=zip]").click()
    with zipfile.ZipFile(started.value.path()) as archive:
        assert len(archive.namelist()) == 2 and archive.testzip() is None


def test_variations_are_painted_and_become_children(studio: Studio, gallery: Gallery) -> None:
    page, dialog = studio.page, studio.page.locator(".gallery-detail")
    search(studio, "boat 112", "1 picture")
    items(studio).first.click()
    parent = newest(gallery, "boat 112")
    dialog.locator("[data-do=vary]").click()
    ask = page.locator(".gallery-vary")
    expect(ask.locator("output")).to_have_text("0.2")
    ask.get_by_text("Image to image").click()
    expect(ask.locator("output")).to_have_text("0.4")
    ask.get_by_text("Nearby seeds").click()
    ask.locator("[name=count]").fill("2")
    ask.get_by_role("button", name="Paint them").click()
    expect(dialog.locator(".gallery-run")).to_contain_text("2 variations are finished.")
    expect(dialog.locator(".gallery-kin")).to_have_count(3)
    expect(dialog.locator(".gallery-kin").nth(1)).to_have_text("Variation of")
    children = gallery.store.children(parent)
    assert [each.relation for each in children] == ["variation"] * 2
    assert all(each.params["variation_strength"] == 0.2 for each in children)
    dialog.locator(".gallery-kin").nth(1).click()
    expect(dialog.locator(".viewer-divider")).to_be_visible()
    gallery.store.delete([each.id for each in children])


def test_what_is_made_from_a_result_becomes_its_child(studio: Studio, gallery: Gallery) -> None:
    """Both that of a new picture and that of one in the gallery."""
    studio.go("Text to image", "")
    studio.paint("a purple zeppelin")
    studio.expect_picture()
    parent = newest(gallery, "zeppelin")
    studio.page.locator("#stage .send summary").click()
    studio.page.locator("#stage .send-menu button", has_text="Image to image").click()
    studio.arrive("image_to_image")
    canvas_of(studio).expect_size((gallery.store.get(parent).size.width,) * 2)
    expect(studio.page.locator("#image_to_image-offer button")).to_have_count(0)
    studio.prompt.fill("a golden zeppelin")
    studio.fast()
    studio.generate.click()
    studio.expect_picture()
    (child,) = gallery.store.children(parent)
    assert (child.prompt, child.relation) == ("a golden zeppelin", "image_to_image")
    gallery.store.delete([parent, child.id])
    empty_bin(gallery)


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
    search(studio, "", f"{ALL - 2:,} pictures")
    field(studio, "view").select_option("bin")
    expect(count(studio)).to_have_text("2 pictures")
    page.locator("#gallery-grid").focus()
    page.keyboard.press("Space")
    page.locator(".gallery-selection [data-do=restore]").click()
    expect(count(studio)).to_have_text("1 picture")
    path = gallery.path_of(gallery.store.get(id).file)
    page.locator("[name=bin-days]").select_option("30")
    expect(page.locator(".gallery-said")).to_contain_text("erased after 30 days")
    page.locator("[name=bin-days]").select_option("")
    expect(page.locator(".gallery-said")).to_contain_text("until you empty it")
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
    studio = open_page(stranger.new_page(), address)
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
    studio = open_gallery(phone.new_page(), address)
    wide = "document.documentElement.scrollWidth - window.innerWidth"
    assert studio.page.evaluate(wide) <= 0
    for button in studio.page.locator(".gallery :is(button, select, input):visible").all():
        box = button.bounding_box()
        assert box is not None and box["height"] >= 44
    items(studio).nth(1).tap()
    expect(studio.page.locator(".gallery-settings div").first).to_be_attached()
    assert studio.page.evaluate(wide) <= 0
    prompt = studio.page.locator(".gallery-prompt")
    expect(prompt).to_have_text(f"a blue boat {COUNT - 2}")
    swipe(studio, 300, 60)
    expect(prompt).to_have_text(f"a red boat {COUNT - 3}")
    swipe(studio, 60, 300)
    expect(prompt).to_have_text(f"a blue boat {COUNT - 2}")
    assert studio.script_errors == []
    phone.close()


def swipe(studio: Studio, start: int, end: int) -> None:
    """Move a finger across the picture, from one x to another."""
    studio.page.wait_for_function("document.querySelector('.gallery-shown .viewer')")
    session = studio.page.context.new_cdp_session(studio.page)
    for number in range(9):
        x = start + (end - start) * number / 8
        kind = "touchStart" if number == 0 else "touchMove"
        points = [{"x": x, "y": 240}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

"""Help while typing a prompt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests.browser.conftest import TORCH, running_app
from tests.browser.driver import Studio
from tests.browser.test_accessibility import check


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An app with a list of tags."""
    folder = tmp_path_factory.mktemp("typing")
    (folder / "models/tags").mkdir(parents=True)
    rows = ('hat_(red),0,50,"cap"', "house_cat,0,7", ",broken")
    (folder / "models/tags/list.csv").write_text("\n".join(rows), encoding="utf-8")
    with running_app(folder, *TORCH, "--models-dir", str(folder / "models")) as address:
        yield address


def help_of(page: Page) -> Locator:
    return page.locator(".prompt-help:visible").first


def value(studio: Studio) -> str:
    return studio.prompt.input_value()


def test_a_prompt_is_read_when_typing_pauses(studio: Studio) -> None:
    page, asked = studio.page, list[Request]()
    page.on("request", lambda each: asked.append(each) if "prompts/check" in each.url else None)
    studio.prompt.press_sequentially("a (red hosue by the lake", delay=5)
    expect(help_of(page).locator(".prompt-tokens")).to_contain_text("of 75 tokens")
    expect(page.locator(".prompt-ink .mistake")).to_have_text("(")
    expect(page.locator(".prompt-ink .unknown")).to_have_text("hosue")
    assert len(asked) < 6, "not for each key"
    page.get_by_role("button", name="house", exact=True).click()
    expect(studio.prompt).to_have_value("a (red house by the lake")
    expect(page.locator(".prompt-ink .unknown")).to_have_count(0)
    studio.prompt.press("Control+z")
    expect(studio.prompt).to_have_value("a (red hosue by the lake")
    check(page, "a prompt with mistakes")


def test_underlines_lie_under_their_words_in_lines_of_either_direction(studio: Studio) -> None:
    """In the box each line has the direction of its own words."""
    studio.prompt.fill("بيت أحمر\na red hosue\nقطة سوداء")
    centre = (
        "box => { const { left, right } = box.getBoundingClientRect(); return (left + right) / 2; }"
    )
    middle = studio.prompt.evaluate(centre)
    latin = studio.page.locator(".prompt-ink .unknown", has_text="hosue")
    arabic = studio.page.locator(".prompt-ink .unknown", has_text="قطة")
    assert latin.evaluate(centre) < middle < arabic.evaluate(centre)
    studio.prompt.blur()  # no caret blinks
    with_lines = studio.prompt.screenshot()
    latin.evaluate("mark => { mark.style.textDecoration = 'none'; }")
    assert studio.prompt.screenshot() != with_lines, "a line is drawn above the box"
    quoted = help_of(studio.page).locator(".offer bdi")
    expect(quoted.first).to_have_text("بيت")
    assert quoted.first.evaluate(centre) < quoted.nth(1).evaluate(centre), "in an English sentence"


def test_a_newcomer_is_offered_what_mini_can_paint(studio: Studio) -> None:
    page = studio.page
    studio.prompt.fill("portrait of a cyberpunk girl")
    expect(help_of(page)).to_contain_text("can't paint “portrait” and “cyberpunk”")
    check(page, "an offer")
    page.get_by_role("button", name="a woman", exact=True).click()
    expect(studio.prompt).to_have_value("a woman")
    expect(help_of(page)).not_to_contain_text("can't paint")
    studio.prompt.fill("a robot")
    studio.prompt.blur()  # else its last word may not be complete
    page.get_by_role("button", name="Open the Models tab").click()
    expect(page.get_by_role("tab", name="Models")).to_have_attribute("aria-selected", "true")


def test_the_arrows_change_weights_and_can_be_undone(studio: Studio) -> None:
    box = studio.prompt
    box.fill("a red house")
    box.evaluate("box => box.setSelectionRange(3, 3)")
    for key, expected in (
        ("Control+ArrowUp", "a (red:1.1) house"),
        ("Control+ArrowUp", "a (red:1.2) house"),
        ("Control+ArrowDown", "a (red:1.1) house"),
        ("Control+ArrowDown", "a red house"),
        ("Control+ArrowDown", "a (red:0.9) house"),
        ("Control+z", "a red house"),
    ):
        box.press(key)
        expect(box).to_have_value(expected)
    for text, start, end, expected in (
        ("a red house, a boat", 2, 11, "a (red house:1.1), a boat"),
        ("((red))", 3, 3, "((red:1.2))"),
        ("(a red house:1.3)", 3, 6, "(a (red:1.1) house:1.3)"),
        ("(red:1.3) ", 0, 9, "(red:1.4) "),
        (r"\(red\)", 3, 3, r"\((red:1.1)\)"),
        ("x <lora:ink:0.8>", 8, 8, "x <lora:ink:0.85>"),
        ("<lora:ink>", 4, 4, "<lora:ink:1.05>"),
        ("<lora:ink:0.5:1>", 4, 4, "<lora:ink:0.55:1.05>"),
        ("  ", 1, 1, "  "),
    ):
        box.fill(text)
        box.evaluate(f"box => box.setSelectionRange({start}, {end})")
        box.press("Control+ArrowUp")
        expect(box).to_have_value(expected)


def test_words_and_tags_are_completed(studio: Studio) -> None:
    page, box = studio.page, studio.prompt
    options = page.get_by_role("listbox", name="Suggestions").get_by_role("option")
    box.press_sequentially("a cast")
    expect(options.first).to_contain_text("castle")
    assert box.get_attribute("aria-activedescendant") is None
    check(page, "suggestions")
    box.press("ArrowDown")
    active = box.get_attribute("aria-activedescendant")
    assert active and page.locator(f"#{active}").get_attribute("aria-selected") == "true"
    box.press("Enter")
    expect(box).to_have_value("a castle")
    expect(options).to_have_count(0)
    box.press("Enter")
    expect(box).to_have_value("a castle\n")
    box.press_sequentially("cap")
    expect(options.first).to_contain_text("hat (red)")
    box.press("Tab")
    expect(box).to_have_value("a castle\nhat \\(red\\), ")
    box.press("Control+z")
    expect(box).to_have_value("a castle\ncap")
    box.fill("")
    box.press_sequentially("hou")
    expect(options.first).to_be_visible()
    generate = studio.generate.bounding_box()
    listed = page.locator(".prompt-options").bounding_box()
    assert generate and listed
    assert listed["y"] + listed["height"] <= generate["y"] or listed["y"] >= generate["y"]
    box.press("Enter")
    expect(box).to_have_value("hou\n")
    box.press_sequentially("hou")
    expect(options.first).to_be_visible()
    box.press("Escape")
    expect(options).to_have_count(0)
    expect(box).to_be_focused()


def test_suggestions_work_on_a_phone(studio: Studio) -> None:
    page = studio.page
    page.set_viewport_size({"width": 390, "height": 844})
    studio.prompt.press_sequentially("a drag")
    page.get_by_role("option", name="dragon").click()
    expect(studio.prompt).to_have_value("a dragon")
    expect(studio.prompt).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_earlier_prompts_are_found_and_marked(studio: Studio) -> None:
    page = studio.page
    for prompt in ("a red house", "a blue boat"):
        studio.paint(prompt)
        studio.expect_picture()
    studio.prompt.fill("")
    page.get_by_role("button", name="Earlier prompts").first.click()
    dialog = page.get_by_role("dialog", name="Earlier prompts")
    expect(dialog.locator(".words").first).to_have_text("a blue boat")
    check(page, "earlier prompts")
    dialog.get_by_role("button", name="Favourite: a red house").click()
    dialog.get_by_label("Favourites only").check()
    expect(dialog.locator(".words")).to_have_text(["a red house"])
    dialog.get_by_label("Favourites only").uncheck()
    dialog.get_by_role("searchbox").fill("boat")
    expect(dialog.locator(".words")).to_have_text(["a blue boat"])
    dialog.locator(".words").click()
    expect(dialog).to_be_hidden()
    expect(studio.prompt).to_have_value("a blue boat")
    studio.prompt.press("Control+z")
    expect(studio.prompt).to_have_value("")


def test_chunks_are_counted_and_drawn(studio: Studio) -> None:
    page = studio.page
    studio.prompt.fill(", ".join(["a red boat on the calm sea"] * 14))
    expect(help_of(page).locator(".prompt-tokens")).to_contain_text("2 chunks")
    expect(page.locator(".chunk-border")).to_have_count(1)

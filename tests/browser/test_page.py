"""The page itself: whole without the internet, without a mouse, on a phone, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect

from tests.browser.driver import LONG, Studio

Opened = Callable[[BrowserContext], Studio]


def test_the_page_is_whole_with_all_other_hosts_blocked(
    stranger: BrowserContext, opened: Opened, url: str
) -> None:
    others: list[str] = []
    failed: list[str] = []

    def only_ours(route: Route) -> None:
        if urlsplit(route.request.url).netloc == urlsplit(url).netloc:
            route.continue_()
        else:
            others.append(route.request.url)
            route.abort()

    stranger.route("**/*", only_ours)
    stranger.on("response", lambda answer: answer.ok or failed.append(answer.url))
    studio = opened(stranger)
    studio.page.evaluate("document.fonts.ready")
    expect(studio.page.locator(".chip").first).to_be_visible()
    expect(studio.page.locator('[data-cell="memory"] dd')).to_contain_text("B")
    family = studio.page.evaluate("getComputedStyle(document.body).fontFamily")
    assert studio.page.evaluate("document.fonts.check('16px \"Source Sans Pro\"')"), family
    assert others == []
    assert failed == []
    # Negative control: the recorder does see a request to another host.
    studio.page.evaluate("fetch('http://elsewhere.example/').catch(() => null)")
    assert others == ["http://elsewhere.example/"]


def test_whoever_signed_in_can_sign_out(studio: Studio) -> None:
    page = studio.page
    signed_in: list[str | None] = [None]

    def answer(route: Route) -> None:
        if signed_in[0] == "gone":
            route.fulfill(status=401)
        else:
            found = route.fetch()
            route.fulfill(response=found, json={**found.json(), "signed_in": signed_in[0]})

    page.route("**/status", answer)
    link = page.get_by_role("link", name="Sign out")
    expect(link).to_have_count(0)
    signed_in[0] = "Ada"
    expect(link).to_be_visible()
    expect(link).to_have_attribute("title", "Signed in as Ada")
    signed_in[0] = "gone"
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.unroute("**/status")


def test_everything_works_with_the_keyboard_alone(studio: Studio) -> None:
    page = studio.page
    expect(studio.prompt).to_be_focused()
    page.keyboard.type("a red house")
    reached: list[str] = []
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.closest('[id]:not([id^=range])')?.id ?? ''")
        )
        outline = page.evaluate(
            "(() => { const e = document.activeElement;"
            " const rings = [e, e.closest('label'), e.closest('.wrap')].filter(Boolean);"
            " const s = rings.map((x) => getComputedStyle(x));"
            " return s.some((x) => x.outlineStyle !== 'none' || x.boxShadow !== 'none'); })()"
        )
        assert outline, f"no focus to be seen on {reached}"
    for name in ("surprise", "generate", "model", "quality", "width", "swap", "dice"):
        assert name in reached, f"{name} can't be reached: {reached}"
    studio.ask("a red house", **LONG)
    studio.prompt.focus()
    page.keyboard.press("Control+Enter")
    studio.expect_state("painting")
    assert "\n" not in studio.prompt.input_value()
    page.keyboard.press("Escape")
    studio.expect_state("cancelled")


def test_tab_closes_a_list_of_choices_and_one_ring_shows_the_focus(studio: Studio) -> None:
    page = studio.page
    style = "getComputedStyle(document.activeElement)"
    page.locator("#model input").click()
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("option")).to_have_count(0)
    page.wait_for_timeout(500)  # Gradio's script once opened it again
    expect(page.get_by_role("option")).to_have_count(0)
    assert page.evaluate("document.activeElement.type") == "radio"
    page.keyboard.press("Shift+Tab")
    page.locator("#width input").focus()
    for _ in range(3):  # a number, a button, a number
        page.keyboard.press("Tab")
        assert page.evaluate(f"{style}.outlineStyle") == "solid"
        assert page.evaluate(f"{style}.boxShadow") == "none"


def test_a_list_of_choices_opens_again_after_escape(studio: Studio) -> None:
    box, options = studio.page.locator("#model input"), studio.page.get_by_role("option")
    box.click()
    expect(options.first).to_be_visible()
    studio.page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    box.click()
    expect(options.first).to_be_visible()


def test_all_tabs_are_in_sight_on_a_phone(studio: Studio) -> None:
    studio.page.set_viewport_size({"width": 390, "height": 844})
    for title in ("Text to image", "Sketch & inpaint", "Draw & control", "Models", "Gallery"):
        expect(studio.page.get_by_role("tab", name=title)).to_be_in_viewport(ratio=1)
    assert studio.page.evaluate("document.documentElement.scrollWidth") == 390


def test_ideas_and_styles_are_a_row_of_their_own_until_they_are_opened(studio: Studio) -> None:
    tops = studio.page.locator(
        ":is(#surprise, #ideas-drawer-title, #style-drawer-title)"
    ).evaluate_all("all => all.map((each) => each.getBoundingClientRect().top)")
    assert max(tops) - min(tops) < 4
    expect(studio.page.locator("#categories")).to_be_hidden()
    studio.page.locator("#ideas-drawer .drawer-title").click()
    expect(studio.page.locator("#categories")).to_be_visible()


def test_drawer_arrows_point_down_until_the_drawer_is_open(studio: Studio) -> None:
    turned = "title => getComputedStyle(title, '::after').transform"
    title = studio.page.locator(".drawer-title:visible").first
    assert title.evaluate(turned) == "none"
    title.click()
    expect(title).to_have_attribute("aria-expanded", "true")
    assert title.evaluate(turned) == "matrix(-1, 0, 0, -1, 0, 0)"
    more = studio.page.locator("button.label-wrap", has_text="More settings")
    turned = "button => getComputedStyle(button.querySelector('.icon')).transform"
    assert more.evaluate(turned) == "none"
    more.click()
    studio.page.wait_for_function(
        "getComputedStyle(document.querySelector('.label-wrap.open .icon')).transform"
        ".startsWith('matrix(-1, ')"
    )


def test_every_control_has_a_name(studio: Studio) -> None:
    unnamed = studio.page.evaluate(
        """() => [...document.querySelectorAll("button, input, textarea, a[href]")]
        .filter((e) => e.checkVisibility() && !e.closest("[aria-hidden=true]"))
        .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length || e.innerText?.trim()
            || e.querySelector("img[alt]:not([alt=''])")))
        .map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert unnamed == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(browser: Browser, opened: Opened, scheme: str) -> None:
    phone = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True
    )
    studio = opened(phone)
    overflow = "document.documentElement.scrollWidth - window.innerWidth"
    assert studio.page.evaluate(overflow) <= 0
    box = studio.generate.bounding_box()
    assert box is not None and box["height"] >= 44
    studio.paint("a very" + "long" * 40 + " word", side=64)
    studio.expect_picture()
    assert studio.page.evaluate(overflow) <= 0
    # Negative control: the same measure sees something that is too wide.
    studio.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<div style=\"width:500px\">x</div>')"
    )
    assert studio.page.evaluate(overflow) > 0
    phone.close()


def test_on_a_phone_the_result_comes_into_view_and_so_do_errors(
    browser: Browser, opened: Opened
) -> None:
    phone = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    studio = opened(phone)
    studio.ask("a red house", side=64)
    studio.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(studio.stage).not_to_be_in_viewport()
    studio.generate.tap()
    studio.expect_picture()
    expect(studio.page.locator("#stage img.final")).to_be_in_viewport(ratio=0.99)
    studio.number("width", 7)
    studio.page.evaluate("window.scrollTo(0, 0)")
    studio.generate.tap()
    expect(studio.page.locator(".note.error:visible")).to_be_in_viewport(ratio=0.99)
    top = "note => { const { x, y } = note.getBoundingClientRect();"
    top += " return note.contains(document.elementFromPoint(x + 5, y + 5)); }"
    assert studio.page.locator(".note.error:visible").evaluate(top), "something covers it"
    phone.close()


def test_on_a_phone_a_batch_is_large_and_its_menus_stay_in_sight(
    browser: Browser, opened: Opened
) -> None:
    phone = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    studio = opened(phone)
    studio.paint("a red house", side=64, pictures=3)
    studio.expect_picture()
    pictures = studio.page.locator("#stage img.final")
    expect(pictures).to_have_count(3)
    widths = pictures.evaluate_all("all => all.map((each) => each.getBoundingClientRect().width)")
    assert min(widths) > 150
    for menu in studio.page.locator("#stage details.send").all():
        menu.locator("summary").evaluate("each => each.scrollIntoView({ block: 'center' })")
        menu.locator("summary").click()
        for entry in menu.locator("button").all():
            expect(entry).to_be_in_viewport(ratio=0.99)
    phone.close()


def test_what_scrolls_goes_under_the_generate_button(studio: Studio) -> None:
    studio.page.locator("button.label-wrap", has_text="More settings").click()
    expect(studio.page.locator("#variation-seed")).to_be_visible()
    covered = studio.page.evaluate("""() => {
      const bar = document.querySelector("#tabs .run-group");
      const controls = bar.closest(".controls");
      const top = (element) => element.getBoundingClientRect().top;
      controls.scrollTo(0, controls.scrollHeight);
      return [...controls.querySelectorAll(".settings-group [data-testid=block-info]")]
        .filter((label) => label.checkVisibility() && top(label) < top(bar))
        .map((label) => {
          controls.scrollBy(0, top(label) - top(bar) - 20);
          const { x, y } = label.getBoundingClientRect();
          return bar.contains(document.elementFromPoint(x + 5, y + 5));
        });
    }""")
    assert covered and False not in covered


def test_a_sentence_about_the_prompt_goes_when_the_prompt_changes(studio: Studio) -> None:
    note = studio.page.locator("#note-prompt .note")
    studio.paint("a red zeppelin house")
    expect(note).to_contain_text("zeppelin")
    studio.prompt.fill("a red house")
    expect(note).to_have_count(0)


def test_light_and_dark_follow_the_system_until_the_switch_is_used(
    browser: Browser, opened: Opened
) -> None:
    def brightness(studio: Studio) -> int:
        colour = studio.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(colour.removeprefix("rgb(").split(",")[0])

    visitor = browser.new_context(color_scheme="dark")
    studio = opened(visitor)
    assert brightness(studio) < 60
    red, _, blue = studio.page.locator(".keep-seed input").evaluate(
        "box => getComputedStyle(box).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number)"
    )
    assert blue > red, "brown beside the theme's cool greys"
    studio.page.emulate_media(color_scheme="light")
    studio.page.wait_for_function("!document.body.classList.contains('dark')")
    assert brightness(studio) > 200
    studio.page.locator("#theme-switch").click()
    assert brightness(studio) < 60
    studio.page.reload()
    studio.wait_until_ready()
    assert brightness(studio) < 60
    visitor.close()


def test_nothing_moves_for_people_who_asked_for_that(browser: Browser, opened: Opened) -> None:
    visitor = browser.new_context(reduced_motion="reduce")
    studio = opened(visitor)
    studio.paint("a cat", **LONG)
    studio.expect_state("queued", "loading", "painting")
    moving = "document.querySelector('#stage').getAnimations({subtree: true}).length"
    assert studio.page.evaluate(moving) == 0
    studio.stop()
    visitor.close()


def test_eight_tabs_do_not_disturb_one_another(context: BrowserContext, opened: Opened) -> None:
    first, *others, last = tabs = [opened(context) for _ in range(8)]
    first.ask("a cat number 0", **LONG)
    for number, tab in enumerate([*others, last], start=1):
        tab.prompt.fill(f"a cat number {number}")
        tab.fast()
    for tab in tabs:
        tab.generate.click()
    last.cancel.click()
    last.expect_state("cancelled")
    expect(first.cancel).to_be_enabled()  # a job that waits is cancelled at once
    first.cancel.click()
    first.expect_state("cancelled")
    for number, tab in enumerate(others, start=1):
        tab.expect_picture()
        expect(tab.page.locator("img.final").first).to_have_attribute(
            "alt", f"a cat number {number}"
        )
    for number, tab in enumerate(tabs):
        expect(tab.prompt).to_have_value(f"a cat number {number}")
    first.page.reload()
    first.wait_until_ready()
    expect(first.prompt).to_have_value("a cat number 0")
    assert [tab.script_errors for tab in tabs] == [[]] * 8

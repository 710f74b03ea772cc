"""From a prompt to a picture, as a person sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.browser.driver import LONG, WAIT_MS, Studio


def test_a_prompt_becomes_a_picture_and_a_second_one_is_cancelled(studio: Studio) -> None:
    prompt = "a white house on a green hill at dusk"  # no other test's: the strip shows those too
    studio.ask(prompt)
    studio.page.locator("#quality label", has_text="High").click()
    expect(studio.page.locator("#quality input:checked")).to_have_value("high")
    studio.generate.click()
    studio.expect_picture()
    expect(studio.line).to_contain_text(re.compile(r"Painted in \d+\.\d s · seed \d+ · 64x64"))
    expect(studio.thumbnails_of(prompt)).to_have_count(1)
    with studio.page.expect_download() as download:
        studio.page.locator("#stage a.save").click()
    assert re.fullmatch(r"paintdiffusion-\d+\.png", download.value.suggested_filename)
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")

    studio.paint("a blue boat", **LONG)
    expect(studio.generate).to_have_text("Queue another")
    studio.expect_state("painting")
    studio.expect_previews(2)
    studio.cancel.click()
    studio.expect_state("cancelled")
    expect(studio.cancel).to_be_disabled()
    expect(studio.generate).to_have_text("Generate")


def test_a_run_and_the_settings_survive_a_reload(studio: Studio) -> None:
    studio.paint("a green tree by the sea", **LONG)
    studio.expect_state("painting")
    job = studio.stored_job()
    assert job
    studio.page.reload()
    studio.wait_until_ready()
    expect(studio.prompt).to_have_value("a green tree by the sea")
    expect(studio.page.locator("#width input")).to_have_value(str(LONG["side"]))
    expect(studio.page.locator("#quality input:checked")).to_have_value("high")
    expect(studio.generate).to_have_text("Queue another")
    studio.page.wait_for_selector("img.preview")
    first = studio.line.inner_text()
    studio.page.wait_for_function(
        "text => document.querySelector('#progress').innerText !== text", arg=first
    )
    assert studio.stored_job() == job
    studio.cancel.click()
    studio.expect_state("cancelled", "finished")


def test_a_finished_picture_and_the_filmstrip_survive_a_reload(studio: Studio) -> None:
    studio.paint("a cat on a gate")
    studio.expect_picture()
    studio.paint("a dog on a gate")
    expect(studio.thumbnails_of("a dog on a gate")).to_have_count(1, timeout=WAIT_MS)
    studio.page.reload()
    studio.wait_until_ready()
    studio.expect_picture()
    expect(studio.thumbnails.first).to_have_attribute("alt", "a dog on a gate")
    studio.thumbnails_of("a cat on a gate").click()
    look = studio.page.locator("#look-dialog")
    expect(look.locator("img.final")).to_have_attribute("alt", "a cat on a gate")
    expect(look.locator(".look-words")).to_have_text("a cat on a gate")
    expect(look.locator(".look-settings")).to_contain_text("64x64 · 12 steps")
    look.get_by_role("button", name="Close").click()
    expect(look).to_be_hidden()


def test_a_second_ctrl_enter_queues_and_errors_go_with_their_cause(studio: Studio) -> None:
    page = studio.page
    studio.generate.click()
    expect(page.locator("#note-prompt .error")).to_be_visible()
    page.locator("#surprise").click()  # what the app writes counts too
    expect(page.locator("#note-prompt .error")).to_have_count(0)
    studio.ask("a red house", side=7, pictures=LONG["pictures"])
    page.keyboard.press("Control+Enter")
    expect(page.locator("#note-width .error")).to_be_visible()
    studio.number("width", LONG["side"])
    expect(page.locator("#note-width .error")).to_have_count(0)
    studio.number("height", LONG["side"])
    page.keyboard.press("Control+Enter")
    expect(studio.generate).to_have_text("Queue another")
    page.keyboard.press("Control+Enter")
    expect(studio.line).to_contain_text("1 more in the queue")
    studio.cancel.click()
    expect(studio.line).not_to_contain_text("in the queue")
    studio.expect_state("painting")
    studio.stop()
    expect(studio.generate).to_have_text("Generate")
    expect(studio.cancel).to_be_disabled()


def test_ids_of_an_app_that_was_restarted_are_dropped_quietly(
    stranger: BrowserContext, opened: Callable[[BrowserContext], Studio]
) -> None:
    stranger.add_init_script(
        "sessionStorage.setItem('paintdiff.text_to_image.job', 'gone');"
        "sessionStorage.setItem('paintdiff.text_to_image.film', '[\"gone/0\", \"gone/1\"]');"
        "localStorage.setItem('paintdiff.text_to_image.settings',"
        ' \'{"width": "x", "model": "gone"}\');'
    )
    studio = opened(stranger)
    studio.expect_state("empty")
    expect(studio.thumbnails).to_have_count(0)
    expect(studio.page.locator(".toast-wrap .toast-body")).to_have_count(0)
    studio.paint("a cat")
    studio.expect_picture()
    assert studio.script_errors == []


def test_an_example_is_one_click_away(studio: Studio) -> None:
    chip = studio.page.locator(".chip").first
    prompt = chip.inner_text()
    studio.ask("")
    chip.click()
    expect(studio.prompt).to_have_value(prompt)
    studio.expect_state("queued", "loading", "painting", "finished")


def test_surprise_me_writes_a_prompt_of_the_chosen_kind(studio: Studio) -> None:
    studio.page.locator("#ideas-drawer .drawer-title").click()
    studio.page.locator("#categories label", has_text="Mythical beings").click()
    studio.page.locator("#surprise").click()
    expect(studio.prompt).to_have_value(re.compile("dragon|fairy|phoenix|qilin|mermaid|leviathan"))


def test_prompts_by_line_stand_side_by_side(studio: Studio) -> None:
    page = studio.page
    studio.ask("", side=64)
    page.locator("#grid-drawer .drawer-title").click()
    page.locator("#grid-kind label", has_text="Lines").click()
    page.locator("#grid-lines textarea").fill("a red kettle by day\na blue kettle by day")
    studio.generate.click()
    studio.expect_state("finished")
    cells, labels = page.locator("#stage .cell"), page.locator("#stage .cells .column")
    boxes = [each.bounding_box() or {} for each in (*cells.all(), *labels.all())]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[1]["x"] - boxes[0]["x"] - boxes[0]["width"] < 20
    assert [round(each["x"]) for each in boxes[:2]] == [round(each["x"]) for each in boxes[2:]]
    page.locator("#grid-kind label", has_text="Off").click()


def test_a_double_click_paints_once(studio: Studio) -> None:
    studio.ask("a cat beside two keys", pictures=1)
    studio.generate.dblclick()
    studio.expect_picture()
    studio.page.wait_for_timeout(800)
    expect(studio.thumbnails_of("a cat beside two keys")).to_have_count(1)
    expect(studio.generate).to_be_enabled()


def test_errors_stand_next_to_what_caused_them(studio: Studio) -> None:
    studio.paint("a cat", side=7)
    expect(studio.page.locator("#note-width .error")).to_contain_text("be 32 to 4096 pixels, not 7")
    expect(studio.generate).to_be_enabled()
    studio.paint("   ")
    expect(studio.page.locator("#note-prompt .error")).to_contain_text("Write what")
    expect(studio.page.locator("#note-width .error")).to_have_count(0)
    studio.expect_state("empty")


def test_unknown_words_are_named_once(studio: Studio) -> None:
    studio.paint("a red house with a blorptangle")
    studio.expect_picture()
    after_the_run = studio.page.locator("#note-prompt .note")
    while_typing = studio.page.locator(".prompt-item.offer:visible")
    expect(while_typing).to_contain_text("blorptangle")
    expect(after_the_run).to_contain_text("blorptangle")
    expect(after_the_run).to_be_hidden()
    studio.prompt.press("ControlOrMeta+End")  # as if the word were still being typed
    expect(while_typing).to_have_count(0)
    expect(after_the_run).to_be_visible()
    studio.paint("quantum blorptangle")
    studio.expect_picture()
    expect(while_typing).to_contain_text("one subject at a time")
    expect(studio.page.get_by_role("button", name="a dragon", exact=True)).to_have_count(1)


def test_a_prompt_with_markup_stays_text(studio: Studio) -> None:
    prompt = '"><img src=x onerror="window.hacked=1"><b>a cat</b>'
    studio.paint(prompt)
    studio.expect_picture()
    expect(studio.thumbnails.first).to_have_attribute("alt", prompt)
    assert studio.page.evaluate("window.hacked") is None
    assert studio.page.locator("#stage b, #filmstrip b").count() == 0


def test_settings_that_belong_together(studio: Studio) -> None:
    page = studio.page
    studio.number("width", 96)
    studio.number("height", 160)
    page.locator("#swap").click()
    expect(page.locator("#width input")).to_have_value("160")
    expect(page.locator("#height input")).to_have_value("96")
    page.locator("#sizes label").first.click()
    expect(page.locator("#width input")).not_to_have_value("160")
    page.locator("#dice").click()
    keep = page.locator("#keep-seed input")
    expect(keep).to_be_checked()
    assert page.locator("#seed input").input_value().isdigit()
    for none in ("", "-1"):
        page.fill("#seed input", none)
        expect(keep).not_to_be_checked()
        studio.number("seed", 5)
        expect(keep).to_be_checked()
    page.locator("#quality label", has_text="High").click()
    expect(page.locator("#quality")).to_contain_text(re.compile(r"\d+ steps, guidance"))
    studio.paint("a cat")
    studio.expect_picture()
    expect(studio.line).to_contain_text("seed 5 ")


def test_what_is_said_of_a_setting_that_isnt_there_is_seen(studio: Studio) -> None:
    """At the board, until the setting comes."""
    page = studio.page
    notes = '{"number": 0, "notes": {"note-later": ["later", "<p class=note>Odd.</p>"]}}'
    page.evaluate(
        "(notes) => paintdiff.notes.show(notes, document.querySelector('.note-board'))", notes
    )
    expect(page.locator(".note-board + #note-later")).to_be_visible()
    page.evaluate(
        "document.querySelector('#prompt').insertAdjacentHTML('afterend', '<p id=later>')"
    )
    page.locator("button.label-wrap", has_text="More settings").click()
    expect(page.locator("#later + #note-later")).to_be_visible()
    expect(page.locator("#note-later")).to_have_count(1)


def test_a_prompt_whose_lora_is_not_there_is_painted_without_it(studio: Studio) -> None:
    studio.ask("a red <lora:gone:0.5> house")
    studio.generate.click()
    note = studio.page.locator("#note-prompt")
    expect(note).to_contain_text("There is no LoRA 'gone'")
    said = studio.page.get_by_text("There is no LoRA 'gone'").filter(visible=True)
    expect(said).to_have_count(1)  # not also by the check of what is typed
    studio.prompt.press_sequentially(" ")
    expect(note.locator(".note.error")).to_have_count(0)
    expect(said).to_have_count(1)
    studio.generate.click()
    note.get_by_role("button", name="Paint without it").click()
    studio.expect_picture()
    expect(studio.prompt).to_have_value("a red house")
    expect(note.locator(".note.error")).to_have_count(0)

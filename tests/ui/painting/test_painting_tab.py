"""A tab's handlers, called as gradio calls them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.utils import connect_heartbeat

from paintdiff.errors import QueueFullError
from paintdiff.jobs.events import Cancelled, Finished, Progress, Queued
from paintdiff.jobs.requests import TextToImage
from paintdiff.ui.common.browser_state import BrowserState, FilmPicture
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.page import build_page
from paintdiff.ui.painting.painting_tab import PaintingTab
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from tests.adapter_files import lora_row
from tests.loops import inside_a_loop
from tests.ui.fake_engine import FakeEngine, picture


@pytest.fixture
def tab(context: PageContext) -> PaintingTab:
    def build() -> PaintingTab:
        with gr.Blocks():
            return PaintingTab.build(context, TextToImageInputs(context))

    return inside_a_loop(build)


def values(tab: PaintingTab, **changed: Any) -> dict[Any, Any]:
    """The page's values: the components' first ones, and those that a test changes."""
    own = tab.inputs()
    form = {component: component.value for component in own.values()}
    sent = {
        tab.prompt: "a cat",
        tab.run_panel.job: "",
        tab.run_panel.film: "[]",
        tab.form.keep_seed: False,
        **form,
    }
    by_name = {
        **own,
        "prompt": tab.prompt,
        "job": tab.run_panel.job,
        "film": tab.run_panel.film,
    }
    by_name["keep_seed"] = tab.form.keep_seed
    return {**sent, **{by_name[name]: value for name, value in changed.items()}}


@pytest.mark.parametrize("field", ["width", "height", "seed", "variation_seed"])
def test_a_typed_number_is_not_rounded(tab: PaintingTab, field: str) -> None:
    """1.5 was painted with the seed 2, and a width of 1.5 was called 2."""
    typed = tab.inputs()[field].preprocess(1.5)
    sent = {**values(tab, **{field: typed}), tab.form.keep_seed: True}
    said = tab.start(sent)[tab.notes[field]]
    assert "Must be a whole number, not 1.5" in said


def started(tab: PaintingTab, engine: FakeEngine, **changed: Any) -> Any:
    updates = tab.start(values(tab, **changed))
    return engine.jobs[updates[tab.run_panel.job]]


def test_a_click_submits_what_the_page_says(tab: PaintingTab, engine: FakeEngine) -> None:
    job = started(tab, engine, width=96, seed=5, keep_seed=True, sampler="Euler", num_images=2)
    request = job.request
    assert (request.prompt, request.width, request.seed, request.sampler, request.num_images) == (
        "a cat",
        96,
        5,
        "Euler",
        2,
    )


def test_a_seed_that_is_not_kept_is_drawn(tab: PaintingTab, engine: FakeEngine) -> None:
    assert started(tab, engine, seed=5, keep_seed=False).request.seed == 7


def test_a_second_click_queues(tab: PaintingTab, engine: FakeEngine) -> None:
    job = started(tab, engine)
    job.latest = Progress(1, 20, 0, 1)
    updates = tab.start(values(tab, job=job.id))
    assert list(engine.jobs) == ["job-0", "job-1"]
    assert updates[tab.run_panel.job] == "job-0 job-1", "the first is still watched"
    assert "1 more in the queue" in updates[tab.run_panel.progress]
    job.latest = Finished((picture(job),), (), 1.5, 2.0)
    turn = watched(tab, job="job-0 job-1")[0]
    assert "queue" not in turn[tab.run_panel.progress], "the second one's turn"
    assert turn[tab.run_panel.film] == '["job-0/0"]', "what ended between two turns isn't lost"
    engine.jobs["job-1"].latest = Cancelled()
    assert watched(tab, job="job-0 job-1")[-1][tab.run_panel.ended] == "job-0 job-1"
    assert tab.start(values(tab, job="job-0 job-1"))[tab.run_panel.job] == "job-2"


def test_cancel_stops_the_first_and_the_next_goes_on(tab: PaintingTab, engine: FakeEngine) -> None:
    first, second = started(tab, engine), started(tab, engine)
    both = f"{first.id} {second.id}"
    first.latest = Queued(0)
    tab.run_panel.cancel(values(tab, job=both))
    assert first.done and not second.done
    tab.run_panel.cancel(values(tab, job=both))
    assert second.done


def test_pictures_of_a_batch_line_up_as_they_are_done(tab: PaintingTab, engine: FakeEngine) -> None:
    job = started(tab, engine, num_images=3)
    job.finished = (picture(job),)
    job.latest = Progress(1, 20, 1, 3)
    updates = tab.run_panel.show([job], values(tab, job=job.id, film='["old/0"]'))
    assert updates[tab.run_panel.film] == f'["{job.id}/0", "old/0"]'
    assert updates[tab.run_panel.strip].count("<li>") == 1, "the old one has been forgotten"
    again = tab.run_panel.show([job], values(tab, job=job.id, film=f'["{job.id}/0"]'))
    assert tab.run_panel.strip not in again, "what is there isn't sent at every step"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"width": 7}, "width"),
        ({"height": 9999}, "height"),
        ({"prompt": "  "}, "prompt"),
        ({"sampler": "nonsense"}, "sampler"),
        ({"seed": -1, "keep_seed": True}, "seed"),
        ({"num_images": 999}, "num_images"),
    ],
)
def test_an_error_goes_next_to_its_cause_and_nowhere_else(
    tab: PaintingTab, engine: FakeEngine, changed: dict[str, Any], field: str
) -> None:
    updates = tab.start(values(tab, **changed))
    said = {id(note) for note in tab.notes.values() if updates[note]}
    assert said == {id(tab.notes[field])}
    assert not engine.jobs and tab.run_panel.buttons.generate not in updates


def test_an_error_about_something_else_goes_under_the_button(
    tab: PaintingTab, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise QueueFullError("16 pictures are waiting already.")

    monkeypatch.setattr(engine, "submit", full)
    updates = tab.start(values(tab))
    assert "16 pictures" in updates[tab.notes[""]]


def test_warnings_are_shown_while_it_runs(tab: PaintingTab, engine: FakeEngine) -> None:
    job = started(tab, engine)
    job.warnings = ("I don't know the word 'zebra'.",)
    job.latest = Progress(1, 20, 0, 1)
    updates = watched(tab, job=job.id)[0]
    assert "zebra" in updates[tab.notes["prompt"]]


def watched(tab: PaintingTab, **changed: Any) -> list[dict[Any, Any]]:
    async def all_of() -> list[dict[Any, Any]]:
        return [updates async for updates in tab.run_panel.watch(values(tab, **changed))]

    return asyncio.run(all_of())


def test_the_end_brings_picture_seed_and_filmstrip(tab: PaintingTab, engine: FakeEngine) -> None:
    job = started(tab, engine)
    job.latest = Finished((picture(job),), (), 1.5, 2.0)
    updates = watched(tab, job=job.id, film='["old/0"]')[-1]
    assert updates[tab.run_panel.drawn] == "7" and tab.form.seed not in updates
    assert updates[tab.run_panel.film] == f'["{job.id}/0", "old/0"]'
    assert "img" in updates[tab.run_panel.strip] and "final" in updates[tab.run_panel.stage]


def test_a_job_that_is_gone_frees_the_page(tab: PaintingTab) -> None:
    (updates,) = watched(tab, job="gone")
    assert "restarted" in updates[tab.run_panel.progress] and updates[tab.run_panel.ended] == "gone"


def test_cancel_ends_a_waiting_job_in_the_same_answer(tab: PaintingTab, engine: FakeEngine) -> None:
    job = started(tab, engine)
    job.latest = Queued(3)
    updates = tab.run_panel.cancel(values(tab, job=job.id))
    assert job.done and "Cancelled" in updates[tab.run_panel.stage]
    running = started(tab, engine)
    running.latest = Progress(1, 20, 0, 1)
    assert "Cancelling" in tab.run_panel.cancel(values(tab, job=running.id))[tab.run_panel.progress]
    assert tab.run_panel.cancel(values(tab, job="gone"))


def test_a_reload_finds_the_job_again(tab: PaintingTab, engine: FakeEngine) -> None:
    job = started(tab, engine)
    job.latest = Progress(3, 20, 0, 1)  # no preview at this step
    memory = BrowserState({"prompt": "a dog", "width": 96, "height": 64}, (), (job.id,))
    updates = tab.restore(memory)
    assert (
        updates[tab.run_panel.job] == job.id and "Step 3 of 20" in updates[tab.run_panel.progress]
    )
    assert "blank" in updates[tab.run_panel.stage]
    assert (updates[tab.prompt], updates[tab.form.width]) == ("a dog", 96)
    assert set(updates) <= set(tab.restore_outputs())


def test_a_reload_with_nothing_or_nonsense_is_a_fresh_page(tab: PaintingTab) -> None:
    for memory in (
        BrowserState(),
        BrowserState({"model": "gone", "width": -3}, (FilmPicture(("gone", 0)),), ("gone",)),
    ):
        updates = tab.restore(memory)
        assert updates[tab.form.width] == 128 and updates[tab.form.model].value == "mini"
        assert tab.run_panel.job not in updates and tab.run_panel.stage not in updates
        assert set(updates) <= set(tab.restore_outputs())


class Click:
    """The event of a click on our own markup."""

    def __init__(self, **data: str) -> None:
        self.__dict__.update(data)


def test_chips_are_looked_up_never_trusted(tab: PaintingTab) -> None:
    assert tab.use_example(Click(example="1")) == "a <b>bold</b> cat"  # type: ignore[arg-type]
    for nonsense in ("2", "-1", "x", "²", ""):
        with pytest.raises(gr.Error):
            tab.use_example(Click(example=nonsense))  # type: ignore[arg-type]


def test_choices_bring_what_belongs_to_them(tab: PaintingTab) -> None:
    form = tab.form
    sent = {form.model: "mini", form.quality: "fast", form.profile: "exact"}
    updates = form._choose_quality(sent)
    row = tab.context.model("mini")
    assert updates[form.num_inference_steps] == row.figures("fast").num_inference_steps
    assert form._choose_model(sent)[form.width] == row.sizes[0].width
    assert form._choose_size("160x128") == (160, 128)


def test_no_component_holds_a_connection(context: PageContext) -> None:
    """A gr.State, an unload or a stream event would hold one per tab, and a browser has six."""

    def with_state() -> gr.Blocks:
        with gr.Blocks() as page:
            gr.State(delete_callback=lambda _: None)
        return page

    page = inside_a_loop(lambda: build_page(context))
    assert not connect_heartbeat(page.get_config_file(), page.blocks.values())
    control = inside_a_loop(with_state)
    assert connect_heartbeat(control.get_config_file(), control.blocks.values())


def test_no_event_leaves_the_page_components_to_go_over(context: PageContext) -> None:
    """Gradio's page visits every component that ever showed an event's progress, at each event."""
    page = inside_a_loop(lambda: build_page(context))
    events = [each for each in (fn.get_config() for fn in page.fns.values()) if each["backend_fn"]]
    assert len(events) > 100
    assert [each["targets"] for each in events if each["show_progress_on"] != []] == []


def test_a_profile_says_what_it_changes(tab: PaintingTab) -> None:
    form = tab.form
    assert [name for _title, name in form.profile.choices] == ["exact", "fast", "turbo"]
    assert form.profile.value == "exact"
    sent = {form.model: "mini", form.quality: "balanced", form.profile: "turbo"}
    updates = form._choose_profile(sent)
    assert list(updates) == [form.profile], "what a person has set stays"
    chosen = updates[form.profile]
    assert chosen.value == "turbo"
    assert chosen.info == form.context.profiles.profile("turbo").says
    restored = form.restore(BrowserState(settings={"profile": "turbo"}))
    assert restored[form.profile].value == "turbo"
    assert form.restore(BrowserState(settings={"profile": "gone"}))[form.profile].value == "exact"
    again = form.fill(TextToImage(prompt="a cat", profile="fast"))[form.profile]
    assert again.value == "fast" and "can differ by rounding" in again.info
    assert form.request_inputs()["profile"] is form.profile


def test_a_lora_for_few_steps_brings_them(tab: PaintingTab, engine: FakeEngine) -> None:
    form = tab.form
    few = lora_row(Path("lcm-lora-mini.safetensors"), families=("mini",))
    engine.manager.catalog.beside = (few,)
    sent = {form.model: "mini", form.quality: "high", form.profile: "turbo"}
    for chosen in (form._choose_profile(sent), form._choose_model(sent)):
        assert chosen[form.num_inference_steps] == 8
        assert chosen[form.guidance_scale] == 1.0
        assert chosen[form.sampler].value == "LCM"
        assert chosen[form.quality].info == "8 steps, guidance 1"
        assert "lcm-lora-mini" in chosen[form.profile].info
    back = form._choose_profile({**sent, form.profile: "exact"})
    own = tab.context.model("mini")
    assert back[form.num_inference_steps] == own.figures("high").num_inference_steps
    assert back[form.sampler].value == own.sampler
    restored = form.restore(BrowserState(settings={"profile": "turbo"}))
    assert restored[form.num_inference_steps] == 6

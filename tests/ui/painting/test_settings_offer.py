"""Settings in pictures and texts that are brought to Text to image."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from paintdiff.gallery.settings.found_settings import FoundSettings
from paintdiff.jobs.request_parts import MAX_PROMPT_CHARACTERS, Axis, HiresFix
from paintdiff.jobs.requests import Grid, TextToImage
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.painting.settings_offer import (
    DroppedSettings,
    PaintingSettings,
    build_offer,
    read_painting_settings,
)
from paintdiff.ui.tabs.text_to_image import TextToImageInputs
from tests.gallery.test_other_programs import TEXT, png
from tests.ui.test_tabs import tab_of

FAR = TEXT.replace("Steps: 20", "Steps: 500").replace("scale: 7", "scale: 30")


def event(**data: Any) -> gr.EventData:
    return cast("gr.EventData", SimpleNamespace(**data))


def dropped_of(context: PageContext) -> DroppedSettings:
    words = tab_of(TextToImageInputs, context).tab_inputs
    assert isinstance(words, TextToImageInputs)
    return words.dropped


def test_pictures_and_texts_offer_their_settings(context: PageContext) -> None:
    dropped = dropped_of(context)
    upload = context.uploads.add(png(parameters=TEXT))
    for brought in (event(picture=upload.id), event(text=TEXT), event(text=f"x\n{TEXT}")):
        told = dropped.build_offer(brought, "mini")
        assert "a cat”" in told
        assert "data-use" in told
        assert "Its model, dream, isn't installed; yours stays selected." in told
    graph = json.dumps({"prompt": "a <b>cat</b>", "steps": 20, "version": "Fooocus v2"})
    told = dropped.build_offer(event(text=graph), "mini")
    assert "from Fooocus: “a &lt;b&gt;cat&lt;/b&gt;”" in told


@pytest.mark.parametrize(
    ("brought", "words"),
    [
        ({"text": "a cat in a hat"}, ""),
        ({"text": "{not json"}, ""),
        ({"failed": "<i>no</i> PNG"}, "&lt;i&gt;no&lt;/i&gt; PNG"),
        ({"picture": "unknown"}, "no longer available"),
        ({"picture": "x" * 1000}, "no longer available"),
        ({}, "no longer available"),
    ],
)
def test_what_offers_nothing(brought: dict[str, str], words: str, context: PageContext) -> None:
    told = dropped_of(context).build_offer(event(**brought), "mini")
    assert "data-use" not in told
    assert (words in told) if words else told == ""


def test_pictures_without_usable_settings_say_so(context: PageContext) -> None:
    dropped = dropped_of(context)
    for texts, words in (
        ({}, "no settings"),
        ({"parameters": "{broken"}, "damaged (invalid JSON)"),
    ):
        upload = context.uploads.add(png(**texts))
        told = dropped.build_offer(event(picture=upload.id), "mini")
        assert words in told
        assert "data-use" not in told


def test_what_the_page_cant_show_is_named_and_left_as_it_is(context: PageContext) -> None:
    tab = tab_of(TextToImageInputs, context)
    found = read_painting_settings(png(parameters=f"{FAR}, Schedule type: Beta, ENSD: 31337"))
    assert found is not None
    told = build_offer(found, context, "mini")
    for words in (
        "steps 500 (at most 150 here)",
        "guidance 30 (at most 20 here)",
        "schedule Beta (not available, so Euler a uses its default)",
        "ENSD",
    ):
        assert words in told
    filled = tab.fill(found.for_page(context, "mini").painting)
    assert filled[tab.prompt] == "a cat"
    assert filled[tab.form.negative_prompt] == "a dog"
    assert filled[tab.form.seed] == 5
    assert filled[tab.form.sampler].value == "Euler a"
    assert tab.form.num_inference_steps not in filled
    assert tab.form.guidance_scale not in filled
    assert set(filled) <= set(tab.receive_outputs())


def test_a_slider_makes_room_for_what_another_program_set(context: PageContext) -> None:
    """It refused every event of the tab: Generate did nothing until the drawer was opened."""
    tab = tab_of(TextToImageInputs, context)
    hires = HiresFix(scale=2, num_inference_steps=500)
    filled = tab.fill(TextToImage(prompt="a cat", hires=hires, clip_skip=2))
    steps = tab.inputs()["hires_steps"]
    assert (filled[steps].value, filled[steps].maximum, filled[steps].minimum) == (500, 500, 0)
    assert filled[tab.inputs()["clip_skip"]] == 2, "what fits moves no end"


def test_a_grids_sheet_brings_back_the_grid(context: PageContext) -> None:
    axis = Axis(field="seed", values=("1", "2", "3"))
    grid = Grid(base=TextToImage(prompt="a cat", seed=1, model="mini"), x=axis)
    found = PaintingSettings.of(FoundSettings(grid))
    assert found is not None
    assert "a grid of 3 pictures" in build_offer(found, context, "mini")
    tab = tab_of(TextToImageInputs, context)
    filled = tab.fill(found.for_page(context, "mini").request)
    assert filled[tab.prompt] == "a cat"
    assert filled[tab.grid.kind] == "axes"
    assert "1, 2, 3" in filled.values()
    assert set(filled) <= set(tab.receive_outputs())


def test_the_chosen_model_stays_where_none_is_named(context: PageContext) -> None:
    """Its samplers count, too: another family's are named and not chosen."""
    text = TEXT.replace(", Model: dream", "")
    found = read_painting_settings(png(parameters=text))
    assert found is not None
    assert found.for_page(context, "mini").painting.model == "mini"
    assert "isn't installed" not in build_offer(found, context, "mini")
    flow = read_painting_settings(png(parameters=text.replace("Euler a", "Flow Euler")))
    assert flow is not None
    assert "can differ" not in build_offer(found, context, "mini")
    fast = read_painting_settings(png(parameters=f"{text}, Profile: fast"))
    assert fast is not None and "speed Fast" in build_offer(fast, context, "mini")
    assert "can differ by rounding" in build_offer(fast, context, "mini")
    assert "sampler Flow Euler (not for " in build_offer(flow, context, "mini")
    assert flow.for_page(context, "mini").painting.sampler is None


def test_a_text_without_end_is_no_offer(context: PageContext) -> None:
    assert dropped_of(context).build_offer(event(text="Steps: 1, " * 200_000), "mini") == ""
    long = TEXT.replace("a cat", "a cat " * MAX_PROMPT_CHARACTERS)
    assert "no prompt" in dropped_of(context).build_offer(event(text=long), "mini")

"""Settings in pictures and texts that are brought to Text to image."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from paintdiff.requests import MAX_PROMPT_CHARACTERS
from paintdiff.ui.parts import Parts
from paintdiff.ui.settings_offer import DroppedSettings, offer, settings_of
from paintdiff.ui.tabs.text_to_image import Words
from tests.gallery.test_other_programs import TEXT, png
from tests.ui.test_tabs import studio_of

FAR = TEXT.replace("Steps: 20", "Steps: 500").replace("scale: 7", "scale: 30")


def event(**data: Any) -> gr.EventData:
    return cast("gr.EventData", SimpleNamespace(**data))


def dropped_of(parts: Parts) -> DroppedSettings:
    words = studio_of(Words, parts).ingredients
    assert isinstance(words, Words)
    return words.dropped


def test_pictures_and_texts_offer_their_settings(parts: Parts) -> None:
    dropped = dropped_of(parts)
    upload = parts.uploads.add(png(parameters=TEXT))
    for brought in (event(picture=upload.id), event(text=TEXT), event(text=f"x\n{TEXT}")):
        told = dropped.offered(brought, "mini")
        assert "a cat”" in told
        assert "data-use" in told
        assert "Its model, dream, isn't installed; yours stays." in told
    graph = json.dumps({"prompt": "a <b>cat</b>", "steps": 20, "version": "Fooocus v2"})
    told = dropped.offered(event(text=graph), "mini")
    assert "from Fooocus: “a &lt;b&gt;cat&lt;/b&gt;”" in told


@pytest.mark.parametrize(
    ("brought", "words"),
    [
        ({"text": "a cat in a hat"}, ""),
        ({"text": "{not json"}, ""),
        ({"failed": "<i>no</i> PNG"}, "&lt;i&gt;no&lt;/i&gt; PNG"),
        ({"picture": "unknown"}, "forgotten"),
        ({"picture": "x" * 1000}, "forgotten"),
        ({}, "forgotten"),
    ],
)
def test_what_offers_nothing(brought: dict[str, str], words: str, parts: Parts) -> None:
    told = dropped_of(parts).offered(event(**brought), "mini")
    assert "data-use" not in told
    assert (words in told) if words else told == ""


def test_pictures_without_usable_settings_say_so(parts: Parts) -> None:
    dropped = dropped_of(parts)
    for texts, words in (
        ({}, "no settings"),
        ({"parameters": "{broken"}, "damaged (invalid JSON)"),
    ):
        upload = parts.uploads.add(png(**texts))
        told = dropped.offered(event(picture=upload.id), "mini")
        assert words in told
        assert "data-use" not in told


def test_what_the_page_cant_show_is_named_and_left_as_it_is(parts: Parts) -> None:
    studio = studio_of(Words, parts)
    found = settings_of(png(parameters=f"{FAR}, Schedule type: Beta, ENSD: 31337"))
    assert found is not None
    told = offer(found, parts, "mini")
    for words in (
        "steps 500 (at most 150 here)",
        "guidance 30 (at most 20 here)",
        "schedule Beta (not available, so Euler a uses its usual one)",
        "ENSD",
    ):
        assert words in told
    filled = studio.filled(found.for_page(parts, "mini").painting)
    assert filled[studio.prompt] == "a cat"
    assert filled[studio.form.negative_prompt] == "a dog"
    assert filled[studio.form.seed] == 5
    assert filled[studio.form.sampler].value == "Euler a"
    assert studio.form.num_inference_steps not in filled
    assert studio.form.guidance_scale not in filled
    assert set(filled) <= set(studio.receivable())


def test_the_chosen_model_stays_where_none_is_named(parts: Parts) -> None:
    """Its samplers count, too: another family's are named and not chosen."""
    text = TEXT.replace(", Model: dream", "")
    found = settings_of(png(parameters=text))
    assert found is not None
    assert found.for_page(parts, "mini").painting.model == "mini"
    assert "isn't installed" not in offer(found, parts, "mini")
    flow = settings_of(png(parameters=text.replace("Euler a", "Flow Euler")))
    assert flow is not None
    assert "can differ" not in offer(found, parts, "mini")
    fast = settings_of(png(parameters=f"{text}, Profile: fast"))
    assert fast is not None and "speed Fast" in offer(fast, parts, "mini")
    assert "can differ by rounding" in offer(fast, parts, "mini")
    assert "sampler Flow Euler (not for " in offer(flow, parts, "mini")
    assert flow.for_page(parts, "mini").painting.sampler is None


def test_a_text_without_end_is_no_offer(parts: Parts) -> None:
    assert dropped_of(parts).offered(event(text="Steps: 1, " * 200_000), "mini") == ""
    long = TEXT.replace("a cat", "a cat " * MAX_PROMPT_CHARACTERS)
    assert "no prompt" in dropped_of(parts).offered(event(text=long), "mini")

"""The parts of the page that a browser gets at first, and with each tab."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.lazy_page import LazyPage
from paintdiff.ui.page import build_page
from tests.loops import inside_a_loop

TABS = ("text_to_image", "image_to_image", "inpaint", "controlnet", "upscale", "models")


@pytest.fixture
def page(context: PageContext) -> LazyPage:
    built = inside_a_loop(lambda: build_page(context))
    assert isinstance(built, LazyPage)
    return built


def answered(page: LazyPage, tab: str, memory: dict[str, Any]) -> dict[str, Any]:
    """The server's answer when a tab is opened."""
    function = opener_of(page, tab)
    values: dict[Any, Any] = {"models-known": "", "stored": json.dumps(memory)}
    sent = [values.get(str(each.elem_id)) for each in function.inputs]
    return asyncio.run(page.process_api(function, sent, None))


def opener_of(page: LazyPage, tab: str) -> Any:
    """The event that the page's script triggers when a tab is first opened."""
    (button,) = (number for number, each in page.blocks.items() if each.elem_id == f"{tab}-open")
    return next(each for each in page.fns.values() if (button, "click") in each.targets)


def props_of(content: dict[str, Any], elem_id: str) -> dict[str, Any]:
    found = [each["props"] for each in content["components"]]
    return next(each for each in found if each.get("elem_id") == elem_id)


def test_a_page_begins_with_little(page: LazyPage) -> None:
    """Its time to load grows with components times events; at 530 and 450 it took seconds."""
    config: Any = page.get_config_file()
    targets = sum(len(each["targets"]) for each in config["dependencies"])
    assert len(config["components"]) <= 40 and targets <= 40
    assert len(page.blocks) > 300, "the rest is on the server"
    assert config["page"][""]["components"] == [each["id"] for each in config["components"]]


def test_everything_comes_once_and_whole(page: LazyPage) -> None:
    config: Any = page.get_config_file()
    components = [each["id"] for each in config["components"]]
    events = [each["id"] for each in config["dependencies"]]
    for tab in TABS:
        content = answered(page, tab, {})["render_config"]
        place, *rest = [each["id"] for each in content["components"]]
        assert place in components, "it knows the column that takes the tab"
        known = {place, *rest}
        for event in content["dependencies"]:
            assert {target for target, _ in event["targets"]} - {None} <= known
        components += rest
        events += [each["id"] for each in content["dependencies"]]
    assert sorted(events) == sorted(page.fns)
    assert len(components) == len(set(components))
    assert set(components) == set(page.blocks) - {page._id}  # pyright: ignore[reportPrivateUsage]


def test_a_tab_comes_as_the_browser_remembers_it(page: LazyPage) -> None:
    """No update comes after it that could replace what a person writes meanwhile."""
    memory = {"settings": {"prompt": "a cat", "width": 96, "sampler": "Euler"}}
    answer = answered(page, "text_to_image", memory)
    content = answer["render_config"]
    assert props_of(content, "prompt")["value"] == "a cat"
    assert props_of(content, "width")["value"] == 96
    assert props_of(content, "sampler")["value"] == "Euler"
    own = {each["id"] for each in content["components"]}
    later = [
        update
        for each, update in zip(
            opener_of(page, "text_to_image").outputs, answer["data"], strict=True
        )
        if each._id in own  # pyright: ignore[reportPrivateUsage]
    ]
    assert later == [{"__type__": "update"}] * len(later) and later
    again = answered(page, "text_to_image", {})["render_config"]
    assert props_of(again, "prompt")["value"] == "", "one visitor's words are no other's"


def test_settings_can_be_changed(page: LazyPage) -> None:
    """Gradio's script would take one that only events of other tabs read for mere output."""
    content = answered(page, "inpaint", {})["render_config"]
    for name in ("prompt", "model", "quality", "num-images", "keep-seed", "steps", "sampler"):
        assert props_of(content, f"inpaint-{name}")["interactive"], name

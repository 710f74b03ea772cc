from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from paintdiff.jobs.requests import TextToImage
from paintdiff.prompts.library import PromptLibrary
from paintdiff.prompts.styles import Style
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.settings.style_drawer import StyleDrawer, show_styles
from tests.loops import inside_a_loop


@pytest.fixture
def drawer(context: PageContext, tmp_path: Path) -> StyleDrawer:
    context.engine.library = PromptLibrary(own_folder=tmp_path)  # pyright: ignore
    return add(StyleDrawer(context, Ids("", first=True)))


def add(drawer: StyleDrawer) -> StyleDrawer:
    """Add it to a page."""

    def build() -> None:
        with gr.Blocks():
            drawer.add()

    inside_a_loop(build)
    return drawer


def said(updates: dict[Any, Any]) -> str:
    """The message below the name."""
    return str(list(updates.values())[-1])


def test_the_choices_become_a_requests_fields(drawer: StyleDrawer) -> None:
    values: dict[Any, Any] = {drawer.styles: ["Anime"], drawer.wildcards: "combinatorial"}
    assert drawer.read(values) == {"styles": ("Anime",), "wildcards": "combinatorial"}
    assert drawer.read({drawer.styles: None, drawer.wildcards: None}) == {
        "styles": (),
        "wildcards": "random",
    }


def test_a_click_chooses_and_gives_up(drawer: StyleDrawer) -> None:
    def click(name: str) -> Any:
        return SimpleNamespace(style=name)

    assert drawer.toggle([], click("Anime")) == ["Anime"]
    assert drawer.toggle(["Anime", "Etching"], click("Anime")) == ["Etching"]
    assert drawer.toggle(["Anime"], click("<script>")) == ["Anime"]
    assert drawer.toggle("nonsense", click("Anime")) == ["Anime"]


def test_styles_are_written_into_the_prompts(drawer: StyleDrawer) -> None:
    chosen, prompt, negative = drawer.insert(["Etching"], "a cat", "blurry")
    assert chosen == []
    assert prompt.startswith("old etching of a cat")
    assert negative.startswith("blurry, photo")
    with pytest.raises(gr.Error, match="no style"):
        drawer.insert(["nope"], "", "")


def test_own_styles_are_saved_and_deleted(drawer: StyleDrawer) -> None:
    update, markup, note = drawer.save_own("Mine", "mine {prompt}", "").values()
    assert note == ""
    assert update.choices[0] == ("Mine", "Mine")
    assert 'data-style="Mine"' in markup
    assert "empty" in said(drawer.save_own("Other", "", ""))
    assert said(drawer.delete_own("Mine")) == ""
    assert "your own" in said(drawer.delete_own("Anime"))


def test_a_style_is_written_into_the_prompts_to_be_edited(drawer: StyleDrawer) -> None:
    drawer.save_own("Mine", "mine {prompt}", "blurry")
    assert drawer.edit_own(["Anime"], " mine ") == (["Anime"], "Mine", "mine {prompt}", "blurry")
    chosen, name, prompt, _ = drawer.edit_own(["Etching", "Anime"], "")
    assert (chosen, name) == (["Etching"], "Anime")
    assert "{prompt}" in prompt
    for chosen, name in (([], ""), (["Anime"], "nope")):
        with pytest.raises(gr.Error, match="style"):
            drawer.edit_own(chosen, name)


def test_visitors_of_a_shared_page_change_nothing(context: PageContext, tmp_path: Path) -> None:
    context.engine.library = PromptLibrary(own_folder=tmp_path)  # pyright: ignore
    drawer = add(StyleDrawer(replace(context, may_manage=False), Ids("", first=True)))
    assert "Visitors" in said(drawer.save_own("Mine", "mine", ""))
    assert list(tmp_path.iterdir()) == []


def test_names_are_text(drawer: StyleDrawer) -> None:
    markup = show_styles([Style('"><img src=x>', "<b>")], ())
    assert "<img" not in markup
    assert "<b>" not in markup


def test_a_pictures_final_prompt_is_shown_as_it_is(drawer: StyleDrawer) -> None:
    painted = TextToImage(prompt="a red house", wildcards="off")
    assert drawer.fill(painted)[drawer.wildcards] == "random"
    with_braces = TextToImage(prompt="a {red|blue} house", wildcards="off", styles=("Anime",))
    assert drawer.fill(with_braces)[drawer.wildcards] == "off"
    assert drawer.fill(with_braces)[drawer.styles] == ["Anime"]


def test_stored_choices_are_checked(drawer: StyleDrawer) -> None:
    memory = BrowserState(settings={"styles": ["nope", "Anime"], "wildcards": "x"})
    assert drawer.restore(memory)[drawer.styles].value == ["Anime"]
    assert drawer.restore(memory)[drawer.wildcards] == "random"


def test_files_that_cannot_be_used_are_listed(context: PageContext, tmp_path: Path) -> None:
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "<i>.yaml").write_text("a: [")
    context.engine.library = PromptLibrary([tmp_path])  # pyright: ignore
    drawer = add(StyleDrawer(context, Ids("", first=True)))
    shown = str(drawer.broken.value)
    assert "One file or row" in shown
    assert "&lt;i&gt;.yaml: It isn&#x27;t valid YAML" in shown

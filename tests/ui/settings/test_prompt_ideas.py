from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.settings.prompt_ideas import PromptIdeas, show_proposals, use_proposal
from tests.loops import inside_a_loop


@pytest.fixture
def ideas(context: PageContext) -> PromptIdeas:
    made = PromptIdeas(context, Ids("", first=True))

    def build() -> None:
        with gr.Blocks():
            made.add(surprising=True)
            prompt, model = gr.Textbox(), gr.Dropdown(["mini"])
            made.wire(prompt, model, {})

    inside_a_loop(build)
    return made


def test_a_surprise_is_of_the_chosen_category(ideas: PromptIdeas) -> None:
    for _ in range(20):
        words = ideas.draw_prompt({ideas.categories: ["Humans"], ideas.unseen: True})
        assert any(word in words.split() for word in ("man", "woman"))
    assert ideas.draw_prompt({ideas.categories: ["gone"], ideas.unseen: False})


def test_proposals_mark_what_is_new(ideas: PromptIdeas) -> None:
    markup = ideas.propose_prompts("a <b> cat", "mini", "rules")
    assert markup.count("<li>") == 4
    assert "a &lt;b&gt; cat<ins>" in markup
    assert 'data-proposal="a &lt;b&gt; cat' in markup
    assert show_proposals("a", ()) == ""


def test_an_enhancer_that_is_not_offered_is_not_used(ideas: PromptIdeas) -> None:
    assert "<li>" in ideas.propose_prompts("a cat", "mini", "/etc/passwd")


def test_a_proposal_becomes_the_prompt() -> None:
    event = cast("Any", SimpleNamespace(proposal="a red cat"))
    assert use_proposal(event) == ("a red cat", "")
    assert use_proposal(cast("Any", SimpleNamespace())) == ("", "")


def test_tips_are_those_of_the_model(ideas: PromptIdeas) -> None:
    assert "one subject" in str(ideas.tips.value)


def test_stored_categories_are_checked(ideas: PromptIdeas) -> None:
    memory = BrowserState(settings={"categories": ["nope", "Animals"]})
    assert ideas.restore(memory)[ideas.categories].value == ["Animals"]

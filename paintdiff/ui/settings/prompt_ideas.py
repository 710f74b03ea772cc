"""Ideas for the prompt: surprises, tips for the model, and richer prompts to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from random import SystemRandom
from typing import Any, cast

import gradio as gr
from gradio.components import Component

from paintdiff.errors import PaintError
from paintdiff.jobs.request_parts import MAX_PROMPT_CHARACTERS
from paintdiff.models.registry.language_model_rows import LanguageModelRow
from paintdiff.prompts.enhancer import find_changes
from paintdiff.prompts.surprise import find_tips
from paintdiff.ui.common import message_markup, widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.updates import QUIET, Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.settings import messages

RULES = "rules"
_COUNT = 4


class PromptIdeas:
    """The components around a prompt box that write into it."""

    def __init__(self, context: PageContext, ids: Ids) -> None:
        self.context = context
        self._ids = ids
        self._random = SystemRandom()

    # Layout

    def add(self, *, surprising: bool) -> None:
        """Add a button and a drawer; the surprises only if the tab starts from words alone."""
        row = self.context.model(self.context.default_model)
        closed = row.closed_vocabulary
        self.surprise = gr.Button(
            messages.SURPRISE_ME,
            elem_id=self._ids("surprise"),
            elem_classes=["quiet"],
            min_width=0,
            visible=surprising,
        )
        with widgets.drawer(messages.IDEAS, self._ids("ideas-drawer")):
            with gr.Column(visible=surprising, elem_classes=["surprises"]):
                self.categories = gr.CheckboxGroup(
                    list(self.context.surprises.categories(closed=closed)),
                    label=messages.SURPRISE_ME_WITH,
                    elem_id=self._ids("categories"),
                )
                self.unseen = gr.Checkbox(
                    False, label=messages.UNSEEN, visible=closed, elem_id=self._ids("unseen")
                )
            self.tips = widgets.static_html(self._show_tips(row.name), self._ids("tips"))
            self.enhancer = self._offer_enhancers()
            self.propose = gr.Button(
                messages.PROPOSE, elem_id=self._ids("propose"), elem_classes=["quiet"]
            )
            self.proposals = widgets.clickable_html(
                "", self._ids("proposals"), "proposals-place", proposal="click"
            )

    def _offer_enhancers(self, chosen: str = RULES) -> gr.Dropdown:
        """Return the dropdown, hidden while there is nothing to choose."""
        choices = self._enhancers()
        return gr.Dropdown(
            choices,
            value=chosen,
            label=messages.ENHANCER,
            filterable=False,
            visible=len(choices) > 1,
            elem_id=self._ids("enhancer"),
        )

    def _enhancers(self) -> list[tuple[str, str]]:
        rows = self.context.engine.manager.catalog.rows(LanguageModelRow)
        return [(messages.ENHANCER_RULES, RULES), *((row.title, row.name) for row in rows)]

    def inputs(self) -> dict[str, Component]:
        """Return the components whose values the browser stores, by key."""
        return {"categories": self.categories, "enhancer": self.enhancer}

    # Events

    def wire(self, prompt: gr.Textbox, model: gr.Dropdown, quick: Mapping[str, Any]) -> None:
        """Register events for a prompt box and a model dropdown."""
        self.surprise.click(
            self.draw_prompt, {self.categories, self.unseen, model}, [prompt], **quick
        )
        self._model = model
        # A language model takes seconds, so it waits in the queue, and the page goes on.
        self.propose.click(
            self.propose_prompts, [prompt, model, self.enhancer], [self.proposals], **QUIET
        )
        self.proposals.click(use_proposal, None, [prompt, self.proposals], **quick)
        model.change(
            self._follow_model,
            [model, self.categories],
            [self.categories, self.unseen, self.tips],
            **quick,
        )

    def draw_prompt(self, values: Values) -> str:
        """Draw a prompt from the chosen categories, in words that the model knows."""
        closed = self.context.model(values.get(self._model)).closed_vocabulary
        known = self.context.surprises.categories(closed=closed)
        chosen = [name for name in values[self.categories] or () if name in known]
        return self.context.surprises.draw(
            chosen, self._random, closed=closed, unseen=bool(values.get(self.unseen))
        )

    def propose_prompts(self, prompt: object, model: object, enhancer: object) -> str:
        """Return richer prompts as markup, with what they add marked."""
        text = str(prompt or "").strip()
        try:
            proposals = self.context.engine.propose_prompts(
                text,
                self.context.model(model).name,
                _COUNT,
                enhancer=str(enhancer or RULES) if self._is_offered(enhancer) else RULES,
            )
        except PaintError as error:
            return message_markup.note([str(error)])
        return show_proposals(text, proposals) or message_markup.aside(messages.NOTHING_TO_ADD)

    def _is_offered(self, enhancer: object) -> bool:
        return enhancer in [name for _, name in self._enhancers()]

    def _follow_model(self, model: object, chosen: object) -> tuple[Any, ...]:
        row = self.context.model(model)
        categories = self.context.surprises.categories(closed=row.closed_vocabulary)
        before = cast("Sequence[object]", chosen) if isinstance(chosen, list) else ()
        return (
            gr.CheckboxGroup(
                choices=list(categories), value=[name for name in categories if name in before]
            ),
            gr.Checkbox(visible=row.closed_vocabulary),
            self._show_tips(row.name),
        )

    def _show_tips(self, model: str) -> str:
        row = self.context.model(model)
        tips = find_tips(self.context.tips, (row.name, row.family.name))
        points = "".join(f"<li>{escape(tip)}</li>" for tip in tips)
        return f'<ul class="tips">{points}</ul>'

    # After a reload

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored categories and enhancer, each checked."""
        row = self.context.model(memory.settings.get("model"))
        categories = self.context.surprises.categories(closed=row.closed_vocabulary)
        enhancer = memory.choice("enhancer", [name for _, name in self._enhancers()], RULES)
        return {
            self.categories: gr.CheckboxGroup(
                choices=list(categories), value=memory.choices("categories", categories)
            ),
            self.enhancer: self._offer_enhancers(enhancer),
        }


def use_proposal(event: gr.EventData) -> tuple[str, str]:
    """Return the proposal that was chosen, as the prompt, and no proposals any more."""
    return str(getattr(event, "proposal", ""))[:MAX_PROMPT_CHARACTERS], ""


def show_proposals(prompt: str, proposals: Sequence[str]) -> str:
    """Return proposals as markup, each with a button; "" without any."""
    return (
        f'<ul class="proposals">{"".join(_show(prompt, each) for each in proposals)}</ul>'
        if proposals
        else ""
    )


def _show(prompt: str, proposal: str) -> str:
    pieces = "".join(
        f"<ins>{escape(change.text)}</ins>" if change.is_new else escape(change.text)
        for change in find_changes(prompt, proposal)
    )
    return (
        f'<li><p>{pieces}</p><button type="button" data-proposal="{escape(proposal)}">'
        f"{escape(messages.USE_PROPOSAL)}</button></li>"
    )

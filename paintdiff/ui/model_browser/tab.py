"""The Models tab: models, LoRAs, embeddings and more, and their actions.

It also searches Hugging Face.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from paintdiff.ui.common import widgets
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import listen
from paintdiff.ui.common.updates import QUICK, Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.model_browser import cards as card_markup
from paintdiff.ui.model_browser import messages
from paintdiff.ui.model_browser.actions import ActionResult, Actions, Click, Page
from paintdiff.ui.model_browser.listing import ALL, KINDS, Found, ModelListing

if TYPE_CHECKING:
    from paintdiff.ui.common.lazy_page import LazyPage
    from paintdiff.ui.painting.model_choice import ModelChoice
    from paintdiff.ui.painting.painting_tab import PaintingTab

AT_FIRST = 60
"""How many cards are shown at first, and how many each click on "more" adds."""

MAX_WORDS_CHARACTERS = 200
_NOTHING = {
    ALL: messages.NOTHING_MATCHES,
    "lora": messages.NO_LORA,
    "embedding": messages.NO_EMBEDDING,
    "vae": messages.NO_VAE,
}

_SEARCHING = f'<p class="shelf-empty" role="status">{escape(messages.SEARCHING)}</p>'

# The script may load before or after this runs: whichever is second finds the other.
_WATCHED = """
(window.paintdiffShelves ??= []).push({ element, trigger, watch });
window.paintdiff?.shelf?.mount?.();
"""


@dataclass(frozen=True)
class ModelsTab:
    """The tab's components and handlers. Call `build`, then `wire`."""

    ids = Ids("models")
    title = messages.MODELS

    context: PageContext
    listing: ModelListing
    words: gr.Textbox
    kind: gr.Radio
    rescan: gr.Button
    memory: gr.HTML
    problems: gr.HTML
    hub_words: gr.Textbox
    search: gr.Button
    said: gr.HTML
    transfers: gr.HTML
    hub: gr.HTML
    cards: gr.HTML
    shown: gr.Textbox
    look: gr.Button

    @classmethod
    def build(cls, context: PageContext) -> ModelsTab:
        """Lay out the tab inside the current `gr.Tab`. The listing arrives when it is opened."""
        ids, made = cls.ids, dict[str, Any]()
        with gr.Row(elem_classes=["studio", "studio-models"]):
            with gr.Column(elem_classes=["controls"], scale=0, min_width=0):
                with gr.Column(elem_classes=["group", "prompt-group"]):
                    made |= _filter(ids, context)
                with gr.Column(elem_classes=["group", "settings-group"]):
                    made |= _drawers(ids, context)
            with gr.Column(elem_classes=["shelf-side"], min_width=0):
                made["said"] = _action_html("", ids("said"), "shelf-place")
                made["transfers"] = _action_html("", ids("transfers"), "shelf-place")
                made["hub"] = _action_html("", ids("hub"), "shelf-place")
                made["cards"] = _action_html("", ids("shelf"), "shelf-place")
                made["shown"] = widgets.hidden_text(ids("shown"))
                made["look"] = widgets.hidden_button(ids("look"))
        return cls(context, ModelListing(context), **made)

    def wire(
        self,
        page: LazyPage,
        tabs: gr.Tabs,
        painting_tabs: Mapping[str, tuple[str, PaintingTab]],
        choice: ModelChoice,
    ) -> None:
        """Register the tab's events.

        `painting_tabs` are the tabs that paint, (title, tab) by id; `choice` are their model
        dropdowns.
        """
        actions = Actions(self.context, self.listing, Page(tabs, painting_tabs, choice))
        looked_at: set[Any] = {self.words, self.kind, self.shown}
        listed: list[Any] = [self.cards, self.kind, self.shown]
        all_of_it: list[Any] = [*listed, self.said, self.memory, self.problems, self.transfers]
        changed = [*all_of_it, self.hub, *actions.outputs()]

        def opened(values: Values) -> Updates:
            return {self.said: "", **self.refresh(values), **choice.refresh(values)}

        def acted(values: Values, event: gr.EventData) -> Updates:
            return self._show_after(actions.run(Click.read(event), values), values)

        def rescanned(values: Values) -> Updates:
            return self._show_after(actions.rescan(values), values)

        def moved(values: Values) -> Updates:
            """Update the listing after a download started or ended; it needs no message."""
            actions.rescan(values)
            return {**self.refresh(values), **choice.refresh(values)}

        def searched(values: Values) -> Updates:
            text = str(values[self.hub_words] or "")[:MAX_WORDS_CHARACTERS].strip()
            done = actions.search(text)
            return {self.hub: done.hub or "", self.said: _describe_result(done)}

        asked = looked_at | actions.inputs()
        inputs: set[Any] = looked_at | choice.inputs()
        outputs = [*all_of_it, *choice.outputs()]
        first = page.add_opener(self.ids.tab, opened, inputs, outputs, **QUICK)
        name, ids = json.dumps(self.ids.tab), json.dumps([f"#{self.words.elem_id}"])
        first.failure(None, js=f"() => paintdiff.notOpened({name})")
        first.then(None, js=f"() => paintdiff.opened({name}, {ids})")
        listen(self.look.click, opened, inputs, outputs, **QUICK)
        self.words.change(self.apply_filter, looked_at, listed, trigger_mode="always_last", **QUICK)
        self.kind.input(self.apply_filter, looked_at, listed, **QUICK)
        listen(self.rescan.click, rescanned, asked, changed, trigger_mode="once", **QUICK)
        clicked = (self.cards, self.hub, self.memory, self.transfers, self.said)
        clicks = partial(gr.on, [each.click for each in clicked])
        listen(clicks, acted, asked, changed, **QUICK)
        listen(self.transfers.submit, moved, inputs, outputs, trigger_mode="once", **QUICK)
        gr.on(
            [self.search.click, self.hub_words.submit],
            None,
            None,
            [self.hub],
            js=f"() => {json.dumps(_SEARCHING)}",
        ).then(searched, {self.hub_words}, [self.hub, self.said], **QUICK)

    # Listing

    def refresh(self, values: Values) -> Updates:
        """Return updates with the current state of everything."""
        manager = self.context.engine.manager
        return {
            **self._cards(values, _parse_count(values[self.shown])),
            self.memory: card_markup.memory_markup(manager.cache.loaded()),
            self.problems: card_markup.problems_markup(
                manager.catalog.problems(), self.context.shown_path
            ),
            self.transfers: card_markup.transfers_markup(self.listing.list_downloads()),
        }

    def apply_filter(self, values: Values) -> Updates:
        """Return updates with what the filter finds, from the first page on."""
        return self._cards(values, AT_FIRST)

    def _cards(self, values: Values, most: int) -> Updates:
        words = str(values[self.words] or "")[:MAX_WORDS_CHARACTERS]
        by_kind = self.listing.find(words)
        chosen = values[self.kind] if values[self.kind] in KINDS else ALL
        every = [row for rows in by_kind.values() for row in rows]
        found: list[Found] = every if chosen == ALL else by_kind[str(chosen)]
        nothing = _NOTHING[ALL] if words.strip() else _NOTHING.get(str(chosen), _NOTHING[ALL])
        cards = card_markup.listing_markup(self.listing.describe(found[:most]), len(found), nothing)
        counts = {ALL: len(every), **{name: len(rows) for name, rows in by_kind.items()}}
        return {
            self.cards: cards,
            # Without a value: a person may have chosen another one meanwhile.
            self.kind: gr.Radio(choices=_kind_choices(counts)),
            self.shown: str(most),
        }

    def _show_after(self, done: ActionResult, values: Values) -> Updates:
        """Return the updates of an action, and of the listing after it."""
        most = _parse_count(values[self.shown]) + (AT_FIRST if done.more else 0)
        return {
            **self.refresh({**values, self.shown: str(most)}),
            **({} if done.hub is None else {self.hub: done.hub}),
            self.said: _describe_result(done),
            **done.updates,
        }


def _filter(ids: Ids, context: PageContext) -> dict[str, Any]:
    """Add the controls that filter the listing."""
    words = gr.Textbox(
        label=messages.FILTER,
        placeholder=messages.FILTER_HINT,
        max_length=MAX_WORDS_CHARACTERS,
        elem_id=ids("words"),
    )
    kind = gr.Radio(
        _kind_choices({}),
        value=ALL,
        label=messages.SHOW,
        elem_id=ids("kind"),
        elem_classes=["shelf-kinds"],
    )
    rescan = gr.Button(
        messages.RESCAN,
        elem_id=ids("rescan"),
        elem_classes=["quiet"],
        min_width=0,
        visible=context.rescan is not None,
    )
    return {"words": words, "kind": kind, "rescan": rescan}


def _drawers(ids: Ids, context: PageContext) -> dict[str, Any]:
    """Add the drawers for memory, Hugging Face and unusable files."""
    with widgets.drawer(messages.IN_MEMORY, ids("memory-drawer")):
        memory = _action_html("", ids("memory"), "shelf-place")
    with (
        gr.Column(
            visible=context.downloads is not None and context.can_manage, scale=0, min_width=0
        ),
        widgets.drawer(messages.FIND_ON_HUGGING_FACE, ids("hub-drawer")),
    ):
        hub_words = gr.Textbox(
            label=messages.HUB_WORDS,
            max_length=MAX_WORDS_CHARACTERS,
            elem_id=ids("hub-words"),
        )
        search = gr.Button(
            messages.SEARCH, elem_id=ids("search"), elem_classes=["quiet"], min_width=0
        )
    with widgets.drawer(messages.UNUSABLE_FILES, ids("problems-drawer")):
        problems = widgets.static_html("", ids("problems"), "shelf-place")
    return {"memory": memory, "hub_words": hub_words, "search": search, "problems": problems}


def _action_html(value: str, elem_id: str, *classes: str) -> gr.HTML:
    """Return markup whose buttons send their data and the tab that painted last."""
    return widgets.clickable_html(value, elem_id, *classes, script=_WATCHED)


def _kind_choices(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return the kinds' segments, each with its count."""
    every = [(messages.ALL, ALL), *((kind.plural, name) for name, kind in KINDS.items())]
    return [
        (f"{title} {counts[name]}" if name in counts else title, name)
        for title, name in every
        if name == ALL or not KINDS[name].rare or counts.get(name)
    ]


def _describe_result(done: ActionResult) -> str:
    return card_markup.message_markup(done.said, "error" if done.failed else "done", done.go)


def _parse_count(text: object) -> int:
    """Parse the number of cards shown, as the page sends it."""
    found = str(text)
    return (
        max(AT_FIRST, int(found))
        if found.isascii() and found.isdecimal() and len(found) < 6
        else AT_FIRST
    )

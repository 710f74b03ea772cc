"""The tab that lists what there is to paint with: models, LoRAs, embeddings and the rest; with what
can be done with each, and with the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from paintdiff.ui.common import widgets
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import listen
from paintdiff.ui.common.updates import QUICK, Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.model_browser import cards as shelf_markup
from paintdiff.ui.model_browser.actions import ActionResult, Actions, Click, Page
from paintdiff.ui.model_browser.listing import ALL, KINDS, Found, ModelListing

if TYPE_CHECKING:
    from paintdiff.ui.common.lazy_page import LazyPage
    from paintdiff.ui.painting.model_choice import ModelChoice
    from paintdiff.ui.painting.painting_tab import PaintingTab

AT_FIRST = 60
"""How many cards are shown, and how many more each time that more are asked for."""

MAX_WORDS_CHARACTERS = 200
_NOTHING = {
    ALL: "Nothing matches the filter.",
    "lora": "No LoRA found. Put some in the folder “loras” of a models folder, and rescan.",
    "embedding": "No embedding found. Put some in the folder “embeddings” of a models folder.",
    "vae": "No other VAE found. Put some in the folder “vae” of a models folder.",
}

# The script may come before or after this runs: whichever is second finds the other.
_WATCHED = """
(window.paintdiffShelves ??= []).push({ element, trigger, watch });
window.paintdiff?.shelf?.mount?.();
"""


@dataclass(frozen=True)
class ModelsTab:
    """The tab's components and handlers. Build it with `built`, then `wire` it."""

    ids = Ids("models")
    title = "Models"

    parts: PageContext
    shelf: ModelListing
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
    def built(cls, parts: PageContext) -> ModelsTab:
        """Lay the tab out inside the current `gr.Tab`. What is listed comes when it is opened."""
        ids, made = cls.ids, dict[str, Any]()
        with gr.Row(elem_classes=["studio", "studio-models"]):
            with gr.Column(elem_classes=["controls"], scale=0, min_width=0):
                with gr.Column(elem_classes=["group", "prompt-group"]):
                    made |= _filter(ids, parts)
                with gr.Column(elem_classes=["group", "settings-group"]):
                    made |= _drawers(ids, parts)
            with gr.Column(elem_classes=["shelf-side"], min_width=0):
                made["said"] = _acting("", ids("said"), "shelf-place")
                made["transfers"] = _acting("", ids("transfers"), "shelf-place")
                made["hub"] = _acting("", ids("hub"), "shelf-place")
                made["cards"] = _acting("", ids("shelf"), "shelf-place")
                made["shown"] = widgets.hidden_text(ids("shown"))
                made["look"] = widgets.hidden_button(ids("look"))
        return cls(parts, ModelListing(parts), **made)

    def wire(
        self,
        page: LazyPage,
        tabs: gr.Tabs,
        studios: Mapping[str, tuple[str, PaintingTab]],
        choice: ModelChoice,
    ) -> None:
        """Let it live on the page. `studios` are the tabs that paint, by their ids, with their
        titles; `choice` the dropdowns in which models are chosen."""
        actions = Actions(self.parts, self.shelf, Page(tabs, studios, choice))
        looked_at: set[Any] = {self.words, self.kind, self.shown}
        listed: list[Any] = [self.cards, self.kind, self.shown]
        all_of_it: list[Any] = [*listed, self.said, self.memory, self.problems, self.transfers]
        changed = [*all_of_it, self.hub, *actions.changeable()]

        def opened(values: Values) -> Updates:
            return {self.said: "", **self.listed(values), **choice.looked_at(values)}

        def acted(values: Values, event: gr.EventData) -> Updates:
            return self._shown_after(actions.done(Click.read(event), values), values)

        def rescanned(values: Values) -> Updates:
            return self._shown_after(actions.rescanned(values), values)

        def moved(values: Values) -> Updates:
            """A download has begun or ended: nothing is said, as the list says it."""
            actions.rescanned(values)
            return {**self.listed(values), **choice.looked_at(values)}

        def searched(values: Values) -> Updates:
            text = str(values[self.hub_words] or "")[:MAX_WORDS_CHARACTERS].strip()
            done = actions.searched(text)
            return {self.hub: done.hub or "", self.said: _words_of(done)}

        asked = looked_at | actions.asked()
        told: set[Any] = looked_at | choice.asked()
        told_of = [*all_of_it, *choice.changeable()]
        first = page.opener(self.ids.tab, opened, told, told_of, **QUICK)
        name, ids = json.dumps(self.ids.tab), json.dumps([f"#{self.words.elem_id}"])
        first.failure(None, js=f"() => paintdiff.notOpened({name})")
        first.then(None, js=f"() => paintdiff.opened({name}, {ids})")
        listen(self.look.click, opened, told, told_of, **QUICK)
        self.words.change(self.filtered, looked_at, listed, trigger_mode="always_last", **QUICK)
        self.kind.input(self.filtered, looked_at, listed, **QUICK)
        listen(self.rescan.click, rescanned, asked, changed, trigger_mode="once", **QUICK)
        clicked = (self.cards, self.hub, self.memory, self.transfers, self.said)
        clicks = partial(gr.on, [each.click for each in clicked])
        listen(clicks, acted, asked, changed, **QUICK)
        listen(self.transfers.submit, moved, told, told_of, trigger_mode="once", **QUICK)
        gr.on(
            [self.search.click, self.hub_words.submit],
            None,
            None,
            [self.hub],
            js='() => \'<p class="shelf-empty" role="status">Searching…</p>\'',
        ).then(searched, {self.hub_words}, [self.hub, self.said], **QUICK)

    # What is shown

    def listed(self, values: Values) -> Updates:
        """Everything as it is now."""
        manager = self.parts.engine.manager
        return {
            **self._cards(values, _number(values[self.shown])),
            self.memory: shelf_markup.memory_markup(manager.cache.loaded()),
            self.problems: shelf_markup.problems_markup(
                manager.catalog.problems(), self.parts.shown_path
            ),
            self.transfers: shelf_markup.transfers_markup(self.shelf.downloads()),
        }

    def filtered(self, values: Values) -> Updates:
        """What the filter finds, from the first on."""
        return self._cards(values, AT_FIRST)

    def _cards(self, values: Values, most: int) -> Updates:
        words = str(values[self.words] or "")[:MAX_WORDS_CHARACTERS]
        by_kind = self.shelf.found(words)
        chosen = values[self.kind] if values[self.kind] in KINDS else ALL
        every = [row for rows in by_kind.values() for row in rows]
        found: list[Found] = every if chosen == ALL else by_kind[str(chosen)]
        nothing = _NOTHING[ALL] if words.strip() else _NOTHING.get(str(chosen), _NOTHING[ALL])
        cards = shelf_markup.listing_markup(self.shelf.items(found[:most]), len(found), nothing)
        counts = {ALL: len(every), **{name: len(rows) for name, rows in by_kind.items()}}
        return {
            self.cards: cards,
            # Without a value: a person may have chosen another one meanwhile.
            self.kind: gr.Radio(choices=_kinds(counts)),
            self.shown: str(most),
        }

    def _shown_after(self, done: ActionResult, values: Values) -> Updates:
        """What a click has changed, and the list as it is after it."""
        most = _number(values[self.shown]) + (AT_FIRST if done.more else 0)
        return {
            **self.listed({**values, self.shown: str(most)}),
            **({} if done.hub is None else {self.hub: done.hub}),
            self.said: _words_of(done),
            **done.updates,
        }


def _filter(ids: Ids, parts: PageContext) -> dict[str, Any]:
    """Which things are listed."""
    words = gr.Textbox(
        label="Filter",
        placeholder="Name, family or trigger word",
        max_length=MAX_WORDS_CHARACTERS,
        elem_id=ids("words"),
    )
    kind = gr.Radio(
        _kinds({}), value=ALL, label="Show", elem_id=ids("kind"), elem_classes=["shelf-kinds"]
    )
    rescan = gr.Button(
        "Rescan",
        elem_id=ids("rescan"),
        elem_classes=["quiet"],
        min_width=0,
        visible=parts.rescan is not None,
    )
    return {"words": words, "kind": kind, "rescan": rescan}


def _drawers(ids: Ids, parts: PageContext) -> dict[str, Any]:
    """What is in memory, what the hub has, and what was left out."""
    with widgets.drawer("In memory", ids("memory-drawer")):
        memory = _acting("", ids("memory"), "shelf-place")
    with (
        gr.Column(visible=parts.downloads is not None and parts.may_manage, scale=0, min_width=0),
        widgets.drawer("Find on Hugging Face", ids("hub-drawer")),
    ):
        hub_words = gr.Textbox(
            label="Name, or owner/name",
            max_length=MAX_WORDS_CHARACTERS,
            elem_id=ids("hub-words"),
        )
        search = gr.Button("Search", elem_id=ids("search"), elem_classes=["quiet"], min_width=0)
    with widgets.drawer("Unusable files", ids("problems-drawer")):
        problems = widgets.static("", ids("problems"), "shelf-place")
    return {"memory": memory, "hub_words": hub_words, "search": search, "problems": problems}


def _acting(value: str, elem_id: str, *classes: str) -> gr.HTML:
    """Markup whose buttons bring what they are for, and the tab that was painted in last."""
    return widgets.clickable(value, elem_id, *classes, script=_WATCHED)


def _kinds(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """The segments, with how many things each has."""
    every = [("All", ALL), *((kind.plural, name) for name, kind in KINDS.items())]
    return [
        (f"{title} {counts[name]}" if name in counts else title, name)
        for title, name in every
        if name == ALL or not KINDS[name].rare or counts.get(name)
    ]


def _words_of(done: ActionResult) -> str:
    return shelf_markup.message_markup(done.said, "error" if done.failed else "done", done.go)


def _number(text: object) -> int:
    """How many cards are shown, as the page says it."""
    found = str(text)
    return (
        max(AT_FIRST, int(found))
        if found.isascii() and found.isdecimal() and len(found) < 6
        else AT_FIRST
    )

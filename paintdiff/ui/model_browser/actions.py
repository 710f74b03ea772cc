"""Actions of the Models tab's buttons.

Whatever a browser names is looked up: a kind and a name in the catalog, a Hugging Face id among
search results, a download in the list of downloads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import gradio as gr

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import HubUnavailableError, PaintError, RequestError
from paintdiff.jobs.request_parts import MAX_PROMPT_CHARACTERS
from paintdiff.models.catalog import disk_usage
from paintdiff.models.registry.adapter_rows import EmbeddingRow, FittingRow, LoraRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.model_browser import cards, messages
from paintdiff.ui.model_browser.listing import KINDS, ModelListing, trigger_words

if TYPE_CHECKING:
    from paintdiff.models.hub.downloads import Downloads, DownloadState, HubModel
    from paintdiff.ui.painting.model_choice import ModelChoice
    from paintdiff.ui.painting.painting_tab import PaintingTab

MAX_OFFERED = 500
"""Remembered search results; a click on an older one asks to search again."""

_FIELDS = ("do", "kind", "name", "index", "sure", "id", "tab")
_NO_TAG = frozenset("<>:\n\r")


@dataclass(frozen=True)
class Click:
    """A button's data: untrusted text.

    `do` is the action, `tab` the tab that painted last.
    """

    do: str = ""
    kind: str = ""
    name: str = ""
    index: str = ""
    sure: str = ""
    id: str = ""
    tab: str = ""

    @classmethod
    def read(cls, event: gr.EventData) -> Click:
        """Read an event's data; anything but text becomes ""."""
        found = {name: getattr(event, name, "") for name in _FIELDS}
        return cls(**{name: text for name, text in found.items() if isinstance(text, str)})


@dataclass(frozen=True)
class Page:
    """The parts of the page that a click may change.

    These are the open tab, the painting tabs by id (with their titles), and the model dropdowns.
    """

    tabs: gr.Tabs
    painting_tabs: Mapping[str, tuple[str, PaintingTab]]
    choice: ModelChoice


@dataclass(frozen=True)
class ActionResult:
    """The outcome of a click: a message, a tab `go` that shows it, component updates.

    `hub` is new markup for search results, None if they stay; `more` requests more cards.
    """

    said: str = ""
    go: str = ""
    updates: Updates = field(default_factory=dict[Any, Any])
    hub: str | None = None
    more: bool = False
    failed: bool = False


class Actions:
    """Runs the actions of clicks."""

    def __init__(self, context: PageContext, listing: ModelListing, page: Page) -> None:
        self._context, self._listing, self._page = context, listing, page
        self._offered: OrderedDict[str, HubModel] = OrderedDict()
        self._lock = threading.Lock()
        self._by_name: Mapping[str, Callable[[Click, Values], ActionResult]] = MappingProxyType(
            {
                "more": lambda click, values: ActionResult(more=True),
                "go": self._go,
                "use": self._use,
                "insert": self._insert,
                "insert-negative": self._insert,
                "word": self._word,
                "pin": self._pin,
                "unpin": self._pin,
                "unload": self._unload,
                "delete": self._delete,
                "download": self._download,
                "fetch": self._fetch,
                "cancel": self._cancel,
                "forget": self._cancel,
                "retry": self._retry,
                "close-hub": lambda click, values: ActionResult(hub=""),
            }
        )

    def inputs(self) -> set[Any]:
        """Return the components that actions read."""
        painting_tabs = [tab for _, tab in self._page.painting_tabs.values()]
        return {
            *self._page.choice.inputs(),
            *(each for tab in painting_tabs for each in _fields_of(tab)),
        }

    def outputs(self) -> list[Any]:
        """Return the components that may change, apart from the Models tab's own."""
        painting_tabs = [tab for _, tab in self._page.painting_tabs.values()]
        fields = [each for tab in painting_tabs for each in _fields_of(tab)]
        return [self._page.tabs, *self._page.choice.outputs(), *fields]

    def run(self, click: Click, values: Values) -> ActionResult:
        """Run the action, or say why it can't run."""
        act = self._by_name.get(click.do)
        if act is None:
            return ActionResult(messages.UNKNOWN_BUTTON, failed=True)
        try:
            return act(click, values)
        except PaintError as error:
            return ActionResult(str(error), failed=True)

    def rescan(self, values: Values) -> ActionResult:
        """Scan the models folders again."""
        if self._context.rescan is not None:
            self._context.rescan()
        catalog = self._context.engine.manager.catalog
        counts = [(kind, len(kind.rows(catalog))) for kind in KINDS.values()]
        words = [
            f"{count} {kind.singular if count == 1 else kind.plural}"
            for kind, count in counts
            if count
        ]
        said = messages.rescanned(words, len(catalog.problems()))
        return ActionResult(said, updates=self._page.choice.refresh(values))

    def search(self, words: str) -> ActionResult:
        """Search Hugging Face for models; do nothing for an empty query."""
        if not words:
            return ActionResult(hub="")
        try:
            downloads = self._downloads()
            found = downloads.search(words)
        except HubUnavailableError as error:
            return ActionResult(hub=cards.hub_unreachable_markup(str(error)))
        except PaintError as error:
            return ActionResult(str(error), failed=True)
        with self._lock:
            for each in found:
                self._offered[each.hub_id] = each
                self._offered.move_to_end(each.hub_id)
            while len(self._offered) > MAX_OFFERED:
                self._offered.popitem(last=False)
        titles, fetching = self._listing.family_titles(), self._listing.list_fetching()
        token = any(each.gated for each in found) and disk_usage.has_hub_token()
        results = [
            cards.HubResult(
                model=each,
                family=titles.get(each.family or "", each.family or each.pipeline_class),
                closed=each.gated and not token,
                fetching=each.hub_id in fetching,
            )
            for each in found
        ]
        return ActionResult(hub=cards.hub_results_markup(words, results))

    # Actions on the page

    def _go(self, click: Click, values: Values) -> ActionResult:
        tab = self._target_tab(click)
        return ActionResult(updates={self._page.tabs: gr.Tabs(selected=tab)})

    def _use(self, click: Click, values: Values) -> ActionResult:
        row = self._listing.row("model", click.name)
        updates = self._page.choice.choose(row.name, values)
        return ActionResult(messages.selected(row.title), self._target_tab(click), updates)

    def _insert(self, click: Click, values: Values) -> ActionResult:
        row = self._listing.row(click.kind, click.name)
        if isinstance(row, LoraRow):
            if _NO_TAG & set(row.name):
                raise RequestError(
                    messages.name_not_insertable(row.name),
                    field="name",
                )
            weight = 1 if row.weight is None else row.weight
            tag = f"<lora:{row.name}:{weight:g}>"
            done = self._put(click, values, tag, f"<lora:{row.name}:", " ")
            return replace(done, said=done.said + self._misfit(row, click, values))
        if not isinstance(row, EmbeddingRow):
            raise RequestError(
                messages.not_insertable(row.title),
                field="name",
            )
        done = self._put(click, values, row.name, row.name, ", ")
        return replace(done, said=done.said + self._misfit(row, click, values))

    def _misfit(self, row: FittingRow, click: Click, values: Values) -> str:
        """Return a message if the row doesn't work with the tab's model, else ""."""
        _, tab = self._page.painting_tabs[self._target_tab(click)]
        model = self._context.model(values[tab.form.model])
        if not row.families or row.fits(model.family.name):
            return ""
        titles = self._listing.family_titles()
        families = ", ".join(titles.get(name, name) for name in row.families)
        return messages.for_another_family(families, model.title)

    def _word(self, click: Click, values: Values) -> ActionResult:
        row = self._listing.row(click.kind, click.name)
        words = trigger_words(row)
        index = int(click.index) if click.index.isascii() and click.index.isdecimal() else -1
        if not 0 <= index < len(words):
            raise RequestError(messages.no_trigger_word(row.title), field="name")
        return self._put(click, values, words[index], words[index], ", ")

    def _put(
        self, click: Click, values: Values, text: str, sign: str, between: str
    ) -> ActionResult:
        """Append a text to the prompt, or negative prompt, of the tab that painted last.

        If the prompt contains `sign` already, nothing changes.
        """
        target = self._target_tab(click)
        title, tab = self._page.painting_tabs[target]
        negative = click.do == "insert-negative"
        box = tab.form.negative_prompt if negative else tab.prompt
        where = messages.prompt_of(title, negative=negative)
        old = str(values[box] or "").rstrip().rstrip(",")
        if _is_in(sign, old):
            return ActionResult(messages.already_there(text, where), target)
        new = f"{old}{between}{text}" if old else text
        if len(new) > MAX_PROMPT_CHARACTERS:
            raise RequestError(
                messages.prompt_too_long(where, MAX_PROMPT_CHARACTERS),
                field="prompt",
            )
        return ActionResult(messages.inserted(text, where), target, {box: new})

    def _target_tab(self, click: Click) -> str:
        """Return the tab that painted last, by default the first one."""
        painting_tabs = self._page.painting_tabs
        return click.tab if click.tab in painting_tabs else next(iter(painting_tabs))

    # Actions on this machine

    def _pin(self, click: Click, values: Values) -> ActionResult:
        self._check_may_manage()
        row = self._listing.row("model", click.name)
        if click.do == "unpin":
            self._context.preferences.pin_model(None)
            return ActionResult(messages.unpinned(row.title))
        self._context.preferences.pin_model(row.name)
        said = messages.pinned(row.title, model_flag=self._context.model_asked_for)
        return ActionResult(said)

    def _unload(self, click: Click, values: Values) -> ActionResult:
        if not self._context.engine.manager.cache.unload(f"{click.kind} {click.name}"):
            raise RequestError(messages.NOT_IN_MEMORY, field="name")
        return ActionResult(messages.unloaded(click.name))

    def _delete(self, click: Click, values: Values) -> ActionResult:
        self._check_may_manage()
        row = self._listing.row(click.kind, click.name)
        if row.source in self._listing.list_fetching():
            raise RequestError(messages.cancel_download_first(row.title), field="name")
        manager = self._context.engine.manager
        for each in manager.cache.loaded():
            if (each.what, each.name) != (row.what, row.name):
                continue
            if each.in_use:
                raise RequestError(
                    messages.in_use(row.title),
                    field="name",
                )
            manager.cache.unload(each.key)
        downloads = self._context.downloads
        delete = disk_usage.delete_cached if downloads is None else downloads.delete
        removal = disk_usage.remove(row, self._context.models_dirs, click.sure, delete)
        if self._context.rescan is not None:
            self._context.rescan()
        said = messages.deleted(removal.path, format_byte_size(removal.size_bytes))
        return ActionResult(said, updates=self._page.choice.refresh(values))

    # Actions on Hugging Face

    def _download(self, click: Click, values: Values) -> ActionResult:
        downloads = self._downloads()
        row = self._listing.row("model", click.name)
        if not isinstance(row, ModelRow) or not disk_usage.is_from_hub(row):
            raise RequestError(messages.not_from_hub(row.title), field="name")
        downloads.start(row.source, row.revision)
        return ActionResult(messages.download_started(row.title))

    def _fetch(self, click: Click, values: Values) -> ActionResult:
        downloads = self._downloads()
        with self._lock:
            model = self._offered.get(click.id)
        if model is None:
            raise RequestError(messages.SEARCH_EXPIRED, field="name")
        downloads.start(model.hub_id, model.revision)
        return ActionResult(messages.download_started(model.title))

    def _retry(self, click: Click, values: Values) -> ActionResult:
        state = self._transfer(click)
        self._downloads().retry(state.id)
        return ActionResult(messages.download_started(state.hub_id))

    def _cancel(self, click: Click, values: Values) -> ActionResult:
        downloads, state = self._downloads(), self._transfer(click)
        if click.do == "forget":
            downloads.forget(state.id)
            return ActionResult()
        downloads.cancel(state.id)
        return ActionResult(messages.download_cancelled(state.hub_id))

    def _transfer(self, click: Click) -> DownloadState:
        """Return the download that a click is about."""
        states = self._downloads().all()
        state = next((each for each in states if each.id == click.id), None)
        if state is None:
            raise RequestError(messages.DOWNLOAD_GONE, field="name")
        return state

    def _downloads(self) -> Downloads:
        self._check_may_manage()
        if self._context.downloads is None:
            raise RequestError(messages.DOWNLOADS_OFF, field="name")
        return self._context.downloads

    def _check_may_manage(self) -> None:
        if not self._context.can_manage:
            raise RequestError(
                messages.PUBLIC_PAGE,
                field="name",
            )


def _fields_of(tab: PaintingTab) -> tuple[Any, Any]:
    return tab.prompt, tab.form.negative_prompt


def _is_in(sign: str, prompt: str) -> bool:
    if sign.startswith("<"):
        return sign in prompt
    return sign.casefold() in [part.strip().casefold() for part in prompt.split(",")]

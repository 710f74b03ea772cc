"""Markup of the Models tab.

Names, descriptions and trigger words come from strangers, so they pass through `html.escape`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from paintdiff.byte_sizes import format_byte_size
from paintdiff.ui.common.messages import PROGRESS
from paintdiff.ui.model_browser import messages
from paintdiff.ui.model_browser.listing import GOING_ON

if TYPE_CHECKING:
    from pathlib import Path

    from paintdiff.models.catalog.catalog import Problem
    from paintdiff.models.catalog.disk_usage import LoadedSummary
    from paintdiff.models.hub.downloads import DownloadState, HubModel
    from paintdiff.ui.model_browser.listing import ListingItem

MAX_WORDS = 24
"""How many trigger words a card shows; some files list hundreds."""

MAX_PROBLEMS = 200


@dataclass(frozen=True)
class HubResult:
    """One model found by a search.

    `family` is its family's title; `closed` means that it is gated and no token is set; `fetching`
    that it is being downloaded.
    """

    model: HubModel
    family: str
    closed: bool
    fetching: bool


_STATES = {
    "waiting": messages.WAITING,
    "running": messages.DOWNLOADING,
    "done": messages.DONE,
    "failed": messages.FAILED,
    "cancelled": messages.CANCELLED,
}


def listing_markup(items: Sequence[ListingItem], count: int, empty: str) -> str:
    """Return cards for the first of `count` items, and a button for more.

    Without items, return the message `empty`.
    """
    if not items:
        return f'<p class="shelf-empty">{escape(empty)}</p>'
    more = ""
    if len(items) < count:
        shown = escape(messages.shown_of(len(items), count))
        more = (
            f'<p class="shelf-more"><span role="status">{shown}</span>'
            f'<button type="button" data-do="more">{escape(messages.SHOW_MORE)}</button></p>'
        )
    cards = "".join(_card(item) for item in items)
    title = escape(messages.MODELS_AND_ADAPTERS)
    heading = f'<h2 class="for-readers">{title}</h2>'
    return f'{heading}<ul class="shelf" aria-label="{title}">{cards}</ul>{more}'


def message_markup(text: str, kind: str = "done", go: str = "") -> str:
    """Return the message of a click's outcome. `go` is the tab that a link opens."""
    if not text:
        return ""
    button = (
        f'<button type="button" data-do="go" data-tab="{escape(go)}">'
        f"{escape(messages.GO_THERE)}</button>"
        if go
        else ""
    )
    role = "alert" if kind == "error" else "status"
    close = (
        '<button type="button" class="close" data-close '
        f'aria-label="{escape(messages.CLOSE)}">×</button>'  # noqa: RUF001 (the sign itself)
    )
    words = f"<span>{escape(text)}</span>{button}{close}"
    return f'<p class="shelf-said {escape(kind)}" role="{role}">{words}</p>'


def memory_markup(loaded: Sequence[LoadedSummary]) -> str:
    """Return the models in memory, with a button to unload each that can leave."""
    if not loaded:
        return f'<p class="aside">{escape(messages.NOT_LOADED)}</p>'
    rows = "".join(
        f"<li><span><b>{escape(each.name)}</b><small>{escape(_describe_kind(each.what))}"
        f"{f', {format_byte_size(each.weights_bytes)}' if each.weights_bytes else ''}"
        f"{f', {messages.OFFLOADED}' if each.waits else ''}</small></span>"
        + (
            f"<em>{escape(messages.IN_USE)}</em>"
            if each.in_use
            else _button("unload", messages.UNLOAD, each.name, kind=each.what, name=each.name)
        )
        + "</li>"
        for each in loaded
    )
    return f'<ul class="shelf-rows">{rows}</ul>'


def problems_markup(found: Sequence[Problem], shown_path: Callable[[Path], str]) -> str:
    """Return the unusable files, each with the reason. `shown_path` formats a path for people."""
    if not found:
        return f'<p class="aside">{escape(messages.ALL_USABLE)}</p>'
    rows = "".join(
        f"<li><span><b>{escape(shown_path(each.path))}</b><small>{escape(each.reason)}</small></span></li>"
        for each in found[:MAX_PROBLEMS]
    )
    more = len(found) - MAX_PROBLEMS
    rest = f'<p class="aside">{escape(messages.more_files(more))}</p>' if more > 0 else ""
    return f'<ul class="shelf-rows">{rows}</ul>{rest}'


def transfers_markup(states: Sequence[DownloadState]) -> str:
    """Return the progress of downloads; the script updates the figures in place."""
    if not states:
        return ""
    listed = "".join(map(_transfer, states))
    return f'<ul class="transfers" aria-label="{escape(messages.DOWNLOADS)}">{listed}</ul>'


def hub_results_markup(words: str, found: Sequence[HubResult]) -> str:
    """Return the search results for a query."""
    if not found:
        return f'<p class="shelf-empty">{escape(messages.nothing_found(words))}</p>'
    cards = "".join(map(_hub_card, found))
    return (
        f'<div class="hub-head"><h2>{escape(messages.found_on_hub(words))}</h2>'
        '<button type="button" class="quiet" data-do="close-hub">'
        f"{escape(messages.CLOSE)}</button></div>"
        f'<ul class="shelf" aria-label="{escape(messages.ON_HUGGING_FACE)}">{cards}</ul>'
    )


def hub_unreachable_markup(message: str) -> str:
    """Return why a search failed, and a button to search again."""
    words = f"<span>{escape(message)}</span>"
    retry = f'<button type="button" data-retry>{escape(messages.RETRY)}</button>'
    return f'<p class="shelf-said error" role="alert">{words}{retry}</p>'


def _card(item: ListingItem) -> str:
    row, kind = item.row, item.kind
    about = " · ".join(part for part in (kind.singular, item.family, item.size) if part)
    facts = (
        (messages.WHERE, item.where),
        (messages.NEEDS, item.needs),
        (messages.LICENCE, row.licence),
        (messages.SOURCE, item.source),
    )
    listed = "".join(
        f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts if value
    )
    text = f'<p class="thing-text">{escape(row.description)}</p>' if row.description else ""
    cannot = f'<p class="thing-cannot">{escape(item.cannot)}</p>' if item.cannot else ""
    return (
        f'<li class="thing{" cannot" if item.cannot else ""}">'
        f'<div class="thing-head">{_face(item)}<div><h3>{escape(row.title)}</h3>'
        f'<p class="thing-about">{escape(about)}</p>{_marks(item)}</div></div>{cannot}{text}'
        f'{_words(item)}<dl>{listed}</dl><div class="thing-acts">{_acts(item)}</div></li>'
    )


def _face(item: ListingItem) -> str:
    """Return the preview, or an icon of its kind."""
    if not item.preview:
        sign, name = escape(item.kind.singular[:1]), escape(item.kind.name)
        return f'<span class="thing-face kind-{name}" aria-hidden="true">{sign}</span>'
    url = (
        f"models/preview?kind={quote(item.kind.name, safe='')}&name={quote(item.row.name, safe='')}"
        f"&stamp={item.preview}"
    )
    return (
        f'<span class="thing-face"><img src="{escape(url)}" alt="" loading="lazy" '
        'decoding="async"></span>'
    )


def _marks(item: ListingItem) -> str:
    marks: list[str] = []
    if item.is_default:
        marks.append(messages.DEFAULT)
    elif item.is_pinned:
        marks.append(messages.PINNED)
    if item.loaded is not None:
        held = (
            f", {format_byte_size(item.loaded.weights_bytes)}" if item.loaded.weights_bytes else ""
        )
        state = messages.OFFLOADED if item.loaded.waits else messages.LOADED
        marks.append(f"{messages.IN_USE if item.loaded.in_use else state}{held}")
    listed = "".join(f"<span>{escape(mark)}</span>" for mark in marks)
    return f'<p class="thing-marks">{listed}</p>' if marks else ""


def _words(item: ListingItem) -> str:
    """Return buttons that each add a trigger word to the prompt."""
    chips = "".join(
        _button(
            "word",
            word.strip(),
            word.strip(),
            kind=item.kind.name,
            name=item.row.name,
            index=str(index),
        )
        for index, word in enumerate(item.words[:MAX_WORDS])
    )
    more = len(item.words) - MAX_WORDS
    rest = f"<small>{escape(messages.more_words(more))}</small>" if more > 0 else ""
    title = escape(messages.TRIGGER_WORDS)
    return f'<div class="thing-words" aria-label="{title}">{chips}{rest}</div>' if chips else ""


def _acts(item: ListingItem) -> str:
    kind, name, title = item.kind.name, item.row.name, item.row.title

    def act(do: str, label: str, main: bool = False) -> str:
        return _button(do, label, title, kind=kind, name=name, main=main)

    acts: list[str] = []
    if item.fetching:
        acts.append(f"<em>{escape(messages.DOWNLOADING)}</em>")
    elif item.fetch:
        acts.append(act("download", messages.download_button(item.fetch), main=True))
    if kind == "model" and not item.cannot:
        acts.append(act("use", messages.USE, main=not (item.fetch or item.fetching)))
    if kind in ("lora", "embedding") and not item.cannot:
        acts.append(act("insert", messages.INSERT, main=True))
    if kind == "embedding" and not item.cannot:
        acts.append(act("insert-negative", messages.INSERT_AS_NEGATIVE))
    if kind == "model" and item.is_pinned:
        acts.append(act("unpin", messages.UNPIN))
    elif kind == "model" and not item.cannot:
        acts.append(act("pin", messages.PIN))
    if item.loaded is not None and not item.loaded.in_use:
        acts.append(_button("unload", messages.UNLOAD, title, kind=item.row.what, name=name))
    return "".join(acts) + _deletion(item)


def _deletion(item: ListingItem) -> str:
    """Return Delete, and the confirmation behind it that names what is deleted."""
    removal = item.removal
    if removal is None:
        return ""
    sure = _button(
        "delete",
        messages.DELETE_IT,
        item.row.title,
        kind=item.kind.name,
        name=item.row.name,
        sure=removal.sure,
    )
    path = str(removal.path)
    said = escape(
        messages.what_is_deleted(
            path,
            format_byte_size(removal.size_bytes),
            folder=removal.path.is_dir(),
            shared=removal.from_hub,
        )
    )
    said = said.replace(escape(path), f"<b>{escape(path)}</b>", 1)
    title = escape(messages.delete(item.row.title))
    return (
        f'<details class="thing-delete"><summary aria-label="{title}">'
        f"{escape(messages.DELETE)}</summary><div><p>{said}</p>{sure}</div></details>"
    )


def _transfer(state: DownloadState) -> str:
    running = state.state in GOING_ON
    part = f' value="{state.done_bytes / state.total_bytes:.4f}"' if state.total_bytes else ""
    bar = f'<progress max="1"{part} aria-label="{escape(PROGRESS)}"></progress>' if running else ""
    do, label = ("cancel", messages.CANCEL) if running else ("forget", messages.DISMISS)
    end = _button(do, label, state.hub_id, id=state.id, quiet=True)
    if state.state in ("failed", "cancelled"):
        end = _button("retry", messages.RETRY, state.hub_id, id=state.id) + end
    figures = describe_transfer(state)
    message = f"<small>{escape(state.message)}</small>" if state.message else ""
    return (
        f'<li class="transfer {escape(state.state)}" data-download="{escape(state.id)}" '
        f'data-state="{escape(state.state)}"><span><b>{escape(state.hub_id)}</b>'
        f'<small class="transfer-words">{escape(figures)}</small>{message}</span>{bar}{end}</li>'
    )


def describe_transfer(state: DownloadState) -> str:
    """Describe a download's progress."""
    words = _STATES[state.state]
    if state.state not in GOING_ON or not state.done_bytes:
        return words
    total = format_byte_size(state.total_bytes) if state.total_bytes else ""
    return messages.downloaded(words, format_byte_size(state.done_bytes), total)


def _hub_card(result: HubResult) -> str:
    model = result.model
    about = " · ".join(
        part for part in (result.family, messages.downloaded_times(model.downloads)) if part
    )
    facts = (
        (messages.LICENCE, model.licence),
        (messages.SOURCE, messages.at_commit(model.hub_id, model.revision)),
    )
    listed = "".join(
        f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts if value
    )
    cannot = f'<p class="thing-cannot">{escape(messages.GATED)}</p>' if result.closed else ""
    act = _button("fetch", messages.DOWNLOAD, model.title, main=True, id=model.hub_id)
    if result.closed:
        act = ""
    elif result.fetching:
        act = f"<em>{escape(messages.DOWNLOADING)}</em>"
    return (
        f'<li class="thing{" cannot" if result.closed else ""}"><div class="thing-head"><div>'
        f'<h3>{escape(model.title)}</h3><p class="thing-about">{escape(about)}</p></div></div>'
        f'{cannot}<dl>{listed}</dl><div class="thing-acts">{act}</div></li>'
    )


def _button(
    do: str,
    label: str,
    about: str,
    *,
    main: bool = False,
    quiet: bool = False,
    **data: str,
) -> str:
    """Return a button that sends `data`; `about` names its card to screen readers."""
    name = label if label == about else f"{label}: {about}"
    brought = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    classes = " ".join(word for word, has in (("main", main), ("quiet", quiet)) if has)
    return (
        f'<button type="button" class="{classes}" data-do="{escape(do)}"{brought} '
        f'aria-label="{escape(name)}">{escape(label)}</button>'
    )


def _describe_kind(what: str) -> str:
    return what[:1].upper() + what[1:]

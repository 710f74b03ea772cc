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
from paintdiff.ui.model_browser.listing import GATED, GOING_ON

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
    "waiting": "waiting",
    "running": "downloading",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}


def listing_markup(items: Sequence[ListingItem], count: int, empty: str) -> str:
    """Return cards for the first of `count` items, and a button for more.

    Without items, return the message `empty`.
    """
    if not items:
        return f'<p class="shelf-empty">{escape(empty)}</p>'
    more = ""
    if len(items) < count:
        more = (
            f'<p class="shelf-more"><span role="status">{len(items)} of {count} shown</span>'
            '<button type="button" data-do="more">Show more</button></p>'
        )
    cards = "".join(_card(item) for item in items)
    heading = '<h2 class="for-readers">Models and adapters</h2>'
    return f'{heading}<ul class="shelf" aria-label="Models and adapters">{cards}</ul>{more}'


def message_markup(text: str, kind: str = "done", go: str = "") -> str:
    """Return the message of a click's outcome. `go` is the tab that a link opens."""
    if not text:
        return ""
    button = (
        f'<button type="button" data-do="go" data-tab="{escape(go)}">Go there</button>'
        if go
        else ""
    )
    role = "alert" if kind == "error" else "status"
    close = '<button type="button" class="close" data-close aria-label="Close">×</button>'  # noqa: RUF001
    words = f"<span>{escape(text)}</span>{button}{close}"
    return f'<p class="shelf-said {escape(kind)}" role="{role}">{words}</p>'


def memory_markup(loaded: Sequence[LoadedSummary]) -> str:
    """Return the models in memory, with a button to unload each that can leave."""
    if not loaded:
        return '<p class="aside">No model is in memory. Models load on first use.</p>'
    rows = "".join(
        f"<li><span><b>{escape(each.name)}</b><small>{escape(_describe_kind(each.what))}"
        f"{f', {format_byte_size(each.weights_bytes)}' if each.weights_bytes else ''}"
        f"{', offloaded to RAM' if each.waits else ''}</small></span>"
        + (
            "<em>in use</em>"
            if each.in_use
            else _button("unload", "Unload", each.name, kind=each.what, name=each.name)
        )
        + "</li>"
        for each in loaded
    )
    return f'<ul class="shelf-rows">{rows}</ul>'


def problems_markup(found: Sequence[Problem], shown_path: Callable[[Path], str]) -> str:
    """Return the unusable files, each with the reason. `shown_path` formats a path for people."""
    if not found:
        return '<p class="aside">All files in the models folders are usable.</p>'
    rows = "".join(
        f"<li><span><b>{escape(shown_path(each.path))}</b><small>{escape(each.reason)}</small></span></li>"
        for each in found[:MAX_PROBLEMS]
    )
    more = len(found) - MAX_PROBLEMS
    rest = f'<p class="aside">… and {more} more.</p>' if more > 0 else ""
    return f'<ul class="shelf-rows">{rows}</ul>{rest}'


def transfers_markup(states: Sequence[DownloadState]) -> str:
    """Return the progress of downloads; the script updates the figures in place."""
    if not states:
        return ""
    return f'<ul class="transfers" aria-label="Downloads">{"".join(map(_transfer, states))}</ul>'


def hub_results_markup(words: str, found: Sequence[HubResult]) -> str:
    """Return the search results for a query."""
    if not found:
        return f'<p class="shelf-empty">Nothing found on Hugging Face for “{escape(words)}”.</p>'
    cards = "".join(map(_hub_card, found))
    return (
        f'<div class="hub-head"><h2>On Hugging Face: “{escape(words)}”</h2>'
        '<button type="button" class="quiet" data-do="close-hub">Close</button></div>'
        f'<ul class="shelf" aria-label="On Hugging Face">{cards}</ul>'
    )


def hub_unreachable_markup(message: str) -> str:
    """Return why a search failed, and a button to search again."""
    words = f"<span>{escape(message)}</span>"
    retry = '<button type="button" data-retry>Retry</button>'
    return f'<p class="shelf-said error" role="alert">{words}{retry}</p>'


def _card(item: ListingItem) -> str:
    row, kind = item.row, item.kind
    about = " · ".join(part for part in (kind.singular, item.family, item.size) if part)
    facts = (
        ("Where", item.where),
        ("Needs", item.needs),
        ("Licence", row.licence),
        ("Source", item.source),
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
        marks.append("default")
    elif item.is_pinned:
        marks.append("pinned")
    if item.loaded is not None:
        held = (
            f", {format_byte_size(item.loaded.weights_bytes)}" if item.loaded.weights_bytes else ""
        )
        state = "offloaded to RAM" if item.loaded.waits else "in memory"
        marks.append(f"{'in use' if item.loaded.in_use else state}{held}")
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
    rest = f"<small>and {more} more</small>" if more > 0 else ""
    return (
        f'<div class="thing-words" aria-label="Trigger words">{chips}{rest}</div>' if chips else ""
    )


def _acts(item: ListingItem) -> str:
    kind, name, title = item.kind.name, item.row.name, item.row.title

    def act(do: str, label: str, main: bool = False) -> str:
        return _button(do, label, title, kind=kind, name=name, main=main)

    acts: list[str] = []
    if item.fetching:
        acts.append("<em>downloading</em>")
    elif item.fetch:
        acts.append(act("download", f"Download {item.fetch}", main=True))
    if kind == "model" and not item.cannot:
        acts.append(act("use", "Use", main=not (item.fetch or item.fetching)))
    if kind in ("lora", "embedding") and not item.cannot:
        acts.append(act("insert", "Insert", main=True))
    if kind == "embedding" and not item.cannot:
        acts.append(act("insert-negative", "Insert as negative"))
    if kind == "model" and item.is_pinned:
        acts.append(act("unpin", "Unpin"))
    elif kind == "model" and not item.cannot:
        acts.append(act("pin", "Pin as default"))
    if item.loaded is not None and not item.loaded.in_use:
        acts.append(_button("unload", "Unload", title, kind=item.row.what, name=name))
    return "".join(acts) + _deletion(item)


def _deletion(item: ListingItem) -> str:
    """Return Delete, and the confirmation behind it that names what is deleted."""
    removal = item.removal
    if removal is None:
        return ""
    what = "the folder and its contents" if removal.path.is_dir() else "the file"
    shared = (
        " Other programs that share the Hugging Face cache lose it too." if removal.from_hub else ""
    )
    sure = _button(
        "delete",
        "Delete it",
        item.row.title,
        kind=item.kind.name,
        name=item.row.name,
        sure=removal.sure,
    )
    title = escape(item.row.title)
    return (
        f'<details class="thing-delete"><summary aria-label="Delete: {title}">Delete</summary>'
        f"<div><p>This deletes {what} <b>{escape(str(removal.path))}</b> "
        f"({format_byte_size(removal.size_bytes)}) for good.{shared}</p>{sure}</div></details>"
    )


def _transfer(state: DownloadState) -> str:
    running = state.state in GOING_ON
    part = f' value="{state.done_bytes / state.total_bytes:.4f}"' if state.total_bytes else ""
    bar = f'<progress max="1"{part} aria-label="Progress"></progress>' if running else ""
    do, label = ("cancel", "Cancel") if running else ("forget", "Dismiss")
    end = _button(do, label, state.hub_id, id=state.id, quiet=True)
    if state.state in ("failed", "cancelled"):
        end = _button("retry", "Retry", state.hub_id, id=state.id) + end
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
    total = f" of {format_byte_size(state.total_bytes)}" if state.total_bytes else ""
    return f"{words}, {format_byte_size(state.done_bytes)}{total}"


def _hub_card(result: HubResult) -> str:
    model = result.model
    about = " · ".join(part for part in (result.family, f"{model.downloads:,} downloads") if part)
    commit = f", commit {model.revision[:8]}" if model.revision else ""
    facts = (("Licence", model.licence), ("Source", f"{model.hub_id}{commit}"))
    listed = "".join(
        f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts if value
    )
    cannot = f'<p class="thing-cannot">{escape(GATED)}</p>' if result.closed else ""
    act = _button("fetch", "Download", model.title, main=True, id=model.hub_id)
    if result.closed:
        act = ""
    elif result.fetching:
        act = "<em>downloading</em>"
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

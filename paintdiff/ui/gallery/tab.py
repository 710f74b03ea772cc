"""The Gallery tab. Its markup is here; assets/gallery.js fills it from the routes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import gradio as gr

from paintdiff.gallery.variations import MAX_VARIATIONS
from paintdiff.ui.common import markup, widgets
from paintdiff.ui.common import messages as common
from paintdiff.ui.common.updates import QUICK, Updates
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.gallery import messages

if TYPE_CHECKING:
    from paintdiff.ui.common.lazy_page import LazyPage

# The page's script may load before or after this: whichever is second finds the other.
_MOUNT = """
(window.paintdiffGalleries ??= []).push(element);
window.paintdiff?.gallery?.mount?.();
"""
_MAX_WORDS_CHARACTERS = 500
_MAX_TAG_CHARACTERS = 100
_BIN_DAYS = (1, 7, 30, 90, 365)
_SEED_STRENGTH, _PICTURE_STRENGTH = 0.2, 0.4
"""How much variations differ at first."""


@dataclass(frozen=True)
class GalleryTab:
    """The tab's only component: its state is the browser's. Call `build`, then `wire`."""

    ids = Ids("gallery")
    title = messages.GALLERY

    place: gr.HTML

    @classmethod
    def build(cls) -> GalleryTab:
        """Lay out the tab inside the current `gr.Tab`."""
        return cls(
            widgets.clickable_html(
                gallery_markup(), cls.ids("place"), "gallery-place", script=_MOUNT, send="select"
            )
        )

    def wire(self, page: LazyPage) -> None:
        """Register the event that opens the tab."""

        def opened() -> Updates:
            return {}

        name = json.dumps(self.ids.tab)
        first = page.add_opener(self.ids.tab, opened, None, [self.place], **QUICK)
        first.failure(None, js=f"() => paintdiff.notOpened({name})")
        first.then(None, js=f'() => paintdiff.opened({name}, ["#gallery-grid"])')


def gallery_markup() -> str:
    """Return the tab's markup without any picture."""
    return (
        f'<div class="gallery">{_filter_bar()}{_selection_bar()}'
        '<p class="gallery-said" role="status"></p>'
        '<div class="gallery-scroll">'
        f'<div id="gallery-grid" role="listbox" tabindex="0" aria-multiselectable="true" '
        f'aria-label="{escape(messages.YOUR_PICTURES)}" aria-describedby="gallery-keys" hidden>'
        f"</div>{_empty_states()}</div>"
        f'<p id="gallery-keys" class="for-readers">{escape(messages.KEYS)}</p>'
        f"{_detail_dialog()}{_variations_dialog()}{_compare_dialog()}{_empty_dialog()}</div>"
    )


def _filter_bar() -> str:
    """Return the filters.

    Those needed `often` or `rare`ly hide behind a button on a phone, the latter everywhere.
    """
    every = ("", messages.EVERY)
    ratings = (
        every,
        ("1", messages.LIKED),
        ("0", messages.NOT_RATED),
        ("-1", messages.DISLIKED),
    )
    views = (("", messages.PICTURES), ("favourite", messages.FAVOURITES), ("bin", messages.BIN))
    fields = (
        _select("view", messages.SHOW, views),
        _select("order", messages.ORDER, messages.ORDERS),
        _select("model", messages.MODEL, [every], "often"),
        _select("kind", messages.KIND, [every], "often"),
        _select("feedback", messages.FEEDBACK, ratings, "often"),
        _select("tag", messages.TAG, [every], "often"),
        _select("size", messages.SIZE, [every], "rare"),
        _date("since", messages.SINCE),
        _date("until", messages.UNTIL),
    )
    days = [("", messages.NEVER), *((str(days), messages.after_days(days)) for days in _BIN_DAYS)]
    return (
        '<div class="gallery-bar" role="search">'
        f'<label class="gallery-field gallery-words"><span>{escape(messages.SEARCH)}</span>'
        f'<input type="search" name="search" maxlength="{_MAX_WORDS_CHARACTERS}" '
        f'autocomplete="off" placeholder="{escape(messages.SEARCH_HINT)}"></label>'
        f"{''.join(fields)}"
        '<button type="button" class="gallery-button" data-do="more" aria-expanded="false">'
        f"{escape(messages.MORE_FILTERS)}</button>"
        f"{_button('clear', messages.CLEAR_FILTERS, hidden=True)}"
        '<output class="gallery-count"></output>'
        f'<div class="gallery-bin" hidden>{_select("bin-days", messages.ERASE_BY_ITSELF, days)}'
        f"{_button('ask-empty', messages.EMPTY_BIN)}</div></div>"
    )


def _select(name: str, label: str, choices: Sequence[tuple[str, str]], rarity: str = "") -> str:
    options = "".join(
        f'<option value="{escape(value)}">{escape(text)}</option>' for value, text in choices
    )
    return (
        f'<label class="gallery-field {rarity}"><span>{escape(label)}</span>'
        f'<select name="{name}">{options}</select></label>'
    )


def _date(name: str, label: str) -> str:
    return (
        f'<label class="gallery-field rare"><span>{escape(label)}</span>'
        f'<input type="date" name="{name}" max="9999-12-31"></label>'
    )


def _selection_bar() -> str:
    return (
        f'<div class="gallery-selection" role="group" hidden '
        f'aria-label="{escape(messages.SELECTED_PICTURES)}">'
        '<output class="gallery-selected"></output>'
        f"{_ratings()}{_tag_form()}"
        f"{_button('compare', messages.COMPARE, hidden=True)}{_button('zip', messages.ZIP)}"
        f"{_button('delete', messages.DELETE)}{_button('restore', messages.RESTORE, hidden=True)}"
        f"{_button('select-all', messages.SELECT_ALL)}"
        f"{_button('unselect', messages.CLEAR_SELECTION)}</div>"
    )


def _ratings() -> str:
    """Return the buttons that rate: each shows whether it is on."""
    return "".join(
        f'<button type="button" class="gallery-icon" data-do="{act}" aria-pressed="false" '
        f'title="{escape(title)}" aria-label="{escape(title)}">{icon}</button>'
        for act, title, icon in (
            ("like", common.LIKE, markup.LIKE_ICON),
            ("dislike", common.DISLIKE, markup.DISLIKE_ICON),
            ("favourite", messages.FAVOURITE, _HEART),
        )
    )


def _tag_form() -> str:
    return (
        f'<form class="gallery-tag-form"><input name="tag" maxlength="{_MAX_TAG_CHARACTERS}" '
        f'autocomplete="off" list="gallery-tags" aria-label="{escape(messages.ADD_TAG)}" '
        f'placeholder="{escape(messages.ADD_TAG)}"></form>'
    )


def _empty_states() -> str:
    states = (
        ("none", messages.NO_PICTURES, messages.NO_PICTURES_HELP, ""),
        (
            "nothing",
            messages.NOTHING_FOUND,
            messages.NOTHING_FOUND_HELP,
            _button("clear", messages.CLEAR_FILTERS),
        ),
        ("bin", messages.BIN_EMPTY, messages.BIN_EMPTY_HELP, ""),
        ("failed", messages.UNREACHABLE, "", _button("again", messages.TRY_AGAIN)),
    )
    return "".join(
        f'<div class="gallery-empty" data-state="{state}" hidden><h2>{escape(title)}</h2>'
        f"<p>{escape(text)}</p>{button}</div>"
        for state, title, text, button in states
    )


def _detail_dialog() -> str:
    return (
        f'<dialog class="gallery-detail" aria-label="{escape(common.PICTURE)}">'
        '<div class="gallery-shown"></div><div class="gallery-about" tabindex="-1">'
        '<div class="gallery-top">'
        f"{_arrow('previous', messages.PREVIOUS, 'M12 4l-6 6 6 6')}"
        f"{_arrow('next', messages.NEXT, 'M8 4l6 6-6 6')}"
        f"{_arrow('close', common.CLOSE, _CROSS)}</div>"
        '<p class="gallery-problem" role="alert"></p>'
        '<p class="gallery-prompt" dir="auto"></p><p class="gallery-note"></p>'
        f'<div class="gallery-rate">{_ratings()}</div>'
        f'<div class="acts"><button type="button" class="act" data-send="text_to_image">'
        f"{escape(messages.USE_SETTINGS)}</button>{markup.send_menu()}"
        f'<button type="button" class="act" data-do="vary">{escape(messages.VARIATIONS)}</button>'
        '<button type="button" class="act" data-send="upscale">'
        f"{escape(common.UPSCALE)}</button>"
        f'<button type="button" class="act" data-replay="">{escape(common.REPLAY)}</button>'
        f'<a class="save" href="" download>{escape(common.DOWNLOAD)}</a>'
        f'<button type="button" class="act" data-do="delete">{escape(messages.DELETE)}</button>'
        f'<button type="button" class="act" data-do="restore" hidden>'
        f"{escape(messages.RESTORE)}</button></div>"
        '<p class="gallery-run" role="status" hidden><span></span>'
        f"{_button('vary-stop', messages.CANCEL)}</p>"
        f'<ul class="gallery-tags" aria-label="{escape(messages.TAGS)}"></ul>{_tag_form()}'
        '<datalist id="gallery-tags"></datalist>'
        f'<dl class="gallery-settings" data-negative="{escape(messages.NEGATIVE_PROMPT)}" '
        f'data-painted="{escape(messages.PAINTED)}"></dl>'
        f'<div class="gallery-family" data-title="{escape(messages.LINEAGE)}" hidden></div>'
        "</div></dialog>"
    )


def _variations_dialog() -> str:
    ways = (
        ("seed", messages.NEARBY_SEEDS, messages.NEARBY_SEEDS_HELP, _SEED_STRENGTH, " checked"),
        ("picture", messages.PICTURE_ITSELF, messages.PICTURE_ITSELF_HELP, _PICTURE_STRENGTH, ""),
    )
    choices = "".join(
        f'<label class="vary-way"><input type="radio" name="of" value="{value}" '
        f'data-strength="{strength}"{checked}><span><b>{escape(title)}</b>'
        f"<small>{escape(text)}</small></span></label>"
        for value, title, text, strength, checked in ways
    )
    return (
        f'<dialog class="gallery-ask gallery-vary" aria-label="{escape(messages.VARIATIONS)}">'
        f"<form><h2>{escape(messages.VARIATIONS)}</h2><fieldset>"
        f'<legend class="for-readers">{escape(messages.VARY_WHAT)}</legend>{choices}</fieldset>'
        '<p class="vary-note gallery-note"></p>'
        f'<label class="gallery-field"><span>{escape(messages.STRENGTH)} <output></output></span>'
        '<input type="range" name="strength" min="0.05" max="1" step="0.05">'
        f"<small>{escape(messages.STRENGTH_HELP)}</small></label>"
        f'<label class="gallery-field"><span>{escape(messages.HOW_MANY)}</span>'
        f'<input type="number" name="count" min="1" max="{MAX_VARIATIONS}" value="4" required>'
        '</label><p class="gallery-problem" role="alert"></p><div class="gallery-answers">'
        f"{_button('vary-no', messages.CANCEL)}"
        f'<button class="gallery-button gallery-main" name="start">{escape(messages.PAINT_THEM)}'
        "</button></div></form></dialog>"
    )


def _compare_dialog() -> str:
    buttons = (
        _arrow("smaller", messages.ZOOM_OUT, "M5 10h10"),
        _arrow("larger", messages.ZOOM_IN, "M5 10h10M10 5v10"),
        _button("fit-all", messages.FIT),
        _arrow("compare-close", common.CLOSE, _CROSS),
    )
    return (
        f'<dialog class="gallery-compare" aria-label="{escape(messages.COMPARE)}">'
        f'<div class="gallery-top"><h2>{escape(messages.COMPARE)}</h2>{"".join(buttons)}</div>'
        '<div class="compare-panes" tabindex="0" role="group" '
        f'aria-label="{escape(messages.COMPARE_KEYS)}"></div>'
        f'<div class="compare-settings" tabindex="0" role="region" '
        f'aria-label="{escape(messages.DIFFERENCES)}"><table '
        f'data-without="{escape(messages.FILE)}"></table>'
        "</div></dialog>"
    )


def _empty_dialog() -> str:
    return (
        f'<dialog class="gallery-ask gallery-erase" aria-label="{escape(messages.EMPTY_BIN)}">'
        f'<p>{escape(messages.ERASE_WARNING)}</p><div class="gallery-answers">'
        f"{_button('keep', messages.CANCEL)}{_button('erase', messages.ERASE)}</div></dialog>"
    )


def _button(act: str, text: str, *, hidden: bool = False) -> str:
    return (
        f'<button type="button" class="gallery-button" data-do="{act}"'
        f"{' hidden' if hidden else ''}>{escape(text)}</button>"
    )


def _arrow(act: str, title: str, line: str) -> str:
    return (
        f'<button type="button" class="gallery-icon" data-do="{act}" title="{escape(title)}" '
        f'aria-label="{escape(title)}"><svg viewBox="0 0 20 20" aria-hidden="true">'
        f'<path d="{line}"/></svg></button>'
    )


_CROSS = "M5 5l10 10M15 5L5 15"
_HEART = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M10 16.5S3.5 12.4 3.5 7.9A3.4 3.4 0 0 1 '
    '10 6.6a3.4 3.4 0 0 1 6.5 1.3c0 4.5-6.5 8.6-6.5 8.6z"/></svg>'
)

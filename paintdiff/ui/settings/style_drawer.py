"""The drawer for styles and wildcards, which are put into the prompt when a picture is painted."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import escape
from typing import Any, cast, get_args

import gradio as gr
from gradio.components import Component

from paintdiff.errors import PaintError, RequestError
from paintdiff.jobs.request_parts import MAX_STYLES
from paintdiff.jobs.requests import PaintingRequest
from paintdiff.prompts.library import PromptLibrary, thumbnails_folder
from paintdiff.prompts.styles import Style, apply_styles
from paintdiff.prompts.wildcards.expansion import WildcardMode
from paintdiff.prompts.wildcards.template import is_template
from paintdiff.ui.common import message_markup, widgets
from paintdiff.ui.common.browser_state import BrowserState
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.field_messages import Note, add_note, listen
from paintdiff.ui.common.updates import Updates, Values
from paintdiff.ui.common.widgets import Ids
from paintdiff.ui.settings import messages

_MODES: tuple[WildcardMode, ...] = get_args(WildcardMode)
_MODE_CHOICES = tuple(zip(messages.WILDCARD_MODES, _MODES, strict=True))
_USUAL = _MODES[0]
_MOST_BROKEN = 20


class StyleDrawer:
    """The components of a request's `styles` and `wildcards`, and of the person's own styles."""

    def __init__(self, context: PageContext, ids: Ids) -> None:
        self.context = context
        self._ids = ids
        self._notes: dict[str, Note] = {}

    @property
    def _library(self) -> PromptLibrary:
        return self.context.engine.library

    # Layout

    def add(self) -> None:
        """Add the drawer to the page."""
        with widgets.drawer(messages.STYLES_AND_WILDCARDS, self._ids("style-drawer")):
            self.styles = gr.Dropdown(
                self._names(),
                value=[],
                multiselect=True,
                max_choices=MAX_STYLES,
                label=messages.STYLES,
                info=messages.STYLES_INFO,
                elem_id=self._ids("styles"),
            )
            self._notes["styles"] = add_note(self._ids, "styles")
            self.gallery = widgets.clickable_html(
                show_styles(self._library.list_styles(), ()),
                self._ids("style-gallery"),
                "style-gallery-place",
                style="click",
            )
            self.write = gr.Button(
                messages.WRITE_STYLES, elem_id=self._ids("write-styles"), elem_classes=["quiet"]
            )
            self._add_own()
            self.wildcards = gr.Dropdown(
                list(_MODE_CHOICES),
                value=_USUAL,
                label=messages.WILDCARDS,
                info=messages.wildcards_info(len(self._library.list_wildcards())),
                filterable=False,
                elem_id=self._ids("wildcards"),
            )
            self._notes["wildcards"] = add_note(self._ids, "wildcards")
            self.broken = widgets.static_html(
                self._show_broken(), self._ids("broken-prompt-files"), "broken-files-place"
            )

    def _add_own(self) -> None:
        may_save = self.context.can_manage and self._library.can_save
        with gr.Column(visible=may_save, elem_classes=["own-style"]):
            self.name = gr.Textbox(
                label=messages.OWN_STYLE,
                info=messages.OWN_STYLE_INFO,
                max_lines=1,
                elem_id=self._ids("style-name"),
            )
            with gr.Row(elem_classes=["own-style-acts"]):
                self.save, self.edit, self.delete = (
                    gr.Button(
                        label,
                        elem_id=self._ids(f"{name}-style"),
                        elem_classes=["quiet"],
                        min_width=0,
                    )
                    for name, label in (
                        ("save", messages.SAVE_STYLE),
                        ("edit", messages.EDIT_STYLE),
                        ("delete", messages.DELETE_STYLE),
                    )
                )
        self._notes["own_style"] = add_note(self._ids, "own-style")

    def _show_broken(self) -> str:
        """Return the files that can't be used as markup; "" if there are none."""
        broken = self._library.list_broken()
        items = "".join(
            f"<li>{escape(self.context.shown_path(each.path))}: {escape(each.reason)}</li>"
            for each in broken[:_MOST_BROKEN]
        )
        title = escape(messages.files_not_usable(len(broken)))
        return (
            f'<details class="broken-files"><summary>{title}</summary><ul>{items}</ul></details>'
            if broken
            else ""
        )

    def _names(self) -> list[str]:
        return [style.name for style in self._library.list_styles()]

    # Part of a request

    def inputs(self) -> dict[str, Component]:
        """Return the components that are part of a request, by the keys of their storage."""
        return {"styles": self.styles, "wildcards": self.wildcards}

    def notes(self) -> dict[str, Note]:
        """Return the places for errors, by the request's fields."""
        return dict(self._notes)

    def read(self, values: Values) -> dict[str, object]:
        """Return the request's fields."""
        return {
            "styles": tuple(values[self.styles] or ()),
            "wildcards": values[self.wildcards] or _USUAL,
        }

    # Events

    def wire(self, prompt: gr.Textbox, negative: gr.Textbox, quick: Mapping[str, Any]) -> None:
        """Register events for the prompt boxes."""
        self.styles.focus(
            lambda: (*self._offer(), self._show_broken()),
            None,
            [self.styles, self.gallery, self.broken],
            **quick,
        )
        self.styles.change(self._show_chosen, [self.styles], [self.gallery], **quick)
        self.gallery.click(self.toggle, [self.styles], [self.styles], **quick)
        texts: list[Any] = [prompt, negative]
        self.write.click(self.insert, [self.styles, *texts], [self.styles, *texts], **quick)
        changed: list[Any] = [self.styles, self.gallery, self._notes["own_style"]]
        listen(self.save.click, self.save_own, [self.name, *texts], changed, **quick)
        own: list[Any] = [self.styles, self.name]
        self.edit.click(self.edit_own, own, [*own, *texts], **quick)
        listen(self.delete.click, self.delete_own, [self.name], changed, **quick)

    def _offer(self) -> tuple[Any, str]:
        styles = self._library.list_styles()
        return gr.Dropdown(choices=[style.name for style in styles]), show_styles(styles, ())

    def _show_chosen(self, chosen: object) -> str:
        return show_styles(self._library.list_styles(), read_names(chosen))

    def toggle(self, chosen: object, event: gr.EventData) -> list[str]:
        """Choose the style that was clicked, or give it up."""
        clicked = str(getattr(event, "style", ""))
        names = read_names(chosen)
        if clicked in names:
            return [name for name in names if name != clicked]
        return [*names, clicked][:MAX_STYLES] if clicked in self._names() else names

    def insert(self, chosen: object, prompt: object, negative: object) -> tuple[Any, ...]:
        """Write the chosen styles into the prompts."""
        try:
            styles = self._library.find_styles(read_names(chosen))
        except PaintError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return [], *apply_styles(str(prompt or ""), str(negative or ""), styles)

    def save_own(self, name: object, prompt: object, negative: object) -> Updates:
        """Save the prompts as a style of the person's own."""
        texts = (str(each or "") for each in (name, prompt, negative))
        return self._change(lambda: self._library.save_style(*texts))

    def edit_own(self, chosen: object, name: object) -> tuple[Any, ...]:
        """Write a style's texts into the prompts: the named one's, else the last chosen one's.

        Saved again they replace the person's own style, or shadow one that ships.
        """
        names = read_names(chosen)
        wanted = str(name or "").strip() or next(reversed(names), "")
        try:
            if not wanted:
                raise RequestError(messages.NAME_A_STYLE)
            (style,) = self._library.find_styles([wanted])
        except PaintError as error:
            raise gr.Error(str(error), print_exception=False) from error
        left = [each for each in names if each != style.name]  # else it would act twice
        return left, style.name, style.prompt, style.negative_prompt

    def delete_own(self, name: object) -> Updates:
        """Delete a style of the person's own."""
        return self._change(lambda: self._library.delete_style(str(name or "").strip()))

    def _change(self, change: Callable[[], object]) -> Updates:
        """Change the person's own styles; return updates of the choices and the note."""
        said = ""
        try:
            if not self.context.can_manage:
                raise RequestError(messages.MAY_NOT_SAVE_STYLES)
            change()
        except PaintError as error:
            said = message_markup.note([str(error)])
        styles, gallery = self._offer()
        return {self.styles: styles, self.gallery: gallery, self._notes["own_style"]: said}

    # Settings from elsewhere

    def restore(self, memory: BrowserState) -> Updates:
        """Return updates with the stored settings, each checked."""
        names = memory.choices("styles", self._names())
        return {
            self.styles: gr.Dropdown(choices=self._names(), value=names, multiselect=True),
            self.wildcards: memory.choice("wildcards", _MODES, _USUAL),
        }

    def fill(self, request: PaintingRequest) -> Updates:
        """Return updates with the settings of an earlier picture, whose prompts are final."""
        is_text = request.wildcards == "off" and not is_template(
            f"{request.prompt} {request.negative_prompt}"
        )
        known = set(self._names())
        return {
            self.styles: [name for name in request.styles if name in known],
            self.wildcards: _USUAL if is_text else request.wildcards,
        }


def read_names(chosen: object) -> list[str]:
    """Return the names in a dropdown's value."""
    given = cast("Sequence[object]", chosen) if isinstance(chosen, list) else ()
    return [name for name in given if isinstance(name, str)][:MAX_STYLES]


def show_styles(styles: Sequence[Style], chosen: Sequence[str]) -> str:
    """Return the styles as buttons, with thumbnails where there are some, as markup."""
    return f'<div class="style-gallery">{"".join(_show(each, chosen) for each in styles)}</div>'


def _show(style: Style, chosen: Sequence[str]) -> str:
    pressed = "true" if style.name in chosen else "false"
    title = "\n".join(text for text in (style.prompt, style.negative_prompt) if text)
    picture = f'<img src="{_read_thumbnail(style.thumbnail)}" alt="">' if style.thumbnail else ""
    return (
        f'<button type="button" data-style="{escape(style.name)}" aria-pressed="{pressed}" '
        f'title="{escape(title)}">{picture}<span>{escape(style.name)}</span></button>'
    )


@cache
def _read_thumbnail(name: str) -> str:
    """Return a thumbnail as an address: all together are smaller than one picture."""
    data = (thumbnails_folder() / name).read_bytes()
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"

"""Markup of messages: notes beside settings with their choices, and the line under the picture.

Every value from outside passes through `html.escape`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

from paintdiff.jobs.field_messages import message_words
from paintdiff.ui.common import messages


def progress_line(announced: str, shown: str = "", fraction: float | None = None) -> str:
    """Return the line under the picture.

    `announced` is read by screen readers, so it should change rarely; `shown` is for the eye and
    may change with every step. `fraction` is 0 to 1, or None if unknown.
    """
    amount = "" if fraction is None else f' value="{min(max(fraction, 0.0), 1.0):.3f}"'
    return (
        f'<div class="progress-line"><progress max="1"{amount} '
        f'aria-label="{escape(messages.PROGRESS)}"></progress>'
        f'<span aria-hidden="true">{escape(shown or announced)}</span>'
        f'<span class="for-readers" role="status">{escape(announced)}</span></div>'
    )


def queue_text(line: str, count: int) -> str:
    """Return a line under the picture, and how many jobs wait behind it."""
    if count == 0:
        return line
    return (
        f'{line}<p class="queued-behind" role="status">{escape(messages.more_in_queue(count))}</p>'
    )


def error_line(text: str, notes: Sequence[str] = ()) -> str:
    """Return one line under the picture once a run has ended, with further notes."""
    if not text:
        return ""
    more = "".join(f"<small>{escape(note)}</small>" for note in notes)
    return f'<div class="progress-line"><span role="status">{escape(text)}{more}</span></div>'


def note(sentences: Sequence[str], kind: Literal["error", "warning"] = "error") -> str:
    """Return sentences beside a setting; "" without any."""
    role = "alert" if kind == "error" else "status"
    return "".join(
        f'<p class="note {kind}" role="{role}"{_words_attribute(each)}>'
        f"{escape(each[:1].upper() + each[1:])}</p>"
        for each in sentences
    )


def _words_attribute(sentence: str) -> str:
    """Return the prompt's words that a sentence is about, for assets/prompt-check.js."""
    words = " ".join(message_words(sentence))
    return f' data-words="{escape(words)}"' if words else ""


def lora_choices(name: str, suggestion: str | None, prompt_id: str, generate_id: str) -> str:
    """Return buttons for a prompt that names an unknown LoRA: use the likely one, or paint without.

    The ids are those of the prompt box and of Generate.
    """
    attributes = (
        f'data-missing="{escape(name)}" data-prompt="{escape(prompt_id)}" '
        f'data-generate="{escape(generate_id)}"'
    )
    other = ""
    if suggestion:
        use = escape(messages.use(suggestion))
        other = f'<button type="button" data-instead="{escape(suggestion)}">{use}</button>'
    return (
        f'<div class="note-choices" {attributes}>{other}'
        f'<button type="button" data-without>{escape(messages.PAINT_WITHOUT_IT)}</button></div>'
    )


def prompt_chips(words: Sequence[str], prompt_id: str) -> str:
    """Return buttons that each add words to the prompt of that id; "" without words."""
    buttons = "".join(
        f'<button type="button" data-insert="{escape(each)}">{escape(each)}</button>'
        for each in words
    )
    label = messages.WORDS_TO_ADD
    return (
        f'<div class="note-choices" role="group" aria-label="{label}" '
        f'data-prompt="{escape(prompt_id)}">{buttons}</div>'
        if words
        else ""
    )


def aside(text: str) -> str:
    """Return a quiet sentence among the settings."""
    return f'<p class="aside">{escape(text)}</p>'

"""Messages for people, with the request field they are about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self


class FieldMessage(str):
    """A message with the request's field that it is about ("loras.0.weight").

    A form shows it beside that field. Elsewhere it is an ordinary str. `choices` are words that a
    person may add to the prompt because of it, `words` the prompt's own words that it is about.
    """

    __slots__ = ("choices", "field", "words")
    field: str
    choices: tuple[str, ...]
    words: tuple[str, ...]

    def __new__(
        cls, text: str, field: str, choices: tuple[str, ...] = (), words: tuple[str, ...] = ()
    ) -> Self:
        """Make a message; `field` is named as in a RequestError."""
        remark = super().__new__(cls, text)
        remark.field = field
        remark.choices = choices
        remark.words = words
        return remark


def message_field(sentence: str) -> str | None:
    """Return the field that a message is about; None if it has none."""
    return sentence.field if isinstance(sentence, FieldMessage) else None


def message_words(sentence: str) -> tuple[str, ...]:
    """Return the prompt's words that a message is about."""
    return sentence.words if isinstance(sentence, FieldMessage) else ()


def message_choices(sentences: Iterable[str]) -> tuple[str, ...]:
    """Return the words that the messages offer for the prompt, each once."""
    offered = (
        word for each in sentences if isinstance(each, FieldMessage) for word in each.choices
    )
    return tuple(dict.fromkeys(offered))

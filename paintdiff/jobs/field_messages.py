"""Messages for people, with the request field they are about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self


class FieldMessage(str):
    """A message with the request's field that it is about ("loras.0.weight").

    A form shows it beside that field. Elsewhere it is an ordinary str. `choices` are words that a
    person may add to the prompt because of it.
    """

    __slots__ = ("choices", "field")
    field: str
    choices: tuple[str, ...]

    def __new__(cls, text: str, field: str, choices: tuple[str, ...] = ()) -> Self:
        """Make a message; `field` is named as in a RequestError."""
        remark = super().__new__(cls, text)
        remark.field = field
        remark.choices = choices
        return remark


def message_field(sentence: str) -> str | None:
    """Return the field that a message is about; None if it has none."""
    return sentence.field if isinstance(sentence, FieldMessage) else None


def message_choices(sentences: Iterable[str]) -> tuple[str, ...]:
    """Return the words that the messages offer for the prompt, each once."""
    offered = (
        word for each in sentences if isinstance(each, FieldMessage) for word in each.choices
    )
    return tuple(dict.fromkeys(offered))

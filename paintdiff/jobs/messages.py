"""Sentences for people that know which control of a form they are about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self


class FieldMessage(str):
    """A sentence, with the request's field that it is about ("loras.0.weight"), so that a form can
    show it there. Everywhere else it is a str like any other.

    `choices` are words that a person may put into the prompt because of it.
    """

    __slots__ = ("choices", "field")
    field: str
    choices: tuple[str, ...]

    def __new__(cls, text: str, field: str, choices: tuple[str, ...] = ()) -> Self:
        """`field` is named as in a RequestError."""
        remark = super().__new__(cls, text)
        remark.field = field
        remark.choices = choices
        return remark


def message_field(sentence: str) -> str | None:
    """What a sentence is about, None if it doesn't say."""
    return sentence.field if isinstance(sentence, FieldMessage) else None


def message_choices(sentences: Iterable[str]) -> tuple[str, ...]:
    """Return the words that the sentences offer for the prompt, each once."""
    offered = (
        word for each in sentences if isinstance(each, FieldMessage) for word in each.choices
    )
    return tuple(dict.fromkeys(offered))

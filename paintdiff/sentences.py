"""Sentences for people that know which control of a form they are about."""

from __future__ import annotations

from typing import Self


class Remark(str):
    """A sentence, with the request's field that it is about ("loras.0.weight"), so that a form can
    show it there. Everywhere else it is a str like any other.
    """

    __slots__ = ("field",)
    field: str

    def __new__(cls, text: str, field: str) -> Self:
        """`field` is named as in a RequestError."""
        remark = super().__new__(cls, text)
        remark.field = field
        return remark


def field_of(sentence: str) -> str | None:
    """What a sentence is about, None if it doesn't say."""
    return sentence.field if isinstance(sentence, Remark) else None

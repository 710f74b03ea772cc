"""Scopes: what somebody may do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from paintdiff.accounts import messages
from paintdiff.errors import RequestError


class Scope(StrEnum):
    """A part of the app. With `MANAGE` one sees and changes everybody's pictures, too."""

    PAINT = "paint"
    GALLERY = "gallery"
    MANAGE = "manage"


ALL_SCOPES = frozenset(Scope)
VISITOR_SCOPES = frozenset({Scope.PAINT, Scope.GALLERY})
"""The scopes of visitors from elsewhere, and of users by default."""


def parse_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes of these names.

    Raises:
        RequestError: A name is unknown, or no name was given.
    """
    found: set[Scope] = set()
    for name in names:
        try:
            found.add(Scope(name))
        except ValueError as error:
            raise RequestError(messages.unknown_scope(name, Scope), field="scopes") from error
    if not found:
        raise RequestError(messages.NO_SCOPE, field="scopes")
    return frozenset(found)


def format_scopes(scopes: Iterable[Scope]) -> str:
    """Return the names of scopes, with spaces between them, in the order of `Scope`."""
    chosen = frozenset(scopes)
    return " ".join(each for each in Scope if each in chosen)

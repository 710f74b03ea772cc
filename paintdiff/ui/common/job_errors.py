"""Errors of jobs, in words."""

from __future__ import annotations

from paintdiff.errors import PaintError
from paintdiff.ui.common import messages


def describe_error(error: Exception) -> str:
    """Return an error's message if it is meant for people, else where to look."""
    if isinstance(error, PaintError):
        return str(error)
    return messages.unexpected_error(type(error).__name__)

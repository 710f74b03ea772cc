"""Errors nobody expected: logged in full under a short id, shown to people as a sentence with it.

Importable everywhere: it knows of nothing but `errors`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from typing import TypeVar

from paintdiff.errors import EngineError, PaintError

ErrorT = TypeVar("ErrorT", bound=PaintError)
AnyErrorT = TypeVar("AnyErrorT", bound=BaseException)


def report_error(logger: logging.Logger, what: str, error: BaseException) -> str:
    """Log an error with its traceback and return the id it is logged under: 8 hex digits.

    `what` says what failed. The text of an untyped error may name folders of the server, so it goes
    to the log and to nobody else.
    """
    error_id = secrets.token_hex(4)
    logger.error("%s (error %s)", what, error_id, exc_info=error)
    return error_id


def report_unexpected(
    logger: logging.Logger,
    what: str,
    error: BaseException,
    kind: type[ErrorT] = EngineError,
    advice: str = "",
) -> ErrorT:
    """Log an untyped error and return the one to show: `what` failed, and the id.

    `what` begins a sentence, such as "The picture failed"; `advice` is a sentence.
    """
    error_id = report_error(logger, what, error)
    sentences = (f"{what}: unexpected error.", advice, f"The log has the details under {error_id}.")
    shown = kind(" ".join(filter(None, sentences)))
    shown.__cause__ = error
    return shown


def error_text(error: BaseException) -> str:
    """Return the error's text, "" if it has none or its `__str__` raises."""
    try:
        return str(error)
    except BaseException:  # a foreign class: whatever it raises is no news
        return ""


def drop_tracebacks(error: AnyErrorT) -> AnyErrorT:
    """Return the error after removing its traceback and those of all errors behind it.

    Frames would keep pictures and tensors in memory as long as somebody holds the error.
    """
    for each in behind(error, everything=True):
        each.__traceback__ = None
    return error


def behind(error: BaseException, *, everything: bool = False) -> Iterator[BaseException]:
    """Yield an error and those that led to it, each once: chains may be circular.

    Of a PaintError only its cause is followed, unless `everything` behind it is wanted: what
    else was being handled when it was raised says nothing about it.
    """
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting.append(each.__cause__)
        if everything or not isinstance(each, PaintError):
            waiting.append(each.__context__)
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions

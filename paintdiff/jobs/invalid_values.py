"""Says in our words what pydantic found wrong with a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paintdiff.jobs import messages

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_VALUE_ERROR = "Value error, "


def describe_invalid(error: ErrorDetails) -> str:
    """Return what is wrong with a value, without its name and a full stop: the limit and the value.

    Our own validators' messages stay as they are, and so do those of rare kinds of errors.
    """
    kind, context = error["type"], error.get("ctx", {})
    if kind in messages.LIMITS:
        (limit,) = (value for name, value in context.items() if name in ("ge", "gt", "le", "lt"))
        return messages.beyond_limit(kind, limit, error["input"])
    if kind in messages.EXPECTED:
        return messages.not_expected(messages.EXPECTED[kind], error["input"])
    if kind in messages.FIXED:
        return messages.FIXED[kind]
    return _describe_length(kind, context, error["input"]) or _describe_choice(error, context)


def _describe_length(kind: str, context: Mapping[str, Any], value: object) -> str:
    if kind == "string_too_long":
        return messages.too_many_characters(len(str(value)), context["max_length"])
    if kind == "too_long":
        return messages.too_many_entries(context["actual_length"], context["max_length"])
    return ""


def _describe_choice(error: ErrorDetails, context: Mapping[str, Any]) -> str:
    if error["type"] == "literal_error":
        return messages.not_expected(context["expected"], error["input"])
    return error["msg"].removeprefix(_VALUE_ERROR)

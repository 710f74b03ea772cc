"""Allowed content of the page's events: a shape for each input, checked before Gradio's code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

from paintdiff.server import messages

MAX_EVENT_BYTES = 256 * 1024
"""Most bytes of an event's body. The page's largest has a few thousand."""
MAX_DEPTH = 8
MAX_VALUES = 5_000
MAX_NUMBER = 1e300

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FILE_KEYS = frozenset({"path", "meta", "_type", "is_stream"})
"""The keys of Gradio's FileData.

Gradio opens the file that such an object names, wherever in a value it appears. The page names
pictures by its own ids, so none of its events contains these keys.
"""


class EventRefusedError(Exception):
    """A body that no event of the page would send; `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class DirectAnswer:
    """The answer to an event that isn't queued. Gradio answers each failed one with status 500."""

    refuses_event = False
    """Whether the event failed because of what it contains, or asks for."""


current_answer: ContextVar[DirectAnswer | None] = ContextVar("current_answer", default=None)
"""The answer that is being made in this context."""


def mark_refused_event() -> None:
    """Let the current event be answered with status 422: a message explains it to the person."""
    answer = current_answer.get()
    if answer is not None:
        answer.refuses_event = True


class Shape(Enum):
    """Allowed values of one kind of component."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    CHOICE = "choice"
    CHOICES = "list of choices"
    RECORD = "record"
    """The value of a canvas or picture list: plain values, lists and objects of them."""


@dataclass(frozen=True)
class EventRule:
    """One event: the shapes of its inputs, in order, and whether it is queued."""

    inputs: tuple[Shape, ...]
    queued: bool


class PageEvents:
    """Checks the bodies of events against the page's events, by number."""

    def __init__(self, rules: Mapping[int, EventRule]) -> None:
        self._rules = dict(rules)

    def check(self, body: bytes, *, queued: bool) -> tuple[bytes, str]:
        """Return the body, serialized again as JSON, and its session.

        Serialized again so that Gradio reads exactly what was checked, whatever its parser makes of
        odd input.

        Raises:
            EventRefusedError: The body isn't one of the page's.
        """
        event = _parse_object(body)
        unknown = event.keys() - {"data", "event_data", "fn_index", "session_hash", "trigger_id"}
        if unknown:
            _refuse(messages.unknown_key(sorted(unknown)[0]))
        number, data = event.get("fn_index"), event.get("data")
        rule = self._rules.get(number) if type(number) is int else None
        if rule is None or rule.queued is not queued:
            raise EventRefusedError(messages.NO_SUCH_EVENT, 404)
        if not isinstance(data, list) or len(data) != len(rule.inputs):
            _refuse(messages.WRONG_NUMBER_OF_INPUTS)
        for value, shape in zip(data, rule.inputs, strict=True):
            if not _fits(value, shape):
                _refuse(messages.wrong_input(shape.value))
        if event.get("trigger_id") is not None and type(event["trigger_id"]) is not int:
            _refuse(messages.TRIGGER_NOT_A_NUMBER)
        details = event.get("event_data")
        _check_plain(details)
        if not isinstance(details, dict):  # Gradio's inputs send their value; no handler reads it
            event["event_data"] = {}
        return _serialize(event), parse_session(event.get("session_hash"))


def check_cancel(body: bytes) -> tuple[bytes, str]:
    """Return the body of a cancellation, serialized again, and its session.

    Raises:
        EventRefusedError: The body isn't one of the page's.
    """
    cancel = _parse_object(body)
    if cancel.keys() != {"session_hash", "fn_index", "event_id"}:
        _refuse(messages.CANCELLATION_KEYS)
    event_id = cancel["event_id"]
    if type(cancel["fn_index"]) is not int or not isinstance(event_id, str) or len(event_id) > 64:
        _refuse(messages.CANCELLATION_WITHOUT_EVENT)
    return _serialize(cancel), parse_session(cancel["session_hash"])


def check_json(body: bytes) -> bytes:
    """Return the body of a request for one of our own routes, serialized again.

    Raises:
        EventRefusedError: It isn't an object of limited depth and size.
    """
    content = _parse_object(body)
    _check_plain(content)
    return _serialize(content)


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise EventRefusedError(messages.UNREADABLE_BODY) from error
    if not isinstance(parsed, dict):
        _refuse(messages.BODY_NOT_AN_OBJECT)
    return parsed


def _serialize(event: dict[str, Any]) -> bytes:
    try:
        return json.dumps(event, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except ValueError as error:  # a lone surrogate, NaN, or beyond a float's range
        raise EventRefusedError(messages.UNREADABLE_BODY) from error


def parse_session(session: object) -> str:
    """Return a session's id in the page's format.

    Raises:
        EventRefusedError: It has another format.
    """
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        _refuse(messages.INVALID_SESSION)
    return session


def _fits(value: object, shape: Shape) -> bool:
    if value is None:
        return True
    match shape:
        case Shape.TEXT:
            return isinstance(value, str)
        case Shape.NUMBER:
            return _is_number(value)
        case Shape.FLAG:
            return isinstance(value, bool)
        case Shape.CHOICE:
            return isinstance(value, str) or _is_number(value)
        case Shape.CHOICES:
            return (
                isinstance(value, list)
                and len(value) <= MAX_VALUES
                and all(_fits(each, Shape.CHOICE) for each in value)
            )
        case Shape.RECORD:
            _check_plain(value)
            return True


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and -MAX_NUMBER < value < MAX_NUMBER


def _check_plain(value: object) -> None:
    """Raise EventRefusedError for a value that is too deep or too large, or names a file."""
    count, level = 0, [value]
    for _depth in range(MAX_DEPTH):
        below: list[object] = []
        for each in level:
            if isinstance(each, dict):
                if _FILE_KEYS & each.keys():
                    _refuse(messages.FILE_IN_EVENT)
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
        count += len(below)
        if not below:
            return
        if count > MAX_VALUES:
            _refuse(messages.too_many_values(MAX_VALUES))
        level = below
    _refuse(messages.nested_too_deep(MAX_DEPTH))


def _refuse(reason: str) -> NoReturn:
    raise EventRefusedError(reason)

"""Bodies that no event of the page would send are refused; what passes is plain JSON."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from paintdiff.server.access import Access
from paintdiff.server.identities import HEADER, Identity
from paintdiff.server.page_events import (
    EventRefusedError,
    EventRule,
    PageEvents,
    Shape,
    check_cancel,
)
from paintdiff.server.sessions import Sessions

EVENTS = PageEvents({7: EventRule(tuple(Shape), queued=True), 8: EventRule((), queued=False)})
VALUES: dict[Shape, Any] = {
    Shape.TEXT: "a (red:1.2) house\n🐉",
    Shape.NUMBER: 2**63 + 1,
    Shape.FLAG: True,
    Shape.CHOICE: "mini",
    Shape.CHOICES: ["mini", 3],
    Shape.RECORD: {"image": None, "pictures": ["x"], "version": 3, "list": [[1.5], {}]},
}


def event(**changed: Any) -> dict[str, Any]:
    return {
        "data": list(VALUES.values()),
        "fn_index": 7,
        "session_hash": "abc123",
        "trigger_id": 5,
        "event_data": {"value": "Models", "index": 5},
        **changed,
    }


def checked(body: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return EVENTS.check(raw, queued=True)


def test_an_event_passes_unchanged() -> None:
    body, session = checked(event())
    assert json.loads(body) == event()
    assert session == "abc123"
    empty = event(data=[None] * len(Shape), event_data=None, trigger_id=None)
    assert json.loads(checked(empty)[0]) == {**empty, "event_data": {}}


@pytest.mark.parametrize("details", ["mini", 5, ["a", "b"], True])
def test_event_data_of_an_input_is_its_value_and_handlers_get_an_object(details: object) -> None:
    sent = event(event_data=details)
    assert json.loads(checked(sent)[0]) == {**sent, "event_data": {}}


FILE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize(
    "file", [FILE, [FILE], {"deep": [FILE]}, {"path": "x"}, {"meta": {"_type": "gradio.FileData"}}]
)
def test_no_input_can_name_a_file(shape: Shape, file: Any) -> None:
    data = [file if each is shape else value for each, value in VALUES.items()]
    with pytest.raises(EventRefusedError):
        checked(event(data=data))


def test_event_data_can_name_no_file_either() -> None:
    with pytest.raises(EventRefusedError, match="Files can't be named"):
        checked(event(event_data={"value": FILE}))


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "changed",
    [
        {"fn_index": 9},
        {"fn_index": 8},
        {"fn_index": True},
        {"fn_index": "7"},
        {"fn_index": None},
        {"data": []},
        {"data": {}},
        {"data": [*VALUES.values(), 1]},
        {"session_hash": None},
        {"session_hash": "../x"},
        {"session_hash": "a" * 65},
        {"trigger_id": "5"},
        {"trigger_id": [5]},
        {"simple_format": True},
        {"batched": True},
        {"oauth_token": "x"},
        {"event_id": "x"},
        {"event_data": {"value": nested(20)}},
        {"event_data": {"value": ["x"] * 6000}},
    ],
)
def test_what_no_page_sends_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(EventRefusedError):
        checked(event(**changed))


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (Shape.TEXT, 5),
        (Shape.TEXT, ["x"]),
        (Shape.TEXT, "\ud800"),
        (Shape.NUMBER, "5"),
        (Shape.NUMBER, 10**400),
        (Shape.NUMBER, float("inf")),
        (Shape.FLAG, 1),
        (Shape.CHOICE, {"a": 1}),
        (Shape.CHOICE, ["a"]),
        (Shape.CHOICES, "a"),
        (Shape.CHOICES, [["a"]]),
        (Shape.CHOICES, ["a"] * 6000),
        (Shape.RECORD, nested(9)),
        (Shape.RECORD, [0] * 6000),
        (Shape.RECORD, float("nan")),
    ],
)
def test_each_input_has_its_shape(shape: Shape, value: Any) -> None:
    data = [value if each is shape else good for each, good in VALUES.items()]
    with pytest.raises(EventRefusedError):
        checked(event(data=data))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe{\x00}\x00",
        b"9" * 10_000,
        json.dumps(event()).encode("utf-16"),
        json.dumps(event()).replace("2.5", "1e999").encode() + b"x",
    ],
)
def test_a_body_that_is_not_an_object_of_json_is_refused(body: bytes) -> None:
    with pytest.raises(EventRefusedError):
        checked(body)


def test_a_cancellation_names_one_event() -> None:
    good = {"session_hash": "abc", "fn_index": 3, "event_id": "f00"}
    body, session = check_cancel(json.dumps(good).encode())
    assert json.loads(body) == good and session == "abc"
    wrong_ones: tuple[dict[str, object], ...] = (
        {"path": "x"},
        {"event_id": 5},
        {"event_id": "f" * 65},
        {"fn_index": "3"},
        {"session_hash": 1},
        {"session_hash": "../x"},
    )
    for wrong in wrong_ones:
        with pytest.raises(EventRefusedError):
            check_cancel(json.dumps({**good, **wrong}).encode())


def test_an_event_that_is_cut_off_never_happens() -> None:
    """Even if what has arrived looks whole."""
    happened: list[Any] = []
    sent: list[Any] = []
    body = json.dumps(event(data=[], fn_index=8)).encode()
    messages: list[Any] = [
        {"type": "http.request", "body": body, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        happened.append(scope)

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    queue: Any = None  # a direct event asks it nothing
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/gradio_api/run/predict",
        "query_string": b"",
        "headers": [(HEADER.encode(), Identity().format().encode())],
    }
    asyncio.run(Access(app, EVENTS, Sessions(queue))(scope, receive, send))
    assert sent[0]["status"] == 400 and not happened

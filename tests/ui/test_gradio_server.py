"""The mounted page: every route and event, and the values that each accepts."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
import pytest
from fastapi import FastAPI
from gradio.block_function import BlockFunction
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from paintdiff.gallery.gallery import Gallery
from paintdiff.server.access import Access
from paintdiff.server.authentication.sign_in_page import SIGN_IN_PATH, SIGN_OUT_PATH
from paintdiff.server.guard import Guard, Hosts
from paintdiff.server.identities import (
    COOKIE,
    HEADER,
    Identity,
    current_identity,
    make_token,
    name_browser,
)
from paintdiff.server.messages import NO_SUCH_ROUTE
from paintdiff.server.page_events import EventRefusedError, Shape
from paintdiff.server.routes import PAGE_ROUTES, Body, RouteTable
from paintdiff.server.sessions import MAX_EVENTS, MAX_EVENTS_PER_SESSION, Sessions
from paintdiff.server.visitors import current_visitor
from paintdiff.ui import gradio_server
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.uploads import upload_routes
from paintdiff.ui.gallery.routes import gallery_routes
from paintdiff.ui.model_browser.routes import model_browser_routes
from paintdiff.ui.page import build_page
from paintdiff.ui.prompting.routes import prompting_routes
from paintdiff.ui.replay.routes import replay_routes
from paintdiff.ui.run import routes
from tests.ui.conftest import parts_over
from tests.ui.fake_engine import FakeEngine

T = TypeVar("T")

GRADIOS_OWN = {
    "/",
    "/assets/{path:path}",
    "/favicon.ico",
    "/gradio_api/cancel",
    "/gradio_api/queue/data",
    "/gradio_api/queue/join",
    "/gradio_api/run/predict",
    "/robots.txt",
    "/static/{path:path}",
    "/theme.css",
}
"""What of Gradio's routes the page needs. Think twice before adding one."""


def in_a_loop(made: Callable[[], T]) -> T:
    """Call it in an event loop. Without one Gradio makes one for itself, and leaves it open."""

    async def make() -> T:
        return made()

    return asyncio.run(make())


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> PageContext:
    gallery = Gallery(tmp_path_factory.mktemp("outputs"))
    return replace(parts_over(FakeEngine()), gallery=gallery)


@pytest.fixture(scope="module")
def gradios_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where Gradio would put copies of files."""
    with pytest.MonkeyPatch.context() as environment:
        folder = tmp_path_factory.mktemp("gradio")
        environment.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def page(context: PageContext, gradios_files: Path) -> gr.Blocks:
    return in_a_loop(lambda: build_page(context))


@pytest.fixture(scope="module")
def server(page: gr.Blocks, context: PageContext) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(routes.picture_routes(context.engine))
    app.include_router(routes.status_routes(context.words))
    app.include_router(upload_routes(context.uploads))
    app.include_router(model_browser_routes(context))
    app.include_router(prompting_routes(context))
    assert context.gallery is not None
    app.include_router(gallery_routes(context.gallery, context))
    app.include_router(replay_routes(context.gallery, context.engine))
    in_a_loop(lambda: gradio_server.mount_page(app, page, "127.0.0.1", 7860, ""))
    return app


@pytest.fixture(scope="module")
def guarded(server: FastAPI, page: gr.Blocks) -> TestClient:
    sessions = Sessions(gradio_server.QueueAnswers(page))
    access = Access(server, gradio_server.page_events(page), sessions)
    return TestClient(Guard(access, Hosts()), base_url="http://localhost:7860")


def paths_of(app: Any) -> set[str]:
    """The paths of an application's own routes, those of routers that it includes among them."""
    found: set[str] = set()
    for route in app.routes:
        if isinstance(route, Route):
            found.add(route.path)
        elif hasattr(route, "original_router"):
            found |= paths_of(route.original_router)
    return found


def test_every_route_is_one_that_the_page_needs_or_is_refused(
    server: FastAPI, guarded: TestClient
) -> None:
    gradio = next(route.app for route in server.routes if isinstance(route, Mount))
    ours, theirs = paths_of(server), paths_of(gradio)
    known = {route.path for route in PAGE_ROUTES}
    assert known == ours | GRADIOS_OWN, "each route of ours is in the table"
    assert theirs >= GRADIOS_OWN - {"/gradio_api/run/predict"}, "which is a {api_name} there"
    of_the_guard = {SIGN_IN_PATH, SIGN_OUT_PATH}
    refused = {path for path in theirs - known - of_the_guard if "{" not in path}
    assert len(refused) > 30
    for path in refused:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = guarded.request(method, path)
            assert answer.status_code == 404, path
            assert not answer.text or answer.json()["detail"] == NO_SUCH_ROUTE, path


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=http://127.0.0.1:1/x",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/proxy=https://x.hf.space/",
        "/gradio_api/heartbeat/abc",
        "/gradio_api/stream/a/b/1/playlist.m3u8",
        "/gradio_api/call/predict/abc",
        "/gradio_api/upload?upload_id=1",
        "/gradio_api/run/other",
        "/gradio_api/api/predict",
        "/gradio_api/queue/data/",
        "/gradio_api//queue/join",
        "//gradio_api/queue/join",
        "/custom_component/x",
        "/svelte/x",
        "/pwa_icon/1",
        "/monitoring/x",
        "/no/such/route",
        "/uploads/a/b",
        "/status%0A",
        "/%00",
        f"/assets/{'a' * 300}",
        f"/static/{'a/' * 3000}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_the_page_never_asks_for_is_refused(
    guarded: TestClient, method: str, path: str
) -> None:
    assert guarded.request(method, path).status_code == 404


def test_a_state_changing_method_never_reaches_a_route_that_reads() -> None:
    table = RouteTable()
    for route in PAGE_ROUTES:
        assert ("POST" in route.methods) is (route.body is not Body.NONE)
        assert not {"PUT", "DELETE", "PATCH", "OPTIONS"} & set(route.methods)
    assert table.find("DELETE", "/uploads/x") is None


def test_a_deep_link_is_not_followed(guarded: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the deep link was followed")

    monkeypatch.setattr("gradio.routes.load_deep_link", refuse, raising=False)
    assert guarded.get("/", params={"deep_link": "x"}).status_code == 200


def test_every_input_of_the_page_has_a_shape(page: gr.Blocks) -> None:
    kinds = {
        type(component)
        for function in page.fns.values()
        if function.fn is not None
        for component in function.inputs
    }
    assert kinds <= gradio_server.SHAPES.keys()
    assert gr.File not in gradio_server.SHAPES and gr.Image not in gradio_server.SHAPES


def test_a_component_for_files_can_not_come_in_unnoticed() -> None:
    def page() -> gr.Blocks:
        with gr.Blocks(analytics_enabled=False) as page:
            gr.Button().click(lambda _: None, gr.File())
        return page

    with pytest.raises(KeyError):
        gradio_server.page_events(in_a_loop(page))


def bodies_with(page: gr.Blocks, value: Any) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Yield one body for each input of each event: whether it is queued, and `value` in it."""
    for number, function in page.fns.items():
        if function.fn is None:
            continue
        for place in range(len(function.inputs)):
            data = [value if each == place else None for each in range(len(function.inputs))]
            yield function.queue, {"data": data, "fn_index": number, "session_hash": "abc"}


def copies(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name == "secret.txt"]


def test_no_event_reads_a_file_that_its_sender_names(
    guarded: TestClient, page: gr.Blocks, tmp_path: Path, gradios_files: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the server's own")
    named = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    count = 0
    for queued, body in bodies_with(page, named):
        path = "/gradio_api/queue/join" if queued else "/gradio_api/run/predict"
        answer = guarded.post(path, json=body)
        assert answer.status_code == 400 and str(tmp_path) not in answer.text
        count += 1
    assert count > 100
    assert copies(gradios_files) == []


def test_without_the_guard_gradio_reads_it_and_alone_it_looks_where_it_lies(
    server: FastAPI,
    page: gr.Blocks,
    tmp_path: Path,
    gradios_files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control, for both layers: the guard, and Gradio's own check."""
    secret = tmp_path / "secret.txt"
    secret.write_text("the server's own")
    named = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    body = next(
        body
        for queued, body in bodies_with(page, named)
        if not queued
        and all(isinstance(each, gr.Textbox) for each in page.fns[body["fn_index"]].inputs)
    )
    visitor = TestClient(server, base_url="http://localhost:7860")
    visitor.post("/gradio_api/run/predict", json=body)
    assert copies(gradios_files) == []
    monkeypatch.setattr(page, "has_launched", False)
    visitor.post("/gradio_api/run/predict", json=body)
    assert len(copies(gradios_files)) == 1


def test_an_event_that_the_page_sends_is_answered(guarded: TestClient, page: gr.Blocks) -> None:
    number, function = next(
        (number, function)
        for number, function in page.fns.items()
        if function.fn is not None and function.fn.__name__ == "restore"  # a tab is opened
    )
    data = [getattr(component, "value", None) for component in function.inputs]
    body = {"data": data, "fn_index": number, "session_hash": "abc", "event_data": None}
    answer = guarded.post("/gradio_api/run/predict", content=json.dumps(body))
    assert answer.status_code == 200, answer.text
    assert guarded.post("/gradio_api/queue/join", json=body).status_code == 404
    large = {**body, "event_data": "x" * 300_000}
    assert guarded.post("/gradio_api/run/predict", json=large).status_code == 413


def test_a_value_that_fits_no_component_is_not_in_the_log(
    guarded: TestClient,
    page: gr.Blocks,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Gradio prints a traceback for each, with the value: what somebody typed, 250 KB long."""
    secret, count = "zebrafinch", 0
    for number, function in page.fns.items():
        kinds = kinds_of(function)
        if function.fn is None or function.queue or gr.Dropdown not in kinds:
            continue
        data: list[Any] = [getattr(component, "value", None) for component in function.inputs]
        data[kinds.index(gr.Dropdown)] = secret
        body = {"data": data, "fn_index": number, "session_hash": "abc"}
        guarded.post("/gradio_api/run/predict", json=body)
        count += 1
    assert count > 20
    captured = capfd.readouterr()
    assert secret not in captured.err + captured.out + caplog.text
    assert "Traceback" not in captured.err + captured.out + caplog.text


ODD: dict[Shape, list[Any]] = {
    Shape.TEXT: [None, '["a", ["b", 1]]'],
    Shape.NUMBER: [None, -1, 1e299],
    Shape.FLAG: [None],
    Shape.CHOICE: [None, "nonsense", -1],
    Shape.CHOICES: [None, ["nonsense"]],
    Shape.RECORD: [None, [], {"image": 1}, {"image": "x", "mask": []}, "text"],
}


def test_no_value_that_the_guard_lets_through_is_an_unexpected_error(
    guarded: TestClient, page: gr.Blocks
) -> None:
    """A person who empties a field reads which one; nothing fills the log."""
    rules, found = gradio_server.page_events(page), list[str]()

    async def try_all() -> None:
        for number, function in page.fns.items():
            if function.fn is None:
                continue
            usual = [getattr(component, "value", None) for component in function.inputs]
            odd = [
                [*usual[:place], value, *usual[place + 1 :]]
                for place, component in enumerate(function.inputs)
                for value in ODD[gradio_server.find_shape(component)]
            ]
            for data in [usual, *odd]:
                await try_one(number, function, data)

    async def try_one(number: int, function: Any, data: list[Any]) -> None:
        body = json.dumps({"data": data, "fn_index": number, "session_hash": "odd"})
        sent = json.loads(rules.check(body.encode(), queued=function.queue)[0])
        state, details = page.state_holder["odd"], gr.EventData(None, sent["event_data"])
        with suppress(TimeoutError):  # some watch a job
            try:
                handled = page.process_api(function, data, state=state, event_data=details)
                await asyncio.wait_for(handled, 1)
            except gr.Error as error:
                if "unexpected error" in error.message:
                    found.append(f"{function.fn}: {data}: {error.__cause__!r}")

    asyncio.run(try_all())
    assert found == []


def kinds_of(function: BlockFunction) -> list[type[Any] | None]:
    """Return the kinds of an event's inputs, None for those with several choices."""
    return [
        None if getattr(component, "multiselect", False) else type(component)
        for component in function.inputs
    ]


def answer_to(guarded: TestClient, page: gr.Blocks, kind: type[Any], value: Any) -> str:
    """Send a value to the first event that takes a component of a kind, and return the error."""
    for number, function in page.fns.items():
        kinds = kinds_of(function)
        if function.fn is None or function.queue or kind not in kinds:
            continue
        data = [getattr(component, "value", None) for component in function.inputs]
        data[kinds.index(kind)] = value
        body = {"data": data, "fn_index": number, "session_hash": "abc"}
        answer = guarded.post("/gradio_api/run/predict", json=body)
        assert answer.status_code == 422, answer.text  # the visitor's fault, not the server's
        return answer.json()["error"]
    raise AssertionError(f"no event takes a {kind.__name__}")


def test_what_is_wrong_with_a_value_is_said_by_the_name_of_its_field(
    guarded: TestClient, page: gr.Blocks
) -> None:
    assert " is empty. Enter a number from " in answer_to(guarded, page, gr.Slider, None)
    assert ". The most is " in answer_to(guarded, page, gr.Slider, 1e9)
    assert " is empty. Choose a value." in answer_to(guarded, page, gr.Radio, None)


def test_a_tab_that_is_not_open_yet_has_no_values(guarded: TestClient, page: gr.Blocks) -> None:
    """Its components are not in the browser, which sends null for them."""
    number, function = next(
        each for each in page.fns.items() if str(each[1].fn).find("rescanned") >= 0
    )
    data = [
        getattr(component, "value", None) if str(component.elem_id).startswith("models-") else None
        for component in function.inputs
    ]
    assert gr.Radio in {
        type(each) for each, value in zip(function.inputs, data, strict=True) if value is None
    }
    body = {"data": data, "fn_index": number, "session_hash": "abc"}
    answer = guarded.post("/gradio_api/run/predict", json=body)
    assert answer.status_code == 200, answer.text


def test_a_choice_that_is_gone_says_to_reload_the_page(
    guarded: TestClient, page: gr.Blocks
) -> None:
    """Also on a page that the server has forgotten, whose list it had updated."""
    said = answer_to(guarded, page, gr.Dropdown, "owner/<img src=x>")
    assert "Reload the page." in said
    assert "owner/&lt;img src=x&gt;" in said, "Gradio shows it as markup"


def test_a_stream_of_no_session_leaves_nothing_in_the_log(
    guarded: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = guarded.get("/gradio_api/queue/data?session_hash=unknown")
    assert '"session_not_found":true' in answer.text
    assert caplog.text == ""
    for odd in ("", "x" * 65, "a/b"):
        assert guarded.get(f"/gradio_api/queue/data?session_hash={odd}").status_code == 400


def test_a_handler_knows_the_visitor_and_their_browser(
    guarded: TestClient, page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a direct event and of one in the queue, which Gradio handles in another context."""
    seen: list[tuple[str, str | None]] = []
    visitor = TestClient(guarded.app, "http://localhost:7860", client=("198.51.100.7", 5))
    token = make_token()
    visitor.cookies.set(COOKIE, token)
    with visitor:
        for queued, path in ((False, "run/predict"), (True, "queue/join")):
            number, function = next(
                each for each in page.fns.items() if each[1].fn and each[1].queue is queued
            )

            def note(*_: Any) -> Any:
                seen.append((current_visitor.get(), current_identity.get().scope))
                raise gr.Error("enough")

            monkeypatch.setattr(function, "fn", note)
            data = [getattr(component, "value", None) for component in function.inputs]
            body = {"data": data, "fn_index": number, "session_hash": "visitor"}
            visitor.post(f"/gradio_api/{path}", json=body)
        visitor.get("/gradio_api/queue/data?session_hash=visitor")
    assert seen == [("198.51.100.7", name_browser(token))] * 2


def test_an_unexpected_error_is_logged_under_the_id_that_the_page_shows(
    guarded: TestClient,
    page: gr.Blocks,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    number, function = next(
        each for each in page.fns.items() if not each[1].inputs and not each[1].queue and each[1].fn
    )

    def fail(*_: object) -> None:
        raise OSError("/home/somebody/secret.txt")

    monkeypatch.setattr(function, "fn", fail)
    body = {"data": [], "fn_index": number, "session_hash": "abc"}
    answer = guarded.post("/gradio_api/run/predict", json=body)
    shown = answer.json()["error"]
    assert answer.status_code == 500
    found = re.search(r"under ([0-9a-f]{8})\.", shown)
    assert found is not None and "secret" not in shown
    assert found[1] in caplog.text and "secret.txt" in caplog.text
    assert "Traceback" not in capfd.readouterr().err, "Gradio doesn't print it once more"


def test_a_stream_has_one_session(guarded: TestClient) -> None:
    """Else the one that is counted and the one that is read could be two."""
    path = "/gradio_api/queue/data?session_hash=counted&session_hash=read"
    assert guarded.get(path).status_code == 400


def test_json_for_our_own_routes_is_checked_before_they_see_it(guarded: TestClient) -> None:
    for body, reason in (
        ('{"ids":' + "[" * 20 + "]" * 20 + "}", "nested"),
        ('{"ids":[' + "0," * 6000 + "0]}", "entries"),
        ('{"ids":{"path":"/etc/passwd"}}', "Files"),
        ("[]", "object"),
    ):
        answer = guarded.post("/gallery/changes", content=body)
        assert answer.status_code == 400 and reason in answer.json()["detail"], answer.text


def test_a_body_where_none_belongs_is_dropped(page: gr.Blocks) -> None:
    read: list[bytes] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        read.append(await Request(scope, receive).body())
        await PlainTextResponse("")(scope, receive, send)

    sessions = Sessions(gradio_server.QueueAnswers(page))
    access = Access(note, gradio_server.page_events(page), sessions)
    headers = {HEADER: Identity().format()}
    visitor = TestClient(access, base_url="http://localhost:7860", headers=headers)
    assert visitor.request("GET", "/status", content=b"x" * 100_000).status_code == 200
    assert visitor.post("/uploads", content=b"picture").status_code == 200, "negative control"
    assert read == [b"", b"picture"]


def test_a_queue_without_events_seldom_wakes_the_computer(
    page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradio_server.QueueAnswers(page)
    pauses: list[float] = []

    async def end(seconds: float) -> None:
        pauses.append(seconds)
        raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", end)
    queue = copy(page._queue)  # pyright: ignore[reportPrivateUsage] (a loop that ends stops it)
    for loop in (queue.start_processing, queue.start_progress_updates):
        queue.stopped = False
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(loop())
    assert len(pauses) == 2 and sum(1 / each for each in pauses) < 100, "times a second"


def test_of_a_session_that_is_forgotten_gradio_keeps_nothing(
    guarded: TestClient, page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the event that is being handled nor of those that wait."""
    queue = page._queue  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(queue, "stopped", False)  # since another test's server ended
    number, function = next(each for each in page.fns.items() if each[1].fn and each[1].queue)
    data = [getattr(component, "value", None) for component in function.inputs]
    for session in ("forgotten", "kept"):
        for _ in range(2):
            body = {"data": data, "fn_index": number, "session_hash": session}
            assert guarded.post("/gradio_api/queue/join", json=body).status_code == 200
    taken = queue.get_events()
    assert taken is not None and taken[0][0].session_hash == "forgotten"
    monkeypatch.setattr(queue, "active_jobs", [taken[0]])
    answers = gradio_server.QueueAnswers(page)
    assert (answers.unfinished("forgotten"), answers.unfinished("kept")) == (2, 2)
    asyncio.run(answers.forget("forgotten"))
    assert not taken[0][0].alive, "its handler ends at its next answer"
    queues = queue.event_queue_per_concurrency_id.values()
    ours = {"forgotten", "kept"}
    assert [event.session_hash for each in queues for event in each.queue] == ["kept"] * 2
    held = [event.session_hash for event in queue.event_ids_to_events.values()]
    assert [each for each in held if each in ours] == ["kept"] * 2
    assert ours & queue.pending_event_ids_session.keys() == {"kept"}
    assert ours & set(queue.pending_messages_per_session) == {"kept"}
    assert answers.unfinished("forgotten") == 0
    asyncio.run(answers.forget("kept"))


def test_a_session_can_have_only_so_many_unfinished_events(
    guarded: TestClient, page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = page._queue  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(queue, "stopped", False)  # since another test's server ended
    number, function = next(each for each in page.fns.items() if each[1].fn and each[1].queue)
    data = [getattr(component, "value", None) for component in function.inputs]
    body = {"data": data, "fn_index": number, "session_hash": "greedy"}
    statuses = [
        guarded.post("/gradio_api/queue/join", json=body).status_code
        for _ in range(MAX_EVENTS_PER_SESSION + 1)
    ]
    assert statuses == [200] * MAX_EVENTS_PER_SESSION + [429]
    cancel = {"session_hash": "greedy", "fn_index": number, "event_id": "0"}
    statuses = [
        guarded.post("/gradio_api/cancel", json=cancel).status_code
        for _ in range(MAX_EVENTS_PER_SESSION + 1)
    ]
    assert statuses == [200] * MAX_EVENTS_PER_SESSION + [429]
    asyncio.run(gradio_server.QueueAnswers(page).forget("greedy"))


@pytest.mark.parametrize("route", ["queue/join", "queue/data"])
def test_events_and_streams_are_counted_for_their_visitor(
    page: gr.Blocks, server: FastAPI, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    sessions = Sessions(gradio_server.QueueAnswers(page))

    async def admit(session: str, visitor: str = "none", body_bytes: int = 0) -> None:
        seen.append(visitor if body_bytes > 0 else "nothing sent")
        raise EventRefusedError("enough", 429)

    def open_stream(session: str, visitor: str = "none") -> Any:
        seen.append(visitor)
        raise EventRefusedError("enough", 429)

    monkeypatch.setattr(sessions, "admit", admit)
    monkeypatch.setattr(sessions, "open_stream", open_stream)
    access = Access(server, gradio_server.page_events(page), sessions)
    headers = {HEADER: Identity().format()}
    place = ("198.51.100.9", 5)
    visitor = TestClient(access, "http://localhost:7860", client=place, headers=headers)
    if route == "queue/data":
        answer = visitor.get("/gradio_api/queue/data?session_hash=abc")
    else:
        number, function = next(each for each in page.fns.items() if each[1].fn and each[1].queue)
        body = {"data": [None] * len(function.inputs), "fn_index": number, "session_hash": "abc"}
        answer = visitor.post("/gradio_api/queue/join", json=body)
    assert answer.status_code == 429 and seen == ["198.51.100.9"]


def test_the_queue_handles_as_many_events_at_once_as_it_admits(page: gr.Blocks) -> None:
    """With Gradio's 40 slots one visitor's events would hold up everybody's."""
    gradio_server.QueueAnswers(page)
    queue = page._queue  # pyright: ignore[reportPrivateUsage]
    assert queue.max_thread_count == MAX_EVENTS


def test_a_session_holds_no_copy_of_the_page(server: FastAPI, page: gr.Blocks) -> None:
    session = page.state_holder["abc"]
    assert session.config_values == {} and len(session.blocks_config.blocks) == len(page.blocks)
    for number in range(2 * gradio_server.MAX_SESSIONS):
        page.state_holder[f"s{number}"]
    assert len(page.state_holder.session_data) <= gradio_server.MAX_SESSIONS


def test_a_session_keeps_no_component_of_its_own_however_often_it_asks(
    guarded: TestClient, page: gr.Blocks
) -> None:
    """Gradio would keep 21 more of them for each click on Rescan."""
    number, function = next(
        each for each in page.fns.items() if str(each[1].fn).find("apply_filter") >= 0
    )
    data = [getattr(component, "value", None) for component in function.inputs]
    body = {"data": data, "fn_index": number, "session_hash": "again"}
    for _ in range(3):
        assert guarded.post("/gradio_api/run/predict", json=body).status_code == 200
    assert set(page.state_holder["again"].blocks_config.blocks) == set(page.blocks)


def test_every_shape_is_used() -> None:
    assert set(gradio_server.SHAPES.values()) == set(Shape)

"""Work is watched, interrupted and skipped by its own client, and by nobody else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient

from paintdiff.engine.engine import Engine
from tests.api.a1111.conftest import START_SECONDS, decode
from tests.api.conftest import Served

LONG: dict[str, Any] = {"prompt": "a house", "steps": 1000, "seed": 3}
QUICK: dict[str, Any] = {"prompt": "a house", "steps": 1, "seed": 3}


class Answer:
    """The answer to a request that is sent in the background."""

    def __init__(self) -> None:
        self.json: dict[str, Any] = {}
        self.status = 0


@contextmanager
def painting(client: TestClient, body: dict[str, Any]) -> Generator[Answer]:
    """Send a request in the background; its answer is complete when the context ends."""
    answer = Answer()

    def send() -> None:
        response = client.post("/sdapi/v1/txt2img", json=body)
        answer.json, answer.status = response.json(), response.status_code

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield answer
    finally:
        thread.join(2 * START_SECONDS)
    assert not thread.is_alive()


def wait_for(client: TestClient, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the first progress that is as it should be."""
    until = time.monotonic() + START_SECONDS
    while True:
        progress = client.get("/sdapi/v1/progress").json()
        if done(progress):
            return progress
        assert time.monotonic() < until
        time.sleep(0.01)


def is_painting(progress: dict[str, Any]) -> bool:
    return progress["state"]["sampling_step"] > 0


@pytest.fixture
def visitors(served: Served) -> Iterator[tuple[TestClient, TestClient]]:
    """Two clients elsewhere, each with a cookie of its own."""
    with served.connect(elsewhere=True) as one, served.connect(elsewhere=True) as other:
        for each in (one, other):
            each.get("/internal/ping")
        yield one, other


def test_others_neither_see_nor_stop_it(visitors: tuple[TestClient, TestClient]) -> None:
    one, other = visitors
    with painting(one, {**LONG, "force_task_id": "task(1)"}) as answer:
        wait_for(one, is_painting)
        for path in ("interrupt", "skip"):
            assert other.post(f"/sdapi/v1/{path}").status_code == 200
        seen = other.get("/sdapi/v1/progress").json()
        assert (seen["progress"], seen["state"]["job_count"], seen["current_image"]) == (0, 0, None)
        task = {"id_task": "task(1)"}
        assert other.post("/internal/progress", json=task).json()["completed"] is False
        mine = one.post("/internal/progress", json=task).json()
        assert (mine["active"], mine["queued"], mine["completed"]) == (True, False, False)
        assert 0 < mine["progress"] < 1
        assert answer.status == 0
        one.post("/sdapi/v1/interrupt")
    assert answer.status == 200
    assert one.post("/internal/progress", json=task).json()["completed"] is True


def test_a_page_s_job_is_not_the_client_s(served: Served, client: TestClient) -> None:
    engine: Engine = served.context.engine
    job = client.post(
        "/api/jobs", json={"prompt": "a house", "num_inference_steps": 1000, "profile": "exact"}
    ).json()
    client.post("/sdapi/v1/interrupt")
    client.post("/sdapi/v1/skip")
    assert not engine.job(job["id"]).done
    client.delete(f"/api/jobs/{job['id']}")


def test_a_waiting_request_is_seen_and_can_be_interrupted(
    client: TestClient, visitors: tuple[TestClient, TestClient]
) -> None:
    one, _other = visitors
    with painting(client, LONG):
        wait_for(client, is_painting)
        with painting(one, {**LONG, "batch_size": 2, "force_task_id": "b"}) as waiting:
            seen = wait_for(one, lambda progress: progress["state"]["job_count"] > 0)
            assert (seen["progress"], seen["state"]["job_count"]) == (0.0, 2)
            assert one.post("/internal/progress", json={"id_task": "b"}).json()["queued"] is True
            one.post("/sdapi/v1/interrupt")
        assert (waiting.status, waiting.json["images"]) == (200, [])
        assert client.get("/sdapi/v1/progress").json()["state"]["job_count"] == 1
        client.post("/sdapi/v1/interrupt")


def test_a_skipped_picture_is_left_out(client: TestClient) -> None:
    body = {**LONG, "steps": 60, "n_iter": 3}
    with painting(client, body) as answer:
        wait_for(client, lambda progress: is_painting(progress) and progress["progress"] < 1 / 3)
        client.post("/sdapi/v1/skip")
        later = wait_for(client, lambda progress: progress["state"]["job_no"] >= 1)
        assert later["progress"] > 0.3
    info = json.loads(answer.json["info"])
    assert info["all_seeds"] == [4, 5] and len(answer.json["images"]) == 2
    assert "1 of the pictures were skipped." in answer.json["warnings"]
    alone = client.post("/sdapi/v1/txt2img", json={**body, "n_iter": 1, "seed": 5}).json()
    assert decode(alone["images"][0]).tobytes() == decode(answer.json["images"][1]).tobytes()


def test_what_was_painted_before_an_interruption_is_kept(client: TestClient) -> None:
    with painting(client, {**LONG, "steps": 100, "n_iter": 8}) as answer:
        wait_for(client, lambda progress: progress["state"]["job_no"] >= 1)
        client.post("/sdapi/v1/interrupt")
    seeds = json.loads(answer.json["info"])["all_seeds"]
    assert 1 <= len(answer.json["images"]) < 8
    assert seeds == list(range(3, 3 + len(seeds)))


def test_options_of_those_who_may_not_manage_are_their_own(
    served: Served, visitors: tuple[TestClient, TestClient], client: TestClient
) -> None:
    one, other = visitors

    def read(of: TestClient) -> int:
        return of.get("/sdapi/v1/options").json()["CLIP_stop_at_last_layers"]

    object.__setattr__(served.context, "may_manage", False)
    try:
        assert one.post("/sdapi/v1/options", json={"CLIP_stop_at_last_layers": 3}).is_success
        assert (read(one), read(other), read(client)) == (3, 1, 1)
        for path in ("unload-checkpoint", "reload-checkpoint"):
            assert one.post(f"/sdapi/v1/{path}").status_code == 403
    finally:
        object.__setattr__(served.context, "may_manage", True)
    for each, seen in ((other, (3, 2, 1)), (client, (3, 2, 4))):  # visitors from elsewhere may not
        changed = {"CLIP_stop_at_last_layers": seen[2] if each is client else seen[1]}
        assert each.post("/sdapi/v1/options", json=changed).is_success
        assert (read(one), read(other), read(client)) == seen
    client.post("/sdapi/v1/options", json={"CLIP_stop_at_last_layers": 1})


def test_models_are_unloaded_and_loaded(served: Served, client: TestClient) -> None:
    client.post("/sdapi/v1/txt2img", json=QUICK)
    cache = served.context.engine.manager.cache
    assert "mini" in [row.name for row in cache.loaded_rows()]
    assert client.post("/sdapi/v1/unload-checkpoint").json() == {}
    assert cache.loaded_rows() == []
    assert client.post("/sdapi/v1/reload-checkpoint").json() == {}
    assert client.post("/sdapi/v1/txt2img", json=QUICK).status_code == 200

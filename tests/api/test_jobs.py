"""/api/jobs: submitted, watched, cancelled, and each visitor's own."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.api.conftest import Served

QUICK: dict[str, Any] = {"prompt": "a red boat", "num_inference_steps": 3, "seed": 2}
LONG: dict[str, Any] = {"prompt": "a red boat", "num_inference_steps": 1000, "profile": "exact"}


def submit(client: TestClient, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = client.post("/api/jobs", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/jobs/{answer.json()['id']}"
    return answer.json()


def watch(client: TestClient, job_id: str, last: str | None = None) -> list[dict[str, Any]]:
    """Return the events of a job up to its end, as the stream sends them."""
    headers = {} if last is None else {"Last-Event-ID": last}
    events: list[dict[str, Any]] = []
    with client.stream("GET", f"/api/jobs/{job_id}/events", headers=headers) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        event: dict[str, Any] = {}
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if not line and event:
                events.append(event)
                event = {}
            elif name == "data":
                event["data"] = json.loads(value)
            elif name:
                event[name] = value
    return events


def wait(client: TestClient, job_id: str) -> dict[str, Any]:
    watch(client, job_id)
    return client.get(f"/api/jobs/{job_id}").json()


def test_a_job_is_watched_to_its_picture(client: TestClient) -> None:
    job = submit(client, QUICK)
    events = watch(client, job["id"])
    names = [each["event"] for each in events]
    assert names[0] == "queued" and names[-1] == "finished" and "progress" in names
    numbers = [int(each["id"]) for each in events]
    assert numbers == sorted(set(numbers))
    done = client.get(f"/api/jobs/{job['id']}").json()
    assert (done["state"], done["progress"]) == ("finished", 1.0)
    assert done["request"]["seed"] == 2
    picture = done["pictures"][0]
    assert events[-1]["data"]["pictures"] == done["pictures"]
    answer = client.get(picture["url"])
    assert Image.open(io.BytesIO(answer.content)).size == (picture["width"], picture["height"])
    assert client.get(f"/api/images/{picture['id']}").json()["prompt"] == "a red boat"
    assert client.get(f"/api/jobs/{job['id']}/pictures/1").status_code == 404


def test_a_saved_picture_is_streamed_from_its_file(client: TestClient, served: Served) -> None:
    """So many slow readers hold no copies of it."""
    job = submit(client, QUICK)
    url = wait(client, job["id"])["pictures"][0]["url"]
    part = client.get(url, headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")
    path = served.context.engine.job(job["id"]).pictures[0].path
    assert path is not None
    path.unlink()
    gone = client.get(url)
    assert gone.status_code == 507 and str(path.parent) not in gone.text


def test_a_watcher_goes_on_after_the_last_event_it_saw(client: TestClient) -> None:
    job = submit(client, QUICK)
    events = watch(client, job["id"])
    assert watch(client, job["id"], events[-2]["id"]) == events[-1:]
    assert watch(client, job["id"], events[-1]["id"]) == []
    wrong = client.get(f"/api/jobs/{job['id']}/events", headers={"Last-Event-ID": "x"})
    assert wrong.status_code == 422 and wrong.json()["field"] == "Last-Event-ID"


def test_previews_arrive_while_it_is_painted(client: TestClient) -> None:
    job = submit(client, {**QUICK, "num_inference_steps": 12})
    previews = [
        each["data"]["preview"] for each in watch(client, job["id"]) if each["event"] == "progress"
    ]
    shown = [each for each in previews if each]
    assert shown and all(each.startswith("data:image/jpeg;base64,") for each in shown)


def test_a_running_and_a_waiting_job_are_cancelled(client: TestClient) -> None:
    running, waiting = submit(client, LONG), submit(client, LONG)
    assert client.delete(f"/api/jobs/{waiting['id']}").json()["state"] == "cancelled"
    client.delete(f"/api/jobs/{running['id']}")
    assert wait(client, running["id"])["state"] == "cancelled"


def test_a_failed_job_says_why(client: TestClient) -> None:
    request = {**QUICK, "loras": [{"name": "none-such"}]}
    answer = client.post("/api/generate", json=request)
    assert answer.status_code == 422
    assert "none-such" in answer.json()["detail"]


def test_the_engines_requests_are_the_schema(client: TestClient) -> None:
    unknown = client.post("/api/jobs", json={"kind": "sculpt", "prompt": "a"})
    assert (unknown.status_code, unknown.json()["field"]) == (422, "kind")
    assert "text_to_image" in unknown.json()["detail"]
    missing = client.post("/api/jobs", json={"kind": "inpaint", "prompt": "a"}).json()
    assert (missing["field"], missing["detail"]) == ("image", "image: is missing.")
    more = client.post("/api/jobs", json={**QUICK, "foo": 1}).json()
    assert more["field"] == "foo"


def test_generate_answers_when_it_is_painted(client: TestClient) -> None:
    answer = client.post("/api/generate", json=QUICK)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["id"] and body["image"].startswith("data:image/png;base64,")
    assert (body["seed"], body["params"]["num_inference_steps"]) == (2, 3)


def test_a_key_makes_a_repeated_request_the_same_job(client: TestClient) -> None:
    first = submit(client, QUICK, **{"Idempotency-Key": "a"})
    assert submit(client, QUICK, **{"Idempotency-Key": "a"})["id"] == first["id"]
    assert submit(client, QUICK, **{"Idempotency-Key": "b"})["id"] != first["id"]
    other = client.post("/api/jobs", json={**QUICK, "seed": 3}, headers={"Idempotency-Key": "a"})
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")
    painted = client.post("/api/generate", json=QUICK, headers={"Idempotency-Key": "a"})
    assert painted.json()["job_id"] == first["id"]


def test_a_key_is_its_owners_own(served: Served) -> None:
    with served.connect(elsewhere=True) as one, served.connect(elsewhere=True) as other:
        assert (
            one.get("/health").is_success and other.get("/health").is_success
        )  # each gets a cookie
        key = {"Idempotency-Key": "a key of two"}
        first, second = submit(one, QUICK, **key), submit(other, QUICK, **key)
        assert first["id"] != second["id"]
        assert submit(one, QUICK, **key)["id"] == first["id"]
        assert wait(other, second["id"])["state"] == "finished"


def test_a_full_queue_says_when_to_come_back(served: Served, client: TestClient) -> None:
    jobs = [submit(client, LONG)]
    try:
        until = time.monotonic() + 60
        while served.context.engine.status().running_job_id != jobs[0]["id"]:
            assert time.monotonic() < until
            time.sleep(0.01)
        jobs += [submit(client, LONG) for _ in range(4)]
        answer = client.post("/api/jobs", json=LONG)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) == answer.json()["expected_wait_seconds"] >= 1
        health = client.get("/health").json()
        assert health["queue"] == 4 and health["alive"] is True
    finally:
        for job in jobs:
            client.delete(f"/api/jobs/{job['id']}")
    wait(client, jobs[0]["id"])


def test_a_visitor_sees_only_their_own_jobs(served: Served) -> None:
    with served.connect(elsewhere=True) as one, served.connect(elsewhere=True) as other:
        assert (
            one.get("/health").is_success and other.get("/health").is_success
        )  # each gets a cookie
        job = submit(one, QUICK)
        assert wait(one, job["id"])["state"] == "finished"
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/events"),
            ("GET", "/pictures/0"),
        ):
            answer = other.request(method, f"/api/jobs/{job['id']}{path}")
            assert answer.status_code == 404, (method, path)


@pytest.mark.parametrize("job_id", ["nope", "a" * 65, "%00", "..%2f.."])
def test_an_unknown_job(client: TestClient, job_id: str) -> None:
    assert client.get(f"/api/jobs/{job_id}").status_code in (404, 422)

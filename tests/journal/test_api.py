"""Clients of the API over a restart of the server."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from fastapi.testclient import TestClient

from paintdiff.api.context import ApiContext
from paintdiff.api.encoded_images import SMALL_PNG_URL
from paintdiff.engine.engine import Engine
from paintdiff.gallery.gallery import Gallery
from paintdiff.jobs.events import Progress
from paintdiff.models.hub.downloads import Downloads
from paintdiff.models.manager.model_manager import ModelManager
from tests.api.conftest import serve
from tests.job_helpers import ENDLESS, until
from tests.journal.test_restarts import open_engine

BODY = {"prompt": "a tug", "num_inference_steps": 2, "width": 64, "height": 64}


@contextmanager
def served(manager: ModelManager, gallery: Gallery) -> Generator[tuple[TestClient, Engine]]:
    downloads = Downloads()
    with open_engine(manager, gallery) as engine:
        engine.resume()
        context = ApiContext(engine, gallery, downloads)
        with TestClient(serve(context), "http://localhost", client=("127.0.0.1", 1)) as client:
            yield client, engine
    downloads.close()


def test_a_client_goes_on_with_its_jobs(tiny_manager: ModelManager, gallery: Gallery) -> None:
    key = {"Idempotency-Key": "once"}
    with served(tiny_manager, gallery) as (client, engine):
        painted = client.post("/api/generate", json=BODY, headers=key).json()
        job = engine.submit(ENDLESS)
        until(job, Progress)
        waiting = client.post("/api/jobs", json=BODY).json()
        running, last_event = job.id, job.list_events()[-1][0]
    with served(tiny_manager, gallery) as (client, engine):
        assert client.get(f"/api/jobs/{waiting['id']}").json()["state"] == "queued"
        until(engine.job(running), Progress)
        client.delete(f"/api/jobs/{running}")
        headers = {"Last-Event-ID": str(last_event)}
        events = client.get(f"/api/jobs/{running}/events", headers=headers).text
        assert "event: cancelled" in events
        events = client.get(f"/api/jobs/{waiting['id']}/events").text
        assert "event: finished" in events
        again = client.post("/api/generate", json=BODY, headers=key).json()
        assert (again["job_id"], again["id"], again["image"]) == (
            painted["job_id"],
            painted["id"],
            painted["image"],
        )
        url = client.get(f"/api/jobs/{painted['job_id']}").json()["pictures"][0]["url"]
        assert client.get(url).content.startswith(b"\x89PNG")
        other = client.post("/api/generate", json={**BODY, "seed": 1}, headers=key)
        assert other.status_code == 422 and other.json()["field"] == "Idempotency-Key"


def test_a_failed_job_says_the_same_after_a_restart(
    tiny_manager: ModelManager, gallery: Gallery
) -> None:
    with served(tiny_manager, gallery) as (client, engine):
        until(engine.submit(ENDLESS), Progress)
        body = {**BODY, "kind": "image_to_image", "image": {"data": SMALL_PNG_URL}}
        waiting = client.post("/api/jobs", json=body).json()
    for path in list(gallery.inputs.list()):
        path[1].unlink()
    with served(tiny_manager, gallery) as (client, _):
        failed = client.get(f"/api/jobs/{waiting['id']}").json()
        assert failed["state"] == "failed" and "input" in failed["message"].casefold()
    with served(tiny_manager, gallery) as (client, _):
        again = client.get(f"/api/jobs/{waiting['id']}").json()
        assert again == failed
        events = client.get(f"/api/jobs/{waiting['id']}/events").text
        assert '"status":422' in events.replace(" ", "")


def test_a_client_that_only_waits_takes_its_job_along(
    tiny_manager: ModelManager, gallery: Gallery
) -> None:
    with served(tiny_manager, gallery) as (client, engine):
        painted = client.post("/api/generate", json=BODY).json()
        assert not engine.job(painted["job_id"]).durable
    with served(tiny_manager, gallery) as (client, _):
        assert client.get(f"/api/jobs/{painted['job_id']}").status_code == 404

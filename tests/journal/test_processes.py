"""Servers that are stopped and killed, and what the next one does with their jobs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.test_app import started

ROOT = Path(__file__).resolve().parents[2]
BODY = {"prompt": "a ferry", "num_inference_steps": 2, "width": 64, "height": 64}
LONG = {**BODY, "num_inference_steps": 150, "num_images": 64, "width": 512, "height": 512}


def ask(
    port: int, path: str, body: Mapping[str, Any] | None = None, method: str | None = None
) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def wait_for(port: int, job_id: str, *states: str) -> dict[str, Any]:
    end = time.monotonic() + 240
    while time.monotonic() < end:
        job = ask(port, f"/api/jobs/{job_id}")
        if job["state"] in states:
            return job
        time.sleep(0.1)
    raise TimeoutError(job)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_signals_and_a_kill(port: int, tmp_path: Path) -> None:
    flags = ("--port", str(port), "--output-dir", str(tmp_path), "--shutdown-timeout", "3600")
    command = ("-m", "paintdiff", "serve", *flags)
    with started(*command, port=port):
        long = ask(port, "/api/jobs", LONG)["id"]
        waiting = [ask(port, "/api/jobs", {**BODY, "seed": seed})["id"] for seed in range(2)]
        wait_for(port, long, "running")
    # It was killed.
    with started(*command, port=port) as process:
        assert ask(port, f"/api/jobs/{waiting[1]}")["position"] == 2
        wait_for(port, long, "running")
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(4)]
        assert "3 jobs." in said[0] and "at most 3600 seconds" in said[-1]
        process.send_signal(signal.SIGTERM)
        rest, failures = process.communicate(timeout=120)
    assert (process.returncode, failures) == (0, "")
    assert rest == "3 jobs go on after the next start.\n"
    with started(*command, port=port) as process:
        ask(port, f"/api/jobs/{long}", method="DELETE")
        pictures = [wait_for(port, each, "finished")["pictures"] for each in waiting]
        assert len({each[0]["id"] for each in pictures}) == 2
        last = ask(port, "/api/jobs", {**BODY, "num_images": 8})["id"]
        process.send_signal(signal.SIGTERM)
        _, failures = process.communicate(timeout=240)
    assert (process.returncode, failures) == (0, "")
    with started(*command, port=port):
        assert len(wait_for(port, last, "finished")["pictures"]) == 8


def run_kills(*arguments: str) -> subprocess.CompletedProcess[str]:
    if sys.platform != "linux":
        pytest.skip("it needs Linux")
    command = [sys.executable, "-m", "benchmarks", "queue_kills", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=3600
    )


def test_each_job_is_painted_once_after_kills() -> None:
    done = run_kills("--kills", "2", "--jobs", "10")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("server", [(), ("--postgresql",)], ids=["sqlite", "postgresql"])
def test_each_job_is_painted_once_after_200_kills(server: tuple[str, ...]) -> None:
    done = run_kills(*server)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("without", ["commits", "places", "orphans"])
def test_each_missing_safeguard_is_found(without: str) -> None:
    done = run_kills("--kills", "30", "--without", without)
    assert done.returncode == 1, done.stdout + done.stderr

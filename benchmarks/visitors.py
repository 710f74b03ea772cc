"""Measures what visitors cost who never read answers: `python -m benchmarks visitors`.

Starts the app, waits until its model is loaded, and measures how much its resident memory grows
- by page loads: the page, then the event that opens its first tab, each with a session of its own;
- by queued events whose answers nobody reads, each with a session of its own;
- by connections that begin a request and never end it; afterwards the page must still answer.
"""

from __future__ import annotations

import argparse
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import psutil

TARGET_MIB = 100
_START_SECONDS = 300


def main() -> int:
    """Run it. Returns 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=2000, help="how many of each kind")
    options = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "app.py", "--port", str(port), "--output-dir", folder]
        app = subprocess.Popen(command)
        try:
            return _measured(f"http://127.0.0.1:{port}", app.pid, options.visitors)
        finally:
            app.terminate()
            app.wait()


def _measured(address: str, pid: int, count: int) -> int:
    process = psutil.Process(pid)
    limits = httpx.Limits(max_connections=8)
    with httpx.Client(base_url=address, timeout=120, limits=limits) as client:
        _wait_until_ready(client)
        opener, queued = _events(client)
        _each(20, lambda: _load(client, opener))  # the first ones have one-off costs
        missed = 0
        for what, visit, target in (
            ("page loads", lambda: _load(client, opener), TARGET_MIB),
            ("unread events", lambda: _send(client, queued, "queue/join"), TARGET_MIB),
        ):
            before = process.memory_info().rss
            _each(count, visit)
            grown = (process.memory_info().rss - before) / 2**20
            print(f"{count} {what}: {grown:.0f} MiB more (target: at most {target})")
            missed += grown > target
        missed += not _answers_beside_slow_ones(address)
    return int(missed > 0)


def _wait_until_ready(client: httpx.Client) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        try:
            if client.get("/status").json()["model_state"] == "ready":
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise TimeoutError("the app isn't ready")


def _events(client: httpx.Client) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of the event that opens the first tab, and of a queued one in that tab."""
    html = client.get("/").text
    start = html.index("window.gradio_config = ") + len("window.gradio_config = ")
    page: dict[str, Any] = json.JSONDecoder().raw_decode(html[start:])[0]
    named = {each["id"]: each["props"].get("elem_id") or "" for each in page["components"]}
    opener = next(
        event
        for event in page["dependencies"]
        if event["backend_fn"] and named.get(event["targets"][0][0]) == "text_to_image-open"
    )
    answer = _send(client, _body(opener, page), "run/predict")
    tab = answer["render_config"]
    queued = next(each for each in tab["dependencies"] if each["backend_fn"] and each["queue"])
    return _body(opener, page), _body(queued, tab)


def _body(event: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    values = {each["id"]: each["props"].get("value") for each in config["components"]}
    data = [values.get(number) for number in event["inputs"]]
    return {"data": data, "fn_index": event["id"], "trigger_id": None, "event_data": None}


def _load(client: httpx.Client, opener: dict[str, Any]) -> None:
    client.get("/").raise_for_status()
    _send(client, opener, "run/predict")


def _send(client: httpx.Client, body: dict[str, Any], route: str) -> Any:
    session = {"session_hash": secrets.token_hex(6)}
    answer = client.post(f"/gradio_api/{route}", json={**body, **session})
    answer.raise_for_status()
    return answer.json()


def _each(count: int, visit: Any) -> None:
    with ThreadPoolExecutor(8) as visitors:
        for done in [visitors.submit(visit) for _ in range(count)]:
            done.result()


def _answers_beside_slow_ones(address: str) -> bool:
    host, port = address.removeprefix("http://").split(":")
    slow: list[socket.socket] = []
    try:
        for _ in range(1100):
            connection = socket.create_connection((host, int(port)), timeout=10)
            slow.append(connection)
            with suppress(ConnectionError):  # closed in favour of a newer one
                connection.sendall(b"POST /uploads HTTP/1.1\r\nHost: localhost\r\n")
        started = time.monotonic()
        httpx.get(f"{address}/status", timeout=60).raise_for_status()
        seconds = time.monotonic() - started
        print(f"beside {len(slow)} slow connections the page answers after {seconds:.2f} s")
        return True
    except (httpx.TransportError, OSError) as error:
        print(f"beside {len(slow)} slow connections the page doesn't answer: {error}")
        return False
    finally:
        for connection in slow:
            connection.close()


if __name__ == "__main__":
    sys.exit(main())

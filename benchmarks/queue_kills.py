"""Kills a server with a full queue: `python -m benchmarks queue_kills --kills 200` (Linux).

Each time the server starts in a process of its own, finishes what the one before left, gets 50 jobs
of several kinds, and is killed (-9) at a random moment: while they are submitted, or while they are
painted. In the end every job that was acknowledged must have each of its pictures exactly once,
with its own prompt, no other job may have more, and every idempotency key must give the same job as
before. `--without` takes a safeguard away: then faults must be found. Exits with 1 if there are
faults.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from PIL import Image

from paintdiff.app import App
from paintdiff.config.settings import Settings
from paintdiff.gallery.checking import find_mismatches
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.store import GalleryStore
from paintdiff.journal import recovery
from paintdiff.journal.table import JobTable
from paintdiff.system.process import prepare_process

CONTROLS = ("commits", "places", "orphans")
_START_SECONDS = 180.0
_DRAIN_SECONDS = 300.0
_LATE_SECONDS = 0.02
_NEEDED = (
    "diffusers",
    "uvicorn",
    "paintdiff.api.routes",
    "paintdiff.engine.engine",
    "paintdiff.gallery.recording",
    "paintdiff.models.manager.model_manager",
)


def main() -> int:
    """Run it. Returns 1 if there are faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=50, help="how many jobs wait at each kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="end after so long")
    parser.add_argument("--postgresql", action="store_true", help="on a server of its own")
    parser.add_argument("--without", choices=CONTROLS, help="take a safeguard away")
    options = parser.parse_args()
    prepare_process()
    for name in _NEEDED:  # so that the processes start in a fraction of the time
        import_module(name)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url: str | None = None
        if options.postgresql:
            from tests.gallery.postgresql import running_server  # noqa: PLC0415 (needs the tests' tools)

            url = stack.enter_context(running_server())
        kills = Kills(scratch, url, options.without, random.Random(options.seed))
        end = time.monotonic() + options.minutes * 60 if options.minutes else float("inf")
        for _ in range(options.kills):
            if time.monotonic() > end:
                break
            kills.kill_one(options.jobs)
        faults = kills.finish()
        for fault in faults[:20]:
            print(fault)
        print(f"{kills.summary()}; {len(faults)} faults")
    return int(bool(faults))


@dataclass(frozen=True)
class Asked:
    """A job that a client asked for: its prompt is its own. `id` is "" if no answer came."""

    prompt: str
    pictures: int
    key: str
    id: str


@dataclass
class Kills:
    """Servers that are killed, one after the other, over one gallery."""

    scratch: Path
    url: str | None
    without: str | None
    draw: random.Random
    asked: list[Asked] = field(default_factory=list[Asked])
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """By prompt."""
    during: Counter[str] = field(default_factory=Counter[str])

    def kill_one(self, jobs: int) -> None:
        """Start a server, let it finish, fill its queue, and kill it at a random moment."""
        with self._serve() as client:
            self._drain(client)
            wanted = [self._make_job(number) for number in range(jobs)]
            when = self.draw.choice(["while jobs came", "while they were painted"])
            self.during[when] += 1
            if when == "while jobs came":
                client.kill_after(self.draw.uniform(0, 0.5))
            for prompt, pictures, key, body in wanted:
                id = client.submit(body, key)
                self.asked.append(Asked(prompt, pictures, key, id))
                if not id:
                    break
            time.sleep(self.draw.uniform(0, 1.5) if when != "while jobs came" else 0.6)

    def finish(self) -> list[str]:
        """Start a last server, let it finish, and return what is wrong."""
        faults: list[str] = []
        with self._serve() as client:
            self._drain(client)
            states = {each.id: client.find(each.id) for each in self.asked[-500:] if each.id}
            for each in self.asked[-500:]:
                if each.id and each.key:
                    again = client.submit(self.bodies[each.prompt], each.key)
                    if again != each.id:
                        faults.append(f"the key of {each.prompt!r} gave another job")
            for id, state in states.items():
                if state.get("state") != "finished":
                    faults.append(f"job {id} is {state.get('state')}: {state.get('message')}")
            self._drain(client)
        gallery = Gallery(self.scratch / "out", self.url)
        with closing(gallery):
            records = list(gallery.store.records(PictureQuery()))
            counts = Counter(each.prompt for each in records)
            for each in self.asked:
                most, found = each.pictures, counts.pop(each.prompt, 0)
                if found != most and not (not each.id and found == 0):
                    faults.append(f"{each.prompt!r} has {found} pictures, not {most}")
            faults += [f"{count} unknown pictures of {name!r}" for name, count in counts.items()]
            faults += [str(each) for each in find_mismatches(gallery)]
        return faults

    def summary(self) -> str:
        """Describe what was done."""
        during = ", ".join(f"{count} {name}" for name, count in self.during.items())
        told = sum(bool(each.id) for each in self.asked)
        return f"{self.during.total()} kills ({during}), {told} jobs acknowledged"

    def _make_job(self, number: int) -> tuple[str, int, str, dict[str, Any]]:
        prompt = f"boat {self.draw.getrandbits(60):x}"
        body: dict[str, Any] = {
            "kind": "text_to_image",
            "prompt": prompt,
            "width": 64,
            "height": 64,
            "num_inference_steps": 1,
            "seed": number,
        }
        pictures = 1
        match number % 5:
            case 1:
                pictures = body["num_images"] = 3
            case 2:
                body |= {"kind": "image_to_image", "image": {"data": _SOURCE}, "strength": 1}
            case 3:
                picture = {"data": _SOURCE}
                body |= {"kind": "inpaint", "image": picture, "mask": picture, "strength": 1}
            case 4 if number % 10 == 9:
                axis = {"field": "steps", "values": ["1", "2"]}
                body, pictures = {"kind": "grid", "base": body, "x": axis}, 3
            case _:
                pass
        key = f"key-{prompt}" if number % 2 else ""
        self.bodies[prompt] = body
        return prompt, pictures, key, body

    def _drain(self, client: Client) -> None:
        """Wait until everything that waits is done: jobs are painted in order."""
        prompt, pictures, key, body = self._make_job(0)
        last = client.submit(body, key)
        self.asked.append(Asked(prompt, pictures, key, last))
        end = time.monotonic() + _DRAIN_SECONDS
        while client.find(last)["state"] in ("queued", "loading", "running"):
            if time.monotonic() > end:
                raise TimeoutError("the queue isn't empty")
            time.sleep(0.05)

    @contextmanager
    def _serve(self) -> Generator[Client]:
        port = _find_free_port()
        flags = ["--output-dir", str(self.scratch / "out"), "--port", str(port)]
        flags += ["--queue-size", "200", *(["--database-url", self.url] if self.url else [])]
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                with _without(self.without):
                    App.compose(Settings.read(flags, headless=True), headless=True).run()
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        client = Client(port, process)
        try:
            client.wait()
            yield client
        finally:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


@dataclass(frozen=True)
class Client:
    """A client of a server that may be killed at any moment."""

    port: int
    process: int

    def wait(self) -> None:
        """Wait until the server answers."""
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            with suppress(OSError, http.client.HTTPException):
                self.ask("GET", "/health")
                return
            time.sleep(0.02)
        raise TimeoutError("the server doesn't answer")

    def kill_after(self, seconds: float) -> None:
        """Kill the server in a while."""
        threading.Timer(seconds, os.kill, (self.process, signal.SIGKILL)).start()

    def submit(self, body: Mapping[str, Any], key: str) -> str:
        """Submit a job; return its id, "" if no answer came."""
        headers = {"Idempotency-Key": key} if key else {}
        try:
            answer = self.ask("POST", "/api/jobs", body, headers)
        except (OSError, http.client.HTTPException, ValueError):
            return ""
        if "id" not in answer:
            raise RuntimeError(f"{body['kind']}: {answer}")
        return str(answer["id"])

    def find(self, id: str) -> dict[str, Any]:
        """Return what the server says of a job."""
        return self.ask("GET", f"/api/jobs/{id}")

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send a request and return the answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            sent = None if body is None else json.dumps(body)
            connection.request(
                method, path, sent, {"Content-Type": "application/json", **(headers or {})}
            )
            return json.loads(connection.getresponse().read())


@contextmanager
def _without(safeguard: str | None) -> Generator[None]:
    """Take a safeguard away."""
    add, join = GalleryStore.add, JobTable.add

    def add_without_place(
        store: GalleryStore, record: Any, restore: Any = None, part: Any = None
    ) -> Any:
        return add(store, record, restore)

    def commit_later(table: JobTable, *arguments: Any) -> None:
        threading.Timer(_LATE_SECONDS, join, (table, *arguments)).start()

    with ExitStack() as stack:
        if safeguard == "places":
            stack.enter_context(patch.object(GalleryStore, "add", add_without_place))
        elif safeguard == "commits":
            stack.enter_context(patch.object(JobTable, "add", commit_later))
        elif safeguard == "orphans":
            stack.enter_context(patch.object(recovery, "_list_orphans", lambda *_: iter(())))
            stack.enter_context(patch.object(GalleryStore, "add", _add_slowly(add)))
        yield


def _add_slowly(add: Any) -> Any:
    """Return it with a pause before, in which a process is more likely to be killed."""

    def slow(*arguments: Any, **named: Any) -> Any:
        time.sleep(_LATE_SECONDS)
        return add(*arguments, **named)

    return slow


def _encode_source() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


_SOURCE = _encode_source()


def _find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())

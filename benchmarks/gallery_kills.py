"""Kills the whole app at random moments: `python -m benchmarks gallery_kills --kills 500` (Linux).

Each time the app starts in a process of its own, serves its page, and paints, saves, imports, likes
and empties the bin until it is killed; every fifth time on a database of the first version, from
its start on, so that it migrates. What it told (a picture in the gallery, a like, an erased one) is
read from a pipe. After each death a start must find no record without a picture, no file that can't
be read, and nothing lost that was told. `--without` takes a safeguard away: then faults must be
found. Exits with 1 if there are faults.

`gallery_faults` dies at each call instead, in the gallery alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks import gallery_scenarios
from benchmarks.gallery_faults import hide_no_names, in_child
from benchmarks.gallery_scenarios import SCENARIOS, Acknowledge, Place, find_faults
from paintdiff.app import App
from paintdiff.config.settings import Settings
from paintdiff.gallery.importing.import_folder import import_folder
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import Record, make_id
from paintdiff.gallery.records.store import GalleryStore
from paintdiff.jobs.requests import TextToImage
from paintdiff.system.process import prepare_process

CONTROLS = ("hidden names", "order")
_MIGRATES_EVERY = 5
_FRESH_EVERY = 20
_LONGEST_SECONDS = 2.0
_START_SECONDS = 120.0
_KEPT = 6
_IMPORTED_AT_ONCE = 4
_LATE_SECONDS = 0.2
_add = GalleryStore.add


def main() -> int:
    """Run it. Returns 1 if there are faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="end after so long")
    parser.add_argument("--postgresql", action="store_true", help="on a server of its own")
    parser.add_argument("--without", choices=CONTROLS, help="take a safeguard away")
    options = parser.parse_args()
    prepare_process()
    _import_what_the_app_needs()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server: str | None = None
        if options.postgresql:
            from tests.gallery.postgresql import running_server  # noqa: PLC0415 (needs the tests' tools)

            server = stack.enter_context(running_server())
        kills = Kills(scratch, server, options.without, random.Random(options.seed))
        end = time.monotonic() + options.minutes * 60 if options.minutes else float("inf")
        for number in range(options.kills):
            if time.monotonic() > end:
                break
            kills.kill_one(number)
        print(kills.summary())
    return int(bool(kills.faults))


_NEEDED = (
    "diffusers",
    "uvicorn",
    "paintdiff.engine.engine",
    "paintdiff.gallery.recording",
    "paintdiff.models.manager.model_manager",
    "paintdiff.ui.gallery.routes",
    "paintdiff.ui.page",
)


def _import_what_the_app_needs() -> None:
    """Import it before the processes part, which then start in a fraction of the time."""
    for name in _NEEDED:
        import_module(name)


class Kills:
    """Apps that are killed, one after the other, and what was wrong then."""

    def __init__(
        self, scratch: Path, server: str | None, without: str | None, draw: random.Random
    ) -> None:
        self._scratch, self._server, self._without, self._draw = scratch, server, without, draw
        self._place: Place | None = None
        self._told: list[Mapping[str, Any]] = []
        self._during: Counter[str] = Counter()
        self._pictures = 0
        self.faults: list[str] = []

    def kill_one(self, number: int) -> None:
        """Start an app, kill it at a random moment, and look for faults."""
        migrates = number % _MIGRATES_EVERY == _MIGRATES_EVERY - 1
        if self._place is None or migrates or number % _FRESH_EVERY == 0:
            self._make_place(number, "migrate" if migrates else "save")
        assert self._place is not None
        told = self._run_until_killed(self._place, migrates)
        self._told += told
        began = [each["began"] for each in told if "began" in each]
        self._during[began[-1] if began else "starting"] += 1
        self._pictures += sum("recorded" in each for each in told)
        errors = [each["error"] for each in told if "error" in each]
        found = self._scratch / "found"
        place = self._place

        def check() -> None:
            with found.open("w") as file:
                try:
                    for fault in find_faults(place, self._told):
                        print(fault, file=file)
                except BaseException:
                    print(traceback.format_exc(), file=file)

        status = in_child(check)
        faults = [*errors, *found.read_text().splitlines(), *([f"{status}"] if status else [])]
        self.faults += [f"kill {number}, while {began[-1:]}: {each}" for each in faults]
        for fault in self.faults[len(self.faults) - len(faults) :][:5]:
            print(fault, flush=True)
        if migrates or faults:
            self._place = None

    def summary(self) -> str:
        """Describe how often and when they were killed, and the faults."""
        during = ", ".join(f"{count} while {name}" for name, count in self._during.most_common())
        return (
            f"{self._during.total()} kills ({during}), {self._pictures} pictures told of; "
            f"{len(self.faults)} faults"
        )

    def _make_place(self, number: int, scenario: str) -> None:
        if self._place is not None:
            shutil.rmtree(self._place.root)
        url: str | None = None
        if self._server is not None:
            import psycopg  # noqa: PLC0415 (only PostgreSQL needs it)

            name = f"kill{number}"
            with closing(psycopg.connect(self._server, autocommit=True)) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            url = self._server.rpartition("/")[0] + f"/{name}"
        place = self._place = Place(self._scratch / f"kill-{number}", url)
        told = self._scratch / "told"

        def prepare() -> None:
            with told.open("w") as file:
                SCENARIOS[scenario].prepare(
                    place, lambda facts: print(json.dumps(facts), file=file, flush=True)
                )

        assert in_child(prepare) == 0
        self._told = [json.loads(line) for line in told.read_text().splitlines()]

    def _run_until_killed(self, place: Place, from_the_start: bool) -> list[dict[str, Any]]:
        receiving, sending = os.pipe()
        seed = self._draw.getrandbits(32)
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            with suppress(BaseException):
                os.close(receiving)
                _run_app(place, sending, seed, self._without, from_the_start)
            os._exit(1)
        os.close(sending)
        with os.fdopen(receiving) as lines:
            told = [json.loads(lines.readline() or '{"error": "the app didn\'t start"}')]
            time.sleep(self._draw.uniform(0, _LONGEST_SECONDS))
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            for line in lines:
                with suppress(ValueError):  # cut off by its death
                    told.append(json.loads(line))
        return told


def _run_app(
    place: Place, sending: int, seed: int, without: str | None, from_the_start: bool
) -> None:
    """Serve the app, and let it work in the background. Never returns, unless it fails."""

    def tell(facts: Mapping[str, Any]) -> None:
        os.write(sending, json.dumps(facts).encode() + b"\n")  # whole up to 4,096 bytes

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    port = _find_free_port()
    flags = ["--output-dir", str(place.root / "out"), "--port", str(port)]
    app = App.compose(Settings.read(flags + (["--database-url", place.url] if place.url else [])))
    with ExitStack() as stack:
        if without == "hidden names":
            stack.enter_context(hide_no_names(slowly=True))
        elif without == "order":
            stack.enter_context(patch.object(GalleryStore, "add", _add_later))
        worker = Worker(app, place, tell, random.Random(seed))
        arguments = (port, from_the_start)
        threading.Thread(target=worker.run, args=arguments, daemon=True).start()
        app.run()


@dataclass
class Worker:
    """A person at the app, who does one thing after the other."""

    app: App
    place: Place
    tell: Acknowledge
    draw: random.Random

    def run(self, port: int, from_the_start: bool) -> None:
        """Work until the process is killed."""
        try:
            if from_the_start:
                self.tell({"began": "migrating"})
            _wait_for(port)
            self.app.gallery.store.count(PictureQuery())
            works = {"painting": self._paint, "importing": self._import, "the bin": self._empty}
            self._paint()  # the model is loaded
            while True:
                name = self.draw.choice(list(works))
                self.tell({"began": name})
                works[name]()
        except BaseException:
            self.tell({"error": traceback.format_exc()[-2000:]})

    def _paint(self) -> None:
        request = TextToImage(
            prompt=f"a boat {secrets.token_hex(4)}",
            num_inference_steps=1,
            seed=self.draw.getrandbits(32),
        )
        (picture,) = self.app.engine.generate(request).pictures
        gallery_scenarios.acknowledge_picture(self.app.gallery, picture.id, self.tell)
        self.app.gallery.store.set_feedback([picture.id], 1)
        self.tell({"liked": picture.id})

    def _import(self) -> None:
        names = [secrets.token_hex(4) for _ in range(_IMPORTED_AT_ONCE)]
        for name in names:
            gallery_scenarios.write_theirs(self.place.theirs, name)
        import_folder(self.app.gallery, self.place.theirs, copy=True)
        for name in names:
            query = PictureQuery(search=name)
            for record in self.app.gallery.store.page(query).records:
                gallery_scenarios.acknowledge_picture(self.app.gallery, record.id, self.tell)
            (self.place.theirs / f"{name}.png").unlink()

    def _empty(self) -> None:
        store = self.app.gallery.store
        records = list(store.records(PictureQuery()))
        store.delete([each.id for each in records[_KEPT:][:20]])
        gallery_scenarios.empty_binned(self.app.gallery, self.tell)


def _wait_for(port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise TimeoutError("the app doesn't answer")


def _find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _add_later(
    store: GalleryStore, record: Record, _restore_inputs: object = None, _part: object = None
) -> Record:
    """Answer before the record is committed."""
    stored = replace(record, id=make_id(record.created_at), inputs=())

    def add() -> None:
        time.sleep(_LATE_SECONDS)
        _add(store, stored)

    threading.Thread(target=add, daemon=True).start()
    return stored


if __name__ == "__main__":
    sys.exit(main())

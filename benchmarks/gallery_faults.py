"""Kills the gallery at each call that changes the disk, loses power there, or lets the call fail.

`python -m benchmarks gallery_faults` (Linux with a C compiler). The work is one save with an input
image, one import of three files, one migration, or emptying the bin. In a process for each of its
calls (writing, flushing, renaming, ..., and sending to PostgreSQL)
- kill: the process dies before that call, or in the middle of it. That is also taken for a loss of
  power: the disk then has only what was flushed, or any part of the rest;
- fail: the call returns an error, or it and all after it. Then the disk works again, the work is
  tried again and must succeed, and the power is lost.

After each a start must find no record without a picture, no file that can't be read, nothing lost
that was acknowledged, and nothing twice. `--without` takes a safeguard away: then faults must be
found. Exits with 1 if there are faults.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

from benchmarks import gallery_scenarios
from benchmarks.disk_calls import (
    ACKNOWLEDGED,
    ERROR,
    SKIP_FILES,
    SKIP_FOLDERS,
    SOCKETS,
    STICKY,
    TORN,
    Call,
    Disk,
    Watch,
    is_watched,
    read_log,
    run_watched,
)
from benchmarks.gallery_scenarios import SCENARIOS, Place, Scenario, find_faults
from paintdiff.gallery.describing import record_of_picture
from paintdiff.gallery.files import input_files, saving
from paintdiff.gallery.files.picture_files import read_picture_file
from paintdiff.gallery.files.saving import PictureFolder, write_png
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.importing import import_folder
from paintdiff.gallery.recording import Recorder
from paintdiff.jobs.events import Picture

LOSSES = ("flushed", "named", "cached", "random")
CONTROLS = ("file flushes", "folder flushes", "hidden names", "order")
_ALL_ON = "and all on"
_SLOW_SECONDS = 0.2
_SECONDS = 120
_SHOWN = 20


def main() -> int:
    """Run it. Returns 1 if there are faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("works", nargs="*", metavar="WORK", help=", ".join(SCENARIOS))
    parser.add_argument("--mode", choices=("kill", "fail"), action="append")
    parser.add_argument("--postgresql", action="store_true", help="on a server of its own")
    parser.add_argument("--every", type=int, default=1, help="take only every n-th call")
    parser.add_argument("--first", type=int, default=1, help="the first call to take")
    parser.add_argument("--without", choices=CONTROLS, help="take a safeguard away")
    options = parser.parse_args()
    if not is_watched():
        return run_watched("benchmarks.gallery_faults", sys.argv[1:])
    found = 0
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server: str | None = None
        if options.postgresql:
            from tests.gallery.postgresql import running_server  # noqa: PLC0415 (needs the tests' tools)

            server = stack.enter_context(running_server())
        for name in options.works or SCENARIOS:
            trials = Trials(SCENARIOS[name], scratch / name, server, options.without)
            total = trials.count_calls()
            chosen = range(options.first, total + 1, options.every)
            for mode in options.mode or ("kill", "fail"):
                for point in chosen:
                    trials.kill(point) if mode == "kill" else trials.fail(point)
            print(f"{name}: {total} calls, {len(chosen)} of them taken; {trials.summary()}")
            for fault in trials.faults[:_SHOWN]:
                print(f"  {fault}")
            sys.stdout.flush()
            found += len(trials.faults)
    print(f"{found} faults")
    return int(found > 0)


@dataclass(frozen=True)
class _Outcome:
    """The results of a process: its exit code (negative for a signal), log and messages."""

    status: int
    calls: list[Call]
    told: list[Mapping[str, Any]]
    error: str


class Trials:
    """Trials of one work, each on a copy of what was there before."""

    def __init__(
        self, scenario: Scenario, scratch: Path, server: str | None, without: str | None
    ) -> None:
        scratch.mkdir()
        self._scenario, self._scratch, self._server = scenario, scratch, server
        self._without = without
        self._draw = random.Random(0)
        self._number = 0
        self._told_before: list[Mapping[str, Any]] = []
        self._counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._template = self._make_place("template")
        self._template.root.mkdir()
        in_child(lambda: self._prepare())
        told = (scratch / "told").read_text().splitlines()
        self._told_before = [json.loads(line) for line in told]

    def _prepare(self) -> None:
        with (self._scratch / "told").open("w") as told:
            self._scenario.prepare(
                self._template, lambda facts: print(json.dumps(facts), file=told, flush=True)
            )

    def count_calls(self) -> int:
        """Let the work be done, check it, and return how many calls it made."""
        place = self._copy(self._template)
        done = self._run(place, {})
        assert done.status == 0, done.error
        self._check(place, done, "undisturbed")
        return int(next(call.path for call in done.calls if call.letter == "N"))

    def kill(self, point: int) -> None:
        """Kill the process before a call, and in its middle; lose power there, too."""
        for flags, where in ((0, "before"), (TORN, "in")):
            place = self._copy(self._template)
            disk = Disk(place.root)
            done = self._run(place, {"kill_before": point, "flags": flags})
            where = f"killed {where} call {point}"
            if done.status != -signal.SIGKILL:
                self.faults.append(f"{where}: it wasn't ({done.error or done.status})")
            self._check_losses(place, disk, done, where, LOSSES)
            self._check(place, done, where)

    def fail(self, point: int) -> None:
        """Let a call fail, alone and with all that follow, and lose power after a second try."""
        for flags, error, where in ((0, errno.EIO, "alone"), (STICKY, errno.ENOSPC, _ALL_ON)):
            place = self._copy(self._template)
            disk = Disk(place.root)
            done = self._run(place, {"fail_from": point, "error": error, "flags": flags})
            where = f"call {point} fails {where}"
            if done.status != 0:
                self.faults.append(f"{where}: the second try failed, too: {done.error}")
            self._check_losses(place, disk, done, where, ("flushed", "random"))
            self._check(place, done, where)

    def summary(self) -> str:
        """Describe how much was tried and found."""
        counts = ", ".join(f"{count} {name}" for name, count in self._counts.items())
        return f"{counts}; {len(self.faults)} faults"

    def _run(self, place: Place, disturbance: Mapping[str, int]) -> _Outcome:
        log = self._scratch / "log"
        log.unlink(missing_ok=True)

        def work() -> None:
            watch = Watch(place.root, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
            try:
                with _without(self._without, self._scratch):
                    watch.start(**{**disturbance, "flags": self._flags(disturbance)})
                    self._scenario.act(
                        place,
                        lambda facts: watch.note(ACKNOWLEDGED, json.dumps(facts)),
                        watch.mend if disturbance.get("fail_from") else _fail_unexpectedly,
                    )
                watch.note("N", str(watch.count))
            except BaseException:
                watch.note(ERROR, traceback.format_exc())
                raise

        status = in_child(work)
        calls = read_log(log)
        told = [json.loads(call.path) for call in calls if call.letter == ACKNOWLEDGED]
        error = next((call.path for call in calls if call.letter == ERROR), "")
        return _Outcome(status, calls, told, error)

    def _flags(self, disturbance: Mapping[str, int]) -> int:
        skipped = {"file flushes": SKIP_FILES, "folder flushes": SKIP_FOLDERS}
        flags = disturbance.get("flags", 0) | skipped.get(self._without or "", 0)
        return flags | (SOCKETS if self._server else 0)

    def _check_losses(
        self, place: Place, disk: Disk, done: _Outcome, where: str, kinds: Sequence[str]
    ) -> None:
        for call in done.calls:
            disk.replay(call)
        for kind in kinds:
            left = self._make_place(self._next_name())
            left.root.mkdir()
            disk.write(left.root, place.root, kind, self._draw)
            self._copy_database(place, left)
            self._check(left, done, f"{where}, then only what was {kind} is left", loss=True)

    def _check(self, place: Place, done: _Outcome, where: str, *, loss: bool = False) -> None:
        self._counts["losses of power" if loss else "deaths and failures"] += 1
        found = self._scratch / "found"

        def check() -> None:
            with found.open("w") as file:
                try:
                    told = [*self._told_before, *done.told]
                    for fault in find_faults(place, told, copies_allowed=_ALL_ON in where):
                        print(fault, file=file)
                except BaseException:
                    print(traceback.format_exc(), file=file)

        status = in_child(check)
        lines = found.read_text().splitlines()
        self.faults += [f"{where}: {line}" for line in lines]
        if status:
            self.faults.append(f"{where}: the check ended with {status}")
        shutil.rmtree(place.root)
        if place.url is not None:
            self._ask(f'DROP DATABASE "{place.root.name}" WITH (FORCE)')

    def _next_name(self) -> str:
        self._number += 1
        return f"{self._scratch.name}-{self._number}"

    def _make_place(self, name: str) -> Place:
        if self._server is None:
            return Place(self._scratch / name, None)
        name = f"{self._scratch.name}-{name}" if name == "template" else name
        if name.endswith("template"):
            self._ask(f'CREATE DATABASE "{name}"')
        return Place(self._scratch / name, self._server.rpartition("/")[0] + f"/{name}")

    def _copy(self, place: Place) -> Place:
        copy = self._make_place(self._next_name())
        shutil.copytree(place.root, copy.root)
        self._copy_database(place, copy)
        return copy

    def _copy_database(self, place: Place, copy: Place) -> None:
        if place.url is None:
            return
        self._ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{place.root.name}'"
        )
        self._ask(f'CREATE DATABASE "{copy.root.name}" TEMPLATE "{place.root.name}"')

    def _ask(self, statement: str) -> None:
        import psycopg  # noqa: PLC0415 (only PostgreSQL needs it)

        assert self._server is not None
        for tries_left in range(50, -1, -1):
            with closing(psycopg.connect(self._server, autocommit=True)) as connection:
                try:
                    connection.execute(statement.encode())
                    return
                except psycopg.errors.ObjectInUse:  # a killed process's session ends soon
                    if not tries_left:
                        raise
            time.sleep(0.1)


def in_child(work: Callable[[], object]) -> int:
    """Do something in a process of its own; return its exit code, negative for a signal."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        code = 1
        with suppress(BaseException):
            signal.alarm(_SECONDS)
            work()
            code = 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _fail_unexpectedly() -> None:
    raise AssertionError("it failed without a reason")


@contextmanager
def _without(safeguard: str | None, scratch: Path) -> Generator[None]:
    """Take a safeguard away that isn't a flag of the watch."""
    with ExitStack() as stack:
        if safeguard == "hidden names":
            stack.enter_context(hide_no_names())
        elif safeguard == "order":
            stack.enter_context(patch.object(gallery_scenarios, "save", _make_saver(scratch)))
        yield


@contextmanager
def hide_no_names(*, slowly: bool = False) -> Generator[None]:
    """Write files under their final names, as most programs do."""

    @contextmanager
    def new_file(path: Path, *, overwrite: bool = True) -> Generator[BinaryIO]:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb" if overwrite else "xb") as file:
            yield file
            file.flush()
            if slowly:
                content = path.read_bytes()
                file.truncate(len(content) // 2)
                time.sleep(_SLOW_SECONDS)
                file.seek(0)
                file.write(content)
            file.flush()
            os.fsync(file.fileno())

    with ExitStack() as stack:
        for module in (saving, import_folder, input_files):
            stack.enter_context(patch.object(module, "new_file", new_file))
        yield


def _make_saver(scratch: Path) -> Callable[[Recorder, PictureFolder, Picture], Picture]:
    """Return a function that records a picture before it saves it."""

    def save(recorder: Recorder, _folder: PictureFolder, picture: Picture) -> Picture:
        gallery: Gallery = recorder._gallery  # pyright: ignore[reportPrivateUsage]
        elsewhere = scratch / "first.png"
        facts = read_picture_file(write_png(elsewhere, picture, overwrite=True))
        name, moment = "2026-11-30/first.png", datetime.now(UTC)
        record = record_of_picture(picture, name, facts, moment, "")
        id = gallery.store.add(replace(record, inputs=())).id
        return replace(picture, path=write_png(gallery.path_of(name), picture), id=id)

    return save


if __name__ == "__main__":
    sys.exit(main())

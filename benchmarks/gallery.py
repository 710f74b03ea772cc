"""Measures the gallery with many records: `python -m benchmarks gallery --rows 100000`.

Fills a database of its own, in this process, and measures
- how much the process's own memory grows from no record to all of them, queries included;
- reading the first page, a page nine tenths of the way behind it, and pages found by one and by
  three words, from words in most prompts to words in one of 10,000 (target: 50 ms at p95);
- adding a record while `mini` paints in the same process (target: 10 ms at p95).

It prints the seconds of the processor, too, which other programs' work doesn't stretch. The
database is a SQLite file without `--url`; `--postgresql` starts a server with the settings of the
tests, which doesn't wait for the disk.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

from benchmarks.memory import own_bytes
from benchmarks.reporting import recorded, table
from paintdiff.gallery.records import search
from paintdiff.gallery.records.database import Database
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import Record, make_id
from paintdiff.gallery.records.rows import to_row
from paintdiff.gallery.records.store import GalleryStore
from paintdiff.imaging.geometry import Size

TARGET_READ_MS, TARGET_ADD_MS = 50.0, 10.0
TARGET_GROWTH_BYTES = 50 * 2**20
_ADDING = "add a record while mini paints"
_START = datetime(2020, 1, 1, tzinfo=UTC)
_AT_ONCE = 1000
_WORDS = tuple(
    f"{first}{second}{number}"
    for number in range(20)
    for first in "bcdfghjklmnprstvwxz"
    for second in ("a", "e", "i", "o", "u", "an", "er", "in")
)
_SUMS = tuple(accumulate(1 / rank for rank in range(1, len(_WORDS) + 1)))
_WORDS_OF_A_PROMPT = 25
_MODELS = ("mini", "dreamshaper 8", "juggernaut xl", "flux.1-schnell")

Times = tuple[list[float], list[float]]
"""Milliseconds of the clock and of the processor, one for each run."""


def main() -> int:
    """Run it. Returns 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=100, help="of each query, and records added")
    parser.add_argument("--url", help="of an empty database")
    parser.add_argument("--postgresql", action="store_true", help="start a server")
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url: str | None = options.url
        if options.postgresql:
            from tests.gallery.postgresql import running_server  # noqa: PLC0415 (needs the tests' tools)

            url = stack.enter_context(running_server())
        database = Database.open(folder, url)
        stack.callback(database.close)
        lines, missed = _measure(database, options.rows, options.runs)
    text = table(lines)
    print(text)
    if options.record:
        recorded("Gallery", " ".join(sys.argv), "cpu", text)
    return int(missed)


def _measure(database: Database, count: int, runs: int) -> tuple[list[dict[str, str]], bool]:
    """Return the lines of a table, and whether a target is missed."""
    store, draw = GalleryStore(database), random.Random(0)
    reads = _make_reads(store, count)
    for read in reads.values():
        read(draw)  # everything is imported and connected
    held = own_bytes()
    began = time.perf_counter()
    for start in range(0, count, _AT_ONCE):
        _add_many(database, range(start, min(start + _AT_ONCE, count)), draw)
    print(f"{count:,} records in {time.perf_counter() - began:.0f} s", flush=True)
    measured = {name: _time(read, draw, runs) for name, read in reads.items()}
    grown = own_bytes() - held
    with _painting():
        numbers = iter(range(count, count + runs))
        measured[_ADDING] = _time(
            lambda _: store.add(_make_record(next(numbers), draw)), draw, runs
        )
    lines = [_format(name, *times) for name, times in measured.items()]
    lines.append(
        {
            "what": f"own memory, from 0 to {count:,} records",
            "p95": f"{grown / 2**20:.1f} MiB more",
            "target": f"{TARGET_GROWTH_BYTES / 2**20:.0f} MiB",
        }
    )
    late = [name for name, (wall, _) in measured.items() if _p95(wall) > _target_ms(name)]
    return lines, bool(late) or grown > TARGET_GROWTH_BYTES


def _make_reads(store: GalleryStore, count: int) -> dict[str, Callable[[random.Random], object]]:
    deep = count * 9 // 10

    def read_deep(draw: random.Random) -> object:
        moment = _START + timedelta(minutes=count - deep - draw.randrange(100))
        cursor = f"{(moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)}.z"
        return store.page(PictureQuery(), cursor)

    def search_for(words: int) -> Callable[[random.Random], object]:
        return lambda draw: store.page(PictureQuery(search=" ".join(_draw_words(draw, words))))

    return {
        "the first page": lambda _: store.page(PictureQuery()),
        "how many there are": lambda _: store.count(PictureQuery()),
        "the choices of the filters": lambda _: store.choices(PictureQuery()),
        f"a page at depth {deep:,}": read_deep,
        "search for the most common word": lambda _: store.page(PictureQuery(search=_WORDS[0])),
        "how many have it": lambda _: store.count(PictureQuery(search=_WORDS[0])),
        "search for one word": search_for(1),
        "search for a rare word": lambda draw: store.page(
            PictureQuery(search=draw.choice(_WORDS[-500:]))
        ),
        "search for three words": search_for(3),
        "search for the first two letters of a word": lambda draw: store.page(
            PictureQuery(search=draw.choice(_WORDS)[:2])
        ),
        "one model's favourites": lambda draw: store.page(
            PictureQuery(model=draw.choice(_MODELS), favourite=True)
        ),
    }


def _draw_words(draw: random.Random, count: int) -> list[str]:
    """Draw words as languages have them: the n-th most common one has a frequency of 1/n."""
    return [_WORDS[bisect_left(_SUMS, draw.random() * _SUMS[-1])] for _ in range(count)]


def _make_record(number: int, draw: random.Random) -> Record:
    prompt = " ".join(_draw_words(draw, _WORDS_OF_A_PROMPT))
    return Record(
        file=f"2020-01-01/{number}.png",
        kind="text_to_image",
        size=Size(1024, 1024),
        created_at=_START + timedelta(minutes=number),
        file_bytes=1_500_000,
        file_sha256=f"{draw.getrandbits(256):064x}",
        prompt=prompt,
        negative_prompt="blurry, low quality",
        seed=draw.getrandbits(32),
        params={"prompt": prompt, "width": 1024, "height": 1024, "num_inference_steps": 30},
        model=draw.choice(_MODELS),
        model_hash="0123456789",
        seconds=4.5,
        device="cuda",
        libraries={"torch": "2.15.0", "diffusers": "0.42.1"},
        favourite=draw.random() < 0.02,
        tags=("sea",) if draw.random() < 0.05 else (),
    )


def _add_many(database: Database, numbers: range, draw: random.Random) -> None:
    """Add records in one transaction, of which a thousand would take minutes."""
    with database.write() as session:
        for number in numbers:
            record = _make_record(number, draw)
            row = to_row(record)
            row.id = make_id(record.created_at)
            session.add(row)
            session.flush()
            search.index(session, row.number, f"{record.prompt}\n{record.model}")


def _time(work: Callable[[random.Random], object], draw: random.Random, runs: int) -> Times:
    wall: list[float] = []
    worked: list[float] = []
    for _ in range(runs):
        began, began_working = time.perf_counter(), time.thread_time()
        work(draw)
        wall.append((time.perf_counter() - began) * 1000)
        worked.append((time.thread_time() - began_working) * 1000)
    return wall, worked


@contextmanager
def _painting() -> Generator[None]:
    """Paint in another thread until the block ends; it begins when the first picture is done."""
    from paintdiff.engine.engine import Engine  # noqa: PLC0415 (the memory is measured without torch)
    from paintdiff.jobs.requests import TextToImage  # noqa: PLC0415
    from paintdiff.models.manager.model_manager import ModelManager  # noqa: PLC0415

    with Engine(ModelManager(device="cpu")) as engine:
        engine.generate(TextToImage(prompt="a boat", seed=0))
        stopped = threading.Event()

        def paint() -> None:
            seed = 0
            while not stopped.is_set():
                engine.generate(TextToImage(prompt="a boat", seed=(seed := seed + 1)))

        thread = threading.Thread(target=paint)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()


def _format(name: str, wall: list[float], worked: list[float]) -> dict[str, str]:
    return {
        "what": name,
        "median": f"{statistics.median(wall):.1f} ms",
        "p95": f"{_p95(wall):.1f} ms",
        "processor, p95": f"{_p95(worked):.1f} ms",
        "target": f"{_target_ms(name):.0f} ms",
    }


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _target_ms(name: str) -> float:
    return TARGET_ADD_MS if name == _ADDING else TARGET_READ_MS


if __name__ == "__main__":
    sys.exit(main())

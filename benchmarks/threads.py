"""Measures thread counts and waiting policies: `python -m benchmarks threads`.

Fresh processes paint the same picture with 1, 2, ... threads, which sleep while they wait for each
other or spin as OpenMP does by default: while the machine is idle, then while another program keeps
one CPU busy. The last row of each is the package's own choice, which must take at most 2 times the
best. Other programs on the machine distort the figures, so nothing else should run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time

from benchmarks.children import answer
from benchmarks.reporting import recorded, table
from paintdiff import Engine, TextToImage
from paintdiff.imaging.geometry import Size
from paintdiff.system.threads import count_usable_cpus

OWN = "as the package decides"
TARGET = 2.0

_BUSY = "while True: pass"
_SET_BY_HAND = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_SPINNING = {"GOMP_SPINCOUNT": "300000"}  # the default
_SLEEPING = {"OMP_WAIT_POLICY": "PASSIVE"}


def main() -> int:
    """Run it. Returns 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=Size.parse, default="128x128", help="in pixels (128x128)")
    parser.add_argument("--steps", type=int, default=8, help="denoising steps (8)")
    parser.add_argument("--runs", type=int, default=5, help="pictures of each process (5)")
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(_painted(json.loads(options.child))))
        return 0
    size: Size = options.size
    asked = {
        "width": size.width,
        "height": size.height,
        "num_inference_steps": options.steps,
        "runs": options.runs,
    }
    inherited = {name: os.environ.pop(name, None) for name in _SET_BY_HAND}
    rows, good = _by_load(asked)
    os.environ.update({name: value for name, value in inherited.items() if value is not None})
    print(table(rows))
    if options.record:
        command = shlex.join(["python", "-m", "benchmarks", "threads", *sys.argv[1:]])
        recorded(f"Threads, mini at {size}", command, "cpu", table(rows))
    return int(not good)


def _by_load(asked: dict[str, int]) -> tuple[list[dict[str, str]], bool]:
    rows: list[dict[str, str]] = []
    good = True
    for load in ("idle", "one CPU busy"):
        seconds: dict[str, float] = {}
        pictures: dict[str, str] = {}
        for name, environment in _settings().items():
            busy = None
            if load != "idle":
                busy = subprocess.Popen([sys.executable, "-c", _BUSY])
            try:
                found = answer("threads", asked, environment)
            finally:
                if busy is not None:
                    busy.kill()
                    busy.wait()
            seconds[name], pictures[name] = found["seconds"], found["picture"]
        best = min(seconds.values())
        good = good and seconds[OWN] <= TARGET * best
        rows += [
            {
                "load": load,
                "threads": name,
                "seconds": f"{each:.2f}",
                "over the best": f"{each / best:.2f}",
                "same bits as one thread": "yes" if pictures[name] == pictures[_named(1)] else "no",
            }
            for name, each in seconds.items()
        ]
    return rows, good


def _named(count: int, wait: str = "sleeping") -> str:
    return f"{count} {wait}"


def _settings() -> dict[str, dict[str, str]]:
    cpus, _cores = count_usable_cpus()
    settings: dict[str, dict[str, str]] = {}
    for count in sorted({1, cpus // 2, cpus - 1, cpus} - {0}):
        number = {"OMP_NUM_THREADS": str(count)}
        settings[_named(count)] = {**number, **_SLEEPING}
        if count > 1:
            settings[_named(count, "spinning")] = {**number, **_SPINNING}
    return {**settings, OWN: {}}


def _painted(asked: dict[str, int]) -> dict[str, object]:
    """Return the minimum seconds per picture with a loaded model, and its pixels' hash."""
    runs = asked.pop("runs")
    request = TextToImage.model_validate({"prompt": "a red house", "seed": 7, **asked})
    seconds: list[float] = []
    pictures: list[str] = []
    with Engine() as engine:
        for _ in range(runs + 1):
            started = time.perf_counter()
            (picture,) = engine.generate(request).pictures
            seconds.append(time.perf_counter() - started)
            pictures.append(hashlib.sha256(picture.image.tobytes()).hexdigest())
    return {"seconds": min(seconds[1:]), "picture": pictures[-1]}


if __name__ == "__main__":
    sys.exit(main())

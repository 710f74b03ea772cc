"""Measures the speed profiles against plain diffusers: `python -m benchmarks speed`.

1. Each profile and the bare diffusers pipeline, as it is loaded and in bfloat16 with channels last,
paint the same picture alternately, in one process: seconds for the picture and until the first
preview, ratio of the medians, and by how many of 255 levels the profile's picture differs from the
exact one. The exact one must equal the bare one.

2. With `--judge N`: the share of N held-out prompts that the embedded model's judge finds, by
profile (mini only).

3. Cold: a fresh process, from submitting a request.

4. Cancelling at a random moment: how long until the job has ended. Target: the 99th percentile is
at most one step plus 250 ms.

With `--batch N` instead: how many times as many pictures per second a request for N paints as a
request for one, by profile, and how much its pictures differ from the exact ones.

`--engine openvino` lets OpenVINO run what it supports, once it is ready. `--clock cpu` measures CPU
time in 1, not wall time: for busy machines, and one thread only. `--record` appends the results to
RESULTS.md.
"""

from __future__ import annotations

import argparse
import copy
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.random_models import source_of
from benchmarks.reporting import catalog_with, recorded, table
from paintdiff.engine.engine import Engine
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Finished, Progress
from paintdiff.jobs.requests import TextToImage
from paintdiff.mini.__main__ import JUDGE
from paintdiff.mini.evaluate import AskedPicture, list_held_out_prompts, score
from paintdiff.mini.networks.judge import load_judge
from paintdiff.mini.recipe import DEFAULT_RECIPE, read_recipe
from paintdiff.models.acceleration.engines import EngineName
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.inference.schedulers import make_scheduler
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow

PROMPT = "a red house on a green hill at night"
BARE = "diffusers"
BARE_HALF = "diffusers, bfloat16 and channels last"
CANCEL_TARGET_SECONDS = 0.25
WARMING_UP = 5
"""Requests for a batch until it is known whether batching is faster."""

COLD = """
import os, sys, time
from paintdiff.engine.engine import Engine
from paintdiff.jobs.events import Progress
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.jobs.requests import TextToImage
source, profile, device, engine, width, height, steps = sys.argv[1:]
catalog, name = Catalog.default(), source
if os.path.exists(source):
    catalog = catalog.with_source(source)
    name = catalog.rows(ModelRow)[-1].name
with Engine(ModelManager(catalog, device=device, engine=engine)) as engine:
    started, seen = time.perf_counter(), None
    request = TextToImage(
        prompt="a red house", model=name, profile=profile, seed=1, width=int(width),
        height=int(height), num_inference_steps=int(steps) if steps else None,
    )
    for event in engine.submit(request).events():
        if seen is None and isinstance(event, Progress) and event.preview is not None:
            seen = time.perf_counter() - started
    print(seen or 0.0, time.perf_counter() - started)
"""


@dataclass
class Way:
    """The measurements of a profile or of the bare pipeline."""

    seconds: list[float] = field(default_factory=list[float])
    first_preview_seconds: list[float] = field(default_factory=list[float])
    picture: Image.Image | None = None

    def levels(self) -> NDArray[np.int16]:
        """Return the last picture's levels, (height, width, 3)."""
        return np.asarray(self.picture, dtype=np.int16)


def main() -> int:
    """Run it.

    Returns 1 if the exact picture isn't the bare pipeline's, or cancelling misses its target.
    """
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        return _measured(options, source_of(options.model, Path(folder)))


def _measured(options: argparse.Namespace, source: str) -> int:
    catalog, name = catalog_with(source)
    manager = ModelManager(catalog, device=options.device, engine=options.engine)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    with Engine(manager) as engine:
        profiles = engine.profiles.names() if options.profile == "all" else (options.profile,)
        size: Size = options.size or catalog.find(ModelRow, name).native_size
        requests = {
            profile: TextToImage(
                prompt=PROMPT,
                model=name,
                profile=profile,
                seed=7,
                width=size.width,
                height=size.height,
                num_inference_steps=options.steps,
            )
            for profile in dict.fromkeys(("exact", *profiles))
        }
        if options.batch:
            text = table(_batches(engine, requests, options.batch, options.runs, clock))
            print(text)
            if options.record:
                title = f"{options.batch} pictures of {name} at {size}"
                recorded(title, _command(), engine.status().device, text)
            return 0
        if options.engine == "openvino":
            _make_ready(engine, requests)
        ways = _by_turns(engine, requests, options.runs, clock)
        device = engine.status().device
        rows = _rows(ways)
        if options.judge:
            _add_judged(rows, manager, engine, name, options.judge)
        for row in rows[2:]:
            row |= _cold(options, source, row["profile"], size)
        cancels, step_seconds = _cancels(engine, requests[profiles[0]], options.cancels)
    late = float(np.percentile(cancels, 99)) if cancels else 0.0
    text = table(rows)
    if cancels:
        text += (
            f"\n\nCancelling, {len(cancels)} times: median {statistics.median(cancels):.3f} s, "
            f"99th percentile {late:.3f} s; a step takes {step_seconds:.3f} s."
        )
    print(text)
    if options.record:
        recorded(f"Speed of {name} at {size}", _command(), device, text)
    same = bool((ways["exact"].levels() == ways[BARE].levels()).all())
    return int(not same or late > step_seconds + CANCEL_TARGET_SECONDS)


def _command() -> str:
    return shlex.join(["python", "-m", "benchmarks", "speed", *sys.argv[1:]])


def _batches(
    engine: Engine,
    requests: dict[str, TextToImage],
    count: int,
    runs: int,
    clock: Callable[[], float],
) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    exact: list[NDArray[np.int16]] = []
    for profile, one in requests.items():
        several = one.model_copy(update={"num_images": count})
        for _ in range(WARMING_UP):
            engine.generate(several)
            _wait_for_openvino()
        made = engine.generate(several)
        seconds = {1: list[float](), count: list[float]()}
        for request in (one, several) * runs:
            started = clock()
            engine.generate(request)
            seconds[request.num_images].append(clock() - started)
        pictures = [np.asarray(each.image, dtype=np.int16) for each in made.pictures]
        exact = exact or pictures
        apart = [abs(a - b) for a, b in zip(exact, pictures, strict=True)]
        alone, all_of_them = (statistics.median(each) for each in seconds.values())
        rows.append(
            {
                "profile": profile,
                "one, s": f"{alone:.2f}",
                f"{count}, s": f"{all_of_them:.2f}",
                "pictures a second, over one by one": f"{count * alone / all_of_them:.2f}",
                "levels that differ, mean": f"{np.mean(apart):.2f}",
                "at most": str(np.max(apart)),
                "engine": made.pictures[0].engine or "torch",
            }
        )
    return rows


def _wait_for_openvino() -> None:
    while any(each.name == "openvino" for each in threading.enumerate()):
        time.sleep(0.1)


def _make_ready(engine: Engine, requests: dict[str, TextToImage]) -> None:
    """Paint until OpenVINO has all networks that the profiles need."""
    for profile in requests.keys() - {"exact"}:
        for _ in range(2):  # where guidance has ended there may be others
            engine.generate(requests[profile])
            _wait_for_openvino()
        used = engine.generate(requests[profile]).pictures[0].engine
        if not used:
            raise SystemExit(f"{profile} was painted by torch alone")


def _by_turns(
    engine: Engine,
    requests: dict[str, TextToImage],
    runs: int,
    clock: Callable[[], float],
) -> dict[str, Way]:
    """Run one round to warm up, then `runs` rounds, every second one backwards."""
    ways = {BARE: Way(), BARE_HALF: Way(), **{name: Way() for name in requests}}
    halves: dict[str, Any] = {}
    for number in range(runs + 1):
        names = list(ways) if number % 2 else list(reversed(ways))
        for name in names:
            way = ways[name]
            if name in (BARE, BARE_HALF):
                job = requests["exact"]
                with engine.manager.lease(job.model) as leased:
                    if name == BARE_HALF:
                        halves = halves or _in_half_precision(leased.pipeline.components)
                        vars(leased.pipeline).update(halves)
                    started = clock()
                    way.picture = _bare(leased, engine, job)
                    seconds, seen = clock() - started, 0.0
            else:
                started = clock()
                way.picture, seen = _through_engine(engine, requests[name], clock)
                seconds = clock() - started
            if number:
                way.seconds.append(seconds)
                way.first_preview_seconds.append(seen)
    return ways


def _in_half_precision(components: dict[str, Any]) -> dict[str, Any]:
    """Copy a pipeline's networks in half precision."""
    networks = {
        name: copy.deepcopy(each).to(torch.bfloat16)
        for name, each in components.items()
        if isinstance(each, torch.nn.Module)
    }
    for name in networks.keys() & {"unet", "vae"}:
        networks[name].to(memory_format=torch.channels_last)
    return networks


def _through_engine(
    engine: Engine, request: TextToImage, clock: Callable[[], float]
) -> tuple[Image.Image, float]:
    started, seen = clock(), 0.0
    job = engine.submit(request)
    for event in job.events():
        if not seen and isinstance(event, Progress) and event.preview is not None:
            seen = clock() - started
        if isinstance(event, Finished):
            return event.pictures[0].image, seen
    raise SystemExit(f"the job ended in {job.latest}")


def _bare(leased: LeasedPipeline, engine: Engine, request: TextToImage) -> Image.Image:
    """Paint as somebody would who knows only diffusers, with a loaded pipeline."""
    row = engine.manager.catalog.find(ModelRow, request.model)
    figures = row.figures(request.quality)
    pipeline = leased.pipeline
    pipeline.scheduler = make_scheduler(row.sampler, pipeline.scheduler.config)
    return pipeline(
        prompt=request.prompt,
        width=request.width,
        height=request.height,
        num_inference_steps=request.num_inference_steps or figures.num_inference_steps,
        guidance_scale=figures.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(request.seed or 0),
    ).images[0]


def _rows(ways: dict[str, Way]) -> list[dict[str, str]]:
    bare, half = (statistics.median(ways[name].seconds) for name in (BARE, BARE_HALF))
    exact = ways["exact"].levels()
    rows: list[dict[str, str]] = []
    for name, way in ways.items():
        seconds = statistics.median(way.seconds)
        differences = abs(way.levels() - exact)
        seen = statistics.median(way.first_preview_seconds)
        rows.append(
            {
                "profile": name,
                "seconds": f"{seconds:.2f}",
                "over diffusers": f"{seconds / bare:.2f}",
                "over it in bfloat16": f"{seconds / half:.2f}",
                "first preview, s": f"{seen:.2f}" if seen else "",
                "levels that differ, mean": f"{differences.mean():.2f}",
                "at most": str(differences.max()),
            }
        )
    return rows


def _add_judged(
    rows: list[dict[str, str]], manager: ModelManager, engine: Engine, name: str, prompts: int
) -> None:
    judge, recipe = load_judge(JUDGE), read_recipe(DEFAULT_RECIPE)
    asked = list(islice(list_held_out_prompts(recipe, frozenset(judge.labels)), prompts))
    for row in rows[2:]:
        seeds = iter(range(prompts))

        def painted(
            some: list[AskedPicture], profile: str = row["profile"], seeds: Any = seeds
        ) -> NDArray[np.uint8]:
            pictures = [
                _through_engine(
                    engine,
                    TextToImage(prompt=one.prompt, model=name, profile=profile, seed=next(seeds)),
                    time.perf_counter,
                )[0]
                for one in some
            ]
            return np.stack([np.asarray(picture) for picture in pictures])

        row["as asked"] = f"{100 * score(asked, judge, painted).overall:.1f} % of {prompts}"


def _cold(options: argparse.Namespace, source: str, profile: str, size: Size) -> dict[str, str]:
    steps = "" if options.steps is None else str(options.steps)
    asked = (source, profile, options.device, options.engine, str(size.width), str(size.height))
    done = subprocess.run(
        [sys.executable, "-c", COLD, *asked, steps],
        check=True,
        capture_output=True,
        text=True,
    )
    preview, picture = (float(each) for each in done.stdout.split())
    return {"cold: preview, picture, s": f"{preview:.2f}, {picture:.2f}"}


def _cancels(engine: Engine, request: TextToImage, count: int) -> tuple[list[float], float]:
    """Return the seconds from cancelling to the job's end, and those of a step.

    Each is cancelled at a random moment of a run.
    """
    moments, seconds = random.Random(0), list[float]()
    long = request.model_copy(update={"num_inference_steps": 200})
    pace = _seconds_a_step(engine, request)
    for _ in range(count):
        job = engine.submit(long)
        next(event for event in job.events() if isinstance(event, Progress))
        time.sleep(moments.uniform(0, 3 * pace))
        started = time.perf_counter()
        job.cancel()
        for _event in job.events():
            pass
        seconds.append(time.perf_counter() - started)
    return seconds, pace


def _seconds_a_step(engine: Engine, request: TextToImage) -> float:
    engine.generate(request)
    return 1 / engine.status().steps_per_second


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", default="mini", help="a name, a folder, or sd15 or sdxl (of random numbers)"
    )
    parser.add_argument("--profile", default="all", help="a profile's name, or all (usual)")
    parser.add_argument("--size", type=Size.parse, help="size in pixels (the model's)")
    parser.add_argument("--steps", type=int, help="denoising steps (the balanced preset's)")
    parser.add_argument("--runs", type=int, default=7, help="rounds (7)")
    parser.add_argument("--judge", type=int, default=0, metavar="N", help="prompts for the judge")
    parser.add_argument("--batch", type=int, default=0, metavar="N", help="pictures a request")
    parser.add_argument("--cancels", type=int, default=50, help="how many jobs to cancel (50)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--engine", choices=get_args(EngineName), default="torch")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--record", action="store_true", help="append it to RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""What the engine costs over diffusers: `python -m benchmarks.engine_overhead`.

Paints the same picture with the same settings by turns, through the engine with previews on (and a
watcher that takes each event) and by the bare diffusers pipeline, in one process, and prints the
ratio of the medians. The pictures have to be the same to the last bit. Nothing is saved in either
case. Target: at most 1.03.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from paintdiff.engine import Engine
from paintdiff.events import Finished, Progress
from paintdiff.geometry import Size
from paintdiff.models.catalog import Catalog
from paintdiff.models.lease import LeasedPipeline
from paintdiff.models.manager import ModelManager
from paintdiff.models.samplers import scheduler_for
from paintdiff.requests import TextToImage

TARGET = 1.03


def main() -> int:
    """Run it. Returns 1 if the pictures differ or, with --check, the target is missed."""
    options = _options()
    catalog = Catalog.default()
    if Path(options.model).exists():
        catalog = catalog.with_source(options.model)
    name = catalog.models()[-1].name if Path(options.model).exists() else options.model
    manager = ModelManager(catalog, device=options.device)
    with Engine(manager) as engine, manager.lease(name) as leased:
        settled = engine.submit(
            TextToImage(
                prompt="a red house on a green hill at night",
                model=name,
                seed=7,
                num_inference_steps=options.steps,
                sampler=options.sampler,
                width=options.size.width if options.size else None,
                height=options.size.height if options.size else None,
            )
        )
        settled.result()
        request = settled.request
        previews: list[int] = []
        config = dict(leased.pipeline.scheduler.config)
        ways: tuple[Callable[[], Image.Image], ...] = (
            lambda: _through_engine(engine, request, previews),
            lambda: _bare(leased, request, config),
        )
        seconds, pictures = _paired(ways, options.runs)
    ratio = statistics.median(seconds[0]) / statistics.median(seconds[1])
    same = pictures[0].tobytes() == pictures[1].tobytes()
    report = {
        "model": name,
        "steps": request.num_inference_steps,
        "runs": options.runs,
        "threads": torch.get_num_threads(),
        "engine_seconds": round(statistics.median(seconds[0]), 4),
        "bare_seconds": round(statistics.median(seconds[1]), 4),
        "ratio": round(ratio, 4),
        "median_of_paired_ratios": round(
            statistics.median(ours / theirs for ours, theirs in zip(*seconds, strict=True)), 4
        ),
        "target": TARGET,
        "previews_a_run": statistics.mean(previews),
        "same_picture": same,
    }
    print(json.dumps(report, indent=2))
    return 1 if not same or (options.check and ratio > TARGET) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini", help="a model's name or folder")
    parser.add_argument("--steps", type=int, help="denoising steps (the balanced preset's)")
    parser.add_argument("--sampler", help="the sampler (the model's)")
    parser.add_argument("--runs", type=int, default=10, help="pairs of runs (10)")
    parser.add_argument("--size", type=Size.parse, help="size in pixels (the model's)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--check", action="store_true", help="exit 1 if the target is missed")
    return parser.parse_args()


def _paired(
    ways: tuple[Callable[[], Image.Image], ...], runs: int
) -> tuple[list[list[float]], list[Image.Image]]:
    """Each way's seconds and picture. One round to warm up; then by turns, each first every second
    time.
    """
    pictures = [way() for way in ways]
    seconds: list[list[float]] = [[] for _ in ways]
    for number in range(runs):
        order = range(len(ways)) if number % 2 == 0 else reversed(range(len(ways)))
        for index in order:
            started = time.perf_counter()
            pictures[index] = ways[index]()
            seconds[index].append(time.perf_counter() - started)
    return seconds, pictures


def _through_engine(engine: Engine, request: TextToImage, previews: list[int]) -> Image.Image:
    job = engine.submit(request)
    count = 0
    for event in job.events():
        count += isinstance(event, Progress) and event.preview is not None
        if isinstance(event, Finished):
            previews.append(count)
            return event.pictures[0].image
    raise SystemExit(f"the job ended in {job.latest}")


def _bare(leased: LeasedPipeline, request: TextToImage, config: dict[str, object]) -> Image.Image:
    sampling = request.sampling()
    pipeline = leased.pipeline
    pipeline.scheduler = scheduler_for(sampling.sampler, config)
    return pipeline(
        prompt=request.prompt,
        width=sampling.size.width,
        height=sampling.size.height,
        num_inference_steps=sampling.num_inference_steps,
        guidance_scale=sampling.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(sampling.seed),
    ).images[0]


if __name__ == "__main__":
    sys.exit(main())

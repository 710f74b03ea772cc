"""Measures the engine's overhead over diffusers: `python -m benchmarks.engine_overhead`.

Paints the same picture with the same settings alternately, through the engine with previews on (and
a watcher that takes each event) and with the bare diffusers pipeline, in one process, and prints
the ratio of the medians. The pictures must be identical (of an inpainted one the masked part:
outside it the engine keeps the original, which the bare pipeline doesn't). The bare pipeline gets
its pictures decoded; the engine decodes them, twice, and composites. Nothing is saved in either
case. `--task` chooses the task, or "all". Target: at most 1.03 for each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.reporting import catalog_with
from paintdiff.engine.engine import Engine
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Finished, Progress
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.requests import Painting, check_painting, parse_request
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.inference.schedulers import make_scheduler
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.tasks import TASKS

TARGET = 1.03
TASK_NAMES = tuple(task.name for task in TASKS.values())
STRENGTH = 0.6


def main() -> int:
    """Run it. Returns 1 if pictures differ or, with --check, a target is missed."""
    options = _options()
    catalog, name = catalog_with(options.model)
    size = options.size or catalog.find(ModelRow, name).native_size
    manager = ModelManager(catalog, device=options.device)
    tasks = TASK_NAMES if options.task == "all" else (options.task,)
    failed = False
    with Engine(manager) as engine:
        for task in tasks:
            with manager.lease(name, task) as leased:
                report = _measured(engine, leased, _request(task, name, size, options), options)
            print(json.dumps(report, indent=2))
            missed = options.check and report["ratio"] > TARGET
            failed = failed or not report["same_picture"] or missed
    return int(failed)


def _measured(
    engine: Engine, leased: LeasedPipeline, request: Painting, options: argparse.Namespace
) -> dict[str, Any]:
    job = engine.submit(request)
    job.result()
    settled = check_painting(job.request)
    previews: list[int] = []
    config = dict(leased.pipeline.scheduler.config)
    sources = _sources(settled.sampling().size)
    ways: tuple[Callable[[], Image.Image], ...] = (
        lambda: _through_engine(engine, settled, previews),
        lambda: _bare(leased, settled, config, sources),
    )
    seconds, pictures = _paired(ways, options.runs)
    if settled.kind == "inpaint":
        box = sources[1].getbbox()
        pictures = [picture.crop(box) for picture in pictures]
    ratio = statistics.median(seconds[0]) / statistics.median(seconds[1])
    return {
        "task": settled.kind,
        "model": settled.model,
        "steps": settled.num_inference_steps,
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
        "same_picture": pictures[0].tobytes() == pictures[1].tobytes(),
    }


def _request(task: str, model: str, size: Size, options: argparse.Namespace) -> Painting:
    values: dict[str, object] = {
        "kind": task,
        "prompt": "a red house on a green hill at night",
        "model": model,
        "seed": 7,
        "num_inference_steps": options.steps,
        "sampler": options.sampler,
        "width": size.width,
        "height": size.height,
    }
    picture, mask = _sources(size)
    if task != "text_to_image":
        values |= {"image": InputImage.from_image(picture), "strength": STRENGTH}
    if task == "inpaint":
        values |= {"mask": InputImage.from_image(mask), "mask_blur_px": 0}
    return check_painting(parse_request(values))


def _sources(size: Size) -> tuple[Image.Image, Image.Image]:
    """Make an RGB picture, and a mask (L) over its middle with edges on multiples of 8."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    mask = Image.new("L", (size.width, size.height), 0)
    left, top = size.width // 32 * 8, size.height // 32 * 8
    mask.paste(255, (left, top, 3 * left, 3 * top))
    return coarse.resize((size.width, size.height), Image.Resampling.BICUBIC), mask


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini", help="a model's name or folder")
    parser.add_argument(
        "--task", default="text_to_image", choices=[*TASK_NAMES, "all"], help="what to measure"
    )
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
    """Return each way's seconds and picture.

    One round to warm up; then alternately, with alternating order.
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


def _through_engine(engine: Engine, request: Painting, previews: list[int]) -> Image.Image:
    job = engine.submit(request)
    count = 0
    for event in job.events():
        count += isinstance(event, Progress) and event.preview is not None
        if isinstance(event, Finished):
            previews.append(count)
            return event.pictures[0].image
    raise SystemExit(f"the job ended in {job.latest}")


def _bare(
    leased: LeasedPipeline,
    request: Painting,
    config: dict[str, object],
    sources: tuple[Image.Image, Image.Image],
) -> Image.Image:
    sampling = request.sampling()
    pipeline = leased.pipeline
    pipeline.scheduler = make_scheduler(sampling.sampler, config)
    settings: dict[str, Any] = {}
    if request.kind != "image_to_image":
        settings |= {"width": sampling.size.width, "height": sampling.size.height}
    if request.kind != "text_to_image":
        settings |= {"image": sources[0], "strength": request.strength}
    if request.kind == "inpaint":
        settings["mask_image"] = sources[1]
    return pipeline(
        prompt=request.prompt,
        num_inference_steps=sampling.num_inference_steps,
        guidance_scale=sampling.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(sampling.seed),
        **settings,
    ).images[0]


if __name__ == "__main__":
    sys.exit(main())

"""Measures upscaling: `python -m benchmarks.upscaling [--upscaler quick] [--huge]`.

1. Speed. The same picture alternately, in one process: through the app's whole path (from its
pixels through tiles to a raster of levels); the same in one tile; through a copy of the network as
it was loaded, over the whole picture at once, and in a plain loop over tiles (of the same size,
with a cropped margin of 10 pixels, as the upscalers' own scripts do it); and by Lanczos. Megapixels
of the result per second, and ratios of the medians. Target: the app's path takes at most 1.1 times
as long as in one tile, and as the network over the whole picture.

2. The same by tile size, and the computed overhead of a tile in the middle of a large picture: the
margins that are computed and discarded.

3. Peak memory of a process that enlarges one picture and saves it, including all imports, for
results of 1, 4 and 16 megapixels; with --huge for 16,384 x 16,384. Target: under 3 GB. (Linux)

4. Precision and memory format: the bare network on a tile, alternately.

`--clock cpu` measures CPU time, not wall time: for busy machines, and one thread only. "quick" is a
network of random weights that costs hardly more than resampling.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from paintdiff.engine.engine import Engine
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.tiles import FEATHER_PX
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import Upscale
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.loaders import UPSCALER
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.models.upscaling.upscaler import LeasedUpscaler
from paintdiff.tasks.steps import Step
from paintdiff.tasks.upscaling import Extras, upscale_raster

TARGET_RATIO = 1.10
TARGETS = ("tiled_over_untiled", "road_over_whole")
TARGET_HUGE_BYTES = 3 * 10**9
HUGE_SIDE_PX = 16_384
PLAIN_MARGIN_PX = 10
QUICK = "quick"

Levels = NDArray[np.uint8]


def main() -> int:
    """Run it. Returns 1 if a target is missed."""
    options = _options()
    if options.memory_of is not None:
        print(json.dumps(_memory_of(options)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        catalog, name = _catalog(options.upscaler, Path(folder))
        report: dict[str, Any] = {
            "upscaler": options.upscaler,
            "threads": torch.get_num_threads(),
            "clock": options.clock,
        }
        with ModelManager(catalog, device="cpu").lease_weights(
            UPSCALER, name, lambda _message: None
        ) as upscaler:
            if not options.only_memory:
                report["speed"] = _speed(upscaler, options)
                report["tiles"] = _tile_sizes(upscaler, options)
                report["precision"] = _precisions(upscaler, options)
            scale = upscaler.scale
    report["memory"] = _memory(scale, options)
    print(json.dumps(report, indent=2))
    return int(_missed(report))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--upscaler", default="mini-upscaler", help=f"a name, file, or {QUICK!r}")
    parser.add_argument("--side", type=int, default=1024, help="of the picture, in pixels (1024)")
    parser.add_argument("--runs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--huge", action="store_true", help="the memory of 16,384 x 16,384, too")
    parser.add_argument("--only-memory", action="store_true")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _catalog(upscaler: str, folder: Path) -> tuple[Catalog, str]:
    """Return a catalog with the upscaler, and its name in it."""
    catalog = Catalog.default()
    if upscaler == QUICK:
        from spandrel.architectures.Compact import Compact  # noqa: PLC0415 (imports all of them)

        torch.manual_seed(0)
        network = Compact(num_feat=8, num_conv=2, upscale=4)
        save_file(network.state_dict(), folder / f"{QUICK}.safetensors")
        upscaler = str(folder / f"{QUICK}.safetensors")
    elif upscaler in {row.name for row in catalog.rows(UpscalerRow)}:
        return catalog, upscaler
    catalog = catalog.with_first(UpscalerRow, upscaler)
    return catalog, catalog.rows(UpscalerRow)[0].name


def _picture(side: int) -> Levels:
    """Make an RGB picture (side, side, 3), smooth enough to compress quickly."""
    coarse = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


# Speed


def _speed(upscaler: LeasedUpscaler, options: argparse.Namespace) -> dict[str, Any]:
    pixels, network = _picture(options.side), _as_loaded(upscaler)
    tile_px = upscaler.tile_px(Size(options.side, options.side))
    ways: dict[str, Callable[[], object]] = {
        "road": lambda: _by_road(upscaler, pixels, None),
        "road_untiled": lambda: _by_road(upscaler, pixels, options.side),
        "whole": lambda: _levels(_by_network(network, pixels)),
        "plain_tiles": lambda: _by_plain_tiles(network, pixels, tile_px, upscaler.scale),
        "lanczos": lambda: _by_lanczos(pixels, upscaler.scale),
    }
    seconds = _by_turns(ways, options)
    megapixels = (options.side * upscaler.scale) ** 2 / 10**6
    differ = np.abs(
        _by_road(upscaler, pixels, None).astype(int) - _levels(_by_network(network, pixels))
    )
    return {
        "picture": f"{options.side}x{options.side}",
        "tile_px": tile_px,
        "megapixels_per_second": {
            name: round(megapixels / taken, 3) for name, taken in seconds.items()
        },
        "road_over_whole": round(seconds["road"] / seconds["whole"], 3),
        "road_over_plain_tiles": round(seconds["road"] / seconds["plain_tiles"], 3),
        "tiled_over_untiled": round(seconds["road"] / seconds["road_untiled"], 3),
        "target": TARGET_RATIO,
        "levels_apart_at_most": int(differ.max()),
    }


def _tile_sizes(upscaler: LeasedUpscaler, options: argparse.Namespace) -> dict[str, Any]:
    pixels, context = _picture(options.side), upscaler.context_px
    sizes = [size for size in (128, 256, 512, 1024) if size <= options.side]
    ways: dict[str, Callable[[], object]] = {
        str(size): partial(_by_road, upscaler, pixels, size) for size in sizes
    }
    seconds = _by_turns(ways, options)
    best = min(seconds.values())
    return {
        "context_px": context,
        "seconds_over_least": {name: round(taken / best, 3) for name, taken in seconds.items()},
        "area_of_an_inner_tile": {
            str(size): round(((size + FEATHER_PX + 2 * context) / size) ** 2, 3) for size in sizes
        },
    }


def _precisions(upscaler: LeasedUpscaler, options: argparse.Namespace) -> dict[str, float]:
    """Return each way's seconds over those of float32 in the usual memory format."""
    side = min(options.side, 256)
    picture = torch.from_numpy(_picture(side).copy()).permute(2, 0, 1)[None] / 255
    network = _as_loaded(upscaler)

    def ran(dtype: torch.dtype, memory_format: torch.memory_format) -> Callable[[], object]:
        def run() -> object:
            network.to(dtype).to(memory_format=memory_format)
            with torch.inference_mode():
                return network(picture.to(dtype).contiguous(memory_format=memory_format))

        return run

    usual, last = torch.contiguous_format, torch.channels_last
    ways = {
        "float32": ran(torch.float32, usual),
        "float32 channels_last": ran(torch.float32, last),
        "bfloat16": ran(torch.bfloat16, usual),
        "bfloat16 channels_last": ran(torch.bfloat16, last),
    }
    seconds = _by_turns(ways, options)
    return {name: round(taken / seconds["float32"], 3) for name, taken in seconds.items()}


def _by_turns(
    ways: dict[str, Callable[[], object]], options: argparse.Namespace
) -> dict[str, float]:
    """Return each way's median of seconds.

    One round to warm up; then alternately, with alternating order.
    """
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.runs):
        for name in ways if number % 2 == 0 else reversed(ways):
            started = clock()
            ways[name]()
            seconds[name].append(clock() - started)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def _by_road(upscaler: LeasedUpscaler, pixels: Levels, tile_px: int | None) -> Levels:
    side = len(pixels) * upscaler.scale
    made = upscale_raster(pixels, Size(side, side), upscaler, _ignored, 0, Extras(tile_px=tile_px))
    return np.concatenate([np.asarray(rows, np.uint8) for rows in made.raster.rows()])


def _ignored(_step: Step) -> None:
    """Ignore a step."""


def _as_loaded(upscaler: LeasedUpscaler) -> torch.nn.Module:
    """Copy the network in the usual memory format."""
    return copy.deepcopy(upscaler.network.model).to(memory_format=torch.contiguous_format)


def _by_network(network: torch.nn.Module, pixels: Levels) -> torch.Tensor:
    """Return the network's raw output, (1, 3, height, width)."""
    picture = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        return network(picture)


def _levels(made: torch.Tensor) -> Levels:
    return (made[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def _by_plain_tiles(network: torch.nn.Module, pixels: Levels, tile_px: int, scale: int) -> Levels:
    side = len(pixels)
    made = np.empty((side * scale, side * scale, 3), np.uint8)
    for top in range(0, side, tile_px):
        for left in range(0, side, tile_px):
            bottom, right = min(side, top + tile_px), min(side, left + tile_px)
            first, begin = max(0, top - PLAIN_MARGIN_PX), max(0, left - PLAIN_MARGIN_PX)
            part = pixels[first : bottom + PLAIN_MARGIN_PX, begin : right + PLAIN_MARGIN_PX]
            down, across = (top - first) * scale, (left - begin) * scale
            height, width = (bottom - top) * scale, (right - left) * scale
            made[top * scale : bottom * scale, left * scale : right * scale] = _levels(
                _by_network(network, part)
            )[down : down + height, across : across + width]
    return made


def _by_lanczos(pixels: Levels, scale: int) -> Levels:
    side = len(pixels) * scale
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


# Memory


def _memory(scale: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return peak bytes, each of a fresh process; "start" is before anything is enlarged."""
    sides = [math.isqrt(megapixels * 10**6) // scale for megapixels in (1, 4, 16)]
    if options.huge:
        sides.append(HUGE_SIDE_PX // scale)
    found: dict[str, Any] = {}
    for side in sides:
        command = [sys.executable, "-m", "benchmarks.upscaling", "--memory-of", str(side)]
        command += ["--upscaler", options.upscaler]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        found[f"{side * scale}x{side * scale}"] = json.loads(answer.stdout)
    return found


def _memory_of(options: argparse.Namespace) -> dict[str, Any]:
    """Enlarge and save a picture of that side; return the memory it took."""
    with tempfile.TemporaryDirectory() as folder:
        catalog, name = _catalog(options.upscaler, Path(folder))
        store = PictureFolder(Path(folder) / "pictures")
        buffer = io.BytesIO()
        Image.fromarray(_picture(options.memory_of)).save(buffer, "PNG")
        with Engine(ModelManager(catalog, device="cpu"), store=store) as engine:
            upscaling = Upscaling(scale=2, upscaler=name)
            small = InputImage.from_image(Image.new("RGB", (8, 8)))
            engine.generate(Upscale(images=(small,), upscaling=upscaling))
            start = _peak_bytes()
            with engine.manager.lease_weights(UPSCALER, name, lambda _message: None) as upscaler:
                upscaling = Upscaling(scale=upscaler.scale, upscaler=name)
            started = time.perf_counter()
            request = Upscale(images=(InputImage(data=buffer.getvalue()),), upscaling=upscaling)
            (picture,) = engine.generate(request).pictures
        assert picture.path is not None
        return {
            "start_mib": start >> 20,
            "peak_mib": _peak_bytes() >> 20,
            "seconds": round(time.perf_counter() - started, 1),
            "file_mib": picture.path.stat().st_size >> 20,
            "size": str(picture.size),
        }


def _peak_bytes() -> int:
    """Return the peak memory of this process, without its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _missed(report: dict[str, Any]) -> bool:
    speed = report.get("speed", {})
    slow = max(speed.get(name, 0) for name in TARGETS) > TARGET_RATIO
    huge = report["memory"].get(f"{HUGE_SIDE_PX}x{HUGE_SIDE_PX}", {"peak_mib": 0})
    return slow or huge["peak_mib"] * 2**20 > TARGET_HUGE_BYTES


if __name__ == "__main__":
    sys.exit(main())

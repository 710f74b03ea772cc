"""Compares a plan's estimate with measured memory: `python -m benchmarks.memory --model mini`.

Paints a picture of each size with each full-size plan, or with `--cap` with the plan chosen under
that budget, each in a fresh process, and prints the estimate and the measured peak: on a CPU the
process's own memory above that after imports, on CUDA `max_memory_allocated`, under an enforced cap
(`set_per_process_memory_fraction`). `--model` is mini, sd15 or sdxl (full-size, random weights), or
a folder. With `--decode SIDE`, the model's VAE instead decodes noise of that side whole and in
tiles of 512: peaks, and how much the pixels differ. `--math-kernel` paints with attention that
stores all of its scores, as on Apple's GPUs. `--record` appends the table to RESULTS.md. Target:
estimates within 15 % of the peak.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks import children
from paintdiff.config.settings import parse_bytes
from paintdiff.imaging.geometry import Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory.plans import Plan, RunFacts, estimate_peak_bytes
from paintdiff.models.registry.model_rows import ModelRow

TOLERANCE = 0.15
_GIB = 2**30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it. Returns 1 if an estimate is farther off than the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--size", type=Size.parse, action="append", help="repeatable")
    parser.add_argument("--cap", type=parse_bytes, help="like 4GiB")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--plans", type=int, default=9, help="no more than so many of each size")
    parser.add_argument("--decode", type=int, action="append", help="a side in pixels; repeatable")
    parser.add_argument("--math-kernel", action="store_true", help="attention that isn't fused")
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(_child(json.loads(options.child))))
        return 0
    from benchmarks.random_models import source_of  # noqa: PLC0415 (imports torch)

    with tempfile.TemporaryDirectory() as folder:
        source = source_of(options.model, Path(folder))
        lines = _decoding(options, source) if options.decode else _painting(options, source)
    table = "\n".join(lines)
    if options.record:
        from benchmarks.reporting import recorded  # noqa: PLC0415 (imports torch)

        given = " ".join(each for each in sys.argv[1:] if each not in ("--record", "memory"))
        command = f"python -m benchmarks memory {given}"
        recorded(f"Memory: {options.model}", command, options.device, table)
    return 0 if "too far" not in table else 1


def _painting(options: argparse.Namespace, source: str) -> list[str]:
    lines = [
        "| size | plan | estimated | measured | ratio | seconds |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for size in options.size or [_row(source).native_size]:
        with _attention(options.math_kernel):
            found_plans = _plans(options, source, size)
        for plan in found_plans:
            asked = {"source": source, "size": str(size), "device": options.device}
            asked |= {"math": options.math_kernel}
            found = children.answer("memory", {**asked, "plan": asdict(plan), "cap": options.cap})
            ratio = found["estimated"] / found["measured"]
            verdict = "" if abs(ratio - 1) <= TOLERANCE else " too far"
            lines.append(
                f"| {size} | {plan.words or 'usual'} | {found['estimated'] / _GIB:.2f} GiB "
                f"| {found['measured'] / _GIB:.2f} GiB | {ratio:.2f}{verdict} "
                f"| {found['seconds']:.1f} |"
            )
            print(lines[-1], flush=True)
    return lines


def _plans(options: argparse.Namespace, source: str, size: Size) -> list[Plan]:
    manager, row = _manager(source, options.device, options.cap)
    run = RunFacts(size, size.area)
    if options.cap is not None:
        manager.memory.choose_device()
        return [manager.planner.build_ladder(row, run).planned.plan]
    manager.memory.choose_device()
    room = manager.planner.build_ladder(row, run)
    found = [room.planned.plan]
    while room.step_down(lighter=False):
        found.append(room.planned.plan)
    return [plan for plan in found if plan.part == 1][: options.plans]


def _decoding(options: argparse.Namespace, source: str) -> list[str]:
    lines = [
        "| side | way | peak beside the weights | seconds | differs |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for side in options.decode:
        asked = {"source": source, "device": options.device, "cap": options.cap, "decode": side}
        with tempfile.TemporaryDirectory() as folder:
            kept = str(Path(folder) / "whole.pt")
            for way, tile in (("whole", side), ("tiles of 512", 512)):
                found = children.answer("memory", {**asked, "tile": tile, "kept": kept})
                lines.append(
                    f"| {side} | {way} | {found['measured'] / _GIB:.2f} GiB "
                    f"| {found['seconds']:.1f} | {found['differs']} |"
                )
                print(lines[-1], flush=True)
    return lines


def _manager(source: str, device: str, cap: int | None) -> tuple[ModelManager, Any]:
    catalog = Catalog.default()
    if source not in {row.name for row in catalog.rows(ModelRow)}:
        catalog = catalog.with_source(source)
        source = catalog.rows(ModelRow)[-1].name
    manager = ModelManager(catalog, device=device, memory_budget_bytes=cap)
    return manager, catalog.find(ModelRow, source)


def _row(source: str) -> Any:
    return _manager(source, "cpu", None)[1]


def _child(asked: dict[str, Any]) -> dict[str, Any]:
    import torch  # noqa: PLC0415 (in the child alone)

    from paintdiff.models.inference.pipelines import leased_pipeline  # noqa: PLC0415
    from paintdiff.models.loading import pipeline_files  # noqa: PLC0415

    manager, row = _manager(asked["source"], asked["device"], asked["cap"])
    manager.memory.choose_device()
    if asked["cap"] is not None and asked["device"] == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(asked["cap"] / total)
    for task in row.family.pipelines:  # their imports aren't part of the picture
        pipeline_files.find_pipeline_class(row, task)
    assert leased_pipeline
    if "decode" in asked:
        return _decoded(asked, manager, row)
    size, plan = Size.parse(asked["size"]), Plan(**asked["plan"])
    started = time.perf_counter()
    with _attention(asked["math"]):
        room = manager.cache.measure_room(row)
        assert room is not None and room.parts is not None
        run = RunFacts(size, size.area)
        estimated = estimate_peak_bytes(plan, row.family, room.parts, run, room.hardware)
        with Peak(asked["device"]) as peak, manager.lease(row.name, plan=plan) as leased:
            denoising = Denoising("a house", "", size, 2, 5.0, row.sampler, seed=1)
            leased.decode(leased.denoise(denoising, lambda _step, _preview: None))
    seconds = time.perf_counter() - started
    return {"estimated": estimated, "measured": peak.bytes, "seconds": seconds}


def _attention(math: bool) -> AbstractContextManager[object]:
    """Use only torch's math kernel for attention while inside, if `math`."""
    from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: PLC0415 (imports torch)

    return sdpa_kernel(SDPBackend.MATH) if math else nullcontext()


def _decoded(asked: dict[str, Any], manager: ModelManager, row: Any) -> dict[str, Any]:
    import torch  # noqa: PLC0415 (in the child alone)

    from paintdiff.models.tiling.tiled_networks import TiledVAE  # noqa: PLC0415

    side, tile = asked["decode"], asked["tile"]
    with manager.lease(row.name) as leased, torch.no_grad():
        network: Any = leased.pipeline.vae
        factor = leased.pipeline.vae_scale_factor
        vae: Any = network if tile >= side else TiledVAE(network, Size(side, side), factor, tile)
        generator = torch.Generator().manual_seed(0)
        # Smooth, as latents of pictures are: noise at an eighth of the side.
        latents = torch.randn(
            1, row.family.latent_channels, side // 64, side // 64, generator=generator
        )
        latents = torch.nn.functional.interpolate(latents, scale_factor=8, mode="bicubic")
        latents = latents.to(network.device, network.dtype)
        started = time.perf_counter()
        with Peak(asked["device"]) as peak:
            pixels = vae.decode(latents, return_dict=False)[0]
        seconds = time.perf_counter() - started
    levels = ((pixels.float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    if vae is network:
        torch.save(levels, asked["kept"])
        differs = ""
    else:
        apart = (torch.load(asked["kept"]).int() - levels.int()).abs()
        differs = f"{int(apart.max())} levels at most, {float(apart.float().mean()):.2f} on average"
    return {"measured": peak.bytes, "seconds": seconds, "differs": differs}


class Peak(AbstractContextManager["Peak"]):
    """Measures the peak memory inside a block; `bytes` is the excess over the memory before it.

    On a CPU that is the process's own memory (without mapped files), sampled every two
    milliseconds.
    """

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")
        self.bytes = 0
        self._before = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        gc.collect()
        if self._cuda:
            import torch  # noqa: PLC0415 (in the child alone)

            torch.cuda.reset_peak_memory_stats()
        self._before = own_bytes()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()
        if self._cuda:
            import torch  # noqa: PLC0415 (in the child alone)

            self.bytes = torch.cuda.max_memory_allocated()

    def _look(self) -> None:
        while not self._done.wait(0.002):
            self.bytes = max(self.bytes, own_bytes() - self._before)


def own_bytes() -> int:
    """Return the process's own memory, without mapped files."""
    status = Path("/proc/self/status")
    if not status.exists():
        return psutil.Process().memory_info().rss
    line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())

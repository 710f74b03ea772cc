"""Measures what tensors in pages of 2 MiB save on a CPU: `python -m benchmarks large_pages`.

Denoises and decodes a picture of each size in fresh processes, alternately with and without
`THP_MEM_ALLOC_ENABLE`, which the package sets on Linux, on one thread. Prints the medians of the
process's CPU seconds and of its peak memory. `--model` is mini, sd15 or sdxl (full-size, random
weights), or a folder. `--record` appends the table to RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import children
from paintdiff.imaging.geometry import Size
from paintdiff.models.registry.model_rows import ModelRow

MEASURED = {"denoising": "s", "decoding": "s", "peak": "MiB"}
_VARIABLE = "THP_MEM_ALLOC_ENABLE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--size", type=Size.parse, action="append", help="repeatable")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5, help="pairs of processes for each size")
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(_child(json.loads(options.child))))
        return 0
    from benchmarks.random_models import source_of  # noqa: PLC0415 (imports torch)
    from benchmarks.reporting import recorded, table  # noqa: PLC0415 (imports torch)

    with tempfile.TemporaryDirectory() as folder:
        source = source_of(options.model, Path(folder))
        rows = [
            row
            for size in options.size or [Size(512, 512)]
            for row in _compared(source, size, options.steps, options.runs)
        ]
    text = table(rows)
    print(text)
    if options.record:
        given = " ".join(each for each in sys.argv[1:] if each != "--record")
        command = f"python -m benchmarks large_pages {given}"
        recorded(f"Large pages: {options.model}", command, "cpu", text)
    return 0


def _compared(source: str, size: Size, steps: int, runs: int) -> list[dict[str, str]]:
    asked = {"source": source, "size": str(size), "steps": steps}
    found: dict[str, list[dict[str, float]]] = {"0": [], "1": []}
    for _ in range(runs):
        for setting, results in found.items():
            environment = {_VARIABLE: setting, "OMP_NUM_THREADS": "1"}
            results.append(children.answer("large_pages", asked, environment))
    rows: list[dict[str, str]] = []
    for name, unit in MEASURED.items():
        small, large = (
            statistics.median(each[name] for each in results) for results in found.values()
        )
        ratio = f"{large / small:.2f}"
        row = {"size": str(size), "what": f"{name}, {unit}", "pages of 4 KiB": f"{small:.2f}"}
        rows.append({**row, "pages of 2 MiB": f"{large:.2f}", "ratio": ratio})
    return rows


def _child(asked: dict[str, Any]) -> dict[str, float]:
    import resource  # noqa: PLC0415 (missing on Windows)

    from benchmarks.reporting import catalog_with  # noqa: PLC0415 (in the child alone)
    from paintdiff.models.inference.denoising_run import Denoising  # noqa: PLC0415
    from paintdiff.models.manager.model_manager import ModelManager  # noqa: PLC0415

    catalog, name = catalog_with(asked["source"])
    size, row = Size.parse(asked["size"]), catalog.find(ModelRow, name)
    run = Denoising("a house", "", size, asked["steps"], 5.0, row.sampler, seed=1)
    with ModelManager(catalog, device="cpu").lease(name) as leased:
        times: list[tuple[float, float]] = []
        for _ in range(2):  # one to warm up
            started = time.process_time()
            latents = leased.denoise(run, lambda _step, _preview: None)
            denoised = time.process_time()
            leased.decode(latents)
            times.append((denoised - started, time.process_time() - denoised))
    denoising, decoding = times[-1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"denoising": denoising, "decoding": decoding, "peak": peak}


if __name__ == "__main__":
    sys.exit(main())

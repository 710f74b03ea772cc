"""Measures switching to another model and back: `python -m benchmarks switching_models`.

Two models of one kind alternate where there is room for one (on a GPU under an enforced cap);
prints the seconds until each is leased, ready to paint. On a GPU the evicted one is offloaded to
RAM, on a CPU it is loaded again. `--model` is mini, sd15 or sdxl (full-size, random weights), or a
folder. `--record` appends the table to RESULTS.md. Target: SDXL is back in 0.5 s (PCIe 4).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.random_models import source_of
from benchmarks.reporting import catalog_with, recorded, table
from paintdiff.config.presets import presets_folder
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow

_ROOM = 1.5
"""Times the size of one model."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        source = source_of(options.model, Path(folder))
        if source == "mini":
            source = str(presets_folder() / "mini")
        catalog, first = catalog_with(source)
        catalog = catalog.with_source(source)
        names = (first, catalog.rows(ModelRow)[-1].name)
        device, seconds = _switched(catalog, names, options.device, options.rounds)
    rows = [
        {"turn": str(turn), "first, s": f"{one:.2f}", "second, s": f"{other:.2f}"}
        for turn, (one, other) in enumerate(seconds, 1)
    ]
    text = table(rows)
    print(text)
    if options.record:
        command = f"python -m benchmarks switching_models {' '.join(sys.argv[1:])}"
        recorded(f"Going from {first} to another model and back", command, device, text)
    return 0


def _switched(
    catalog: Catalog, names: Sequence[str], device: str, rounds: int
) -> tuple[str, list[list[float]]]:
    measuring = ModelManager(catalog, device=device)
    _seconds(measuring, names[0])  # and imports what it needs
    held = measuring.cache.loaded()[0].weights_bytes
    measuring.cache.unload()
    manager = ModelManager(catalog, device=device, memory_budget_bytes=int(_ROOM * held))
    seconds = [[_seconds(manager, name) for name in names] for _ in range(rounds)]
    return manager.status().device, seconds


def _seconds(manager: ModelManager, name: str) -> float:
    started = time.perf_counter()
    with manager.lease(name):
        return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())

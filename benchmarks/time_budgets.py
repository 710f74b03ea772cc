"""How well time budgets are kept: `python -m benchmarks time_budgets`.

Paints `mini` once in each profile, so that its speed is known, then with 20 budgets, and compares
each with the seconds that painting took. Other work on the machine shows in the figures.
"""

from __future__ import annotations

import argparse
import sys
import time

from paintdiff.engine.engine import Engine
from paintdiff.engine.speed import SpeedRecord
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager

WITHIN = 0.2
BUDGETS = (0.6, 0.8, 1, 1.2, 1.5, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9, 10, 12)


def main() -> int:
    """Print the table. Returns 1 if a budget wasn't kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=float, default=max(BUDGETS), help="the longest budget, s")
    options = parser.parse_args()
    budgets = [each for each in BUDGETS if each <= options.most]
    kept = 0
    with Engine(ModelManager(Catalog.default(), device="cpu")) as engine:
        engine.speed = SpeedRecord(None, lambda: engine.manager.status().device)
        request = TextToImage(prompt="a red house by a lake", seed=1)
        for profile in engine.profiles.names():
            for _ in range(3):  # the first one loads and measures kernels
                update = {"profile": profile, "num_inference_steps": 12}
                engine.generate(request.model_copy(update=update))
        print("budget s | seconds | off | chosen")
        for budget in budgets:
            asked = request.model_copy(update={"time_budget_seconds": budget})
            began = time.perf_counter()
            finished = engine.generate(asked)
            seconds = time.perf_counter() - began
            off = seconds / budget - 1
            kept += abs(off) <= WITHIN
            print(f"{budget:8.1f} | {seconds:7.2f} | {off:+.0%} | {finished.warnings[0]}")
    print(f"{kept} of {len(budgets)} within {WITHIN:.0%}")
    return int(kept < len(budgets))


if __name__ == "__main__":
    sys.exit(main())

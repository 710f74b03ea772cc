"""Measures how long prompts take to read: `python -m benchmarks prompts`.

Prompts of 100,000 characters (requests take 10,000), in processor time, the best of five. Target:
50 ms for one like those that people write.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from paintdiff.prompts.attention import read_attention
from paintdiff.prompts.syntax import parse_prompt, schedule

TARGET_MS = 50.0
CHARACTERS = 100_000
STEPS = 20
REALISTIC = "realistic"
PIECES = {
    REALISTIC: "(masterpiece:1.2), best quality, [cat:dog:0.5], ((night)), a (red:1.3) house on a "
    "green hill, <lora:ink:0.7> BREAK highly detailed, ",
    "words": "a red house on a green hill at night, ",
    "round brackets": "()",
    "weights": "(a:1.1)",
    "schedules": "[a:b:0.5]",
    "alternation": "[a|b]",
    "open round brackets": "(",
    "open square brackets": "[",
    "closing brackets": "]",
    "colons": ":",
    "prompts": "a AND ",
    "LoRAs": "<lora:x:1>",
}


def _measure_ms(work: Callable[[], object], runs: int) -> float:
    best = float("inf")
    for _ in range(runs):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best * 1000


def main() -> int:
    """Print a table. Returns 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs: int = parser.parse_args().runs
    missed = False
    print("| prompt | parse | schedule | weigh | together |\n|---|---|---|---|---|")
    for name, piece in PIECES.items():
        text = (piece * (CHARACTERS // len(piece) + 1))[:CHARACTERS]
        parsed = parse_prompt(text)
        first = schedule(parsed, STEPS)[0][0][1]
        times = (
            _measure_ms(lambda text=text: parse_prompt(text), runs),
            _measure_ms(lambda parsed=parsed: schedule(parsed, STEPS), runs),
            _measure_ms(lambda first=first: read_attention(first), runs),
        )
        cells = " | ".join(f"{each:.1f}" for each in (*times, sum(times)))
        print(f"| {name} | {cells} |", flush=True)
        missed = missed or (name == REALISTIC and sum(times) > TARGET_MS)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())

"""Runs benchmarks by name: `python -m benchmarks NAME [flags]`.

Without a name it lists them. Each has its own `--help`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module

BENCHMARKS: Mapping[str, str] = {
    "canvas_moves": "the canvas's script for a pointer's move",
    "engine_overhead": "the engine's overhead over diffusers",
    "first_picture": "from starting the app to a first preview and a picture",
    "gallery": "reading and adding to a gallery of 100,000 pictures",
    "gallery_faults": "dying, losing power and failing at each call that changes the disk",
    "gallery_kills": "killing the whole app at random moments",
    "hires": "the benefit of the hires fix",
    "hostile_files": "the cost of 1,000 hostile files in a models folder",
    "large_pages": "the effect of memory pages of 2 MiB",
    "library": "listing a models folder",
    "long_running": "memory growth of a long-running process",
    "loras": "applying, switching and removing LoRAs of SDXL's size",
    "memory": "the memory of plans against their estimates",
    "page_load": "loading the page until a prompt can be typed and is painted",
    "prompts": "reading prompts of 100,000 characters",
    "queue_kills": "killing a server with a full queue",
    "speed": "the speed profiles against plain diffusers; first preview; cancelling; batches",
    "switching_models": "switching to another model and back",
    "switching_tasks": "switching between tasks",
    "threads": "thread counts and waiting policies, idle and beside a busy program",
    "time_budgets": "how well time budgets are kept",
    "upscaling": "the cost of upscaling",
    "visitors": "the cost of visitors who never read answers",
}
"""Modules in this folder, and what they measure."""

BAD_NAME = 2


def main() -> int:
    """Run the named benchmark. Returns its exit code."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in BENCHMARKS:
        width = max(map(len, BENCHMARKS))
        print("\n".join(f"{each:{width}}  {what}" for each, what in BENCHMARKS.items()))
        return 0 if not name else BAD_NAME
    sys.argv = [f"python -m benchmarks {name}", *sys.argv[2:]]
    return import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    sys.exit(main())

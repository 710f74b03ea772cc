"""Runs benchmarks by name: `python -m benchmarks NAME [flags]`.

Without a name it lists them. Each has its own `--help`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module

BENCHMARKS: Mapping[str, str] = {
    "canvas_moves": "what the canvas's script takes for a pointer's move",
    "engine_overhead": "what the engine costs over diffusers",
    "first_picture": "from starting the app to a first preview and a picture",
    "hires": "whether the hires fix helps",
    "hostile_files": "what 1,000 hostile files in a models folder cost",
    "large_pages": "what tensors in pages of 2 MiB save",
    "library": "how long a models folder takes to be listed",
    "long_running": "whether a process that paints for long grows",
    "loras": "applying, switching and removing LoRAs of SDXL's size",
    "memory": "what plans take against their estimates",
    "page_load": "how long the page takes until a prompt can be typed and is painted",
    "speed": "the speed profiles against plain diffusers; first preview; cancelling; batches",
    "switching_models": "what going to another model and back costs",
    "switching_tasks": "what going from task to task costs",
    "threads": "numbers of threads and ways to wait, idle and beside a busy program",
    "upscaling": "what upscaling costs",
    "visitors": "what visitors cost who only ask",
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

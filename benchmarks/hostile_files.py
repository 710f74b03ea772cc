"""Measures the cost of 1,000 hostile files: `python -m benchmarks hostile_files`.

Fills a models folder with the files of `tests/hostile_files.py`, repeatedly, each in a folder of
its own. Then, in a process of its own, it measures: how much longer than with an empty folder the
catalog takes, how much more memory the process and its children take, whether each file is listed
with a reason, and whether `mini` paints.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.children import answer

TARGET_SECONDS, TARGET_BYTES = 60.0, 10**9


def main() -> int:
    """Run it. Returns 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--child", default="")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_measured(**json.loads(options.child))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        models, empty = Path(folder) / "models", Path(folder) / "empty"
        empty.mkdir()
        paths = _fill(models, options.files)
        (Path(folder) / "paths.json").write_text(json.dumps(paths))
        without = answer("hostile_files", {"models": str(empty), "paths": ""})
        found = answer(
            "hostile_files", {"models": str(models), "paths": str(Path(folder) / "paths.json")}
        )
    seconds = found["seconds"] - without["seconds"]
    more_bytes = found["bytes"] + found["child_bytes"] - without["bytes"]
    print(
        f"{options.files} hostile files: {seconds:.1f} s longer (processor {found['cpu']:.1f} s), "
        f"{more_bytes / 1e6:.0f} MB more ({found['child_bytes'] / 1e6:.0f} of them in the process "
        f"that reads files), {found['listed']} listed, {found['waiting']} of them left for the "
        f"next look, {found['pictures']} picture painted"
    )
    good = found["listed"] == options.files and found["pictures"] == 1
    return 0 if good and seconds <= TARGET_SECONDS and more_bytes <= TARGET_BYTES else 1


def _fill(models: Path, files: int) -> list[str]:
    """Write the files; return the paths that should be listed."""
    from tests.hostile_files import HOSTILE  # noqa: PLC0415 (the processes that measure need it not)

    names, paths = list(HOSTILE), list[str]()
    for number in range(files):
        folder = models / f"{number // 100}" / f"{number:04}"
        folder.mkdir(parents=True)
        paths.append(str(HOSTILE[names[number % len(names)]](folder)))
    return paths


def _measured(models: str, paths: str) -> dict[str, Any]:
    import resource  # noqa: PLC0415 (POSIX has it, and the files need POSIX, too)
    import time  # noqa: PLC0415

    from paintdiff.models.catalog.live_catalog import LiveCatalog  # noqa: PLC0415 (its import isn't measured)

    def peak(who: int) -> int:
        return 1024 * resource.getrusage(who).ru_maxrss

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        library = LiveCatalog([Path(models)], cache=Path(cache))
        problems = library.catalog().problems()
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    wanted = set(json.loads(Path(paths).read_text())) if paths else set[str]()
    result = {
        "seconds": seconds,
        "cpu": sum(each.ru_utime + each.ru_stime for each in used),
        "bytes": peak(resource.RUSAGE_SELF),
        "child_bytes": peak(resource.RUSAGE_CHILDREN),
        "listed": len(wanted & {str(each.path) for each in problems if each.reason}),
        "waiting": sum("wasn't looked at yet" in each.reason for each in problems),
    }
    from paintdiff import Engine, TextToImage  # noqa: PLC0415
    from paintdiff.models.manager.model_manager import ModelManager  # noqa: PLC0415

    with Engine(ModelManager(library, device="cpu")) as engine:
        request = TextToImage(prompt="a red sailboat", model="mini", num_inference_steps=4)
        return {**result, "pictures": len(engine.generate(request).pictures)}


if __name__ == "__main__":
    sys.exit(main())

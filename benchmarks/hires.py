"""Measures whether the hires fix helps: `python -m benchmarks.hires [--save FOLDER]`.

Paints held-out prompts with the embedded model at twice its native side: at once; at its native
side and then upscaled; and with a hires fix, for each given upscaler and strength. Prints for each
the share of the prompt that the judge finds (in the pictures reduced to the size it knows), the
seconds per picture, and the mean gradient (the amount of detail). Then it paints over a smooth ramp
at strength 0.67 through windows, and prints the seam figure: the mean gradient across the borders
of windows over that of the eight pixels on either side; 1 is seamless. For comparison, the same
with windows side by side.

Target: with the default settings the judge finds more than in pictures painted large at once, and
the seam figure is at most 1.05.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.images import resize_image
from paintdiff.jobs.request_parts import HiresFix, Upscaling
from paintdiff.jobs.requests import TextToImage
from paintdiff.mini.__main__ import JUDGE
from paintdiff.mini.evaluate import AskedPicture, contact_sheet, list_held_out_prompts, score
from paintdiff.mini.networks.judge import Judge, load_judge
from paintdiff.mini.recipe import DEFAULT_RECIPE, read_recipe
from paintdiff.models.inference.denoising_run import Denoising, Source
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.tiling.windows import MODEL_OVERLAP, cover_with_windows

SCALE = 2


def main() -> int:
    """Run it. Returns 1 if the default settings miss the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--upscaler", action="append", help="repeatable; usual: the first there is")
    parser.add_argument("--strength", type=float, action="append", help="repeatable")
    parser.add_argument("--untiled", action="store_true", help="the second pass as a whole, too")
    parser.add_argument("--save", type=Path, help="a folder for sheets of the pictures")
    options = parser.parse_args()
    judge = load_judge(JUDGE)
    recipe = read_recipe(DEFAULT_RECIPE)
    asked = list(islice(list_held_out_prompts(recipe, frozenset(judge.labels)), options.prompts))
    usual = HiresFix(scale=SCALE)
    ways: dict[str, HiresFix | Upscaling | None] = {"at once": None}
    ways["upscaled"] = Upscaling(scale=SCALE)
    for upscaler in options.upscaler or [usual.upscaler]:
        for strength in options.strength or [usual.strength]:
            for tiled in (True, False) if options.untiled else (True,):
                name = f"hires {upscaler or 'usual'} {strength or 'usual'}"
                name += "" if tiled else " untiled"
                ways[name] = usual.model_copy(
                    update={"upscaler": upscaler, "strength": strength, "tiled": tiled}
                )
    rows: dict[str, dict[str, float]] = {}
    with Engine(ModelManager(device="cpu")) as engine:
        for name, way in ways.items():
            pictures, seconds = painted(engine, asked, way)
            rows[name] = figures(engine, asked, judge, pictures) | {"seconds": round(seconds, 2)}
            print(name, json.dumps(rows[name]), flush=True)
            if options.save is not None:
                options.save.mkdir(parents=True, exist_ok=True)
                sheet = contact_sheet(pictures[:12], 4)
                sheet.save(options.save / f"{name.replace(' ', '-')}.png")
        blended, apart = (seam_figure(engine.manager, each) for each in (MODEL_OVERLAP, 0.0))
        print("seams", json.dumps({"blended": blended, "side by side": apart}))
    at_once, _upscaled, *others = rows.values()
    fine = all(row["judged"] > at_once["judged"] for row in others) and blended <= 1.05
    return 0 if fine else 1


def painted(
    engine: Engine, asked: list[AskedPicture], way: HiresFix | Upscaling | None
) -> tuple[NDArray[np.uint8], float]:
    """Paint pictures, (number, side, side, 3), RGB; also return the mean seconds per picture."""
    native = engine.manager.catalog.find(ModelRow, "mini").native_size
    scale = SCALE if way is None else 1
    pictures: list[NDArray[np.uint8]] = []
    started = time.perf_counter()
    for number, picture in enumerate(asked):
        request = TextToImage(
            prompt=picture.prompt,
            seed=number,
            width=native.width * scale,
            height=native.height * scale,
            hires=way if isinstance(way, HiresFix) else None,
            upscaling=way if isinstance(way, Upscaling) else None,
        )
        pictures.append(np.asarray(engine.generate(request).pictures[0].image))
    return np.stack(pictures), (time.perf_counter() - started) / len(asked)


def figures(
    engine: Engine, asked: list[AskedPicture], judge: Judge, pictures: NDArray[np.uint8]
) -> dict[str, float]:
    """Return what the judge finds, and the gradients."""
    model = engine.manager.catalog.find(ModelRow, "mini")
    small = iter(reduced(pictures, model.native_size))

    def in_order(some: list[AskedPicture]) -> NDArray[np.uint8]:
        return np.stack(list(islice(small, len(some))))

    steps = [np.abs(np.diff(pictures.astype(float), axis=axis)).mean() for axis in (1, 2)]
    return {
        "judged": round(score(asked, judge, in_order).overall, 4),
        "gradient": round(float(np.mean(steps)), 2),
    }


def seam_figure(manager: ModelManager, overlap: float) -> float:
    """Return the seam figure of ramps painted over with noise of eight seeds."""
    ramp = Image.linear_gradient("L").convert("RGB")
    size = Size(ramp.width, ramp.height)
    found: list[float] = []
    with manager.lease("mini", "image_to_image") as leased:
        native = leased.row.native_size
        windows = cover_with_windows(size, native, leased.row.family.size_multiple, overlap)
        lines = sorted({edge for box in windows for edge in (box.left, box.right)})[1:-1]
        for seed in range(8):
            source = Source(ramp, 0.67)
            run = Denoising("", "", size, 20, 4.0, "DDIM", seed, source=source, windows=windows)
            pixels = np.asarray(leased.decode(leased.denoise(run, lambda _step, _preview: None)))
            for axis in (0, 1):
                across = np.abs(np.diff(pixels.astype(float), axis=axis)).mean(axis=(1 - axis, 2))
                at = np.mean([across[line - 1] for line in lines])
                near = [np.delete(across[line - 9 : line + 8], 8).mean() for line in lines]
                found.append(float(at / np.mean(near)))
    return round(float(np.mean(found)), 3)


def reduced(pictures: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Resample the pictures to a size."""
    each = (resize_image(Image.fromarray(one), size, "stretch", "#000000") for one in pictures)
    return np.stack([np.asarray(one) for one in each])


if __name__ == "__main__":
    raise SystemExit(main())

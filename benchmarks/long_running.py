"""Measures whether a long-running process grows: `python -m benchmarks long_running --jobs 400`.

Runs jobs of all kinds, sizes and samplers with `mini` in one process. Every 20 jobs it prints the
process's own memory (RssAnon), the used and the free memory of the C allocator, and the number of
Python objects. Growth counts from the hundredth job, when every code path has run and the cache of
read prompts (small for this purpose) is full. `--record` appends to RESULTS.md. Target: 50 MiB at
most.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import itertools
import random
import sys
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from benchmarks.memory import own_bytes
from paintdiff.engine.engine import Engine
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import ControlInput, HiresFix, Upscaling
from paintdiff.jobs.requests import ImageToImage, Inpaint, Request, TextToImage, Upscale
from paintdiff.models.manager.model_manager import ModelManager

TARGET_BYTES = 50 * 2**20
COUNTED_FROM = 100
PROMPTS_BYTES = 4 * 2**20
_EVERY = 20
_MIB = 2**20
_SIDES_PX = (128, 192, 256, 320)
_SAMPLERS = ("DPM++ 2M Karras", "Euler a", "DDIM", "Heun", "UniPC")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it. Returns 1 if the process grew by more than the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--profile", default="exact", help="exact, fast or turbo")
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    options = parser.parse_args(arguments)
    lines = [
        "| jobs | own memory | in use | free | objects |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    held: dict[int, int] = {}
    with Engine(ModelManager(device="cpu", prompt_cache_bytes=PROMPTS_BYTES)) as engine:
        for number, request in enumerate(
            itertools.islice(_requests(options.profile), options.jobs), 1
        ):
            engine.generate(request)
            if number % _EVERY == 0:
                held[number] = own_bytes()
                lines.append(_line(number, held[number]))
                print(lines[-1], flush=True)
    first = min((each for each in held if each >= COUNTED_FROM), default=max(held))
    grown = max(held[each] for each in held if each >= first) - held[first]
    lines.append("")
    lines.append(f"From job {first} on it grew by at most {grown / _MIB:.0f} MiB.")
    print(lines[-1])
    if options.record:
        from benchmarks.reporting import recorded  # noqa: PLC0415 (imports torch)

        command = f"python -m benchmarks long_running --jobs {options.jobs}"
        recorded("A process that runs for long", command, "cpu", "\n".join(lines))
    return 0 if grown <= TARGET_BYTES else 1


def _line(number: int, own: int) -> str:
    gc.collect()
    used, free = _allocator()
    sizes = " | ".join(f"{each / _MIB:.0f} MiB" for each in (own, used, free))
    return f"| {number} | {sizes} | {len(gc.get_objects())} |"


class _MallInfo(ctypes.Structure):
    """glibc's `mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _allocator() -> tuple[int, int]:
    """Return the used and the free bytes of glibc's allocator, 0 with another one."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return 0, 0
    mallinfo.restype = _MallInfo
    found = mallinfo()
    return found.uordblks + found.hblkhd, found.fordblks


def _requests(profile: str) -> Iterator[Request]:
    """Yield an endless, reproducible sequence of jobs."""
    chance = random.Random(0)
    for number in itertools.count():
        size = Size(chance.choice(_SIDES_PX), chance.choice(_SIDES_PX))
        settings: dict[str, object] = {
            "prompt": f"a {chance.choice(('red', 'blue', 'green'))} house {number}",
            "num_inference_steps": chance.randint(2, 6),
            "guidance_scale": chance.choice((1.0, 4.0)),
            "sampler": chance.choice(_SAMPLERS),
            "seed": number,
            "width": size.width,
            "height": size.height,
            "profile": profile,
        }
        yield _request(number % 8, settings, size)


def _request(kind: int, settings: dict[str, object], size: Size) -> Request:
    image = _picture(size, int(str(settings["seed"])))
    match kind:
        case 0 | 1:
            return TextToImage.parse({**settings, "num_images": 1 + kind})
        case 2:
            return TextToImage.parse({**settings, "hires": HiresFix(scale=1.5)})
        case 3:
            return TextToImage.parse({**settings, "upscaling": Upscaling(scale=2)})
        case 4:
            return ImageToImage.parse({**settings, "image": image})
        case 5:
            mask = InputImage.from_image(Image.new("L", (size.width, size.height), 255))
            return Inpaint.parse({**settings, "image": image, "mask": mask, "only_masked": True})
        case 6:
            control = ControlInput(image=image, preprocessor="canny")
            return TextToImage.parse({**settings, "controls": (control,)})
        case _:
            return Upscale(images=(image,), upscaling=Upscaling(scale=4))


def _picture(size: Size, seed: int) -> InputImage:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    image = Image.fromarray(small).resize((size.width, size.height), Image.Resampling.BICUBIC)
    return InputImage.from_image(image)


if __name__ == "__main__":
    sys.exit(main())

"""Measures switching between tasks on one model: `python -m benchmarks.switching_tasks`.

Paints like each of the four tabs in turn, three rounds, in one process and one engine, and prints
which jobs loaded weights and the process's resident memory after each picture. Target: the model
and the ControlNet are loaded once each, and memory stays constant from the second round on.
"""

from __future__ import annotations

import argparse
import json

from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.jobs.events import Loading
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import ControlInput
from paintdiff.jobs.requests import ImageToImage, Inpaint, Request, TextToImage
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory.usage import measure_memory
from paintdiff.models.registry.model_rows import ModelRow

ROUNDS = 3


def main() -> int:
    """Run it. Returns 1 if weights were loaded more often than once each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    model = parser.parse_args().model
    rows: list[dict[str, object]] = []
    loads: list[str] = []
    with Engine(ModelManager(device="cpu")) as engine:
        size = engine.manager.catalog.find(ModelRow, model).native_size
        picture = InputImage.from_image(Image.new("RGB", (size.width, size.height), "seagreen"))
        mask = Image.new("L", (size.width, size.height))
        mask.paste(255, (0, 0, size.width // 2, size.height // 2))
        settings = {"prompt": "a red house", "model": model, "quality": "fast", "seed": 1}
        inpaint = {**settings, "image": picture, "mask": InputImage.from_image(mask)}
        controls = (ControlInput(image=picture, preprocessor="canny"),)
        requests: dict[str, Request] = {
            "text to image": TextToImage.parse(settings),
            "image to image": ImageToImage.parse({**settings, "image": picture}),
            "inpaint": Inpaint.parse(inpaint),
            "ControlNet": TextToImage.parse({**settings, "controls": controls}),
        }
        for number in range(1, ROUNDS + 1):
            for name, request in requests.items():
                job = engine.submit(request)
                if any(isinstance(event, Loading) for event in job.events()):
                    loads.append(name)
                job.result()
                used = measure_memory("cpu").used_bytes
                rows.append({"round": number, "tab": name, "MiB": used // 2**20})
    print(json.dumps({"loaded_in": loads, "after": rows}, indent=2))
    return int(loads != ["text to image", "ControlNet"])


if __name__ == "__main__":
    raise SystemExit(main())

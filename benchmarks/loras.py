"""Measures applying LoRAs to SDXL, switching and removing them: `python -m benchmarks loras`.

The UNet and both text encoders have SDXL's full size and unwritten weights, so they take hardly any
memory; nothing is painted. Each LoRA covers all linear layers of attention blocks (722 in the UNet,
264 in the text encoders) in the format of kohya's scripts, with a rank and an alpha of its own for
every layer. Measured are the wall and CPU seconds to

- apply the first, switch to the second, apply both, and remove them;
- end when the job is cancelled while a LoRA is being applied, and whether the model is then
  unchanged.

With `--dora` the LoRAs are DoRAs, with magnitudes of each layer's rows. Their norms need the
weights, so these are written and take 7 GB.

Targets: under 4 s for each LoRA, 8 s for each DoRA, and a second after cancelling.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from accelerate import init_empty_weights
from safetensors.torch import save_file

from benchmarks.reporting import recorded, table
from paintdiff.config.presets import presets_folder
from paintdiff.errors import JobCancelledError
from paintdiff.models.adapters.applied import AppliedAdapters, Sources
from paintdiff.models.adapters.specs import NO_ADAPTERS, Adapters, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.loading.pipelines import LoadedModel
from paintdiff.models.registry.adapter_rows import LoraRow
from paintdiff.models.registry.model_rows import ModelRow

RANKS = (4, 64)
"""The smallest and the largest."""

_ENDS = ("proj_in", "proj_out", "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")
_TEXT_ENDS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
_PREFIXES = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
_TARGET_SECONDS = {"LoRA": 4.0, "DoRA": 8.0}
_CANCELLED_SECONDS = 1.0


def main() -> int:
    """Run it. Returns 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    parser.add_argument("--dora", action="store_true", help="measure DoRAs")
    options = parser.parse_args()
    components = _components()
    if options.dora:
        _write_weights(components)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            _lora(components, Path(folder, f"{name}.safetensors"), is_dora=options.dora)
            for name in ("one", "two")
        ]
        target = _TARGET_SECONDS["DoRA" if options.dora else "LoRA"]
        measured = _measured(components, {row.name: row for row in rows}, target)
    text = table([{"what": what, **figures} for what, figures, _good in measured])
    print(text)
    if options.record:
        command = shlex.join(["python", "-m", "benchmarks", "loras", *sys.argv[1:]])
        recorded("Applying LoRAs to SDXL", command, "cpu", text)
    return int(not all(good for _what, _figures, good in measured))


def _components() -> dict[str, Any]:
    config = presets_folder() / "configs" / "sdxl"

    def settings(part: str) -> dict[str, Any]:
        return json.loads((config / part / "config.json").read_text(encoding="utf-8"))

    def text_config(part: str) -> transformers.CLIPTextConfig:
        return transformers.CLIPTextConfig.from_dict(settings(part))

    with init_empty_weights():
        parts: dict[str, Any] = {
            "unet": diffusers.UNet2DConditionModel.from_config(settings("unet")),
            "text_encoder": transformers.CLIPTextModel(text_config("text_encoder")),
            "text_encoder_2": transformers.CLIPTextModelWithProjection(
                text_config("text_encoder_2")
            ),
        }
    return {name: part.to(torch.bfloat16).to_empty(device="cpu") for name, part in parts.items()}


def _write_weights(components: dict[str, Any]) -> None:
    numbers = torch.randn(2**20)
    for part in components.values():
        for parameter in part.parameters():
            for piece in parameter.data.view(-1).split(len(numbers)):
                piece.copy_(numbers[: len(piece)])


def _lora(components: dict[str, Any], path: Path, *, is_dora: bool) -> LoraRow:
    numbers = random.Random(path.stem)
    tensors: dict[str, torch.Tensor] = {}
    for component, prefix in _PREFIXES.items():
        for name, layer in components[component].named_modules():
            ends = _ENDS if component == "unet" else _TEXT_ENDS
            if not isinstance(layer, torch.nn.Linear) or not name.endswith(ends):
                continue
            inner = name.removeprefix("text_model.")
            spelled = name if component == "unet" else f"text_model.{inner}"
            stem = f"{prefix}_{spelled.replace('.', '_')}"
            rank = numbers.randint(*RANKS)
            down = torch.randn(rank, layer.in_features, dtype=torch.float16)
            up = torch.randn(layer.out_features, rank, dtype=torch.float16)
            tensors[f"{stem}.lora_down.weight"], tensors[f"{stem}.lora_up.weight"] = down, up
            tensors[f"{stem}.alpha"] = torch.tensor(numbers.uniform(1, rank))
            if is_dora:
                tensors[f"{stem}.dora_scale"] = torch.rand(layer.out_features, 1) + 1
    save_file(tensors, path)
    return LoraRow(name=path.stem, title=path.stem, source=str(path))


def _measured(
    components: dict[str, Any], rows: dict[str, LoraRow], target_seconds: float
) -> list[tuple[str, dict[str, str], bool]]:
    adapting = AppliedAdapters(_loaded(components))
    measured: list[tuple[str, dict[str, str], bool]] = []

    def timed(what: str, names: tuple[str, ...]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        _adapt(adapting, names, rows, lambda _message: None)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        figures = {"seconds": f"{wall:.2f}", "of the processor": f"{cpu:.2f}"}
        measured.append((what, figures, cpu < target_seconds))

    timed("the first LoRA", ("one",))
    timed("another instead", ("two",))
    timed("both", ("one", "two"))
    timed("none again", ())
    timed("the first once more", ("one",))
    timed("none again", ())
    measured.append(_cancelled(components, adapting, rows))
    return measured


def _loaded(components: dict[str, Any]) -> LoadedModel:
    family = Catalog.default().families()["sdxl"]
    row = ModelRow(
        name="sdxl",
        title="SDXL",
        source="sdxl",
        family=family,
        native_size=family.native_size,
        sizes=family.sizes,
        sampler=family.sampler,
        quality={},
    )
    return LoadedModel(row, components, None, None, "", 0, torch.device("cpu"))


def _adapt(
    adapting: AppliedAdapters,
    names: tuple[str, ...],
    rows: dict[str, LoraRow],
    on_waiting: Callable[[str], None],
) -> None:
    wanted = Adapters(loras=tuple(LoraUse(name) for name in names)) if names else NO_ADAPTERS
    sources = Sources(loras={name: rows[name] for name in names})
    with adapting.apply(wanted, sources, on_waiting=on_waiting):
        pass


def _cancelled(
    components: dict[str, Any], adapting: AppliedAdapters, rows: dict[str, LoraRow]
) -> tuple[str, dict[str, str], bool]:
    """Cancel at ten moments.

    Return the longest time until the wait ended, and between two calls of `on_waiting`.
    """
    before = {name: [*part.named_modules()] for name, part in components.items()}
    longest, late = 0.0, 0.0
    for number in range(10):
        began = last = time.perf_counter()
        at = began + 0.2 * number
        gaps: list[float] = []

        def note_wait(_message: str, at: float = at, gaps: list[float] = gaps) -> None:
            nonlocal last
            now = time.perf_counter()
            gaps.append(now - last)
            last = now
            if now >= at:
                raise JobCancelledError

        try:
            _adapt(adapting, ("one",), rows, note_wait)
        except JobCancelledError:
            late = max(late, time.perf_counter() - max(at, began))
        longest = max(longest, *gaps, 0.0)
        _adapt(adapting, (), rows, lambda _message: None)
    same = before == {name: [*part.named_modules()] for name, part in components.items()}
    figures = {"seconds": f"{late:.2f}", "longest without a word": f"{longest:.2f}"}
    what = "cancelled meanwhile; the model is " + ("as it was" if same else "CHANGED")
    return what, figures, same and late < _CANCELLED_SECONDS


if __name__ == "__main__":
    sys.exit(main())

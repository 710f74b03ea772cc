"""Measures how long listing a models folder takes: `python -m benchmarks.library`.

Makes a folder of 2,000 sparse weight files with realistic headers: 300 Stable Diffusion 1.5
checkpoints of about 1,100 tensors, 1,400 LoRAs in the format of kohya's programs (about 800
  tensors,
with training metadata), 300 embeddings. Then it measures, each in a fresh process:
- cold: nothing is known of the files;
- warm: a second start, with the first one's cache (target: 1 s);

both also in CPU seconds, which other programs' work doesn't stretch; and in one process the time to
scan again when nothing has changed, and when one file was added. The files are in the system's
cache, as they were just written.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TARGET_SECONDS = 1.0

MEASURE = """
import sys, time
from pathlib import Path
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow
from paintdiff.models.registry.model_rows import ModelRow
started, worked = time.perf_counter(), time.process_time()
catalog = LiveCatalog([Path(sys.argv[1])], cache=Path(sys.argv[2])).catalog()
print(time.perf_counter() - started, time.process_time() - worked)
count = sum(len(catalog.rows(kind)) for kind in (ModelRow, LoraRow, EmbeddingRow))
assert count > int(sys.argv[3])
assert catalog.problems() == (), catalog.problems()[:3]
assert "torch" not in sys.modules
"""
AGAIN = """
import sys, time
from pathlib import Path
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.registry.adapter_rows import LoraRow
folder = Path(sys.argv[1])
library = LiveCatalog([folder], cache=Path(sys.argv[2]))
count = len(library.catalog().rows(LoraRow))
started = time.perf_counter()
library.rescan()
same = time.perf_counter()
(folder / "Lora" / "new.safetensors").write_bytes((folder / "Lora" / "0.safetensors").read_bytes())
import os
os.truncate(folder / "Lora" / "new.safetensors", (folder / "Lora" / "0.safetensors").stat().st_size)
written = time.perf_counter()
assert len(library.rescan().rows(LoraRow)) == count + 1
print(same - started, time.perf_counter() - written)
(folder / "Lora" / "new.safetensors").unlink()
"""


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        size_bytes = _fill(models, options.files)
        print(f"{options.files} files, headers of {size_bytes / 1e6:.0f} MB in all")
        warm: list[list[float]] = []
        cold: list[list[float]] = []
        for run in range(options.runs):
            cache = Path(folder) / f"cache-{run}"
            cold.append(_seconds(MEASURE, models, cache, options.files))
            warm.append(_seconds(MEASURE, models, cache, options.files))
        cache = Path(folder) / "cache-0"
        again = [_seconds(AGAIN, models, cache, options.files) for _ in range(options.runs)]
    for name, seconds in (
        ("cold", [each[0] for each in cold]),
        ("cold, of the processor", [each[1] for each in cold]),
        ("warm", [each[0] for each in warm]),
        ("warm, of the processor", [each[1] for each in warm]),
        ("looked at again, nothing new", [each[0] for each in again]),
        ("looked at again, one new file", [each[1] for each in again]),
    ):
        middle = statistics.median(seconds)
        print(f"{name}: median {middle:.3f} s ({min(seconds):.3f} to {max(seconds):.3f})")
    return 0 if statistics.median(each[0] for each in warm) <= TARGET_SECONDS else 1


def _seconds(code: str, models: Path, cache: Path, files: int) -> list[float]:
    command = [sys.executable, "-c", code, str(models), str(cache), str(files)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(each) for each in done.stdout.split()]


def _fill(models: Path, files: int) -> int:
    """Write the files; return the size of all their headers."""
    checkpoints, embeddings = files * 3 // 20, files * 3 // 20
    written = 0
    for folder, count, header in (
        ("Stable-diffusion", checkpoints, _header(dict(_checkpoint()))),
        ("Lora", files - checkpoints - embeddings, _header(dict(_lora()), _notes())),
        ("embeddings", embeddings, _header({"emb_params": (8, 768)})),
    ):
        (models / folder).mkdir(parents=True)
        text, size_bytes = header
        for number in range(count):
            with (models / folder / f"{number}.safetensors").open("wb") as file:
                file.write(text)
                file.truncate(size_bytes)
            written += len(text)
    return written


def _header(
    shapes: dict[str, tuple[int, ...]], notes: dict[str, str] | None = None
) -> tuple[bytes, int]:
    content: dict[str, object] = {"__metadata__": {"format": "pt", **(notes or {})}}
    end = 0
    for name, shape in shapes.items():
        count = 1
        for side in shape:
            count *= side
        content[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + 2 * count]}
        end += 2 * count
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, 8 + len(text) + end


def _checkpoint() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield a checkpoint's tensors: UNet, VAE and text encoder in the original layout."""
    yield from _unet()
    yield from _autoencoder()
    yield from _text_encoder()


def _unet() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.diffusion_model.input_blocks.0.0.weight", (320, 4, 3, 3)
    yield "model.diffusion_model.time_embed.0.weight", (1280, 320)
    yield "model.diffusion_model.out.2.weight", (4, 320, 3, 3)
    for block in (
        *(f"input_blocks.{i}" for i in range(1, 12)),
        *(f"output_blocks.{i}" for i in range(12)),
    ):
        for part in ("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"):
            yield f"model.diffusion_model.{block}.0.{part}.weight", (320, 320)
            yield f"model.diffusion_model.{block}.0.{part}.bias", (320,)
        inner = f"model.diffusion_model.{block}.1.transformer_blocks.0"
        for attention, width in (("attn1", 320), ("attn2", 768)):
            for part in ("to_q", "to_k", "to_v", "to_out.0"):
                yield f"{inner}.{attention}.{part}.weight", (320, width)
        for part in ("ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3"):
            yield f"{inner}.{part}.weight", (320,)
            yield f"{inner}.{part}.bias", (320,)


def _autoencoder() -> Iterator[tuple[str, tuple[int, ...]]]:
    for side in ("encoder", "decoder"):
        yield f"first_stage_model.{side}.conv_in.weight", (512, 4, 3, 3)
        for level in range(4):
            for block in range(3):
                for part in ("norm1", "conv1", "norm2", "conv2"):
                    inner = f"first_stage_model.{side}.up.{level}.block.{block}.{part}"
                    yield f"{inner}.weight", (512, 512)
                    yield f"{inner}.bias", (512,)


def _text_encoder() -> Iterator[tuple[str, tuple[int, ...]]]:
    for layer in range(12):
        for part in (
            *(f"self_attn.{each}_proj" for each in ("k", "v", "q", "out")),
            *("layer_norm1", "mlp.fc1", "mlp.fc2", "layer_norm2"),
        ):
            inner = f"cond_stage_model.transformer.text_model.encoder.layers.{layer}.{part}"
            yield f"{inner}.weight", (768, 768)
            yield f"{inner}.bias", (768,)


def _lora() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield a LoRA's tensors, as kohya's programs write them for Stable Diffusion 1.x."""
    modules = [
        f"lora_te_text_model_encoder_layers_{layer}_{part}"
        for layer in range(12)
        for part in ("mlp_fc1", "mlp_fc2", *(f"self_attn_{each}_proj" for each in "kvq"))
    ]
    modules += [
        f"lora_unet_{block}_attentions_{index}_transformer_blocks_0_{attention}_{part}"
        for block in (
            *(f"down_blocks_{i}" for i in range(3)),
            *(f"up_blocks_{i}" for i in range(1, 4)),
        )
        for index in range(4)
        for attention in ("attn1", "attn2")
        for part in ("to_q", "to_k", "to_v", "to_out_0")
    ]
    for module in modules:
        width = 768 if "attn2_to_k" in module or "attn2_to_v" in module else 320
        yield f"{module}.alpha", ()
        yield f"{module}.lora_down.weight", (32, width)
        yield f"{module}.lora_up.weight", (320, 32)


def _notes() -> dict[str, str]:
    tags = {f"tag number {number}": 1000 - number for number in range(300)}
    return {
        "ss_base_model_version": "sd_v1",
        "ss_tag_frequency": json.dumps({"10_someone": tags}),
        **{f"ss_setting_{number}": str(number) for number in range(60)},
    }


if __name__ == "__main__":
    sys.exit(main())

"""Placement of weights on a pretended GPU: it computes on the CPU, and an operation that mixes
devices fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from paintdiff.engine.engine import Engine
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import ControlInput, FreeU, HiresFix, Upscaling
from paintdiff.jobs.requests import ImageToImage, Inpaint, Request, TextToImage, Upscale
from paintdiff.models.adapters.specs import NO_ADAPTERS, Adapters, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import usage
from paintdiff.models.memory.plans import USUAL_PLAN, Placement, Plan
from paintdiff.models.registry.model_rows import ModelRow
from tests import adapter_files as files
from tests.pictures import png_of
from tests.pretended_gpu import GPU, Remote, pretended_gpu

GIB = 2**30
RUN = Denoising("a red house", "", Size(64, 64), 2, 5.0, "Euler", seed=3)


def test_it_tells_what_mixes_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch, free_bytes=GIB):
        layer = torch.nn.Linear(3, 2)
        expected = layer(torch.ones(1, 3))
        layer.to("cuda")
        assert layer.weight.device == GPU and isinstance(layer.weight, Remote)
        assert torch.equal(layer(torch.ones(1, 3, device="cuda")).cpu(), expected)
        with pytest.raises(RuntimeError, match="same device"):
            layer(torch.ones(1, 3))
        layer.to("cpu")
        assert torch.equal(layer(torch.ones(1, 3)), expected)


def painted(
    manager: ModelManager, plan: Plan = USUAL_PLAN, adapters: Adapters = NO_ADAPTERS
) -> NDArray[np.uint8]:
    with manager.lease("mini", plan=plan, adapters=adapters) as leased:
        latents = leased.denoise(RUN, lambda _step, _preview: None)
        return np.asarray(leased.decode(latents))


@pytest.mark.parametrize("placement", ["resident", "encoders", "models", "groups", "leaves"])
def test_every_placement_has_together_what_belongs_together(
    placement: Placement, tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cpu = painted(ModelManager(tiny_catalog, device="cpu"))
    with pretended_gpu(monkeypatch, free_bytes=4 * GIB):
        manager = ModelManager(tiny_catalog, device="cuda", dtype="float32")
        placed, resident = painted(manager, Plan(placement)), painted(manager)
    assert np.array_equal(placed, resident)
    assert np.abs(resident.astype(int) - on_cpu).max() <= 1, "attention is summed in another order"


@pytest.mark.parametrize("placement", ["resident", "encoders", "models", "groups", "leaves"])
def test_every_placement_has_together_what_adapters_add(
    placement: Placement, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelManager(tiny_catalog, device="cpu").lease("mini") as leased:
        parts = leased.pipeline.components
    layers = files.lora_layers(parts)
    for name in ("rows", "columns"):
        magnitudes = files.magnitudes_of(parts, layers, of_inputs=name == "columns")
        tensors = files.in_kohya_dora_keys(layers, magnitudes)
        files.saved(tmp_path / f"{name}.safetensors", tensors)
    rows = tuple(files.lora_row(path) for path in sorted(tmp_path.iterdir()))
    catalog = files.with_adapters(tiny_catalog, loras=rows)
    both = Adapters(loras=tuple(LoraUse(row.name, 0.5, 0.5) for row in rows))
    on_cpu = painted(ModelManager(catalog, device="cpu"), adapters=both)
    with pretended_gpu(monkeypatch, free_bytes=4 * GIB):
        manager = ModelManager(catalog, device="cuda", dtype="float32")
        before = painted(manager)
        placed = painted(manager, Plan(placement), both)
        resident, after = painted(manager, adapters=both), painted(manager)
    assert np.array_equal(placed, resident) and np.array_equal(before, after)
    assert np.abs(resident.astype(int) - on_cpu).max() <= 1
    assert np.abs(resident.astype(int) - before).max() > 1


def drawn(mode: str, box: tuple[int, int, int, int], ground: str, ink: str) -> InputImage:
    picture = Image.new(mode, (64, 64), ground)
    ImageDraw.Draw(picture).rectangle(box, fill=ink)
    return InputImage(data=png_of(picture))


HOUSE = drawn("RGB", (20, 30, 45, 55), "#88bbee", "#cc3333")
MASK = drawn("L", (16, 16, 48, 60), "black", "white")
ASKED: dict[str, Any] = {
    "prompt": "a red house",
    "width": 64,
    "height": 64,
    "num_inference_steps": 4,
    "seed": 3,
}
REQUESTS: dict[str, Request] = {
    "several": TextToImage(**ASKED, num_images=2, variation_strength=0.3),
    "fast": TextToImage(**ASKED, profile="fast"),
    "turbo": TextToImage(**ASKED, profile="turbo"),
    "free u": TextToImage(**ASKED, free_u=FreeU()),
    "hires": TextToImage(**ASKED, hires=HiresFix(scale=1.5, strength=0.6)),
    "hires, latents": TextToImage(**ASKED, hires=HiresFix(scale=1.5, upscaler="latent")),
    "hires, tiled": TextToImage(**ASKED, hires=HiresFix(scale=2, tiled=True)),
    "enlarged": TextToImage(**ASKED, upscaling=Upscaling(scale=2)),
    "controlled": TextToImage(
        **ASKED, controls=(ControlInput(image=HOUSE, preprocessor="canny"),) * 2
    ),
    "image to image": ImageToImage(**ASKED, image=HOUSE, strength=0.6, loopback=2),
    "inpaint": Inpaint(**ASKED, image=HOUSE, mask=MASK, soft=True),
    "inpaint, noise": Inpaint(**ASKED, image=HOUSE, mask=MASK, masked_content="noise"),
    "upscale": Upscale(images=(HOUSE,), upscaling=Upscaling(scale=2)),
}


def test_every_kind_of_run_has_together_what_belongs_together(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pretended_gpu(monkeypatch, free_bytes=4 * GIB),
        Engine(ModelManager(tiny_catalog, device="cuda")) as engine,
    ):
        for name, request in REQUESTS.items():
            pictures = engine.generate(request).pictures
            assert np.asarray(pictures[-1].image).std() > 0, name
        assert engine.status().device == "cuda"
        assert engine.status().memory_total_bytes == 8 * GIB
        for name in tiny_catalog.find(ModelRow, "mini").family.sampler_names():
            assert engine.generate(TextToImage(**ASKED, sampler=name)).pictures


def test_it_has_only_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch, free_bytes=2**20) as gpu:
        layer = torch.nn.Linear(256, 256, bias=False)
        weight = layer.weight
        layer.to("cuda")
        assert layer.weight is weight, "a parameter that moves stays the same object"
        assert gpu.allocated_bytes == 2**18
        assert torch.cuda.mem_get_info()[0] == 2**20 - 2**18
        view = layer.weight[:2]
        assert view.device == GPU and gpu.allocated_bytes == 2**18, "a view takes nothing"
        with pytest.raises(torch.OutOfMemoryError):
            torch.ones(512, 512, device="cuda")
        del view
        layer.to("cpu")
        assert layer.weight is weight
        assert gpu.allocated_bytes == 0
        assert torch.cuda.mem_get_info()[0] == 2**20 - 2**18, "torch keeps it"
        torch.cuda.empty_cache()
        torch.ones(512, 512, device="cuda")
        gpu.others_bytes = gpu.total_bytes
        torch.cuda.empty_cache()
        assert torch.cuda.mem_get_info()[0] == 0


def test_each_placement_takes_less_of_the_gpu(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretended_gpu(monkeypatch, free_bytes=4 * GIB) as gpu:
        manager = ModelManager(tiny_catalog, device="cuda", dtype="float32", prompt_cache_bytes=0)
        peaks: list[int] = []
        for placement in ("resident", "models", "groups", "leaves"):
            painted(manager, Plan(placement))  # what came before has left
            gpu.start_peak()
            painted(manager, Plan(placement))
            peaks.append(gpu.peak_bytes)
        assert peaks == sorted(peaks, reverse=True) and len(set(peaks)) == 4
        painted(manager, Plan("leaves"))
        (held,) = manager.cache.loaded()
        assert gpu.allocated_bytes < held.weights_bytes


def test_what_is_on_the_gpu_is_not_moved_there_again(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    original = torch.nn.Module.to

    def to(module: torch.nn.Module, *args: Any, **options: Any) -> torch.nn.Module:
        moved.append(type(module).__name__)
        return original(module, *args, **options)

    with pretended_gpu(monkeypatch, free_bytes=4 * GIB):
        manager = ModelManager(tiny_catalog, device="cuda", dtype="float32", prompt_cache_bytes=0)
        painted(manager, Plan("models"))
        monkeypatch.setattr(torch.nn.Module, "to", to)
        painted(manager, Plan("models"))
    # Two steps: it comes once, and leaves once.
    assert moved.count("UNet2DConditionModel") == 2


def test_weights_are_pinned_only_where_there_is_memory_to_spare(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretended_gpu(monkeypatch, free_bytes=4 * GIB) as gpu:
        manager = ModelManager(tiny_catalog, device="cuda", dtype="float32")
        monkeypatch.setattr(usage, "count_free_bytes", lambda: 2**20)
        unhurried = painted(manager, Plan("groups"))
        assert gpu.pinned_bytes == 0
        painted(manager)
        monkeypatch.setattr(usage, "count_free_bytes", lambda: 2**30)
        assert np.array_equal(painted(manager, Plan("groups")), unhurried)
        assert gpu.pinned_bytes > 0


def test_a_job_that_runs_out_of_memory_goes_on_by_another_plan(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, fails_at = 0, 0

    with (
        pretended_gpu(monkeypatch, free_bytes=4 * GIB) as gpu,
        Engine(ModelManager(tiny_catalog, device="cuda")) as engine,
    ):
        take = gpu.take

        def taking(count_bytes: int) -> None:
            nonlocal calls
            calls += 1
            if calls == fails_at:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            take(count_bytes)

        monkeypatch.setattr(gpu, "take", taking)
        request = TextToImage(**ASKED)
        engine.generate(request)
        calls = 0
        done = engine.generate(request)
        assert not done.warnings
        calls, fails_at = 0, calls // 2
        less = engine.generate(request)
        assert any("Memory ran out" in str(each) for each in less.warnings)
        assert len(less.pictures) == 1

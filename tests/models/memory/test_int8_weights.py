"""Weights in 8 bits: nearly the same picture, of a quarter of the memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import ControlInput, HiresFix
from paintdiff.jobs.requests import ImageToImage, Inpaint, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.formats.weight_files import list_weight_files
from paintdiff.models.inference.denoising_run import Denoising
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import int8_weights
from paintdiff.models.memory.int8_weights import is_int8, quantize_to_int8
from paintdiff.models.memory.plans import USUAL_PLAN, Plan
from paintdiff.models.memory.weight_sizes import measure_part_bytes
from paintdiff.models.registry.model_rows import ModelRow
from tests.pictures import png_of
from tests.tiny_families import SAVERS, save_tiny_family

PACKED = Plan(int8_weights=True)
HOUSE = InputImage(data=png_of(Image.effect_noise((64, 64), 90).convert("RGB")))
MASK = InputImage(data=png_of(Image.new("L", (64, 64), "white")))
ASKED: dict[str, Any] = {
    "prompt": "a red house",
    "width": 64,
    "height": 64,
    "num_inference_steps": 4,
    "seed": 3,
}


def bytes_of(network: torch.nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))


@pytest.mark.parametrize("layer", [torch.nn.Linear(96, 64), torch.nn.Conv2d(32, 48, 3)])
def test_a_weight_is_off_by_half_a_step_at_most(layer: torch.nn.Module) -> None:
    weight: torch.Tensor = layer.weight.detach().clone()  # pyright: ignore
    weight[3] *= 50  # a step is an output's own
    weight[5] = 0
    layer.load_state_dict({"weight": weight, "bias": layer.bias})
    before = bytes_of(layer)
    quantize_to_int8(layer, torch.float32)
    rows = weight.flatten(1)
    steps = rows.abs().amax(1, keepdim=True) / 127
    found: torch.Tensor = layer.weight  # pyright: ignore
    apart = (found.flatten(1) - rows).abs()
    assert (apart <= steps * 0.501).all()
    assert found.dtype == torch.float32 and found[5].eq(0).all()
    assert bytes_of(layer) < 0.29 * before
    kept = [tensor.clone() for tensor in layer.parameters()]
    quantize_to_int8(layer, torch.float32)
    assert all(map(torch.equal, kept, layer.parameters())), "once"


def test_what_is_small_or_computes_nothing_stays_as_it_is() -> None:
    network = torch.nn.ModuleList(
        [torch.nn.Linear(8, 8), torch.nn.Embedding(200, 64), torch.nn.LayerNorm(5000)]
    )
    before = {name: each.clone() for name, each in network.named_parameters()}
    quantize_to_int8(network, torch.float32)
    assert not is_int8(network)
    after = dict(network.named_parameters())
    assert all(torch.equal(after[name], each) for name, each in before.items())


def test_half_precision_goes_along() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.LayerNorm(64)).half()
    network.append(torch.nn.LayerNorm(64))  # in full precision for a reason
    quantize_to_int8(network, torch.bfloat16)
    found = {each.dtype for each in network.parameters()}
    assert found == {torch.int8, torch.bfloat16, torch.float32}


def mean_apart(one: Any, other: Any) -> float:
    sides = (np.asarray(each, float) for each in (one, other))
    return float(np.abs(np.subtract(*sides)).mean())


def test_mini_paints_nearly_the_same(mini_engine: Engine) -> None:
    asked = TextToImage(
        prompt="a red house on a green hill at night", num_inference_steps=8, seed=7
    )
    usual = mini_engine.generate(asked).pictures[0].image
    manager = ModelManager(Catalog.default(), device="cpu")
    with manager.lease("mini", plan=PACKED) as leased:
        assert is_int8(leased.pipeline.unet)
        assert is_int8(leased.pipeline.text_encoder)
        assert not is_int8(leased.pipeline.vae)
        assert leased.pipeline.unet.dtype == torch.float32
    (held,) = manager.cache.loaded()
    (whole,) = (each for each in mini_engine.manager.cache.loaded() if each.key == held.key)
    assert held.weights_bytes < 0.45 * whole.weights_bytes
    with pytest.MonkeyPatch.context() as patch, Engine(manager) as engine:
        patch.setattr("paintdiff.models.memory.plans._rungs", lambda _run, _device: [PACKED])
        finished = engine.generate(asked)
    assert 0 < mean_apart(finished.pictures[0].image, usual) < 1
    assert finished.warnings == ("To fit into memory, the settings were changed: 8-bit weights.",)


@pytest.fixture
def every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks have none that are worth it."""
    monkeypatch.setattr(int8_weights, "LEAST_NUMBERS", 1)


@pytest.mark.usefixtures("every_layer")
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", [name for name in SAVERS if name != "sdxl-refiner"])
def test_every_family_can(name: str, tmp_path: Path) -> None:
    save_tiny_family(name, tmp_path / name)
    family = "other" if name == "other" else None
    catalog = Catalog.default().with_source(str(tmp_path / name), family=family)
    model = catalog.rows(ModelRow)[-1]
    manager = ModelManager(catalog, device="cpu")
    run = Denoising("a red boat", "", Size(64, 64), 2, 3.0, model.sampler, seed=1)
    painted: list[torch.Tensor] = []
    held: list[int] = []
    for plan in (USUAL_PLAN, PACKED):
        with manager.lease(model.name, plan=plan) as leased:
            painted.append(leased.denoise(run, lambda _step, _preview: None))
        held.append(manager.cache.loaded()[0].weights_bytes)
    usual, packed = painted
    assert 0 < (usual - packed).abs().mean() < 0.1 * usual.std()
    assert held[1] < 0.75 * held[0]


REQUESTS = {
    "several, turbo": TextToImage(**ASKED, num_images=2, profile="turbo"),
    "fast": TextToImage(**ASKED, profile="fast"),
    "hires, tiled": TextToImage(**ASKED, hires=HiresFix(scale=2, tiled=True)),
    "controlled": TextToImage(**ASKED, controls=(ControlInput(image=HOUSE),)),
    "image to image": ImageToImage(**ASKED, image=HOUSE, strength=0.6),
    "inpaint": Inpaint(**ASKED, image=HOUSE, mask=MASK),
}


@pytest.mark.usefixtures("every_layer")
def test_every_kind_of_run_can(tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paintdiff.models.memory.plans._rungs", lambda _run, _device: [PACKED])
    manager = ModelManager(tiny_catalog, device="cpu")
    with Engine(manager) as engine:
        for name, request in REQUESTS.items():
            finished = engine.generate(request)
            assert np.asarray(finished.pictures[-1].image).std() > 0, name
            assert any("8-bit weights" in each for each in finished.warnings), name


def test_where_memory_is_short_a_model_is_packed_as_it_is_loaded(tmp_path: Path) -> None:
    """The budget is too small for the usual weights, and enough for packed ones."""
    catalog = Catalog.default()
    row = catalog.find(ModelRow, "mini")
    assert row.folder is not None
    whole = measure_part_bytes(list_weight_files(row.folder), 4)
    budget = whole.convert_to(PACKED).total + 60 * 2**20
    assert budget < whole.total + 40 * 2**20
    asked = TextToImage(prompt="a red house", num_inference_steps=2, seed=7)
    manager = ModelManager(catalog, device="cpu", memory_budget_bytes=budget)
    with Engine(manager) as engine:
        finished = engine.generate(asked)
        assert "8-bit weights" in finished.warnings[0]
        assert finished.pictures[0].image.size == (128, 128)
        held = manager.cache.loaded()[0].weights_bytes
        assert held == pytest.approx(whole.convert_to(PACKED).total, rel=0.05)

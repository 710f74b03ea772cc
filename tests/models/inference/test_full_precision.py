"""Results with NaN values in half precision are computed again in float32."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from paintdiff.engine.engine import Engine
from paintdiff.errors import NotFiniteError
from paintdiff.models.adapters.specs import Adapters
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.inference.full_precision import can_be_float32, run_in_float32
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import int8_weights
from paintdiff.models.memory.plans import Plan
from tests.job_helpers import QUICK, pixels
from tests.models.memory.test_on_a_gpu import RUN
from tests.pretended_gpu import pretended_gpu

HUGE = 6e4
"""Weights as large as this fit into float16, and what a layer makes of them doesn't; the norm that
follows makes up for it.
"""


@pytest.fixture
def half(tiny_catalog: Catalog) -> Iterator[Engine]:
    manager = ModelManager(tiny_catalog, device="cpu", dtype="float16")
    with Engine(manager) as engine:
        yield engine


def overflow(engine: Engine, part: str) -> torch.nn.Module:
    with engine.manager.lease("mini") as leased:
        network = getattr(leased.pipeline, part)
        layer = network.decoder.conv_in if part == "vae" else network.conv_in
        with torch.no_grad():
            factor = HUGE / float(layer.weight.abs().max())
            layer.weight.copy_(layer.weight.float() * factor)
        return network


@pytest.mark.parametrize(("part", "done"), [("vae", "decoded"), ("unet", "denoised")])
def test_a_stage_that_overflows_is_computed_again(part: str, done: str, half: Engine) -> None:
    assert half.generate(QUICK).warnings == ()
    network = overflow(half, part)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    finished = half.generate(QUICK.model_copy(update={"num_images": 2}))
    assert len(finished.warnings) == 1
    assert f"it was {done} again in float32" in finished.warnings[0]
    assert len({pixels(picture) for picture in finished.pictures}) == 2
    after = network.state_dict()
    assert all(each.dtype == torch.float16 for each in after.values())
    assert all(torch.equal(each, after[name]) for name, each in before.items())


def test_a_retry_of_the_refiner_counts_after_a_change_of_task(
    tiny_folder: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(tiny_folder, tmp_path / "refiner")
    catalog = Catalog.default().with_source(str(tiny_folder), name="base")
    catalog = catalog.with_source(str(copied), name="refiner")
    manager = ModelManager(catalog, device="cpu", dtype="float16")
    with manager.lease("base", adapters=Adapters(refiner="refiner")) as leased:
        assert leased.refiner is not None
        leased.for_task("image_to_image")
        with torch.no_grad():
            leased.refiner.pipeline.unet.conv_in.weight.fill_(HUGE)
        leased.refiner.for_task("text_to_image").denoise(RUN, lambda _step, _preview: None)
        assert "it was denoised again in float32" in leased.warnings[0]


def test_in_full_precision_nothing_can_be_repeated(tiny_catalog: Catalog) -> None:
    with Engine(ModelManager(tiny_catalog, device="cpu", dtype="float32")) as engine:
        with engine.manager.lease("mini") as leased, torch.no_grad():
            leased.pipeline.vae.decoder.conv_in.weight.fill_(torch.nan)
        with pytest.raises(NotFiniteError, match="Choose another VAE"):
            engine.generate(QUICK)


def test_weights_are_as_before_also_after_an_error() -> None:
    network = torch.nn.Linear(3, 3).half()
    before = network.weight.clone()
    assert can_be_float32([network])
    with pytest.raises(KeyError), run_in_float32([network, network]):
        assert network.weight.dtype == network.bias.dtype == torch.float32
        raise KeyError
    assert network.weight.dtype == torch.float16
    assert torch.equal(network.weight, before)
    assert not can_be_float32([network.float()])


@pytest.mark.parametrize("part", ["vae", "unet"])
@pytest.mark.parametrize(
    "plan",
    [Plan("encoders"), Plan("models"), Plan("groups"), Plan("leaves"), Plan(int8_weights=True)],
    ids=lambda plan: plan.placement + " in 8 bits" * plan.int8_weights,
)
def test_weights_that_are_offloaded_or_packed_are_cast_too(
    part: str, plan: Plan, tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8_weights, "LEAST_NUMBERS", 1)
    with pretended_gpu(monkeypatch, free_bytes=4 * 2**30):
        manager = ModelManager(tiny_catalog, device="cuda", dtype="float16")
        with manager.lease("mini", plan=plan) as leased:
            network = getattr(leased.pipeline, part)
            layer = network.decoder.conv_in if part == "vae" else network.conv_in
            with torch.no_grad():
                if plan.int8_weights and part == "unet":
                    layer.parametrizations.weight.original1.fill_(HUGE / 127)
                else:
                    layer.weight.fill_(HUGE)
            in_parts = part == "unet" and plan.placement in ("groups", "leaves")
            latents = leased.denoise(RUN, lambda _step, _preview: None)
            assert bool(latents.isfinite().all()) != in_parts
            if not in_parts:
                leased.decode(latents)
                assert leased.warnings
            halves = {each.dtype for each in network.parameters() if each.is_floating_point()}
            assert halves == {torch.float16}

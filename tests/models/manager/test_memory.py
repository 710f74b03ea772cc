"""The manager's report on memory, and unloading on request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from paintdiff.engine.engine import Engine
from paintdiff.errors import RequestError
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.adapters.specs import Adapters, IpAdapterUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.loaders import UPSCALER
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.memory import usage
from paintdiff.models.memory.plans import USUAL_PLAN, RunFacts
from paintdiff.models.registry.adapter_rows import IpAdapterRow, TinyAutoencoderRow, VaeRow
from paintdiff.models.registry.model_rows import ModelRow
from tests import adapter_files as files

LARGE = 2**30


@pytest.fixture
def manager(tiny_folder: Path) -> ModelManager:
    return ModelManager(Catalog.default().with_source(str(tiny_folder)), device="cpu")


def test_what_is_loaded_is_told_and_unloaded_by_its_key(manager: ModelManager) -> None:
    assert manager.cache.loaded() == ()
    with manager.lease("tiny"):
        (held,) = manager.cache.loaded()
        assert (held.what, held.name, held.in_use) == ("model", "tiny", True)
        assert held.weights_bytes > 0
        with pytest.raises(RequestError, match="in use"):
            manager.cache.unload(held.key)
        assert manager.cache.loaded() == (held,)
    (idle,) = manager.cache.loaded()
    assert not idle.in_use
    manager.cache.unload("model other")
    assert manager.cache.loaded() == (idle,)
    manager.cache.unload(idle.key)
    assert manager.cache.loaded() == ()


def test_unload_without_a_key_drops_all_that_is_idle(manager: ModelManager) -> None:
    with manager.lease("tiny"):
        manager.cache.unload()
        assert len(manager.cache.loaded()) == 1
    manager.cache.unload()
    assert manager.cache.loaded() == ()


def test_the_budget_is_what_was_asked_for_or_most_of_the_memory() -> None:
    asked = ModelManager(Catalog.default(), device="cpu", memory_budget_bytes=123)
    assert asked.memory.budget_bytes() == 123
    total = usage.measure_memory("cpu").total_bytes
    budget = ModelManager(Catalog.default(), device="cpu").memory.budget_bytes()
    assert budget == int(total * usage.DEFAULT_SHARE)


@pytest.fixture
def full(three: Catalog) -> ModelManager:
    """A manager with a budget of twice LARGE, that has loaded all three."""
    manager = ModelManager(three, device="cpu", memory_budget_bytes=2 * LARGE)
    for name in ("tiny", "tiny (2)", "tiny (3)"):
        with manager.lease(name):
            pass
    return manager


def names(manager: ModelManager) -> list[str]:
    return [each.name for each in manager.cache.loaded()]


@pytest.mark.parametrize(
    ("lacking", "left"),
    [
        (0, ["tiny", "tiny (2)", "tiny (3)"]),
        (1, ["tiny (2)", "tiny (3)"]),
        (1.5, ["tiny (3)"]),
        (9, ["tiny (3)"]),
    ],
)
def test_what_is_idle_leaves_for_a_run_as_far_as_it_has_to(
    lacking: float, left: list[str], full: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is free; the third is on loan, and what it takes is part of the run's."""
    monkeypatch.setattr(usage, "count_available_bytes", lambda _device: LARGE)
    with full.lease("tiny (3)"):
        (each,) = {each.weights_bytes for each in full.cache.loaded()}
        full.cache.make_room_to_paint(LARGE + each + int(lacking * each))
        assert names(full) == left


def test_what_is_idle_leaves_for_a_run_that_the_budget_has_no_room_for(
    full: ModelManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "count_available_bytes", lambda _device: 9 * LARGE)
    (each,) = {each.weights_bytes for each in full.cache.loaded()}
    with full.lease("tiny (3)"):
        full.cache.make_room_to_paint(2 * LARGE - 2 * each)
        assert names(full) == ["tiny", "tiny (2)", "tiny (3)"]
        full.cache.make_room_to_paint(2 * LARGE - each)
        assert names(full) == ["tiny (2)", "tiny (3)"]


def test_a_job_makes_room_for_its_peak(three: Catalog) -> None:
    """Not for its weights alone, which would have fitted beside the other model's."""
    asked: dict[str, Any] = {"prompt": "a boat", "width": 64, "height": 64}
    asked |= {"num_inference_steps": 2, "seed": 1}
    alone, run = ModelManager(three, device="cpu"), RunFacts(Size(64, 64), 64 * 64)
    with alone.lease("tiny"):
        (held,) = alone.cache.loaded()
        peak = alone.planner.estimate_peak_bytes(three.find(ModelRow, "tiny"), run, USUAL_PLAN)
    for spare, left in ((0.5, ["tiny (2)"]), (2, ["tiny", "tiny (2)"])):
        budget = peak + int(spare * held.weights_bytes)
        manager = ModelManager(three, device="cpu", memory_budget_bytes=budget)
        with Engine(manager) as engine:
            for name in ("tiny", "tiny (2)"):
                engine.generate(TextToImage(**asked, model=name))
        assert names(manager) == left


def test_every_kind_is_unloaded_by_its_key(tiny_catalog: Catalog, tmp_path: Path) -> None:
    """Even what is loaded once for each model, or is still in a model when it leaves."""
    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(
        str(tiny_catalog.find(ModelRow, "mini").folder), dtype=torch.float32
    )
    tiny = tmp_path / "taesd.safetensors"
    files.saved(tiny, diffusers.AutoencoderTiny(latent_channels=4).state_dict())
    ip_tensors = files.ip_adapter_tensors(pipeline.unet)
    ip = files.ip_adapter_row(
        files.saved(tmp_path / "ip.safetensors", ip_tensors),
        files.save_tiny_image_encoder(tmp_path / "clip"),
        "mini",
    )
    vae = files.vae_row(files.save_tiny_vae(tmp_path / "vae", pipeline.vae), "mini")
    catalog = tiny_catalog.replace(VaeRow, (vae,)).replace(IpAdapterRow, (ip,))
    catalog = catalog.replace(TinyAutoencoderRow, (files.tiny_autoencoder_row(tiny, "mini"),))
    manager = ModelManager(catalog, device="cpu")
    adapters = Adapters(vae="vae", ip_adapters=(IpAdapterUse("ip"),))
    with (
        manager.lease("mini", controlnets=["mini-sketch"], adapters=adapters) as leased,
        manager.lease_weights(UPSCALER, "double"),
    ):
        unet = leased.pipeline.unet
        in_use = {each.key for each in manager.cache.loaded()}
    del leased
    kinds = ("model mini", "ControlNet mini-sketch", "VAE vae", "IP-Adapter ip", "upscaler double")
    assert in_use == {*kinds, "tiny autoencoder taesd"}
    assert unet.encoder_hid_proj is not None
    left = set(in_use)
    for key in sorted(in_use, key=lambda key: key.startswith("model")):  # the model at last
        assert manager.cache.unload(key) == 1, key
        left -= {key}
        assert {each.key for each in manager.cache.loaded()} == left
        assert manager.cache.unload(key) == 0, "it is said that there is nothing of it any more"
        if key.startswith("IP-Adapter"):
            assert unet.encoder_hid_proj is None, "the model lets go of its weights, too"

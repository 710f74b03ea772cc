"""An error at any call or return of a lease: whatever it had taken is given back."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from paintdiff.models.adapters.applied import AppliedAdapters
from paintdiff.models.adapters.specs import Adapters, IpAdapterUse, LoraUse
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.loaders import UPSCALER
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.adapter_rows import (
    EmbeddingRow,
    IpAdapterRow,
    LoraRow,
    TinyAutoencoderRow,
    VaeRow,
)
from paintdiff.models.registry.model_rows import ModelRow
from tests import adapter_files as files
from tests.injections import Countdown, InjectedError
from tests.pretended_gpu import pretended_gpu

ADAPTERS = Adapters(
    loras=(LoraUse("lora"),),
    embeddings=("word",),
    vae="vae",
    ip_adapters=(IpAdapterUse("ip"),),
    refiner="mini (2)",
)
LEASED = {
    "ControlNet mini-other",
    "ControlNet mini-sketch",
    "IP-Adapter ip",
    "VAE vae",
    "model mini",
    "model mini (2)",
    "tiny autoencoder taesd",
    "upscaler double",
}


@pytest.fixture
def full(tiny_catalog: Catalog, tmp_path: Path) -> ModelManager:
    """A manager with one of each kind."""
    model = tiny_catalog.find(ModelRow, "mini")
    parts: Any = diffusers.StableDiffusionPipeline.from_pretrained(
        str(model.folder), dtype=torch.float32
    )
    files.saved(
        tmp_path / "lora.safetensors", files.in_peft_keys(files.lora_layers(parts.components))
    )
    files.saved(tmp_path / "word.safetensors", {"emb_params": torch.ones(2, 32)})
    files.saved(
        tmp_path / "taesd.safetensors", diffusers.AutoencoderTiny(latent_channels=4).state_dict()
    )
    files.saved(tmp_path / "ip.safetensors", files.ip_adapter_tensors(parts.unet))
    clip = files.save_tiny_image_encoder(tmp_path / "clip")
    rows: dict[Any, Any] = {
        ModelRow: (model, model.model_copy(update={"name": "mini (2)"})),
        LoraRow: (files.lora_row(tmp_path / "lora.safetensors"),),
        EmbeddingRow: (files.embedding_row(tmp_path / "word.safetensors", "mini"),),
        VaeRow: (files.vae_row(files.save_tiny_vae(tmp_path / "vae", parts.vae), "mini"),),
        TinyAutoencoderRow: (files.tiny_autoencoder_row(tmp_path / "taesd.safetensors", "mini"),),
        IpAdapterRow: (files.ip_adapter_row(tmp_path / "ip.safetensors", clip, "mini"),),
    }
    catalog = tiny_catalog
    for kind, each in rows.items():
        catalog = catalog.replace(kind, each)
    return ModelManager(catalog, device="cpu")


def lease_all(manager: ModelManager) -> None:
    with ExitStack() as leases:
        leases.enter_context(
            manager.lease("mini", controlnets=["mini-sketch", "mini-other"], adapters=ADAPTERS)
        )
        leases.enter_context(manager.lease_weights(UPSCALER, "double"))
        assert {each.key for each in manager.cache.loaded() if each.in_use} == LEASED


def test_an_error_anywhere_in_a_lease_gives_everything_back(full: ModelManager) -> None:
    lease_all(full)
    count = Countdown()
    with count.watching():
        lease_all(full)
    assert count.passed > 300, "most of what a lease calls"
    for number in range(count.passed):
        failing = Countdown(number)
        where = f"event {number}"
        try:
            with failing.watching():
                lease_all(full)
        except InjectedError as error:
            where = str(error)
        assert not [each.key for each in full.cache.loaded() if each.in_use], where
    lease_all(full)
    assert full.cache.unload() == len(LEASED), "all of them can leave"


def test_a_model_that_cannot_be_offloaded_is_dropped(
    tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would count as waiting in main memory, while it still fills the GPU."""
    model = tiny_catalog.find(ModelRow, "mini")
    rows = [model.model_copy(update={"name": name}) for name in ("first", "second", "third")]
    catalog = tiny_catalog.replace(ModelRow, rows)
    on_cpu = ModelManager(catalog, device="cpu", dtype="float32")
    with on_cpu.lease("first"):
        (held,) = on_cpu.cache.loaded()
    with pretended_gpu(monkeypatch, free_bytes=4 * 2**30):
        budget = int(2.5 * held.weights_bytes)
        manager = ModelManager(catalog, device="cuda", dtype="float32", memory_budget_bytes=budget)
        for name in ("first", "second"):
            with manager.lease(name):
                pass
        monkeypatch.setattr(AppliedAdapters, "send_home", fail_for_want_of_memory)
        with pytest.raises(MemoryError):
            manager.cache.make_room(budget)
        assert manager.cache.loaded() == ()
        with manager.lease("first") as leased:
            assert leased.row.name == "first"


def fail_for_want_of_memory(_adapters: AppliedAdapters) -> None:
    raise MemoryError

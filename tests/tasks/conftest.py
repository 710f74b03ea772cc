"""Fixtures for the tests of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import torch

from paintdiff.engine.engine import Engine
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from tests import adapter_files as files


@pytest.fixture
def folder(tmp_path: Path) -> PictureFolder:
    return PictureFolder(tmp_path / "out", now=lambda: datetime(2026, 11, 20))


@pytest.fixture
def saving_engine(tiny_manager: ModelManager, folder: PictureFolder) -> Iterator[Engine]:
    with Engine(tiny_manager, store=folder) as engine:
        yield engine


@pytest.fixture
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object) -> None:
        raise AssertionError("weights were asked for")

    monkeypatch.setattr(ModelManager, "lease_weights", refused)
    monkeypatch.setattr(ModelManager, "lease", refused)


@pytest.fixture(scope="session")
def adapter_catalog(tiny_catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """`tiny_catalog` with LoRAs, embeddings, VAEs and IP-Adapters, some for other families."""
    place = tmp_path_factory.mktemp("adapters")
    sd1 = tiny_catalog.find(ControlNetRow, "big").family
    with ModelManager(tiny_catalog, device="cpu").lease("mini") as leased:
        parts = leased.pipeline.components
    for name, seed in (("ink", 0), ("wash", 1)):
        layers = files.lora_layers(parts, seed=seed)
        files.saved(place / f"{name}.safetensors", files.in_kohya_keys(layers))
    files.saved(place / "mystyle.safetensors", {"emb_params": torch.randn(2, 32)})
    files.saved(place / "ip.safetensors", files.ip_adapter_tensors(parts["unet"]))
    encoder = files.save_tiny_image_encoder(place / "clip")
    vae = files.save_tiny_vae(place / "soft", parts["vae"])
    ip, blind = (
        files.ip_adapter_row(place / "ip.safetensors", folder, "mini") for folder in (encoder, None)
    )
    return files.with_adapters(
        tiny_catalog,
        loras=(
            files.lora_row(place / "ink.safetensors"),
            files.lora_row(place / "wash.safetensors"),
            files.lora_row(place / "big.safetensors", family=sd1),
        ),
        embeddings=(
            files.embedding_row(place / "mystyle.safetensors", "mini"),
            files.embedding_row(place / "other.safetensors", "sdxl"),
        ),
        vaes=(files.vae_row(vae, "mini"), files.vae_row(place / "big.safetensors", "sd1")),
        ip_adapters=(
            ip,
            blind.model_copy(update={"name": "blind"}),
            ip.model_copy(update={"name": "big", "families": ("sd1",)}),
        ),
    )

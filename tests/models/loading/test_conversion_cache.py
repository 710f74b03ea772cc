"""A converted file is deleted once its pickle has gone, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from paintdiff.models.catalog.disk_usage import Removal, plan_removal, remove
from paintdiff.models.loading.conversion.cache import (
    find_conversions_folder,
    note_origin,
    remove_orphans,
)
from paintdiff.models.loading.conversion.converter import convert_file
from paintdiff.models.loading.conversion.folders import convert_folder
from paintdiff.models.registry.adapter_rows import LoraRow


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return find_conversions_folder()


def pickled(path: Path, value: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"a": torch.full((10,), value)}, path)
    return path


def test_it_goes_with_its_original_when_that_is_deleted_in_the_app(
    cache: Path, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    boat, house = pickled(root / "boat.ckpt"), pickled(root / "house.ckpt", 2.0)
    of_boat, of_house = convert_file(boat, cache), convert_file(house, cache)
    row = LoraRow(name="boat", title="boat", source=str(boat))
    found = plan_removal(row, (root,))
    assert isinstance(found, Removal)
    remove(row, (root,), found.sure)
    assert not of_boat.exists() and of_house.is_file()
    assert sorted(cache.iterdir()) == [of_house, of_house.with_name(of_house.name + ".origin")]


def test_what_was_deleted_elsewhere_goes_when_the_next_is_converted(
    cache: Path, tmp_path: Path
) -> None:
    boat = pickled(tmp_path / "boat.ckpt")
    of_boat = convert_file(boat, cache)
    boat.unlink()
    of_house = convert_file(pickled(tmp_path / "house.ckpt", 2.0), cache)
    assert of_house.is_file() and not of_boat.exists()


def test_what_lies_on_a_disk_that_is_not_there_is_kept(cache: Path, tmp_path: Path) -> None:
    boat = pickled(tmp_path / "disk" / "boat.ckpt")
    made = convert_file(boat, cache)
    (tmp_path / "disk").rename(tmp_path / "taken out")
    remove_orphans(cache)
    assert made.is_file()
    remove_orphans(cache, tmp_path / "disk")
    assert not made.exists()


def test_a_folder_goes_with_the_parts_that_were_converted(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "painter"
    pickled(folder / "unet" / "diffusion_pytorch_model.bin")
    (folder / "model_index.json").write_text("{}")
    mirror = convert_folder(folder, cache, lambda _message: None, lambda: True)
    assert (mirror / "unet" / "diffusion_pytorch_model.safetensors").is_file()
    row = LoraRow(name="painter", title="painter", source=str(folder))
    found = plan_removal(row, (folder.parent,))
    assert isinstance(found, Removal)
    remove(row, (folder.parent,), found.sure)
    assert list(cache.iterdir()) == []


def test_a_note_that_makes_no_sense_harms_nothing(cache: Path, tmp_path: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "x.safetensors.origin").write_bytes(b"\0")
    (cache / "y.origin").mkdir()
    note_origin(cache / "z.safetensors", tmp_path / "gone.ckpt")
    remove_orphans(cache)
    assert sorted(path.name for path in cache.iterdir()) == ["y.origin"]

"""A row's files on this machine, and which of them may be deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from paintdiff.errors import RequestError, StorageError
from paintdiff.models.catalog import disk_usage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.disk_usage import (
    Removal,
    find_place,
    measure_size,
    plan_removal,
    remove,
)
from paintdiff.models.registry.adapter_rows import LoraRow
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "loras").mkdir(parents=True)
    return folder


def lora(path: Path) -> LoraRow:
    return LoraRow(name=path.stem, title=path.stem, source=str(path))


def file_in(folder: Path, name: str = "ink.safetensors", size_bytes: int = 500) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size_bytes)
    return path


def removal(row: WeightsRow, *roots: Path) -> Removal:
    found = plan_removal(row, roots)
    assert isinstance(found, Removal), found
    return found


def test_a_file_is_deleted_alone(root: Path) -> None:
    path, other = file_in(root / "loras"), file_in(root / "loras", "other.safetensors")
    found = removal(lora(path), root)
    assert (found.path, found.size_bytes, found.from_hub) == (path, 500, False)
    assert remove(lora(path), (root,), found.sure).path == path
    assert not path.exists() and other.exists()
    with pytest.raises(RequestError, match="isn't on this machine"):
        remove(lora(path), (root,), found.sure)


def test_a_folder_goes_with_all_in_it_and_what_links_lead_to_stays(root: Path) -> None:
    outside = file_in(root.parent / "elsewhere")
    folder = root / "painter"
    file_in(folder / "unet", "a.safetensors")
    (folder / "unet" / "link.safetensors").symlink_to(outside)
    row = LoraRow(name="painter", title="painter", source=str(folder))
    remove(row, (root,), removal(row, root).sure)
    assert not folder.exists() and outside.exists() and root.exists()


def test_only_what_was_confirmed_is_deleted(root: Path) -> None:
    path = file_in(root / "loras")
    sure = removal(lora(path), root).sure
    path.write_bytes(b"y" * 501)
    for stale in (sure, "", "x"):
        with pytest.raises(RequestError, match="has changed"):
            remove(lora(path), (root,), stale)
    assert path.exists()


@pytest.mark.parametrize("case", ["outside", "link out", "dots", "the root itself", "none"])
def test_what_lies_elsewhere_is_left_alone(root: Path, case: str) -> None:
    outside = file_in(root.parent / "elsewhere")
    link = root / "loras" / "link.safetensors"
    link.symlink_to(outside)
    source = {
        "outside": outside,
        "link out": link,
        "dots": root / "loras" / ".." / ".." / "elsewhere" / outside.name,
        "the root itself": root,
        "none": file_in(root / "loras"),
    }[case]
    row = LoraRow(name="x", title="x", source=str(source))
    roots = () if case == "none" else (root,)
    assert isinstance(plan_removal(row, roots), str)
    with pytest.raises(RequestError, match="doesn't delete it"):
        remove(row, roots, "")
    assert outside.exists() and root.is_dir()


def test_what_ships_with_the_app_stays() -> None:
    catalog = Catalog.default()
    mini = catalog.find(ModelRow, "mini")
    assert disk_usage.is_shipped(mini)
    folder = mini.folder
    assert folder is not None
    for row in (mini, catalog.rows(ControlNetRow)[0], catalog.find(UpscalerRow, "mini-upscaler")):
        assert plan_removal(row, (folder.parent, Path("/"))) == (
            "It comes with the app and can't be deleted."
        )


def test_a_file_that_cannot_be_deleted_says_why(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_in(root / "loras")
    sure = removal(lora(path), root).sure

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(StorageError, match="Permission denied"):
        remove(lora(path), (root,), sure)


# From the hub


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "default_cache_path", str(folder), raising=False)
    return folder


WEIGHTS = "diffusion_pytorch_model.safetensors"


def hub_row() -> ModelRow:
    return Catalog.default().with_source("owner/name").rows(ModelRow)[-1]


def fetched(cache: Path) -> Path:
    """A repository in the hub's cache, all of it."""
    repository = cache / "models--owner--name"
    snapshot = repository / "snapshots" / ("a" * 40)
    file_in(snapshot / "unet", WEIGHTS, 1000)
    (snapshot / "unet" / "config.json").write_text("{}", encoding="utf-8")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "safety_checker": [None, None],
    }
    (snapshot / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40, encoding="ascii")
    (repository / "blobs").mkdir()
    return repository


def test_what_was_fetched_from_the_hub_can_be_deleted(cache: Path) -> None:
    assert find_place(hub_row()) is None and measure_size(hub_row()) == 0
    assert isinstance(plan_removal(hub_row(), ()), str)
    repository, other = fetched(cache), file_in(cache / "models--owner--other")
    assert find_place(hub_row()) == repository / "snapshots" / ("a" * 40)
    found = removal(hub_row())
    assert found.from_hub and found.path == repository
    remove(hub_row(), (), found.sure)
    assert not repository.exists() and other.exists()


def test_what_is_half_fetched_is_not_here(cache: Path) -> None:
    repository = fetched(cache)
    assert find_place(hub_row()) is not None
    (repository / "snapshots" / ("a" * 40) / "unet" / WEIGHTS).unlink()
    assert find_place(hub_row()) is None


def test_a_cache_entry_that_is_a_link_is_left_alone(cache: Path, tmp_path: Path) -> None:
    elsewhere = file_in(tmp_path / "elsewhere").parent
    cache.mkdir()
    (cache / "models--owner--name").symlink_to(elsewhere)
    assert isinstance(plan_removal(hub_row(), ()), str)
    assert elsewhere.exists()

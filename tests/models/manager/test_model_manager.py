from __future__ import annotations

import gc
import shutil
import threading
import weakref
from pathlib import Path

import pytest
import torch

from paintdiff.errors import (
    JobCancelledError,
    MemoryBudgetError,
    ModelLoadError,
    ModelNotFoundError,
    UnknownNameError,
    UnsafeWeightsError,
)
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.loading import pipelines
from paintdiff.models.loading.pipelines import LoadedModel
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.model_rows import ModelRow
from tests.conftest import write_json
from tests.models.loads import Loads
from tests.tiny import save_tiny_pipeline


def test_a_model_is_loaded_once_even_under_concurrent_asks(three: Catalog, loads: Loads) -> None:
    manager = ModelManager(three, device="cpu")
    loads.may_go_on.clear()
    hashes: list[str] = []

    def ask() -> None:
        with manager.lease("tiny") as leased:
            hashes.append(leased.model_hash)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    manager.warm("tiny")
    assert manager.status().state == "loading"
    loads.may_go_on.set()
    for thread in threads:
        thread.join(20)
    assert loads.names == ["tiny"]
    assert len(set(hashes)) == 1
    assert len(hashes) == 6
    assert manager.status().state == "ready"
    assert manager.status().device == "cpu"


def test_leases_share_the_weights_but_not_the_scheduler(tiny_manager: ModelManager) -> None:
    with tiny_manager.lease("mini") as one, tiny_manager.lease("mini") as other:
        assert one.pipeline is not other.pipeline
        assert one.pipeline.unet is other.pipeline.unet
        assert one.pipeline.vae is other.pipeline.vae
        assert one.pipeline.scheduler is not other.pipeline.scheduler


def test_leasing_does_not_change_the_weights(tiny_manager: ModelManager) -> None:
    with tiny_manager.lease("mini") as leased:
        unet = leased.pipeline.unet
        before = next(unet.parameters()).clone()
    with tiny_manager.lease("mini"):
        pass
    after = next(unet.parameters())
    assert after.dtype == torch.float32, "full precision on a CPU"
    assert torch.equal(before, after)
    assert not after.requires_grad


def test_whoever_waits_is_told_and_may_give_up(three: Catalog, loads: Loads) -> None:
    manager = ModelManager(three, device="cpu")
    loads.may_go_on.clear()
    told: list[str] = []

    def on_loading(message: str) -> None:
        told.append(message)
        if len(told) == 3:
            raise JobCancelledError("enough")

    with pytest.raises(JobCancelledError), manager.lease("tiny", on_loading=on_loading):
        pytest.fail("it can't have been loaded")
    assert set(told) == {"Loading tiny"}
    loads.may_go_on.set()
    with manager.lease("tiny"):
        assert loads.names == ["tiny"], "the loading went on without the one who gave up"


def test_the_least_recently_used_makes_room(three: Catalog, loads: Loads) -> None:
    with ModelManager(three, device="cpu").lease("tiny") as leased:
        size = sum(
            p.numel() * 4
            for part in (leased.pipeline.unet, leased.pipeline.vae, leased.pipeline.text_encoder)
            for p in part.parameters()
        )
    loads.names.clear()
    manager = ModelManager(three, device="cpu", memory_budget_bytes=int(size * 2.5))
    for name in ("tiny", "tiny (2)", "tiny", "tiny (3)", "tiny", "tiny (2)"):
        with manager.lease(name):
            pass
    assert loads.names == ["tiny", "tiny (2)", "tiny (3)", "tiny (2)"]


def test_a_model_on_loan_is_never_dropped(three: Catalog) -> None:
    manager = ModelManager(three, device="cpu", memory_budget_bytes=2 * 2**20)
    with manager.lease("tiny"), pytest.raises(MemoryBudgetError), manager.lease("tiny (2)"):
        pytest.fail("there was no room for it")
    with manager.lease("tiny (2)"):
        pass


def test_a_model_that_never_fits_says_so(three: Catalog) -> None:
    manager = ModelManager(three, device="cpu", memory_budget_bytes=1000)
    with pytest.raises(MemoryBudgetError, match="Raise the budget"), manager.lease("tiny"):
        pytest.fail("it can't fit")
    assert manager.status().state == "failed"


def test_a_failed_load_is_tried_again(three: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = ModelManager(three, device="cpu")
    with monkeypatch.context() as patch:

        def broken(*_arguments: object) -> LoadedModel:
            raise OSError("the cable came loose")

        patch.setattr(pipelines, "load_pipeline", broken)
        with pytest.raises(ModelLoadError, match="log has the details"), manager.lease("tiny"):
            pytest.fail("it can't have been loaded")
    with manager.lease("tiny"):
        assert manager.status().state == "ready"


def test_unload_drops_what_is_not_on_loan(three: Catalog, loads: Loads) -> None:
    manager = ModelManager(three, device="cpu")
    with manager.lease("tiny"):
        manager.cache.unload()
    with manager.lease("tiny"):
        pass
    manager.cache.unload()
    with manager.lease("tiny"):
        pass
    assert loads.names == ["tiny", "tiny"]


def test_an_unknown_model_or_device_is_named(three: Catalog) -> None:
    with pytest.raises(UnknownNameError, match="nobody"):
        ModelManager(three).warm("nobody")
    manager = ModelManager(three, device="warp-drive")
    with pytest.raises(ModelLoadError, match="warp-drive"), manager.lease("tiny"):
        pytest.fail("there is no such device")


def test_a_model_that_has_gone_is_named(tmp_path: Path) -> None:
    save_tiny_pipeline(tmp_path / "gone")
    catalog = Catalog.default().with_source(str(tmp_path / "gone"))
    (tmp_path / "gone").rename(tmp_path / "elsewhere")
    manager = ModelManager(catalog, device="cpu")
    with pytest.raises(ModelNotFoundError, match="gone"), manager.lease("gone"):
        pytest.fail("it is gone")


def test_a_folder_that_asks_for_foreign_code_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "foreign"
    save_tiny_pipeline(folder)
    manager = ModelManager(Catalog.default().with_source(str(folder)), device="cpu")
    write_json(
        folder / "model_index.json",
        {"_class_name": "StableDiffusionPipeline", "unet": ["my_module", "MyUNet"]},
    )
    with pytest.raises(UnsafeWeightsError, match="my_module"), manager.lease("foreign"):
        pytest.fail("it must not be loaded")


# A library, whose catalog changes


@pytest.fixture
def shelf(tmp_path: Path, tiny_folder: Path) -> LiveCatalog:
    """A library over a folder with the tiny pipeline in it, as a folder of its own."""
    shutil.copytree(tiny_folder, tmp_path / "models" / "tiny")
    return LiveCatalog([tmp_path / "models"])


def test_a_model_that_was_replaced_is_loaded_anew(shelf: LiveCatalog, loads: Loads) -> None:
    manager = ModelManager(shelf, device="cpu")
    folder = Path(shelf.catalog().find(ModelRow, "tiny").source)
    with manager.lease("tiny") as old:
        before = next(old.pipeline.unet.parameters()).sum()
        save_tiny_pipeline(folder, seed=5)
        shelf.rescan()
        with manager.lease("tiny") as new:
            assert new.pipeline.unet is not old.pipeline.unet
            assert next(new.pipeline.unet.parameters()).sum() != before
            with manager.lease("tiny") as again:
                assert again.pipeline.unet is new.pipeline.unet
        assert next(old.pipeline.unet.parameters()).sum() == before, "the old lease goes on"
    assert loads.names == ["tiny", "tiny"]


def test_what_was_replaced_is_given_back_when_its_lease_ends(
    shelf: LiveCatalog, loads: Loads
) -> None:
    manager = ModelManager(shelf, device="cpu")
    with manager.lease("tiny") as old:
        unet = weakref.ref(old.pipeline.unet)
        save_tiny_pipeline(Path(shelf.catalog().find(ModelRow, "tiny").source), seed=5)
        shelf.rescan()
        with manager.lease("tiny"):
            pass
        assert unet() is not None
    del old
    gc.collect()
    assert unet() is None
    assert len(loads.names) == 2


def test_a_model_whose_file_has_gone_stays_while_it_is_loaded(
    shelf: LiveCatalog, loads: Loads
) -> None:
    manager = ModelManager(shelf, device="cpu")
    row = manager.catalog.find(ModelRow, "tiny")
    with manager.lease("tiny") as leased:
        shutil.rmtree(row.source)
        shelf.rescan()
        assert "tiny" not in [each.name for each in shelf.catalog().rows(ModelRow)]
        assert manager.catalog.find(ModelRow, "tiny") == row
        assert manager.catalog is manager.catalog
        with manager.lease("tiny") as again:
            assert again.pipeline.unet is leased.pipeline.unet
    assert loads.names == ["tiny"]
    manager.cache.unload()
    with pytest.raises(UnknownNameError, match="tiny"), manager.lease("tiny"):
        pytest.fail("it is gone")

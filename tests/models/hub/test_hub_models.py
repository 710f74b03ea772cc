"""Models of the hub in the catalog and on loan: fetched when they are first used."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import constants

from paintdiff.engine.engine import Engine
from paintdiff.errors import DownloadCancelledError, HubUnavailableError
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.hub.downloads import Downloads
from paintdiff.models.loading import resolving
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from tests.hub_server import COMMIT, FakeHub, repository_of

ID = "painter/tiny"


@pytest.fixture
def tiny_hub(hub: FakeHub, tiny_folder: Path) -> FakeHub:
    hub.repositories[ID] = repository_of(tiny_folder)
    return hub


@pytest.fixture
def halved_hub(hub: FakeHub, tiny_folder: Path) -> FakeHub:
    """Its weights lie in half precision only, as `fp16` variants."""
    repository = repository_of(tiny_folder)
    repository.files = {
        name.replace(".safetensors", ".fp16.safetensors"): content
        for name, content in repository.files.items()
    }
    hub.repositories[ID] = repository
    return hub


def painted(manager: ModelManager, name: str) -> bytes:
    with Engine(manager) as engine:
        request = TextToImage(
            prompt="a boat", model=name, seed=1, num_inference_steps=2, width=64, height=64
        )
        return engine.submit(request).result(120).pictures[0].image.tobytes()


def catalog_of(source: str) -> Catalog:
    return Catalog.default().with_source(source, name="theirs", family="sd1")


def test_a_downloaded_model_paints_like_the_same_folder(
    tiny_hub: FakeHub, tiny_folder: Path, downloads: Downloads
) -> None:
    catalog = catalog_of(ID)
    row = catalog.find(ModelRow, "theirs")
    assert not row.is_here and row.folder is None and row.label == "theirs (to download)"
    here = painted(ModelManager(catalog, device="cpu", downloads=downloads), "theirs")
    assert here == painted(ModelManager(catalog_of(str(tiny_folder)), device="cpu"), "theirs")
    assert row.is_here and row.folder is not None and row.folder.name == COMMIT
    assert row.label == "theirs"
    assert [state.state for state in downloads.all()] == ["done"]


def test_what_was_fetched_is_listed_until_it_is_deleted(
    tiny_hub: FakeHub, downloads: Downloads
) -> None:
    passed = iter(range(0, 1000, 2))
    library = LiveCatalog(clock=lambda: next(passed))
    assert ID not in [row.name for row in library.catalog().rows(ModelRow)]
    downloads.start(ID).result()
    row = library.catalog().find(ModelRow, ID)
    assert row.is_here and row.source == ID and row.family.name == "sd1"
    downloads.delete(ID)
    assert ID not in [row.name for row in library.catalog().rows(ModelRow)]


def test_half_precision_variants_are_loaded(halved_hub: FakeHub, tiny_folder: Path) -> None:
    ours = painted(ModelManager(catalog_of(ID), device="cpu"), "theirs")
    assert ours == painted(ModelManager(catalog_of(str(tiny_folder)), device="cpu"), "theirs")


def test_what_was_downloaded_is_used_offline(
    tiny_hub: FakeHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads.start(ID).result()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    tiny_hub.asked.clear()
    with ModelManager(catalog_of(ID), device="cpu").lease("theirs"):
        pass
    assert tiny_hub.asked == []
    manager = ModelManager(catalog_of("painter/other"), device="cpu")
    with pytest.raises(HubUnavailableError, match="HF_HUB_OFFLINE"), manager.lease("theirs"):
        pytest.fail("it isn't here")


def test_who_waits_is_told_how_far_it_is(tiny_hub: FakeHub, downloads: Downloads) -> None:
    tiny_hub.pause_seconds = 0.02
    sentences: list[str] = []
    manager = ModelManager(catalog_of(ID), device="cpu", downloads=downloads)
    with manager.lease("theirs", on_loading=sentences.append):
        pass
    assert any(each.startswith(f"Downloading {ID}: ") and " of " in each for each in sentences)


def test_when_nobody_waits_any_more_it_is_given_up(tiny_hub: FakeHub, downloads: Downloads) -> None:
    tiny_hub.stalls = True
    manager = ModelManager(catalog_of(ID), device="cpu", downloads=downloads)

    def gives_up(message: str) -> None:
        if message.startswith("Downloading"):
            raise InterruptedError(message)

    with pytest.raises(InterruptedError), manager.lease("theirs", on_loading=gives_up):
        pytest.fail("it can't be here")
    deadline = time.monotonic() + 30
    while [state.state for state in downloads.all()] != ["cancelled"]:
        assert time.monotonic() < deadline, downloads.all()
        time.sleep(0.01)
    tiny_hub.stalls = False
    with manager.lease("theirs"):
        pass


def test_a_download_that_the_tab_began_is_joined_and_outlives_the_lease(
    tiny_hub: FakeHub, downloads: Downloads
) -> None:
    tiny_hub.pause_seconds = 0.03
    by_hand = downloads.start(ID)
    manager = ModelManager(catalog_of(ID), device="cpu", downloads=downloads)

    def gives_up(message: str) -> None:
        if message.startswith("Downloading"):
            raise InterruptedError(message)

    with pytest.raises(InterruptedError), manager.lease("theirs", on_loading=gives_up):
        pytest.fail("it can't be here")
    assert by_hand.result().is_dir() and len(downloads.all()) == 1


def test_a_download_that_is_cancelled_in_the_tab_ends_the_lease(
    tiny_hub: FakeHub, downloads: Downloads
) -> None:
    tiny_hub.stalls = True
    manager = ModelManager(catalog_of(ID), device="cpu", downloads=downloads)

    def cancel(message: str) -> None:
        if message.startswith("Downloading"):
            downloads.close()

    with (
        pytest.raises(DownloadCancelledError, match="cancelled"),
        manager.lease("theirs", on_loading=cancel),
    ):
        pytest.fail("it can't be here")


def test_others_are_loaded_while_one_is_downloaded(
    tiny_hub: FakeHub, tiny_folder: Path, downloads: Downloads
) -> None:
    tiny_hub.stalls = True
    catalog = catalog_of(ID).with_source(str(tiny_folder), name="ours", family="sd1")
    manager = ModelManager(catalog, device="cpu", downloads=downloads)
    failed: list[BaseException] = []

    def wait_for_theirs() -> None:
        try:
            with manager.lease("theirs"):
                pass
        except DownloadCancelledError as error:
            failed.append(error)

    thread = threading.Thread(target=wait_for_theirs)
    thread.start()
    while not any(state.done_bytes for state in downloads.all()):
        time.sleep(0.01)
    with manager.lease("ours"):
        pass
    downloads.close()
    thread.join(60)
    assert len(failed) == 1


def test_a_model_to_start_with_is_fetched_though_nobody_waits_yet(
    tiny_hub: FakeHub, downloads: Downloads
) -> None:
    manager = ModelManager(catalog_of(ID), device="cpu", downloads=downloads)
    manager.warm("theirs")
    deadline = time.monotonic() + 30
    while manager.status().state != "ready":
        assert time.monotonic() < deadline, manager.status()
        time.sleep(0.05)


def test_a_controlnet_of_the_hub_is_fetched(
    hub: FakeHub, downloads: Downloads, tiny_catalog: Catalog
) -> None:
    row = tiny_catalog.rows(ControlNetRow)[0]
    assert row.folder is not None
    hub.repositories["painter/edges"] = repository_of(row.folder)
    theirs = row.model_copy(update={"source": "painter/edges"})
    folder = resolving.locate(theirs, lambda _message: None, downloads)
    assert (folder / "config.json").is_file() and hub.fetched() == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
    }


def test_whether_a_row_is_here_is_asked_of_no_hub(hub: FakeHub) -> None:
    assert not catalog_of(ID).find(ModelRow, "theirs").is_here
    assert hub.asked == []

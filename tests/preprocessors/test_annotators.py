"""With random weights: what is tested is how they are found, read and used."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from paintdiff.errors import AnnotatorError, MemoryBudgetError, UnknownNameError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.hub import resumable_download as hub_fetch
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.preprocessors import lines
from paintdiff.preprocessors.annotators import Annotators
from paintdiff.preprocessors.table import ANNOTATORS_REPO
from tests.hub_server import FakeHub, Repository
from tests.models.formats.test_safe_pickle import Hostile
from tests.pretended_gpu import pretended_gpu

PICTURE = Image.effect_noise((96, 80), 80).convert("RGB")


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the weights of three preprocessors, as they are packed on the hub."""
    import warnings  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from controlnet_aux.hed import ControlNetHED_Apache2  # noqa: PLC0415
        from controlnet_aux.lineart import Generator  # noqa: PLC0415
        from controlnet_aux.pidi.model import pidinet  # noqa: PLC0415

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights") / "annotators"
    folder.mkdir()
    torch.save(ControlNetHED_Apache2().state_dict(), folder / "ControlNetHED.pth")
    inner = {f"module.{name}": tensor for name, tensor in pidinet().state_dict().items()}
    torch.save({"state_dict": inner}, folder / "table5_pidinet.pth")
    for name in ("sk_model.pth", "sk_model2.pth"):  # as old as torch's old format
        torch.save(
            Generator(3, 1, 3).state_dict(), folder / name, _use_new_zipfile_serialization=False
        )
    return folder.parent


@pytest.mark.parametrize("name", ["hed", "pidinet", "lineart"])
def test_weights_in_a_models_folder_are_used(name: str, models_dir: Path) -> None:
    annotators, said = Annotators([models_dir / "none", models_dir]), list[str]()
    made = annotators.make_map(PICTURE, name, said.append)
    assert (made.mode, made.size) == ("RGB", PICTURE.size)
    assert set(said) == {f"Loading {name}"}
    said.clear()
    again = annotators.make_map(PICTURE, name, said.append)
    assert again.tobytes() == made.tobytes()
    assert said == [], "the weights are kept"
    other = annotators.make_map(Image.effect_noise(PICTURE.size, 20).convert("RGB"), name)
    assert other.tobytes() != made.tobytes()


def test_what_needs_no_weights_is_opencvs() -> None:
    made = Annotators().make_map(PICTURE, "canny")
    assert np.array_equal(np.asarray(made)[:, :, 0], lines.detect_canny_edges(np.asarray(PICTURE)))
    assert made.mode == "RGB"
    same = Annotators().make_map(PICTURE, "none")
    assert same.tobytes() == PICTURE.tobytes()
    with pytest.raises(UnknownNameError):
        Annotators().make_map(PICTURE, "magic")


def test_without_weights_and_offline_it_says_what_to_do(
    tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(AnnotatorError) as caught:
        Annotators([tmp_path]).make_map(PICTURE, "openpose")
    for part in (
        "body_pose_model.pth, hand_pose_model.pth, facenet.pth",
        "487 MiB",
        "lllyasviel/Annotators",
        "the folder annotators of a models folder",
        "HF_HUB_OFFLINE",
    ):
        assert part in str(caught.value)
    assert hub.asked == []


def test_what_is_downloaded_once_is_in_the_cache_and_checked(
    models_dir: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = (models_dir / "annotators" / "table5_pidinet.pth").read_bytes()
    monkeypatch.setattr(hub_fetch, "_MOST_SMALL_BYTES", len(weights) - 1)  # of what isn't asked for
    hub.repositories[ANNOTATORS_REPO] = Repository(
        {"table5_pidinet.pth": weights, "other.pth": b"x"}
    )
    said: list[str] = []
    made = Annotators().make_map(PICTURE, "pidinet", said.append)
    assert hub.fetched() == {"table5_pidinet.pth"}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said.clear()
    assert Annotators().make_map(PICTURE, "pidinet", said.append).tobytes() == made.tobytes()
    assert not any("Downloading" in each for each in said)


def test_who_cancels_while_weights_come_is_free_at_once(models_dir: Path, hub: FakeHub) -> None:
    class CancelledError(Exception):
        """The error that ends a job."""

    def cancel(message: str) -> None:
        if "Downloading" in message:
            raise CancelledError

    weights = (models_dir / "annotators" / "table5_pidinet.pth").read_bytes()
    hub.repositories[ANNOTATORS_REPO] = Repository({"table5_pidinet.pth": weights})
    hub.stalls = True
    manager = ModelManager()
    annotators = Annotators(manager=manager)
    began = time.monotonic()
    with pytest.raises(CancelledError):
        annotators.make_map(PICTURE, "pidinet", cancel)
    assert time.monotonic() - began < 30
    while manager.cache.loaded():  # the download notices that nobody wants it any more
        time.sleep(0.05)
        assert time.monotonic() - began < 60
    hub.stalls = False
    assert annotators.make_map(PICTURE, "pidinet").size == PICTURE.size


def test_they_are_counted_and_leave_the_memory_like_models(
    models_dir: Path, tiny_catalog: Catalog
) -> None:
    manager = ModelManager(tiny_catalog, device="cpu")
    annotators = Annotators([models_dir], manager)
    made = annotators.make_map(PICTURE, "hed")
    (held,) = manager.cache.loaded()
    assert (held.key, held.in_use) == ("preprocessor hed", False)
    assert held.weights_bytes == (models_dir / "annotators" / "ControlNetHED.pth").stat().st_size
    assert manager.cache.unload(held.key) == 1 and manager.cache.loaded() == ()
    assert annotators.make_map(PICTURE, "hed").tobytes() == made.tobytes()
    small = ModelManager(tiny_catalog, device="cpu", memory_budget_bytes=held.weights_bytes + 1)
    annotators = Annotators([models_dir], small)
    annotators.make_map(PICTURE, "hed")
    with small.lease("mini"):
        assert [each.key for each in small.cache.loaded()] == ["model mini"]
        with pytest.raises(MemoryBudgetError):
            annotators.make_map(PICTURE, "hed")


def test_on_a_gpu_they_take_main_memory_and_nothing_of_its_budget(
    models_dir: Path, tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretended_gpu(monkeypatch, free_bytes=2**30) as gpu:
        manager = ModelManager(tiny_catalog, device="cuda", memory_budget_bytes=1)
        made = Annotators([models_dir], manager).make_map(PICTURE, "hed")
        assert made.size == PICTURE.size and gpu.allocated_bytes == 0
        (held,) = manager.cache.loaded()
        assert held.waits and held.weights_bytes > 0


def test_weights_that_were_replaced_are_read_again(models_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(models_dir, tmp_path, dirs_exist_ok=True)
    annotators = Annotators([tmp_path])
    before = annotators.make_map(PICTURE, "hed")
    file = tmp_path / "annotators" / "ControlNetHED.pth"
    torch.save({name: each * 2 for name, each in torch.load(file).items()}, file)
    assert annotators.make_map(PICTURE, "hed").tobytes() != before.tobytes()


def test_hostile_and_damaged_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "annotators").mkdir()
    weights = tmp_path / "annotators" / "ControlNetHED.pth"
    trace = tmp_path / "it ran"
    torch.save({"norm": Hostile(trace)}, weights)
    with pytest.raises(AnnotatorError, match="could run code"):
        Annotators([tmp_path]).make_map(PICTURE, "hed")
    assert not trace.exists()
    weights.write_bytes(b"junk")
    with pytest.raises(AnnotatorError, match="damaged"):
        Annotators([tmp_path]).make_map(PICTURE, "hed")
    torch.save({"something": torch.zeros(3)}, weights)
    with pytest.raises(AnnotatorError, match="can't be loaded"):
        Annotators([tmp_path]).make_map(PICTURE, "hed")

"""Face restorers are found in the models folders, told from other networks, and lent out."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from spandrel.architectures.GFPGAN import GFPGAN

from paintdiff.errors import (
    MemoryBudgetError,
    ModelLoadError,
    ModelNotFoundError,
    RequestError,
    UnknownNameError,
    UnsafeWeightsError,
)
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.manager.loaders import FACE_RESTORER
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.models.upscaling import face_restorer, upscaler
from paintdiff.models.upscaling.face_detection import FaceDetector
from paintdiff.models.upscaling.face_restorer import LoadedFaceRestorer
from paintdiff.tasks.resolve.postprocessing import resolve_upscaling
from tests.faces import DETECTOR, SQUARE_PX, landmarks_at, save_detector, save_tiny_restoreformer
from tests.hostile_files import mutations
from tests.tiny import save_tiny_upscaler


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a face restorer and a detector, and much else in the same folders."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("GFPGAN", "facerestore_models", "face_detection"):
        (folder / name).mkdir()
    save_tiny_restoreformer(folder / "facerestore_models" / "RestoreFormer.safetensors")
    save_detector(folder / "face_detection" / DETECTOR)
    save_file({"body.0.weight": torch.zeros(1)}, folder / "GFPGAN" / "detection_Resnet50.pth")
    (folder / "GFPGAN" / "GFPGANv1.4.pth").write_bytes(b"cut off")
    (folder / "GFPGAN" / "codeformer.pth").write_bytes(pickle.dumps({"a": print}))
    (folder / "GFPGAN" / "GPEN.onnx").write_bytes(b"x")
    _save_endless(folder / "GFPGAN" / "endless.pth")
    return folder


def _save_endless(path: Path) -> None:
    """A table of tensors that holds itself."""
    table: dict[str, Any] = {}
    table["itself"] = table
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(table, protocol=2))


def row_of(file: Path, detector: Path) -> FaceRestorerRow:
    return FaceRestorerRow(name="it", title="It", source=str(file), detector=detector)


def test_what_restores_faces_is_told_from_what_else_lies_there(models_dir: Path) -> None:
    catalog = Catalog.default([models_dir / "not there", models_dir])
    (row,) = catalog.rows(FaceRestorerRow)
    assert row == catalog.find(FaceRestorerRow, "RestoreFormer")
    assert row.file == models_dir / "facerestore_models" / "RestoreFormer.safetensors"
    assert row.detector == models_dir / "face_detection" / DETECTOR
    assert catalog.with_first(UpscalerRow, "RealESRGAN_x2plus").rows(FaceRestorerRow) == (row,)
    assert Catalog.default().rows(FaceRestorerRow) == ()


def test_one_that_is_not_there_or_has_no_detector_is_refused_in_words(
    models_dir: Path, tmp_path: Path
) -> None:
    catalog = Catalog.default([models_dir])
    settled = resolve_upscaling(Upscaling(face_restorer="RestoreFormer"), catalog)
    assert settled.face_restorer == "RestoreFormer" and settled.upscaler is not None
    with pytest.raises(UnknownNameError, match=r"'Restore'.*facerestore_models") as caught:
        resolve_upscaling(Upscaling(face_restorer="Restore"), catalog)
    assert caught.value.field == "upscaling.face_restorer"
    (tmp_path / "GFPGAN").mkdir()
    save_tiny_restoreformer(tmp_path / "GFPGAN" / "mine.safetensors")
    blind = Catalog.default([tmp_path])
    with pytest.raises(RequestError, match=r"yunet_2023mar.onnx in the folder face_detection") as (
        caught
    ):
        resolve_upscaling(Upscaling(face_restorer="mine"), blind)
    assert caught.value.field == "upscaling.face_restorer"
    with (
        pytest.raises(ModelNotFoundError, match="needs a face detector"),
        ModelManager(blind, device="cpu").lease_weights(FACE_RESTORER, "mine"),
    ):
        pass


def test_it_is_lent_shared_counted_and_dropped(models_dir: Path) -> None:
    manager = ModelManager(Catalog.default([models_dir]), device="cpu", memory_budget_bytes=2**30)
    heard: list[str] = []
    with (
        manager.lease_weights(FACE_RESTORER, "RestoreFormer", heard.append) as one,
        manager.lease_weights(FACE_RESTORER, "RestoreFormer") as other,
    ):
        assert one is other and one.weights_bytes > 10**6 and len(one.model_hash) == 10
        face = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
        made = one.restore(face)
        assert made.shape == face.shape and made.dtype == np.float32
        assert made.min() >= 0 and made.max() <= 1 and made.std() > 0
        assert np.array_equal(made, one.restore(face))
        # spandrel's own call has 0 to 1 at both ends.
        pixels = torch.from_numpy(face.transpose(2, 0, 1))[None]
        with torch.inference_mode():
            expected = one.network(pixels)[0].permute(1, 2, 0).numpy()
        assert np.abs(made - expected).max() < 1e-5
        manager.cache.unload()
        with manager.lease_weights(FACE_RESTORER, "RestoreFormer") as third:
            assert third is one, "what is on loan isn't dropped"
    assert heard
    manager.cache.unload()
    with manager.lease_weights(FACE_RESTORER, "RestoreFormer") as again:
        assert again is not one
    small = ModelManager(Catalog.default([models_dir]), device="cpu", memory_budget_bytes=10**6)
    with pytest.raises(MemoryBudgetError), small.lease_weights(FACE_RESTORER, "RestoreFormer"):
        pass


def test_gfpgan_gives_the_same_face_every_time_between_black_and_white() -> None:
    """The real one is of one size, that of 86 million numbers; this is its code with fewer."""
    torch.manual_seed(0)
    network = GFPGAN(out_size=32, num_style_feat=16, narrow=1 / 16, num_mlp=1).eval()
    for name, value in network.named_parameters():
        if name.endswith("noise_strength") or ("style_conv" in name and value.numel() == 1):
            value.data.fill_(1.0)
    descriptor = SimpleNamespace(
        model=network, dtype=torch.float32, architecture=SimpleNamespace(id="GFPGAN")
    )
    row = row_of(Path("x"), Path("x"))
    restorer = LoadedFaceRestorer(row, descriptor, cast("Any", None), "", torch.device("cpu"))
    face = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    with torch.inference_mode():
        pixels = torch.from_numpy(face.transpose(2, 0, 1))[None]
        drawn = [network(pixels)[0] for _ in range(2)]
        assert not torch.equal(*drawn), "left alone it draws noise"
        given = network(pixels * 2 - 1, randomize_noise=False)[0]
    expected = (given[0].permute(1, 2, 0).numpy() + 1) / 2
    made = restorer.restore(face)
    assert np.abs(made - np.clip(expected, 0, 1)).max() < 1e-6
    assert np.array_equal(made, restorer.restore(face))


def test_numbers_that_are_none_are_refused(models_dir: Path) -> None:
    manager = ModelManager(Catalog.default([models_dir]), device="cpu")
    with manager.lease_weights(FACE_RESTORER, "RestoreFormer") as restorer:
        for parameter in restorer.network.model.parameters():
            parameter.data.fill_(torch.nan)
        with pytest.raises(ModelLoadError, match="RestoreFormer returned invalid pixels"):
            restorer.restore(np.zeros((64, 64, 3), np.float32))


def test_other_networks_are_refused_in_words(models_dir: Path, tmp_path: Path) -> None:
    detector = models_dir / "face_detection" / DETECTOR
    larger = tmp_path / "larger.safetensors"
    save_tiny_upscaler(larger)
    with pytest.raises(
        ModelLoadError, match=r"larger.safetensors \(.*enlarges or restores pictures, not faces"
    ):
        face_restorer.load_face_restorer(row_of(larger, detector), "cpu")
    lora = tmp_path / "lora.safetensors"
    save_file({"lora_unet_x.lora_up.weight": torch.zeros(1)}, lora)
    with pytest.raises(ModelLoadError, match=r"is a LoRA, which can't repair a face.*GFPGANv1.4"):
        face_restorer.load_face_restorer(row_of(lora, detector), "cpu")
    other = tmp_path / "other.safetensors"
    tensors = load_file(models_dir / "facerestore_models" / "RestoreFormer.safetensors")
    tensors["decoder.conv_in.weight"] = torch.zeros(1)
    save_file(tensors, other)
    with pytest.raises(ModelLoadError, match=r"can't be loaded.*versions 1.2, 1.3 and 1.4"):
        face_restorer.load_face_restorer(row_of(other, detector), "cpu")
    with pytest.raises(UnsafeWeightsError, match="It was not run"):
        face_restorer.load_face_restorer(
            row_of(models_dir / "GFPGAN" / "codeformer.pth", detector), "cpu"
        )
    with pytest.raises(ModelNotFoundError, match="is missing"):
        face_restorer.load_face_restorer(row_of(tmp_path / "gone.pth", detector), "cpu")


def test_one_that_is_given_as_an_upscaler_is_sent_to_its_folder(models_dir: Path) -> None:
    file = models_dir / "facerestore_models" / "RestoreFormer.safetensors"
    row = UpscalerRow(name="it", title="It", source=str(file))
    with pytest.raises(ModelLoadError, match=r"restores single faces.*folder facerestore_models"):
        upscaler.load_upscaler(row, "cpu")


# What finds the faces


@pytest.fixture(scope="module")
def detector(models_dir: Path) -> FaceDetector:
    return FaceDetector(models_dir / "face_detection" / DETECTOR)


def squares(width: int, height: int, *corners: tuple[int, int], side: int = SQUARE_PX) -> Any:
    picture = np.zeros((height, width, 3), np.uint8)
    for left, top in corners:
        picture[top : top + side, left : left + side] = 255
    return picture


def test_faces_are_found_where_they_are(detector: FaceDetector) -> None:
    found = detector(squares(600, 450, (64, 96), (320, 256)))
    middles = sorted((round(face[:, 0].mean()), round(face[:, 1].mean())) for face in found)
    expected = [landmarks_at(left + 15.5, top + 15.5, 96) for left, top in ((64, 96), (320, 256))]
    assert middles == [(round(e[:, 0].mean()), round(e[:, 1].mean())) for e in expected]
    assert detector(squares(600, 450)) == ()


def test_it_is_shown_the_colours_in_its_own_order(detector: FaceDetector) -> None:
    picture = squares(600, 450, (64, 96))
    assert len(detector(picture * np.array([0, 0, 1], np.uint8))) == 1
    assert detector(picture * np.array([1, 1, 0], np.uint8)) == ()


@pytest.mark.parametrize("size", [(1280, 960), (960, 1280), (2560, 1000)])
def test_a_large_picture_is_looked_at_reduced(
    detector: FaceDetector, size: tuple[int, int]
) -> None:
    factor = max(size) // 640
    side = SQUARE_PX * factor
    (face,) = detector(squares(*size, (side * 2, side * 3), side=side))
    middle = (factor - 1) / 2  # of a pixel at that size
    expected = landmarks_at(79.5, 111.5, 96) * factor + middle
    assert np.abs(face - expected).max() < 0.01


def test_a_face_that_fills_the_picture_is_found_at_half_the_size(detector: FaceDetector) -> None:
    found = detector(squares(640, 640, (128, 128), side=2 * SQUARE_PX))
    largest = max(found, key=lambda face: float(np.ptp(face[:, 0])))
    assert np.abs(largest - (landmarks_at(79.5, 79.5, 96) * 2 + 0.5)).max() < 0.01
    assert len(found) > 1, "what is found at the whole size is half as large"


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (5, 7)])
def test_a_picture_of_any_shape_can_be_looked_at(
    detector: FaceDetector, size: tuple[int, int]
) -> None:
    assert detector(squares(*size)) == ()


def test_what_is_no_detector_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / DETECTOR
    with pytest.raises(ModelNotFoundError, match="can't be read"):
        FaceDetector(file)
    save_detector(file)
    whole = file.read_bytes()
    for content in (b"", b"not a network" * 99, whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(ModelLoadError, match=r"can't be used to find faces: it is damaged"):
            FaceDetector(file)
    save_detector(file, cells=3)  # OpenCV would read on where there is nothing
    with pytest.raises(ModelLoadError, match=r"cls_8 has the shape \(1, 3, 1\)"):
        FaceDetector(file)
    file.write_bytes(whole.replace(b"kps_16", b"kpx_16"))
    with pytest.raises(ModelLoadError, match="another network"):
        FaceDetector(file)
    file.write_bytes(whole + bytes(5 * 10**6))
    with pytest.raises(ModelLoadError, match="larger than 5 MiB"):
        FaceDetector(file)


def test_one_whose_detector_was_replaced_is_another(models_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(models_dir, folder)
    library = LiveCatalog([folder])
    before = library.catalog().find(FaceRestorerRow, "RestoreFormer")
    library.rescan()
    assert library.catalog().find(FaceRestorerRow, "RestoreFormer").identity == before.identity
    os.utime(folder / "face_detection" / DETECTOR, (1, 1))
    library.rescan()
    assert library.catalog().find(FaceRestorerRow, "RestoreFormer").identity != before.identity


def test_a_detector_that_crashes_opencv_costs_an_error(tmp_path: Path) -> None:
    save_detector(tmp_path / DETECTOR)
    changed = list(mutations((tmp_path / DETECTOR).read_bytes(), 153))
    for number in (77, 152):  # both end a process with SIGSEGV
        (tmp_path / DETECTOR).write_bytes(changed[number])
        with pytest.raises(ModelLoadError, match="can't be used to find faces"):
            FaceDetector(tmp_path / DETECTOR)


def test_a_file_that_is_no_network_is_listed_and_another_detector_taken(tmp_path: Path) -> None:
    save_tiny_restoreformer(tmp_path / "RestoreFormer.safetensors")
    good = tmp_path / "face_detection_yunet_z.onnx"
    save_detector(good)
    content = good.read_bytes()
    spoiled = {
        "nonsense": b"nonsense",
        "empty": b"",
        "cut": content[:-1],
        "long": content + b"\xff" * 20,
        "large": content + bytes(6 * 10**6),
        "fields": b"\x08\x01" * 10**6,
    }
    for name, data in spoiled.items():
        (tmp_path / f"face_detection_yunet_{name}.onnx").write_bytes(data)
    catalog = Catalog.default([tmp_path])
    assert [row.detector for row in catalog.rows(FaceRestorerRow)] == [good]
    assert {each.path.stem.rpartition("_")[2] for each in catalog.problems()} == set(spoiled)

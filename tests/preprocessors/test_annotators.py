"""With random weights: what is tested is how they are found, read and used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image

from paintdiff.errors import AnnotatorError, UnknownNameError
from paintdiff.preprocessors import lines
from paintdiff.preprocessors.annotators import Annotators
from tests.models.files.test_pickles import Hostile

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
    made = annotators.control_map(PICTURE, name, said.append)
    assert (made.mode, made.size) == ("RGB", PICTURE.size)
    assert len(said) == 1
    assert said[0].startswith("Loading")
    again = annotators.control_map(PICTURE, name, said.append)
    assert again.tobytes() == made.tobytes()
    assert len(said) == 1, "the weights are kept"
    other = annotators.control_map(Image.effect_noise(PICTURE.size, 20).convert("RGB"), name)
    assert other.tobytes() != made.tobytes()


def test_what_needs_no_weights_is_opencvs() -> None:
    made = Annotators().control_map(PICTURE, "canny")
    assert np.array_equal(np.asarray(made)[:, :, 0], lines.canny(np.asarray(PICTURE)))
    assert made.mode == "RGB"
    same = Annotators().control_map(PICTURE, "none")
    assert same.tobytes() == PICTURE.tobytes()
    with pytest.raises(UnknownNameError):
        Annotators().control_map(PICTURE, "magic")


def test_without_weights_and_offline_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object, **_settings: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refused)
    said: list[str] = []
    with pytest.raises(AnnotatorError) as caught:
        Annotators([tmp_path]).control_map(PICTURE, "openpose", said.append)
    assert said == ["Downloading Pose (OpenPose) (510 MB)"], "before anything is fetched"
    for part in (
        "body_pose_model.pth, hand_pose_model.pth, facenet.pth",
        "510 MB",
        "lllyasviel/Annotators",
        str(tmp_path / "annotators"),
    ):
        assert part in str(caught.value)


def test_the_hubs_cache_comes_before_a_download(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def cached(repo: str, name: str, *, local_files_only: bool) -> str:
        asked.append((repo, name, local_files_only))
        return str(models_dir / "annotators" / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", cached)
    said: list[str] = []
    Annotators().control_map(PICTURE, "pidinet", said.append)
    assert asked == [("lllyasviel/Annotators", "table5_pidinet.pth", True)]
    assert not any("Downloading" in sentence for sentence in said)


def test_hostile_and_damaged_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "annotators").mkdir()
    weights = tmp_path / "annotators" / "ControlNetHED.pth"
    trace = tmp_path / "it ran"
    torch.save({"norm": Hostile(trace)}, weights)
    with pytest.raises(AnnotatorError, match="could run code"):
        Annotators([tmp_path]).control_map(PICTURE, "hed")
    assert not trace.exists()
    weights.write_bytes(b"junk")
    with pytest.raises(AnnotatorError, match="damaged"):
        Annotators([tmp_path]).control_map(PICTURE, "hed")
    torch.save({"something": torch.zeros(3)}, weights)
    with pytest.raises(AnnotatorError, match="can't be loaded"):
        Annotators([tmp_path]).control_map(PICTURE, "hed")

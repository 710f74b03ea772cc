"""Faces in the command line: from files in a models folder to the picture that is saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paintdiff.cli.main import main
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.models.upscaling import face_restorer
from tests.faces import DETECTOR, SQUARE_PX, save_detector, save_tiny_restoreformer


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    for name in ("face_restoration", "face_detection"):
        (folder / name).mkdir(parents=True)
    save_tiny_restoreformer(folder / "face_restoration" / "mine.safetensors")
    save_detector(folder / "face_detection" / DETECTOR)
    return folder


def test_a_face_is_found_restored_and_saved(
    models_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = {"RestoreFormer": lambda _model, pixels: -pixels}  # the network itself takes seconds
    monkeypatch.setattr(face_restorer, "_RUNS", runs)
    pixels = np.zeros((160, 192, 3), np.uint8)
    pixels[64 : 64 + SQUARE_PX, 96 : 96 + SQUARE_PX] = 255
    source = tmp_path / "in.png"
    Image.fromarray(pixels).save(source)
    flags = ["--scale", "1", "--device", "cpu", "--json", "--models-dir", str(models_dir)]
    asked = ["--faces", "mine", "--face-strength", "1"]
    assert main(["upscale", str(source), *flags, *asked]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["face_restorer"] == "mine"
    (picture,) = told["pictures"]
    assert picture["notes"][-1] == "Restored 1 face with mine."
    made = np.asarray(Image.open(picture["file"])).astype(int)
    assert made[75:85, 107:117].max() < 30, "the white that was the face is black"
    assert made[50:56, 108:116].min() > 200 and made[:20].max() < 30
    upscaling = read_request(Path(picture["file"])).upscaling
    assert upscaling is not None
    assert (upscaling.face_restorer, upscaling.face_strength) == ("mine", 1)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["upscale", "PICTURE", "--faces", "min"], "--faces: There is no face restorer 'min'"),
        (["upscale", "PICTURE", "--face-strength", "1"], "--face-strength: needs --faces"),
        (
            ["upscale", "PICTURE", "--faces", "mine", "--face-strength", "2"],
            "--face-strength: upscaling.face_strength",
        ),
        (["paint", "a cat", "--faces", "mine"], "--faces: needs --upscale"),
        (
            ["paint", "a cat", "--upscale", "2", "--faces", "min"],
            "--faces: There is no face restorer 'min'",
        ),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_done(
    flags: list[str],
    said: str,
    models_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture = tmp_path / "in.png"
    Image.new("RGB", (8, 8)).save(picture)
    flags = [str(picture) if flag == "PICTURE" else flag for flag in flags]
    if flags[0] == "paint":
        flags += ["--output", str(tmp_path / "made.png")]
    assert main([*flags, "--models-dir", str(models_dir), "--quiet"]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".png"] == ["in.png"]

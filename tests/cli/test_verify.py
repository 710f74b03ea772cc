"""`verify` on the command line, with a tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.cli.main import main
from paintdiff.gallery.settings.metadata import REQUEST_KEY
from tests.tiny import save_tiny_pipeline

SMALL = ("--size", "64x64", "--steps", "2", "--device", "cpu", "--seed", "7", "--quiet")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify") / "tiny"
    save_tiny_pipeline(folder)
    return folder


@pytest.fixture
def painted(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "house.png"
    flags = ("--model", str(model), *SMALL, "--output", str(path))
    assert main(["paint", "a red house", *flags]) == 0
    capsys.readouterr()
    return path


@pytest.fixture
def verify(model: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        flags = ("--device", "cpu", "--quiet", "--model", str(model))
        code = main(["verify", *map(str, arguments), *flags])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def rewrite(path: Path, change: Callable[[Image.Image], None], **facts: object) -> Path:
    """Save a copy with other pixels, and other facts about what painted it."""
    with Image.open(path) as image:
        content = {**json.loads(image.info[REQUEST_KEY]), **facts}
        copy = image.copy()
    change(copy)
    info = PngInfo()
    info.add_text(REQUEST_KEY, json.dumps(content))
    copy.save(path.with_name("copy.png"), pnginfo=info)
    return path.with_name("copy.png")


def test_a_picture_painted_again_is_identical(verify: Run, painted: Path) -> None:
    assert verify(painted) == (0, f"{painted}: identical\n", "")
    code, out, _ = verify(painted, "--json")
    report = json.loads(out)
    assert (code, report["identical"], report["differences"]) == (0, True, [])
    assert report["largest_difference"] == 0


def test_a_difference_is_measured_and_explained(verify: Run, painted: Path) -> None:
    def change(image: Image.Image) -> None:
        red, green, blue = image.getpixel((3, 5))  # pyright: ignore[reportGeneralTypeIssues]
        image.putpixel((3, 5), (red ^ 4, green, blue))

    libraries = {"paintdiffusion": "0.0.1"}
    changed = rewrite(painted, change, libraries=libraries, model_hash="f" * 10)
    code, out, _ = verify(changed)
    first, *reasons = out.splitlines()
    assert code == 1
    assert "different: 1 of 4096 pixels, by 4 levels at most, PSNR 77.0 dB" in first
    assert any("model hash: ffffffffff when it was saved," in line for line in reasons)
    assert any("paintdiffusion: 0.0.1 when it was saved," in line for line in reasons)


def test_what_an_old_file_does_not_say_is_named(verify: Run, painted: Path) -> None:
    changed = rewrite(painted, lambda image: image.putpixel((0, 0), (1, 2, 3)), libraries={})
    code, out, _ = verify(changed)
    assert code == 1
    assert "not recorded in the file:" in out
    assert "library versions" in out


def test_another_size_is_said(verify: Run, painted: Path) -> None:
    with Image.open(painted) as image:
        info = PngInfo()
        info.add_text(REQUEST_KEY, image.info[REQUEST_KEY])
        image.resize((32, 32)).save(painted.with_name("small.png"), pnginfo=info)
    code, out, _ = verify(painted.with_name("small.png"))
    assert (code, "saved as 32x32, painted again as 64x64" in out) == (1, True)


def test_pictures_without_our_request_are_refused_and_the_others_verified(
    verify: Run, painted: Path, tmp_path: Path
) -> None:
    plain, a1111 = tmp_path / "plain.png", tmp_path / "a1111.png"
    Image.new("RGB", (8, 8)).save(plain)
    info = PngInfo()
    info.add_text("parameters", "a boat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1")
    Image.new("RGB", (8, 8)).save(a1111, pnginfo=info)
    code, out, err = verify(plain, a1111, tmp_path / "missing.png", painted)
    assert code == 2
    assert out == f"{painted}: identical\n"
    lines = err.splitlines()
    assert len(lines) == 3
    assert "plain.png" in lines[0]
    assert "can't be painted again bit by bit" in lines[1]
    assert "missing.png" in lines[2]


def test_input_images_are_found_in_the_output_folder(
    verify: Run, model: Path, painted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = tmp_path / "child.png"
    flags = ("--model", str(model), *SMALL, "--image", str(painted), "--output", str(child))
    assert main(["paint", "a red house", *flags]) == 0
    capsys.readouterr()
    code, _, err = verify(child)
    assert (code, "input image" in err) == (1, True)

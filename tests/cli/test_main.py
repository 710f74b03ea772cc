from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import diffusers
import pytest
from PIL import Image

from paintdiff.cli import files, main
from paintdiff.errors import StorageError
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.jobs.request_parts import HiresFix
from paintdiff.jobs.requests import ImageToImage, Inpaint, TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.registry.model_rows import ModelRow
from tests.tiny import save_tiny_controlnet, save_tiny_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model's folder for --model."""
    folder = tmp_path_factory.mktemp("cli") / "tiny"
    save_tiny_pipeline(folder)
    return str(folder)


def paint(*arguments: str | Path, prompt: str = "a red house") -> int:
    """The exit code of `paint a red house ...`."""
    try:
        return main.main(["paint", prompt, *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)


SMALL = ("--size", "64x64", "--steps", "2", "--device", "cpu")


def test_a_picture_is_painted_and_named(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "boat.png"
    assert paint("--model", model, "--seed", "7", *SMALL, "--output", path) == 0
    out, err = capsys.readouterr()
    assert out == f"{path}\n"
    assert "step" in err, "the progress bar"
    request = read_request(path)
    assert (request.prompt, request.seed, request.width) == ("a red house", 7, 64)


def test_json_is_one_object_on_stdout(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", model, *SMALL, "--count", "2", "--seed", "3", "--json", "--quiet"]
    assert paint(*arguments, "--output", tmp_path / "boat.png", "--size", "66x64") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    report = json.loads(out)
    assert report["seed"] == 3
    assert report["seeds"] == [3, 4]
    assert report["steps"] == 2
    assert report["model"] == "tiny"
    assert report["size"] == "64x64"
    assert report["seconds"] > 0
    assert "66x64 became 64x64" in report["warnings"][0]
    assert report["files"] == [str(tmp_path / "boat-1.png"), str(tmp_path / "boat-2.png")]
    assert [read_request(Path(file)).seed for file in report["files"]] == [3, 4]
    assert re.fullmatch(r"fits: about \d+ MiB of \d+\.\d GiB", report["memory"])


def test_wildcards_and_styles(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wildcards = tmp_path / "models" / "wildcards"
    wildcards.mkdir(parents=True)
    (wildcards / "hat.txt").write_text("top hat\nberet")
    arguments = ["--model", model, *SMALL, "--models-dir", tmp_path / "models", "--seed", "4"]
    arguments += ["--count", "2", "--style", "etching", "--wildcards", "combinatorial", "--json"]
    assert paint(*arguments, "--output", tmp_path / "hat.png", prompt="a cat, __hat__") == 0
    report = json.loads(capsys.readouterr().out)
    assert [prompt[:25] for prompt in report["prompts"]] == [
        "old etching of a cat, top",
        "old etching of a cat, ber",
    ]


def test_what_is_too_large_for_the_budget_says_so(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--model", model, *SMALL, "--output", tmp_path / "x.png", "--memory-budget")
    assert paint(*arguments, "1MB") == 1
    assert re.search(
        r"needs at least \d+ MiB for this picture, but only 1 MiB is free",
        capsys.readouterr().err,
    )
    assert list(tmp_path.iterdir()) == []
    assert paint(*arguments, "1GB") == 0


def test_warnings_are_told(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert paint("--model", model, *SMALL, "--size", "66x64", "--output", tmp_path / "x.png") == 0
    assert "Note: The size 66x64 became 64x64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--size", "big"], "'big' isn't a size. Write width x height, like 128x128"),
        (["--size", "8x8"], "--size: width"),
        (["--steps", "0"], "--steps"),
        (["--steps", "many"], "--steps"),
        (["--guidance", "-1"], "--guidance"),
        (["--guidance", "nan"], "--guidance"),
        (["--seed", "-1"], "--seed"),
        (["--count", "0"], "--count"),
        (["--count", "1000"], "--count"),
        (["--sampler", "magic"], "--sampler: There is no sampler 'magic'"),
        (["--quality", "perfect"], "--quality: There is no quality 'perfect'"),
        (["--model", "nobody"], "--model: There is no model 'nobody'"),
        (["--output", "boat.jpg"], "should end in .png"),
        (["--output", "nowhere/boat.png"], "the folder nowhere doesn't exist. Create it"),
        (["--output", "/proc/boat.png"], "can't write in /proc"),
        (["--memory-budget", "much"], "--memory-budget: 'much': write a size like 4GiB"),
        (["--memory-budget", "0"], "--memory-budget: must be greater than 0"),
        (["--style", "Watercolor"], '--style: There is no style "Watercolor". Did you mean'),
        (["--wildcards", "all"], "--wildcards"),
        (["--negative", "{a|b"], '--negative: "{a|b" is never closed'),
        (["--profile", "warp"], "--profile: There is no profile 'warp'"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_a_bad_value_is_one_line_and_code_2(
    arguments: list[str],
    complaint: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paint("--output", "boat.png", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused_before_painting(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "boat-2.png").write_text("precious")
    arguments = ["--model", model, *SMALL, "--count", "2", "--output", tmp_path / "boat.png"]
    assert paint(*arguments) == 2
    assert "boat-2.png already exists. Choose another name" in capsys.readouterr().err
    assert (tmp_path / "boat-2.png").read_text() == "precious"
    assert not (tmp_path / "boat-1.png").exists()
    assert paint(*arguments, "--overwrite") == 0
    assert read_request(tmp_path / "boat-2.png").prompt == "a red house"


def test_a_failure_while_running_is_code_1(
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_arguments: object, **_settings: object) -> Path:
        raise StorageError("the disk is full")

    monkeypatch.setattr(files, "write_png", full)
    assert paint("--model", model, *SMALL, "--output", tmp_path / "x.png") == 1
    assert "the disk is full" in capsys.readouterr().err
    arguments = ["--model", model, *SMALL, "--output", tmp_path / "x.png"]
    assert paint(*arguments, "--device", "warp") == 1
    assert "warp" in capsys.readouterr().err


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """A picture and a mask for it, in files."""
    paths = {name: tmp_path / f"{name}.png" for name in ("photo", "mask", "small")}
    Image.new("RGB", (96, 96), "teal").save(paths["photo"])
    mask = Image.new("L", (96, 96), 0)
    mask.paste(255, (32, 32, 64, 64))
    mask.save(paths["mask"])
    mask.crop((0, 0, 40, 40)).save(paths["small"])
    return paths


def test_a_picture_is_painted_from_a_picture(
    model: str, pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.png"
    arguments = ["--model", model, "--steps", "4", "--device", "cpu", "--output", path]
    arguments += ["--image", pictures["photo"], "--strength", "0.5", "--resize-mode", "crop"]
    arguments += ["--loopback", "2", "--loopback-factor", "0.9", "--background", "#101010"]
    arguments += ["--variation-strength", "0.2", "--variation-seed", "3", "--size", "64x96"]
    assert paint(*arguments) == 0
    assert "96x96 was cropped to 64x96" in capsys.readouterr().err
    request = read_request(path)
    assert isinstance(request, ImageToImage)
    assert (request.strength, request.resize_mode, request.background) == (0.5, "crop", "#101010")
    assert (request.loopback, request.loopback_strength_factor) == (2, 0.9)
    assert (request.variation_strength, request.variation_seed) == (0.2, 3)
    with Image.open(path) as image:
        assert image.size == (64, 96)


def test_a_part_of_a_picture_is_repainted(
    model: str, pictures: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.png"
    arguments = ["--model", model, "--steps", "4", "--device", "cpu", "--output", path, "--json"]
    arguments += ["--image", pictures["photo"], "--mask", pictures["mask"], "--invert-mask"]
    arguments += ["--mask-blur", "2", "--only-masked", "--padding", "8", "--masked-content", "fill"]
    arguments += ["--soft", "--outpaint", "0,8,0,0"]
    assert paint(*arguments) == 0
    out, err = capsys.readouterr()
    assert "0 pixels changed outside the mask" in err
    report = json.loads(out)
    assert (report["kind"], report["size"]) == ("inpaint", "96x104")
    assert any("0 pixels changed" in note for note in report["notes"])
    request = read_request(path)
    assert isinstance(request, Inpaint)
    assert request.outpaint.top == 8
    assert (request.invert_mask, request.only_masked, request.soft) == (True, True, True)
    assert (request.mask_blur_px, request.padding_px) == (2.0, 8)
    assert request.masked_content == "fill"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--image", "nothing.png"], "--image: nothing.png can't be read"),
        (["--image", "photo.png", "--mask", "nothing.png"], "--mask: nothing.png can't be read"),
        (["--image", "photo.png", "--mask", "small.png"], "--mask: The mask is 40x40"),
        (["--mask", "mask.png"], "--mask: needs --image"),
        (["--strength", "0.5"], "--strength: needs --image"),
        (["--image", "photo.png", "--mask-blur", "3"], "--mask-blur: needs --mask"),
        (["--image", "photo.png", "--only-masked"], "--only-masked: needs --mask"),
        (
            ["--image", "photo.png", "--mask", "mask.png", "--loopback", "2"],
            "--loopback: has no effect when only a part",
        ),
        (["--image", "photo.png", "--strength", "2"], "--strength"),
        (["--image", "photo.png", "--resize-mode", "melt"], "--resize-mode"),
        (["--image", "photo.png", "--outpaint", "1,2"], "isn't four numbers"),
        (["--image", "photo.png", "--outpaint", "9999,0,0,0"], "--outpaint"),
        (["--variation-strength", "2"], "--variation-strength"),
    ],
)
def test_bad_values_for_pictures_are_one_line_and_code_2(
    arguments: list[str],
    complaint: str,
    pictures: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert paint("--output", "x.png", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_picture_is_painted_larger_than_the_model_was_made_for(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "large.png"
    flags = ("--hires", "2", "--hires-upscaler", "latent", "--hires-strength", "0.6")
    flags = (*flags, "--hires-steps", "4", "--tiled")
    assert paint("--model", model, *SMALL, *flags, "--output", path) == 0
    assert "enlarged to 128x128 in latent space" in capsys.readouterr().err
    with Image.open(path) as image:
        assert image.size == (128, 128)
    request = read_request(path)
    assert isinstance(request, TextToImage)
    assert request.hires == HiresFix(
        scale=2.0,
        upscaler="latent",
        strength=0.6,
        num_inference_steps=4,
        tiled=True,
        controlnet="none",
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--hires", "9"], "--hires: "),
        (["--hires", "2", "--hires-steps", "0"], "--hires-steps"),
        (["--hires", "2", "--hires-upscaler", "nobody"], "--hires-upscaler: There is no upscaler"),
        (["--hires-strength", "0.5"], "--hires-strength: needs --hires"),
        (["--tiled"], "--tiled: needs --image"),
        (["--hires", "2", "--image", "photo.png"], "--hires: can't be used with --image"),
        (["--image", "photo.png", "--mask", "mask.png", "--tiled"], "--tiled: has no effect"),
    ],
)
def test_bad_values_for_large_pictures_are_one_line_and_code_2(
    arguments: list[str],
    complaint: str,
    pictures: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert paint("--output", "x.png", *arguments) == 2
    err = capsys.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert paint("--help") == 0
    text = capsys.readouterr().out
    for flag in ("--seed", "--steps", "--size", "--output", "--json", "--negative", "--sampler"):
        assert flag in text
    assert "DPM++ 2M Karras" in text


def test_ctrl_c_ends_it_cleanly(model: str, tmp_path: Path) -> None:
    """In a process of its own: python -m paintdiff, interrupted while it paints."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "paintdiff", "paint", "a red house", "--model", model),
            *("--steps", "900", "--count", "64", "--output", str(tmp_path / "x.png")),
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(main.__file__).parents[2])},
        # A shell's background job ignores SIGINT, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    seen = b""
    try:
        while b"Painting" not in seen:
            read = os.read(process.stderr.fileno(), 1000)
            assert read, f"it ended early: {seen!r}"
            seen += read
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, err
    assert b"interrupted" in err
    assert b"Traceback" not in err
    assert out == b""


# Controls


@pytest.fixture(scope="module")
def controlnet(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ControlNet's folder for the model."""
    folder = tmp_path_factory.mktemp("cli") / "edges"
    unet = diffusers.UNet2DConditionModel.from_pretrained(Path(model) / "unet")
    save_tiny_controlnet(folder, unet)
    return folder


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model's words are as wide as Stable Diffusion 1.x's."""
    default = Catalog.default

    def catalog(models_dirs: Sequence[Path] = (), cache: Path | None = None) -> Catalog:
        made = default(models_dirs, cache)
        families = {
            name: family.model_copy(update={"cross_attention_dim": 32 if name == "sd1" else 1})
            for name, family in made._families.items()  # pyright: ignore[reportPrivateUsage]
        }
        return Catalog(FoundRows(made.rows(ModelRow)), families, made._general_quality)  # pyright: ignore[reportPrivateUsage]

    monkeypatch.setattr(Catalog, "default", catalog)


@pytest.mark.usefixtures("known")
def test_controls_are_painted_with(
    model: str, controlnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing = tmp_path / "drawing.png"
    Image.effect_noise((64, 64), 90).convert("RGB").save(drawing)
    seeded = ("--model", model, "--seed", "7", *SMALL, "--steps", "4", "--quiet")
    assert paint(*seeded, "--output", tmp_path / "free.png") == 0
    one = ("--control", drawing, "--controlnet", controlnet)
    assert paint(*seeded, *one, "--output", tmp_path / "held.png") == 0, capsys.readouterr().err
    settings = (
        *("--preprocessor", "canny", "--control-scale", "0.5", "--control-start", "0.1"),
        *("--control-end", "0.9", "--control-resize-mode", "pad"),
    )
    two = ("--control", drawing, "--controlnet", controlnet)
    assert paint(*seeded, *one, *two, *settings, "--output", tmp_path / "both.png") == 0
    pictures = {name: (tmp_path / f"{name}.png") for name in ("free", "held", "both")}
    assert len({Image.open(path).tobytes() for path in pictures.values()}) == 3
    first, second = read_request(pictures["both"]).controls
    assert first.controlnet == second.controlnet == "edges"
    assert (first.preprocessor, second.preprocessor) == ("canny", "none")
    assert (first.conditioning_scale, second.conditioning_scale) == (0.5, 1.0)
    assert (first.guidance_start, first.guidance_end) == (0.1, 0.9)
    assert (first.resize_mode, second.resize_mode) == ("pad", "crop")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--control", "nowhere.png"], "--control: nowhere.png can't be read"),
        (
            ["--control", "DRAWING", "--controlnet", "nobody"],
            "--controlnet: There is no ControlNet",
        ),
        (["--control", "DRAWING", "--preprocessor", "cany"], "--preprocessor: There is no"),
        (["--control", "DRAWING", "--control-scale", "3"], "--control-scale: "),
        (["--control", "DRAWING", "--control-start", "1"], "--control-end: "),
        (["--control", "DRAWING", "--control-resize-mode", "melt"], "--control-resize-mode: "),
        (["--preprocessor", "canny"], "--preprocessor: needs a --control"),
        (
            ["--control", "DRAWING", "--control-scale", "1", "--control-scale", "1"],
            "--control-scale: needs a --control",
        ),
    ],
)
def test_a_wrong_control_is_one_line(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing = tmp_path / "drawing.png"
    Image.new("RGB", (8, 8)).save(drawing)
    given = [str(drawing) if part == "DRAWING" else part for part in arguments]
    assert paint(*given, *SMALL, "--output", tmp_path / "x.png") == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paintdiff import cli
from paintdiff.errors import StorageError
from paintdiff.gallery.metadata import read_request
from tests.tiny import save_tiny_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model's folder for --model."""
    folder = tmp_path_factory.mktemp("cli") / "tiny"
    save_tiny_pipeline(folder)
    return str(folder)


def paint(*arguments: str | Path) -> int:
    """The exit code of `paint a red house ...`."""
    try:
        return cli.main(["paint", "a red house", *map(str, arguments)])
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


def test_warnings_are_told(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert paint("--model", model, *SMALL, "--size", "66x64", "--output", tmp_path / "x.png") == 0
    assert "Note: The size 66x64 became 64x64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--size", "big"], "'big' is no size"),
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
        (["--output", "nowhere/boat.png"], "no folder nowhere"),
        (["--output", "/proc/boat.png"], "can't write in /proc"),
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
    assert "boat-2.png exists already" in capsys.readouterr().err
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

    monkeypatch.setattr(cli, "write_png", full)
    assert paint("--model", model, *SMALL, "--output", tmp_path / "x.png") == 1
    assert "the disk is full" in capsys.readouterr().err
    arguments = ["--model", model, *SMALL, "--output", tmp_path / "x.png"]
    assert paint(*arguments, "--device", "warp") == 1
    assert "warp" in capsys.readouterr().err


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
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])},
    )
    assert process.stderr is not None
    seen = b""
    deadline = time.monotonic() + 60
    while b"Painting" not in seen and time.monotonic() < deadline:
        seen += os.read(process.stderr.fileno(), 1000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert b"interrupted" in err
    assert b"Traceback" not in err
    assert out == b""

"""The command `grid`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paintdiff.cli import main
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.jobs.requests import Grid, TextToImage
from tests.tiny import save_tiny_pipeline

SMALL = ("--size", "64x64", "--steps", "2", "--seed", "7", "--device", "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("cli") / "tiny"
    save_tiny_pipeline(folder)
    return str(folder)


def grid(*arguments: str | Path) -> int:
    """The exit code of `grid ...`."""
    try:
        return main.main(["grid", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)


def request_of(path: Path) -> TextToImage:
    request = read_request(path)
    assert isinstance(request, TextToImage)
    return request


def test_a_grid_of_four_by_five(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = ("--x", "steps=1-4", "--y", "prompt_replace=red, blue, green, white, black")
    sheet = tmp_path / "sheet.png"
    assert grid("a red house", *axes, "--model", model, *SMALL, "--output", sheet, "--json") == 0
    out, err = capsys.readouterr()
    assert "20 pictures to paint" in err
    report = json.loads(out)
    assert report["axes"] == {"x": "num_inference_steps", "y": "prompt_replace"}
    assert len(report["cells"]) == 20
    assert report["cells"][5] == {"x": "2", "y": "blue", "file": str(tmp_path / "sheet-06.png")}
    sixth = request_of(tmp_path / "sheet-06.png")
    assert (sixth.prompt, sixth.num_inference_steps, sixth.seed) == ("a blue house", 2, 7)
    assert isinstance(read_request(sheet), Grid)
    assert report["sheet"] == str(sheet)


def test_files_are_named_in_order(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "s.png"
    flags = ("--model", model, *SMALL, "--quiet", "--output", sheet)
    assert grid("a red house", "--x", "seed=1-2", *flags) == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(tmp_path / name) for name in ("s-1.png", "s-2.png", "s.png")]
    assert err == ""
    assert grid("a red house", "--x", "seed=1-2", *flags) == 2
    assert "already exists" in capsys.readouterr().err


def test_lines_of_a_file(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text('a cat\'s hat\n\n--prompt "a dog" --steps 1 --seed 3\n', encoding="utf-8")
    flags = ("--model", model, *SMALL, "--output", tmp_path / "s.png")
    assert grid("--lines", lines, *flags) == 0
    assert request_of(tmp_path / "s-1.png").prompt == "a cat's hat"
    second = request_of(tmp_path / "s-2.png")
    assert (second.prompt, second.num_inference_steps, second.seed) == ("a dog", 1, 3)
    lines.write_text("a cat\na dog --stps 3\n", encoding="utf-8")
    assert grid("--lines", lines, *flags, "--overwrite") == 2
    assert "--x: Line 2 ('a dog --stps 3'): unknown flag --stps" in capsys.readouterr().err
    lines.write_bytes(b"\xff\xfe\x00")
    assert grid("--lines", lines, *flags, "--overwrite") == 2
    assert "UTF-8" in capsys.readouterr().err


def test_a_matrix(model: str, tmp_path: Path) -> None:
    flags = ("--model", model, *SMALL, "--output", tmp_path / "m.png")
    assert grid("a house|red|blue", "--matrix", *flags) == 0
    prompts = {request_of(tmp_path / f"m-{number}.png").prompt for number in range(1, 5)}
    assert prompts == {"a house", "a house, red", "a house, blue", "a house, red, blue"}


def test_a_dry_run_counts_and_writes_nothing(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--model", model, *SMALL, "--output", tmp_path / "s.png", "--dry-run")
    assert grid("a red house", "--x", "seed=1-9 (+2)", "--y", "cfg=1,2", *flags) == 0
    assert "10 pictures to paint" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a house",), "--x: a grid needs an axis"),
        (("a house", "--x", "steps"), "isn't an axis with values"),
        (("a house", "--x", "steps=1,ten"), "--x: Steps, value 'ten'"),
        (("a house", "--x", "steps=1", "--y", "model=gone"), "--y: Model, value 'gone'"),
        (("a house", "--x", "colour=1"), "--x: There is no axis 'colour'"),
        (("a house", "--x", "seed=1-30", "--y", "cfg=1-20"), "600 pictures"),
        (("a house", "--x", "seed=1", "--count", "2"), "--count: each cell"),
        (("a house", "--x", "seed=1", "--matrix"), "--matrix: has its own axes"),
        (("a house", "--matrix"), '--prompt: a prompt matrix needs "|"'),
        (("a house", "--lines", "gone.txt"), "gone.txt"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grid(*arguments, "--device", "cpu", "--output", tmp_path / "s.png", "--quiet") == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from paintdiff.cli import files, main, progress
from paintdiff.errors import MemoryBudgetError, StorageError
from paintdiff.gallery.files.saving import write_png
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.jobs.events import Event, Picture, Progress
from paintdiff.jobs.requests import Upscale
from paintdiff.models.upscaling.upscaler import LoadedUpscaler
from tests.pictures import png_of
from tests.tiny import save_tiny_pipeline, save_tiny_upscaler


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an upscaler that makes pictures twice as large."""
    path = tmp_path_factory.mktemp("upscalers") / "double.safetensors"
    save_tiny_upscaler(path, factor=2)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which there are the pictures boat.png and sea.jpg (32x24)."""
    monkeypatch.chdir(tmp_path)
    picture = Image.effect_noise((32, 24), 90).convert("RGB")
    picture.save("boat.png")
    picture.save("sea.jpg")
    return tmp_path


def upscale(*arguments: str | Path) -> int:
    """The exit code of `upscale ...`, on the CPU."""
    try:
        return main.main(["upscale", *map(str, arguments), "--device", "cpu"])
    except SystemExit as end:
        return int(end.code or 0)


def files_in(folder: Path) -> set[str]:
    """The names of what is in there."""
    return {path.name for path in folder.iterdir()}


def size_of(path: Path) -> tuple[int, int]:
    """A picture's width and height."""
    with Image.open(path) as image:
        return image.size


def test_a_picture_is_enlarged_beside_it(
    double: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert upscale("boat.png", "--upscaler", double) == 0
    out, err = capsys.readouterr()
    assert out == "boat-2x.png\n"
    assert "Loading double" in err
    assert "Note: Upscaled 32x24 to 64x48 with double." in err
    assert size_of(here / "boat-2x.png") == (64, 48)
    request = read_request(here / "boat-2x.png")
    assert isinstance(request, Upscale)
    assert (request.upscaling.upscaler, request.upscaling.scale) == ("double", 2.0)


def test_the_scale_the_tiles_and_the_place_are_chosen(
    double: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "large").mkdir()
    flags = ("--upscaler", double, "--scale", "2.5", "--tile", "32", "--json", "--quiet")
    assert upscale("boat.png", "sea.jpg", *flags, "--output", "large") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    report = json.loads(out)
    assert (report["upscaler"], report["scale"], report["tile_px"]) == ("double", 2.5, 32)
    first, second = report["pictures"]
    assert first["seconds"] > 0
    assert first["notes"] == ["Upscaled 32x24 to 80x60 with double."]
    assert (first["source"], first["file"], first["size"]) == (
        "boat.png",
        "large/boat-2.5x.png",
        "80x60",
    )
    assert second["file"] == "large/sea-2.5x.png"
    assert files_in(here / "large") == {"boat-2.5x.png", "sea-2.5x.png"}
    assert upscale("boat.png", "--upscaler", double, "--output", "named.png") == 0
    assert size_of(here / "named.png") == (64, 48)


def test_an_upscaler_may_be_a_pickle(double: Path, here: Path) -> None:
    torch.save(load_file(double), here / "double.pth")
    assert upscale("boat.png", "--upscaler", "double.pth") == 0
    assert upscale("boat.png", "--upscaler", double, "--output", "other.png") == 0
    with Image.open("boat-2x.png") as one, Image.open("other.png") as other:
        assert one.tobytes() == other.tobytes()


def test_what_a_picture_is_made_of_is_kept(double: Path, here: Path) -> None:
    levels = np.array([5000, 20000, 40000, 65535], np.uint16)
    deep = np.broadcast_to(levels, (20, 20, 4)).copy()
    assert cv2.imwrite("deep.png", deep)
    assert cv2.imwrite("grey16.png", deep[..., 0])
    Image.new("L", (9, 5), 7).save("grey.png")
    Image.new("LA", (9, 5), (7, 0)).save("clear.png")
    names = ("deep", "grey16", "grey", "clear")
    assert upscale(*(f"{name}.png" for name in names), "--upscaler", double, "--quiet") == 0
    made = {name: cv2.imread(f"{name}-2x.png", cv2.IMREAD_UNCHANGED) for name in names[:2]}
    assert [(each.dtype, each.shape) for each in made.values()] == [
        (np.uint16, (40, 40, 4)),
        (np.uint16, (40, 40)),
    ]
    assert abs(made["deep"].mean((0, 1)) - levels).max() < 5000
    for name, mode in (("grey", "L"), ("clear", "LA")):
        with Image.open(f"{name}-2x.png") as image:
            assert (image.mode, image.size) == (mode, (18, 10))


@pytest.fixture
def folder(here: Path) -> Path:
    """A folder of pictures and other things."""
    boat = (here / "boat.png").read_bytes()
    folder = here / "in"
    folder.mkdir()
    for name in ("a b.png", "new\nline.PNG", "žluťoučký ☂.png", "._hidden.png", "a b-4x.png"):
        (folder / name).write_bytes(boat)
    (folder / "broken.png").write_bytes(boat[: len(boat) // 2])
    (folder / "empty.jpeg").touch()
    (folder / "text.webp").write_text("this is no picture")
    (folder / "notes.txt").write_text("nor is this")
    (folder / "sub").mkdir()
    (folder / "sub" / "deep.png").write_bytes(boat)
    (folder / "folder.png").mkdir()
    (folder / "gone.png").symlink_to("nowhere.png")
    return folder


def test_a_folder_is_enlarged_as_far_as_it_goes(
    double: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sub" / "out").mkdir()
    out_folder = folder / "sub" / "out"
    flags = ("--upscaler", double, "--output", out_folder, "--json")
    assert upscale(folder, *flags) == 1
    out, err = capsys.readouterr()
    reports = {Path(each["source"]).name: each for each in json.loads(out)["pictures"]}
    made = {name for name, report in reports.items() if "file" in report}
    assert made == {"a b.png", "new\nline.PNG", "žluťoučký ☂.png"}
    assert files_in(out_folder) == {"a b-2x.png", "new\nline-2x.png", "žluťoučký ☂-2x.png"}
    wrong = {name: report["error"] for name, report in reports.items() if "error" in report}
    assert wrong.keys() == {"broken.png", "empty.jpeg", "text.webp"}
    assert "damaged or cut off" in wrong["broken.png"]
    assert "Use PNG, JPEG or WebP" in wrong["empty.jpeg"]
    for name, words in wrong.items():
        assert f"{folder / name}: {words}\n" in err
    assert f"Note: skipped {folder / 'a b-4x.png'}, which seems to be an earlier result" in err

    before = {path: path.read_bytes() for path in out_folder.iterdir()}
    assert upscale(folder / "a b.png", *flags) == 1, "it is there already"
    assert "already exists and wasn't overwritten" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out_folder.iterdir()} == before


def test_pictures_of_one_name_dont_get_into_each_others_way(
    double: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "boat.jpg").write_bytes((here / "sea.jpg").read_bytes())
    (here / "out").mkdir()
    flags = ("--upscaler", double, "--output", "out", "--quiet")
    assert upscale(here, "boat.png", "./sea.jpg", *flags) == 0
    assert files_in(here / "out") == {"boat.jpg-2x.png", "boat.png-2x.png", "sea-2x.png"}
    capsys.readouterr()
    (here / "other").mkdir()
    (here / "other" / "boat.png").write_bytes(b"")
    assert upscale("boat.png", "other/boat.png", *flags) == 2
    error = capsys.readouterr().err
    assert "--output: boat.png and other/boat.png would both become out/boat.png-2x.png" in error


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nothing.png"], "pictures: nothing.png isn't there"),
        (["empty"], "pictures: no PNG, JPEG or WebP found"),
        ([""], "PICTURE: '' isn't a file or folder"),
        (["n" * 300], "PICTURE: "),
        (["boat.png", "--scale", "0"], "--scale: "),
        (["boat.png", "--scale", "9"], "--scale: "),
        (["boat.png", "--scale", "nan"], "--scale: "),
        (["boat.png", "--scale", "x"], "--scale: "),
        (["boat.png", "--tile", "1"], "--tile: "),
        (["boat.png", "--tile", "x"], "--tile: "),
        (["boat.png", "--upscaler", "nobody"], "--upscaler: There is no upscaler at 'nobody'"),
        (["boat.png", "--upscaler", "empty"], "--upscaler: There is no upscaler at 'empty'"),
        (["boat.png", "--upscaler", ""], "--upscaler: '' isn't a file or folder"),
        (["boat.png", "--upscaler", "\udcff.pth"], "isn't valid UTF-8. Rename the file"),
        (["boat.png", "--output", "large"], "--output: the folder large doesn't exist. Create"),
        (
            ["boat.png", "--output", "large.jpg"],
            "--output: the folder large.jpg doesn't exist. Create it, or name a .png",
        ),
        (
            ["boat.png", "--output", "no/large.png"],
            "--output: the folder no doesn't exist",
        ),
        (
            ["boat.png", "--output", "sea.jpg"],
            "--output: the folder sea.jpg doesn't exist",
        ),
        (
            ["boat.png", "--output", "boat.png"],
            "--output: boat.png already exists",
        ),
        (["boat.png", "--output", "n" * 300 + ".png"], "--output: "),
        (["boat.png", "--output", "/proc"], "--output: can't write in /proc"),
        (["boat.png", "sea.jpg", "--output", "x.png"], "--output: x.png is one file, but there"),
        ([], "PICTURE"),
    ],
)
def test_a_bad_value_is_one_line_and_code_2(
    arguments: list[str], complaint: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir()
    before = files_in(here)
    assert upscale(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1
    assert files_in(here) == before


def test_what_is_no_upscaler_is_told_once(
    double: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4, 4)}
    save_file(weights, here / "painter.safetensors")
    assert upscale("boat.png", "sea.jpg", "--upscaler", "painter.safetensors", "--quiet") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "painter.safetensors is a Stable Diffusion model" in err
    assert err.count("\n") == 1
    assert upscale("boat.png", "--upscaler", double, "--device", "cpu", "--quiet") == 0
    (here / "damaged.safetensors").write_bytes(double.read_bytes()[:-100])
    flags = ("--upscaler", "damaged.safetensors", "--quiet", "--json")
    assert upscale("sea.jpg", "boat.png", *flags) == 1
    (report,) = json.loads(capsys.readouterr().out.splitlines()[-1])["pictures"]
    assert report["source"] == "sea.jpg"
    assert "damaged.safetensors" in report["error"]


def test_a_picture_that_memory_is_too_short_for_doesnt_keep_the_next_from_it(
    double: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enlarged = LoadedUpscaler.enlarge

    def tight(upscaler: LoadedUpscaler, tile: np.ndarray) -> np.ndarray:
        if len(tile) > 24:
            raise MemoryBudgetError("too large")
        return enlarged(upscaler, tile)

    monkeypatch.setattr(LoadedUpscaler, "enlarge", tight)
    Image.new("RGB", (30, 30)).save("square.png")
    assert upscale("square.png", "boat.png", "--upscaler", double, "--quiet") == 1
    out, err = capsys.readouterr()
    assert out == "boat-2x.png\n"
    assert "square.png: too large" in err


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C once five tiles of a picture are done."""

    def show(event: Event, _bar: object, _place: str) -> None:
        if isinstance(event, Progress) and event.step >= 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress, "_show", show)


@pytest.mark.usefixtures("interrupted")
def test_an_interruption_leaves_what_is_done_and_nothing_half_done(
    double: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (200, 200)).save("large.png")
    before = files_in(here)
    flags = ("--upscaler", double, "--tile", "32", "--quiet", "--json")
    assert upscale("boat.png", "large.png", "sea.jpg", *flags) == 130
    out, err = capsys.readouterr()
    assert err == "paintdiff upscale: interrupted.\n"
    done, broken_off = json.loads(out)["pictures"]
    assert done["file"] == "boat-2x.png"
    assert broken_off == {"source": "large.png", "error": "It was interrupted."}
    assert files_in(here) == before | {"boat-2x.png"}


def test_a_full_disk_is_told(
    double: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, picture: Picture, *, overwrite: bool) -> Path:
        if path.stem == "boat-2x":
            raise StorageError("the disk is full")
        return write_png(path, picture, overwrite=overwrite)

    monkeypatch.setattr(files, "write_png", full)
    assert upscale("boat.png", "sea.jpg", "--upscaler", double, "--quiet") == 1
    out, err = capsys.readouterr()
    assert out == "sea-2x.png\n"
    assert "boat.png: The picture was not saved: the disk is full" in err
    assert not (here / "boat-2x.png").exists()


def test_names_at_the_limit(double: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boat = (here / "boat.png").read_bytes()
    longest, longer = "n" * 248, "m" * 250
    for stem in (longest, longer):
        (here / f"{stem}.png").write_bytes(boat)
    assert upscale(f"{longer}.png", f"{longest}.png", "--upscaler", double, "--quiet") == 1
    out, err = capsys.readouterr()
    assert out == f"{longest}-2x.png\n"
    assert f"{longer}.png: can't write {longer}-2x.png: File name too long" in err


def test_a_link_to_nothing_is_left_alone(
    double: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "boat-2x.png").symlink_to("nowhere.png")
    assert upscale("boat.png", "--upscaler", double, "--quiet") == 1
    assert "boat-2x.png already exists and wasn't overwritten" in capsys.readouterr().err
    assert not (here / "nowhere.png").exists()


def test_a_name_that_is_no_text_comes_out_as_it_came_in(
    double: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "b\udcffat.png"
    try:
        (here / name).write_bytes((here / "boat.png").read_bytes())
    except OSError:
        pytest.skip("names are always text here")
    assert upscale(name, "--upscaler", double, "--quiet", "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)["pictures"]
    assert report["file"] == "b\udcffat-2x.png"


def test_a_file_too_large_to_be_a_picture_isnt_read(
    double: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (here / "huge.png").open("wb") as file:
        file.truncate(2**33)  # a hole: it takes no space
    read = Path.read_bytes

    def small_only(path: Path) -> bytes:
        assert path.name != "huge.png"
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", small_only)
    assert upscale("huge.png", "boat.png", "--upscaler", double, "--quiet") == 1
    assert "huge.png is larger than 64 MiB" in capsys.readouterr().err


def test_a_folder_that_may_not_be_looked_into(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_folder: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    assert upscale(here) == 2
    assert f"pictures: {here}: Permission denied" in capsys.readouterr().err


# The last stage of painting


@pytest.fixture(scope="module")
def paint_flags(tmp_path_factory: pytest.TempPathFactory, double: Path) -> Sequence[str]:
    """Flags that paint a small picture and enlarge it."""
    folder = tmp_path_factory.mktemp("cli") / "tiny"
    save_tiny_pipeline(folder)
    size = ("--size", "64x64", "--steps", "2", "--device", "cpu", "--model", str(folder))
    return (*size, "--upscale", "1.5", "--upscaler", str(double))


def test_what_was_painted_is_enlarged(paint_flags: Sequence[str], here: Path) -> None:
    assert main.main(["paint", "a red house", *paint_flags, "--output", "house.png"]) == 0
    assert size_of(here / "house.png") == (96, 96)
    upscaling = read_request(here / "house.png").upscaling
    assert upscaling is not None
    assert (upscaling.upscaler, upscaling.scale) == ("double", 1.5)


def test_what_wasnt_enlarged_is_told_and_kept(
    paint_flags: Sequence[str],
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tight(_upscaler: LoadedUpscaler, _tile: np.ndarray) -> np.ndarray:
        raise MemoryBudgetError("too large")

    monkeypatch.setattr(LoadedUpscaler, "enlarge", tight)
    flags = (*paint_flags, "--quiet", "--output", "house.png")
    assert main.main(["paint", "a red house", *flags]) == 1
    out, err = capsys.readouterr()
    assert out == "house.png\n"
    assert "was painted but not upscaled: too large" in err
    assert size_of(here / "house.png") == (64, 64)
    assert read_request(here / "house.png").upscaling is None


def test_a_picture_of_another_kind_is_refused_in_words(
    double: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "boat.gif").write_bytes(png_of(Image.new("RGB", (4, 4))).replace(b"PNG", b"GIF"))
    assert upscale("boat.gif", "--upscaler", double, "--quiet") == 1
    assert "boat.gif: Can't open this. Use PNG, JPEG or WebP." in capsys.readouterr().err

"""The gallery on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from paintdiff.cli.main import main
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.jobs.events import Picture
from paintdiff.jobs.job import Job
from tests.gallery.test_importing import write
from tests.gallery.test_recording import REQUEST, painted

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the gallery in `out`; return its exit code, stdout and stderr."""

    def command(action: str, *arguments: str | Path) -> tuple[int, str, str]:
        flags = [str(each) for each in arguments]
        code = main(["gallery", action, *flags, "--output-dir", str(tmp_path / "out")])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    gallery = Gallery(tmp_path / "out")
    folder = PictureFolder(gallery.folder)
    recorder = Recorder(gallery, folder)
    made = [recorder.record(Job(REQUEST), painted(folder, seed)) for seed in range(3)]
    gallery.store.set_feedback([made[0].id], 1)
    gallery.close()
    return made


def test_list_and_show(run: Run, pictures: list[Picture]) -> None:
    code, out, _ = run("list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [each.id for each in pictures[::-1]]
    assert run("list", "boat", "--feedback", "1", "--json")[1].count("\n") == 1
    assert run("list", "--limit", "2")[1].count("\n") == 2
    assert run("list", "nothing")[1] == ""
    shown = json.loads(run("show", pictures[1].id)[1])
    assert (shown["seed"], shown["path"]) == (1, str(pictures[1].path))
    code, out, err = run("show", "nothing")
    assert (code, out) == (1, "")
    assert "no picture 'nothing'" in err


def test_check_finds_each_mismatch_and_repair_what_it_can(
    run: Run, pictures: list[Picture], tmp_path: Path
) -> None:
    assert run("check")[:2] == (0, "Mismatches: 0.\n")
    paths = [each.path for each in pictures if each.path is not None]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-1])
    orphan = paths[2].with_name("orphan.png")
    orphan.write_bytes(paths[2].read_bytes())
    unused = tmp_path / "out" / "inputs" / "aa" / ("a" * 64 + ".png")
    unused.parent.mkdir(parents=True)
    unused.touch()
    code, out, _ = run("check")
    assert code == 1
    for text in (
        f"{pictures[0].id} ({paths[0].relative_to(tmp_path / 'out')}): its file is missing",
        "bytes, not",
        "orphan.png: it has no record",
        "no record needs this input image",
        "Mismatches: 4.",
    ):
        assert text in out
    code, out, _ = run("repair")
    assert code == 1
    assert "Recorded 1 picture " in out
    assert "Mismatches left: 2." in out
    assert not unused.exists()
    assert len(run("list")[1].splitlines()) == 4


def test_a_changed_file_is_found_thoroughly(run: Run, pictures: list[Picture]) -> None:
    path = pictures[0].path
    assert path is not None
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    assert run("check")[0] == 0
    code, out, _ = run("check", "--thorough")
    assert code == 1
    assert "its file was changed" in out


def test_import_and_export(run: Run, pictures: list[Picture], tmp_path: Path) -> None:
    assert run("export", "boat", "--to", tmp_path / "best")[0] == 0
    lines = (tmp_path / "best" / "pictures.jsonl").read_text().splitlines()
    names = [json.loads(line)["exported_as"] for line in lines]
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == sorted(
        [*names, "pictures.jsonl"]
    )
    assert run("export", "boat", "--to", tmp_path / "best")[0] == 2
    assert "Already there: 3" in run("import", tmp_path / "best", "--quiet")[1]
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "bad.png").write_bytes(b"bad")
    code, _, err = run("import", tmp_path / "more", "--quiet")
    assert code == 1
    assert "bad.png: Can't open this." in err


def test_a_folder_without_a_gallery_is_left_alone(run: Run, tmp_path: Path) -> None:
    code, _, err = run("list")
    assert code == 2
    assert "There is no gallery in" in err
    assert not (tmp_path / "out").exists()
    assert run("import", tmp_path / "nowhere")[0] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watched_folder_is_imported_until_the_command_is_interrupted(
    tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "theirs"
    write(folder / "one.png", "red")
    (folder / "broken.png").write_bytes(b"broken")
    out = str(tmp_path / "out")
    command = [sys.executable, "-m", "paintdiff", "gallery", "watch", str(folder)]
    with subprocess.Popen(
        [*command, "--output-dir", out], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert "Ctrl-C" in process.stdout.readline()
        assert "Imported 1." in process.stdout.readline()
        process.send_signal(number)
        assert "broken.png: " in process.stderr.read()
        assert process.wait() == 0
    gallery = Gallery(tmp_path / "out")
    assert gallery.store.count(PictureQuery()) == 1
    gallery.close()


def test_a_folder_of_the_gallerys_own_is_not_watched(run: Run, tmp_path: Path) -> None:
    code, _, err = run("watch", tmp_path / "out" / "2026-11-30")
    assert code == 1
    assert "the gallery's own folder" in err

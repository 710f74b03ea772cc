"""`gallery continue` on the command line, with a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paintdiff.cli.main import main
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.jobs.events import Picture
from tests.cli.test_video import Run, painted

__all__ = ["painted"]


@pytest.fixture
def go_on(tmp_path: Path, painted: Picture, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: str, id: str = painted.id) -> tuple[int, str, str]:
        flags = ["--device", "cpu", "--quiet", "--output-dir", str(tmp_path / "out")]
        code = main(["gallery", "continue", id, *arguments, *flags])
        return code, *capsys.readouterr()

    return command


def test_a_run_is_continued_and_its_variation_is_in_the_gallery(
    go_on: Run, painted: Picture, tmp_path: Path
) -> None:
    wanted = ("--after-step", "2", "--prompt", "a boat", "--guidance", "6", "--json")
    code, out, err = go_on(*wanted)
    assert (code, err) == (0, "")
    said = json.loads(out)
    gallery = Gallery(tmp_path / "out")
    child = gallery.store.get(said["id"])
    gallery.close()
    assert (said["file"], said["parent"]) == (str(gallery.path_of(child.file)), painted.id)
    assert (child.parent, child.relation) == (painted.id, "variation")
    (branch,) = child.params["branches"]
    assert (branch["after_step"], branch["prompt"], branch["seed"]) == (2, "a boat", None)
    assert branch["guidance_scale"] == 6
    assert child.seed == painted.request.model_dump()["seed"]


def test_bad_values_name_their_flag_and_paint_nothing(
    go_on: Run, painted: Picture, tmp_path: Path
) -> None:
    for step in ("0", "3", "99999"):
        code, _, err = go_on("--after-step", step, "--seed", "1")
        assert code == 2
        assert "--after-step: " in err
    code, _, err = go_on("--after-step", "1", "--seed", "-1")
    assert (code, "--seed: " in err) == (2, True)
    code, _, err = go_on("--after-step", "1", id="nothing")
    assert (code, "no picture 'nothing'" in err) == (1, True)
    gallery = Gallery(tmp_path / "out")
    assert gallery.store.count(PictureQuery()) == 1
    gallery.close()

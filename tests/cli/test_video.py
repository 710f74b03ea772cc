"""`gallery video` on the command line, with a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest
from PIL import Image

from paintdiff.cli.main import main
from paintdiff.engine.engine import Engine
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.jobs.events import Picture
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def painted(tmp_path: Path, tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Picture:
    """A picture of a gallery; the command's catalog has its model."""
    monkeypatch.setattr(Catalog, "default", lambda *_args, **_settings: tiny_catalog)
    gallery = Gallery(tmp_path / "out")
    folder = PictureFolder(gallery.folder)
    manager = ModelManager(tiny_catalog, device="cpu")
    with Engine(manager, store=folder, recorder=Recorder(gallery, folder)) as engine:
        request = TextToImage(
            prompt="a house", width=64, height=64, num_inference_steps=3, seed=7, sampler="Euler a"
        )
        picture = engine.generate(request).pictures[0]
    gallery.close()
    return picture


@pytest.fixture
def video(
    painted: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        flags = ["--output-dir", str(tmp_path / "out"), "--device", "cpu", "--quiet"]
        code = main(["gallery", "video", *map(str, arguments), *flags])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_video_at_sixty_frames_a_second(video: Run, painted: Picture, tmp_path: Path) -> None:
    code, out, err = video(painted.id, "--fps", "60")
    assert (code, err) == (0, "")
    assert out == f"{painted.id}.webm\n"
    with av.open(str(tmp_path / f"{painted.id}.webm")) as container:
        assert container.streams.video[0].average_rate == 60
        frames = [frame.to_image() for frame in container.decode(video=0)]
    assert len(frames) == 2 * 15 + 90
    code, _, err = video(painted.id)
    assert code == 2
    assert "already exists" in err


def test_an_animated_picture_ends_with_the_picture(
    video: Run, painted: Picture, tmp_path: Path
) -> None:
    path = tmp_path / "how.gif"
    assert video(painted.id, "--format", "gif", "--output", path)[0] == 0
    with Image.open(path) as image:
        assert image.n_frames == 3  # pyright: ignore[reportAttributeAccessIssue]
    assert len(list((tmp_path / "out").glob("2*/*.png"))) == 1, "nothing else was saved"


def test_bad_values_are_refused_before_painting(
    video: Run, painted: Picture, tmp_path: Path
) -> None:
    assert "no picture 'nothing'" in video("nothing")[2]
    code, _, err = video(painted.id, "--fps", "0")
    assert (code, "1 to 120 frames a second, not 0" in err) == (1, True)
    code, _, err = video(painted.id, "--output", tmp_path / "nowhere" / "x.webm")
    assert (code, "doesn't exist" in err) == (2, True)
    assert not list(tmp_path.glob("*.webm"))

"""Folders of pictures are imported with what they say, and again without repeating anything."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from paintdiff.errors import RequestError
from paintdiff.gallery.adoption import adopt_orphans, empty_bin
from paintdiff.gallery.checking import find_mismatches
from paintdiff.gallery.files import picture_files
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.importing.import_folder import import_folder
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import Record
from paintdiff.imaging.geometry import Size
from tests.gallery.test_recording import painted

A1111 = (
    "a lighthouse\nNegative prompt: fog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, "
    "Size: 512x768, Model hash: 0123456789, Model: dream, Frobnication: 3"
)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of another program: three pictures, and files that can't be imported."""
    folder = tmp_path / "theirs"
    write(folder / "one.png", "red", parameters=A1111)
    write(folder / "deep" / "two.png", "green", Comment=json.dumps({"prompt": "a cat", "seed": 9}))
    write(folder / "deep" / "plain.png", "blue")
    (folder / "broken.png").write_bytes(b"broken")
    (folder / "notes.txt").write_text("notes")
    (folder / ".thumbnails").mkdir()
    write(folder / ".thumbnails" / "one.png", "red")
    return folder


def write(path: Path, colour: str, **texts: str) -> None:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 32), colour).save(path, pnginfo=info)


def records(gallery: Gallery) -> dict[str, Record]:
    return {Path(each.file).name: each for each in gallery.store.records(PictureQuery())}


def test_what_the_files_say_is_kept_and_nothing_guessed(gallery: Gallery, theirs: Path) -> None:
    progress: list[tuple[int, int]] = []
    report = import_folder(gallery, theirs, on_progress=lambda *each: progress.append(each))
    assert (report.imported, report.present) == (3, 0)
    assert [path.name for path, _ in report.failed] == ["broken.png"]
    assert report.unmapped == [(theirs / "one.png", ("Frobnication",))]
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    found = records(gallery)
    one, plain = found["one.png"], found["plain.png"]
    assert gallery.path_of(one.file) == theirs / "one.png"
    assert (one.prompt, one.negative_prompt, one.seed) == ("a lighthouse", "fog", 5)
    assert (one.model, one.model_hash, one.size) == ("dream", "0123456789", Size(64, 32))
    assert (one.params["width"], one.params["guidance_scale"]) == (512, 7.0)
    assert "quality" not in one.params
    assert (found["two.png"].prompt, found["two.png"].seed) == ("a cat", 9)
    assert found["two.png"].model == ""
    assert (plain.kind, plain.prompt, plain.params) == ("unknown", "", {})
    assert gallery.store.count(PictureQuery(search="lighthouse dream")) == 1
    assert list(find_mismatches(gallery, thorough=True)) == []


@pytest.mark.parametrize("copy", [False, True])
def test_it_can_be_run_again(gallery: Gallery, theirs: Path, copy: bool) -> None:
    import_folder(gallery, theirs, copy=copy)
    write(theirs / "new.png", "white")
    report = import_folder(gallery, theirs, copy=copy)
    assert (report.imported, report.present) == (1, 3)
    assert gallery.store.count(PictureQuery()) == 4


def test_copies_stand_alone(gallery: Gallery, theirs: Path) -> None:
    import_folder(gallery, theirs, copy=True)
    found = records(gallery)
    assert len(found) == 3
    for record in found.values():
        path = gallery.path_of(record.file)
        assert path.is_relative_to(gallery.folder)
        assert path.stat().st_mtime == pytest.approx(record.created_at.timestamp(), abs=1e-3)
    assert adopt_orphans(gallery) == 0
    assert list(find_mismatches(gallery, thorough=True)) == []


def test_an_interrupted_copy_goes_on(
    gallery: Gallery, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_folder(gallery, theirs, copy=True, on_progress=stop)
    report = import_folder(gallery, theirs, copy=True)
    assert report.imported + report.present == 3
    assert gallery.store.count(PictureQuery()) == 3
    assert len(list(gallery.folder.glob("20*/*.png"))) == 3


def test_an_original_stays_when_the_bin_is_emptied(gallery: Gallery, theirs: Path) -> None:
    import_folder(gallery, theirs)
    gallery.store.delete([each.id for each in records(gallery).values()])
    assert empty_bin(gallery) == 3
    assert (theirs / "one.png").is_file()


def test_a_copy_outlives_the_erased_one_before_it(
    gallery: Gallery, theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first copy's file can't be removed when the bin is emptied, but later."""
    import_folder(gallery, theirs, copy=True)
    gallery.store.delete([each.id for each in records(gallery).values()])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(5, "broken")))
        assert empty_bin(gallery) == 3
    assert import_folder(gallery, theirs, copy=True).imported == 3
    assert adopt_orphans(gallery) == 0
    assert len(records(gallery)) == 3
    assert list(find_mismatches(gallery, thorough=True)) == []


def test_devices_and_pipes_are_named_and_not_waited_for(gallery: Gallery, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    write(folder / "one.png", "red")
    os.mkfifo(folder / "pipe.png")
    (folder / "device.png").symlink_to(os.devnull)
    report = import_folder(gallery, folder)
    assert report.imported == 1
    reasons = {path.name: reason for path, reason in report.failed}
    assert reasons.keys() == {"device.png", "pipe.png"}
    assert "not a file" in reasons["pipe.png"] and "elsewhere" in reasons["device.png"]


@pytest.mark.parametrize("side", [100_000, 2**31 - 1])
def test_a_png_that_is_too_small_for_the_pixels_it_claims_is_damaged(
    gallery: Gallery, tmp_path: Path, side: int
) -> None:
    path = tmp_path / "theirs" / "huge.png"
    path.parent.mkdir()
    Image.new("1", (8000, 8000)).save(path)  # compresses as well as any
    assert import_folder(gallery, path.parent).imported == 1
    data = bytearray(path.read_bytes())
    data[16:24] = side.to_bytes(4, "big") * 2
    path.with_name("larger.png").write_bytes(data)
    report = import_folder(gallery, path.parent)
    [(refused, reason)] = report.failed
    assert refused.name == "larger.png" and f"{side}" in reason


@pytest.mark.parametrize("seconds", [2**38, 253_402_300_799, -62_135_596_800, -(2**60)])
def test_a_file_of_an_impossible_time_is_of_now(
    gallery: Gallery, tmp_path: Path, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a year that Python doesn't know, or knows in some time zones only.

    Few file systems can hold such a time, so here the system's answer is changed.
    """
    write(tmp_path / "theirs" / "one.png", "red")
    fstat = os.fstat

    def tell(descriptor: int) -> os.stat_result:
        parts = list(fstat(descriptor))
        parts[stat.ST_MTIME] = seconds
        return os.stat_result(parts)

    monkeypatch.setattr(picture_files.os, "fstat", tell)
    assert import_folder(gallery, tmp_path / "theirs", copy=True).imported == 1
    (found,) = records(gallery).values()
    assert abs(datetime.now(UTC) - found.created_at) < timedelta(days=1)


def test_the_gallerys_own_folder_is_not_imported_twice(gallery: Gallery, tmp_path: Path) -> None:
    painted(PictureFolder(gallery.folder))
    adopt_orphans(gallery)
    assert import_folder(gallery, tmp_path).imported == 0
    with pytest.raises(RequestError, match="doesn't exist"):
        import_folder(gallery, tmp_path / "nowhere")

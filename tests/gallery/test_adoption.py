"""Files without a record come back at the next start; erased ones don't."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from paintdiff.gallery.adoption import adopt_orphans
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.jobs.job import Job
from tests.gallery.test_recording import REQUEST, painted


@pytest.fixture
def folder(gallery: Gallery) -> PictureFolder:
    return PictureFolder(gallery.folder)


def files(gallery: Gallery) -> set[Path]:
    return {gallery.path_of(each.file) for each in gallery.store.page(PictureQuery()).records}


def test_the_record_of_an_orphan_is_rebuilt(gallery: Gallery, folder: PictureFolder) -> None:
    path = painted(folder).path
    assert path is not None
    assert adopt_orphans(gallery) == 1
    assert adopt_orphans(gallery) == 0
    (record,) = gallery.store.page(PictureQuery(search="boat")).records
    assert gallery.path_of(record.file) == path
    assert record.params == REQUEST.model_dump(mode="json")
    assert (record.seed, record.model, record.model_hash) == (3, "mini", "abc")
    assert record.created_at == datetime.fromtimestamp(path.stat().st_mtime, UTC)
    recorder = Recorder(gallery, folder)
    assert recorder.record(Job(REQUEST), painted(folder)).id
    assert adopt_orphans(gallery) == 0


def test_files_of_a_process_that_runs_are_left_to_it(
    gallery: Gallery, folder: PictureFolder
) -> None:
    path = painted(folder).path
    assert path is not None
    saved_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    assert adopt_orphans(gallery, before=saved_at) == 0
    assert adopt_orphans(gallery, before=saved_at + timedelta(seconds=1)) == 1


def test_unreadable_and_other_files_stay(gallery: Gallery, folder: PictureFolder) -> None:
    path = painted(folder).path
    assert path is not None
    whole = path.read_bytes()
    others = {
        path.with_name("cut.png"): whole[:-20],
        path.with_name("text.png"): b"text",
        path.with_name("empty.png"): b"",
        path.with_name(".hidden.png"): whole,
        path.with_name("notes.txt"): b"notes",
        gallery.folder / "loose.png": whole,
        gallery.folder / "2026-11-30" / "folder.png" / "x.png": whole,
    }
    for other, data in others.items():
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(data)
    path.with_name("link.png").symlink_to(path)
    assert adopt_orphans(gallery) == 1
    assert files(gallery) == {path}
    assert {other: other.read_bytes() for other in others} == others


def test_a_picture_without_settings_is_adopted_as_unknown(gallery: Gallery) -> None:
    path = gallery.folder / "2026-11-30" / "plain.png"
    path.parent.mkdir(parents=True)
    painted(None).image.save(path)
    adopt_orphans(gallery)
    (record,) = gallery.store.page(PictureQuery()).records
    assert (record.kind, record.prompt, record.model, record.seed) == ("unknown", "", "", None)


def test_erased_pictures_do_not_come_back(
    gallery: Gallery, folder: PictureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = painted(folder).path
    assert path is not None
    adopt_orphans(gallery)
    record = gallery.store.page(PictureQuery()).records[0]
    gallery.store.delete([record.id])
    assert adopt_orphans(gallery) == 0, "it is in the bin"
    gallery.store.empty_bin()
    assert path.exists(), "killed before the file was removed"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", _refuse)
        assert adopt_orphans(gallery) == 0
    assert gallery.store.removals() == [record.file]
    assert adopt_orphans(gallery) == 0
    assert not path.exists()
    assert gallery.store.removals() == []


def _refuse(self: Path, missing_ok: bool = False) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_process_killed_after_saving_loses_nothing(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from paintdiff.gallery.files.saving import PictureFolder\n"
        "from paintdiff.gallery.gallery import Gallery\n"
        "from paintdiff.gallery.recording import Recorder\n"
        "from paintdiff.jobs.job import Job\n"
        "from tests.gallery.test_recording import REQUEST, painted\n"
        "gallery = Gallery(Path(sys.argv[1])); folder = PictureFolder(gallery.folder)\n"
        "recorder = Recorder(gallery, folder)\n"
        "for seed in range(3): recorder.record(Job(REQUEST), painted(folder, seed))\n"
        "painted(folder, 3)\n"
        "(gallery.folder / '2026-11-30').mkdir(exist_ok=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=300)
    assert done.returncode == -9
    gallery = Gallery(tmp_path)
    assert gallery.store.count(PictureQuery()) == 3
    assert adopt_orphans(gallery) == 1
    records = gallery.store.page(PictureQuery(search="boat")).records
    assert sorted(each.seed or 0 for each in records) == [0, 1, 2, 3]
    gallery.close()

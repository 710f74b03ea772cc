from __future__ import annotations

import errno
import os
import threading
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from paintdiff.errors import StorageError
from paintdiff.gallery.files import saving
from paintdiff.gallery.files.saving import PictureFolder, write_png
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.system import atomic_files
from tests.gallery.test_metadata import picture

MOMENT = datetime(2026, 11, 20, 18, 5, 9)


def folder(path: Path) -> PictureFolder:
    return PictureFolder(path, now=lambda: MOMENT)


def test_a_picture_is_saved_by_day_with_its_settings(tmp_path: Path) -> None:
    one = picture(prompt="a boat")
    path = folder(tmp_path / "new" / "outputs").save(one)
    assert path.parent == tmp_path / "new" / "outputs" / "2026-11-20"
    assert path.name.startswith("180509-7-")
    assert read_request(path) == one.request
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.convert("RGB").tobytes() == one.image.tobytes()
    assert list(path.parent.iterdir()) == [path], "nothing is left over"


def test_names_never_come_from_the_prompt(tmp_path: Path) -> None:
    path = folder(tmp_path).save(picture(prompt="../../../etc/passwd"))
    assert path.resolve().is_relative_to(tmp_path)


def test_many_at_once_never_write_over_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(["aa", "t1", "aa", "t2", "bb", "t3", "aa", "t4", "bb", "t5", "cc", "t6"])
    monkeypatch.setattr(saving.secrets, "token_hex", lambda _count: next(numbers))
    store = folder(tmp_path)
    saved = [store.save(picture(prompt=str(number))) for number in range(3)]
    assert len(set(saved)) == 3
    assert [read_request(path).prompt for path in saved] == ["0", "1", "2"]


def test_threads_save_side_by_side(tmp_path: Path) -> None:
    store, saved = folder(tmp_path), list[Path]()
    threads = [
        threading.Thread(target=lambda: saved.append(store.save(picture()))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(saved)) == 20


def test_an_existing_file_is_left_alone_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "boat.png"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        write_png(path, picture())
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]
    write_png(path, picture(), overwrite=True)
    assert read_request(path) == picture().request


def test_the_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, link = os.fsync, os.link

    def synced(handle: int) -> None:
        done.append("sync folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "sync file")
        fsync(handle)

    def linked(source: Path, target: Path) -> None:
        done.append("name")
        link(source, target)

    monkeypatch.setattr(atomic_files.os, "fsync", synced)
    monkeypatch.setattr(atomic_files.os, "link", linked)
    write_png(tmp_path / "new" / "boat.png", picture())
    assert done == ["sync folder", "sync folder", "sync file", "name", "sync folder"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_without_hard_links_it_still_never_writes_over(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_source: Path, _target: Path) -> None:
        raise OSError(number, "no hard links here")

    monkeypatch.setattr(atomic_files.os, "link", refused)
    path = write_png(tmp_path / "boat.png", picture())
    assert read_request(path) == picture().request
    with pytest.raises(FileExistsError):
        write_png(path, picture())


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "isn't allowed"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_trouble_with_the_disk_is_told_in_words_and_leaves_nothing(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic_files.os, "fsync", broken)
    with pytest.raises(StorageError, match=words) as caught:
        folder(tmp_path).save(picture())
    assert "2026-11-20" not in str(caught.value), "the path is in the log alone"
    assert list(tmp_path.glob("*/*")) == []


def test_a_file_in_the_way_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("I am no folder")
    with pytest.raises(StorageError, match="Can't write"):
        folder(tmp_path / "outputs").save(picture())

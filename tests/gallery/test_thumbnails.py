"""Thumbnails are small, made once, made again when they are gone, and limited in bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.gallery.adoption import empty_bin
from paintdiff.gallery.files.thumbnails import FOLDER_NAME, SIDE_PX, Thumbnails
from paintdiff.gallery.gallery import Gallery
from tests.gallery.records import record


def painted(folder: Path, name: str = "a.png", colour: str = "red") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (1000, 500), colour).save(path)
    return path


def kept(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER_NAME).glob("*/*.webp"), key=os.path.getmtime)


def test_it_is_small_and_made_once(tmp_path: Path) -> None:
    path, thumbnails = painted(tmp_path), Thumbnails(tmp_path)
    data = thumbnails.load("a.png", path)
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == ("WEBP", (SIDE_PX, SIDE_PX // 2))
    path.unlink()
    assert thumbnails.load("a.png", path) == data
    thumbnails.forget("a.png")
    thumbnails.forget("a.png")
    with pytest.raises(RequestError):
        thumbnails.load("a.png", path)


def test_the_oldest_go_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    one = len(Thumbnails(tmp_path).load("0", painted(tmp_path)))
    os.utime(kept(tmp_path)[0], (1, 1))
    thumbnails = Thumbnails(tmp_path, max_bytes=3 * one)
    for number in range(1, 5):
        thumbnails.load(str(number), painted(tmp_path))
        os.utime(kept(tmp_path)[-1], (number + 1, number + 1))
    assert sum(path.stat().st_size for path in kept(tmp_path)) <= 3 * one
    assert kept(tmp_path)[0].stat().st_mtime > 1, "the oldest is gone"


def test_a_folder_that_cant_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / FOLDER_NAME).write_text("a file in the way")
    path = painted(tmp_path)
    assert Thumbnails(tmp_path).load("a", path) == Thumbnails(tmp_path).load("a", path)


def test_erasing_a_picture_erases_its_thumbnail(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    stored = gallery.store.add(record())
    gallery.thumbnails.load(stored.file, painted(tmp_path, stored.file))
    assert len(kept(tmp_path)) == 1
    gallery.store.delete([stored.id])
    assert empty_bin(gallery) == 1
    assert kept(tmp_path) == []
    assert not gallery.path_of(stored.file).exists()
    gallery.close()

"""Folders that nobody has checked: links, pipes, names and folders that can't be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paintdiff.errors import RequestError
from paintdiff.gallery.files.picture_files import read_picture_file
from paintdiff.gallery.importing import folders
from paintdiff.gallery.importing.folders import find_picture_files
from tests.gallery.test_importing import write


def listed(folder: Path, without: Path = Path("nowhere")) -> dict[str, str]:
    """The names of what is found, and why it can't be imported."""
    found = find_picture_files(folder, without)
    return {os.fsencode(each.path.name).decode(errors="replace"): each.reason for each in found}


def test_links_stay_in_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "secret" / "secret.png", "red")
    write(tmp_path / "theirs" / "one.png", "blue")
    write(tmp_path / "theirs" / ".store" / "hidden.png", "blue")
    folder = tmp_path / "theirs"
    (folder / "out.png").symlink_to(tmp_path / "secret" / "secret.png")
    (folder / "up.png").symlink_to("../secret/secret.png")
    (folder / "folder").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to(folder)
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "within.png").symlink_to("one.png")
    (folder / "stored.png").symlink_to(".store/hidden.png")
    found = listed(folder)
    assert {name for name, reason in found.items() if not reason} == {"one.png", "stored.png"}
    assert "elsewhere" in found["out.png"] and "elsewhere" in found["up.png"]
    assert "doesn't exist" in found["loop.png"]
    assert found.keys() == {"one.png", "stored.png", "out.png", "up.png", "loop.png"}
    (tmp_path / "link").symlink_to(folder)
    assert listed(tmp_path / "link") == found, "the folder itself may be a link"


def test_pipes_and_odd_names_have_a_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(b"")
    (tmp_path / "line\nbreak.png").write_bytes(b"")
    found = listed(tmp_path)
    assert "pipe, not a file" in found["pipe.png"]
    assert all("Rename" in found[name] for name in ("line\nbreak.png", "\ufffd.png"))
    with pytest.raises(RequestError, match="not a file"):
        read_picture_file(tmp_path / "pipe.png")


def test_folders_are_found_to_a_depth_and_one_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MAX_DEPTH", 2)
    write(tmp_path / "1" / "2" / "deep.png", "red")
    write(tmp_path / "1" / "2" / "3" / "deeper.png", "red")
    write(tmp_path / "own" / "own.png", "red")
    (tmp_path / "link").symlink_to("own")
    found = listed(tmp_path, without=tmp_path / "link")
    assert found.keys() == {"deep.png", "3"}
    assert "deeper than 2" in found["3"]
    assert "can't be read" in listed(tmp_path / "nowhere")["nowhere"]


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    for name, start in {"a.png": b"\x89PNG\r\n\x1a\n", "a.jpg": b"\xff\xd8\xff"}.items():
        with (tmp_path / name).open("wb") as file:
            file.write(start)
            file.truncate(2**40)  # takes no room
        with pytest.raises(RequestError, match="larger than"):
            read_picture_file(tmp_path / name)

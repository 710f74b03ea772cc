"""Lists of tags from models folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from paintdiff.prompts import tags
from paintdiff.prompts.tags import Tag, find_tag_files, read_tags

LIST = """1girl,0,4114588,"1girls,sole_female"
solo,0,3426446,
masterpiece,5,Quality tag,
"hat, red",0,12
cat
"""


def test_tagcompletes_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_bytes(b"\xef\xbb\xbf" + LIST.replace("\n", "\r\n").encode())
    found = read_tags([path])
    assert found.problems == ()
    assert found.tags[:2] == (
        Tag("1girl", 4_114_588, ("1girls", "sole_female")),
        Tag("solo", 3_426_446, ()),
    )
    assert {each.name for each in found.tags[2:]} == {"masterpiece", "hat, red", "cat"}


def test_broken_rows_are_listed_and_the_others_read(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    lines = [b"good,0,1", b",0,5", b'"never closed,0,1', b"\xff\xfe,0,1", b"x" * 200, b"end,0,2"]
    path.write_bytes(
        b"\n".join([*lines, b"nul\x00,0,1", b"line\x1b,0", b"last,0,999999999999999999"])
    )
    found = read_tags([path, tmp_path / "gone.csv"])
    names = [each.name for each in found.tags]
    assert {"good", "end", "last"} <= set(names)
    said = " ".join(found.problems)
    assert all(f"line {number}:" in said for number in (2, 4, 5, 7, 8)) and "gone.csv" in said
    assert len(found.tags) <= 4


def test_files_and_tags_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "MAX_TAGS", 3)
    monkeypatch.setattr(tags, "MAX_FILE_BYTES", 100)
    (tmp_path / "a.csv").write_text("\n".join(f"tag{number}" for number in range(5)))
    (tmp_path / "b.csv").write_text("x\n" * 100)
    found = read_tags([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert len(found.tags) == 3 and len(found.problems) == 2
    monkeypatch.setattr(tags, "MAX_FILE_BYTES", 100_000)
    (tmp_path / "b.csv").write_text(",\n" * 1000)
    found = read_tags([tmp_path / "b.csv"])
    assert len(found.problems) == tags.MAX_PROBLEMS + 1 and "980" in found.problems[-1]


def test_lists_lie_in_models_folders_and_in_the_extension(tmp_path: Path) -> None:
    extension = tmp_path / "extensions/a1111-sd-webui-tagcomplete/tags"
    for folder in (tmp_path / "models/tags", extension):
        folder.mkdir(parents=True)
        (folder / "list.csv").touch()
        (folder / "readme.txt").touch()
    (extension / "folder.csv").mkdir()
    found = find_tag_files([tmp_path / "models", tmp_path / "gone"])
    assert found == (tmp_path / "models/tags/list.csv", extension / "list.csv")

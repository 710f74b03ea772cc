from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from paintdiff.errors import RequestError
from paintdiff.prompts.wildcards import collection
from paintdiff.prompts.wildcards.collection import Wildcards
from paintdiff.prompts.wildcards.expansion import Template

_BOMB = "a: &a {x: [y]}\n" + "".join(
    f"{name}: &{name} {{" + ", ".join(f"k{index}: *{inner}" for index in range(9)) + "}\n"
    for inner, name in pairwise("abcdefgh")
)
"""Aliases that make a file of 9**7 lists."""


def write(folder: Path, files: dict[str, str]) -> Wildcards:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    wildcards = Wildcards([folder])
    wildcards.refresh()
    return wildcards


def every(source: str, wildcards: Wildcards) -> tuple[str, ...]:
    return Template(source, wildcards, "combinatorial").list_combinations(0)


def test_every_wildcard_that_ships_can_be_expanded() -> None:
    wildcards = Wildcards.default()
    assert len(wildcards.names) >= 30
    assert wildcards.broken == ()
    for name in wildcards.names:
        assert all(text.strip() for text in every(f"__{name}__", wildcards))


def test_text_yaml_and_json_files(tmp_path: Path) -> None:
    wildcards = write(
        tmp_path,
        {
            "hat.txt": "\ufefftop hat\r\n\r\n# none\n2::cap\n",
            "animals/cats.txt": "lynx",
            "more.yaml": "trees:\n  old: [oak, no, 2::yew]\n"
            "sea: [{text: reef, weight: 0.5}]\none: elm",
            "deep/list.json": '["a", "b", 3]',
            "deep/map.json": '{"x": {"y": ["z"]}}',
        },
    )
    assert wildcards.broken == ()
    assert every("__hat__", wildcards) == ("top hat", "cap")
    assert every("__Animals\\cats__", wildcards) == ("lynx",)
    assert every("__trees/old__", wildcards) == ("oak", "no", "yew")
    assert every("__sea__ __one__", wildcards) == ("reef elm",)
    assert every("__deep/list__", wildcards) == ("a", "b", "3")
    assert every("__deep/x/y__", wildcards) == ("z",)
    assert sorted(every("__deep/*__", wildcards)) == ["3", "a", "b"]
    assert sorted(every("__de**__", wildcards)) == ["3", "a", "b", "z"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.yaml", "a: [", "isn't valid YAML"),
        ("a.yaml", "[" * 100_000, "nested deeper"),
        ("a.yaml", "text", "a list of lines"),
        ("a.json", "[" * 100_000, "isn't valid JSON"),
        ("a.json", '{"a": [["b"]]}', 'entry of "a"'),
        ("a.json", '["' + "x" * 11_000 + '"]', "at most 10000"),
        ("a.json", " " * 2_200_000, "larger than 2 MiB"),
        (
            "a.yaml",
            _BOMB,
            "lines",
        ),
    ],
)
def test_broken_files_are_listed_with_a_reason(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    wildcards = write(tmp_path, {name: text, "good.txt": "x"})
    assert [broken.path.name for broken in wildcards.broken] == [name]
    assert says in wildcards.broken[0].reason
    assert every("__good__", wildcards) == ("x",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe\x00", "UTF-8"),
        (b"\n# nothing\n", "no lines"),
        (b"a {b", "never closed"),
        (b"x\n" * 100_001, "more than 100000 lines"),
        ((b"{a|b}" * 1000 + b"\n") * 300, "more than 500000 choices"),
    ],
)
def test_a_text_file_that_cannot_be_used_says_why(
    tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "hat.txt").write_bytes(content)
    with pytest.raises(RequestError, match=says) as caught:
        every("__hat__", write(tmp_path, {}))
    assert "__hat__" in str(caught.value)


def test_changed_files_are_read_again(tmp_path: Path) -> None:
    wildcards = write(tmp_path, {"hat.txt": "beret"})
    assert every("__hat__", wildcards) == ("beret",)
    (tmp_path / "hat.txt").write_text("cap and bells")
    assert every("__hat__", wildcards) == ("cap and bells",)
    (tmp_path / "hat.txt").unlink()
    wildcards.refresh()
    with pytest.raises(RequestError, match="no wildcard"):
        every("__hat__", wildcards)


def test_the_first_folder_wins(tmp_path: Path) -> None:
    for folder in ("mine", "theirs"):
        write(tmp_path / folder, {"hat.txt": folder})
    wildcards = Wildcards([tmp_path / "mine", tmp_path / "theirs", tmp_path / "none"])
    wildcards.refresh()
    assert every("__hat__", wildcards) == ("mine",)
    assert wildcards.broken == ()


def test_links_that_lead_up_and_deep_folders_end(tmp_path: Path) -> None:
    write(tmp_path, {"a/hat.txt": "x", "/".join("b" * 15) + "/hat.txt": "y"})
    os.symlink(tmp_path, tmp_path / "a" / "up", target_is_directory=True)
    wildcards = Wildcards([tmp_path])
    wildcards.refresh()
    assert wildcards.names == ("a/hat",)
    assert "deeper than 12" in wildcards.broken[0].reason


def test_a_link_to_itself_is_listed_and_the_others_are_used(tmp_path: Path) -> None:
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    wildcards = write(tmp_path, {"hat.txt": "beret"})
    assert every("__hat__", wildcards) == ("beret",)
    [broken] = wildcards.broken
    assert broken.path.name == "loop.txt" and "can't be read" in broken.reason


def test_huge_folders_and_those_of_the_system_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "system").symlink_to("/proc", target_is_directory=True)
    for number in range(30):
        (tmp_path / f"z{number}").mkdir()
    assert write(tmp_path, {"hat.txt": "x"}).broken == ()
    monkeypatch.setattr(collection, "MAX_ENTRIES", 20)
    wildcards = write(tmp_path, {})
    assert "more than 20 files" in wildcards.broken[0].reason


def test_many_wildcards_of_one_pattern_have_one_limit(tmp_path: Path) -> None:
    text = ("{a|b}" * 1000 + "\n") * 80
    wildcards = write(tmp_path, {f"hats/{number}.txt": text for number in range(4)})
    every("__hats/0__", wildcards)
    with pytest.raises(RequestError, match="more than 500000 choices"):
        every("__hats/*__", wildcards)


def test_too_many_stars_are_refused(tmp_path: Path) -> None:
    wildcards = write(tmp_path, {"a" * 100 + ".txt": "x"})
    with pytest.raises(RequestError, match="at most 3"):
        every("__" + "*a" * 20 + "*b__", wildcards)

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paintdiff.errors import PromptFileError, RequestError, UnknownNameError
from paintdiff.prompts.library import PromptLibrary, thumbnails_folder
from paintdiff.prompts.style_files import read_style_file
from paintdiff.prompts.styles import Style, apply_styles
from paintdiff.prompts.wildcards.expansion import Template


def names(library: PromptLibrary) -> list[str]:
    return [style.name for style in library.list_styles()]


def test_a_style_goes_around_the_prompt() -> None:
    around = Style("a", "oil painting of {prompt}, canvas", "photo")
    after = Style("b", "at night")
    assert apply_styles("a cat", "blurry", [around, after]) == (
        "oil painting of a cat, canvas, at night",
        "blurry, photo",
    )
    assert apply_styles("", "", [after]) == ("at night", "")
    assert apply_styles("{a|b}", "", [around])[0] == "oil painting of {a|b}, canvas"


def test_the_styles_that_ship() -> None:
    library = PromptLibrary()
    styles = library.list_styles()
    assert len(styles) >= 40
    assert library.list_broken() == ()
    assert all("{prompt}" in style.prompt and not style.is_own for style in styles)
    for style in styles:
        Template(style.prompt.replace("{prompt}", "x"), library.find_wildcards()).expand(1)
    thumbnails = [style.thumbnail for style in styles if style.thumbnail]
    assert len(thumbnails) >= 8
    assert sorted(thumbnails) == sorted(path.name for path in thumbnails_folder().iterdir())
    assert sum(path.stat().st_size for path in thumbnails_folder().iterdir()) < 300_000


def test_half_a_character_is_refused_and_costs_only_its_style(tmp_path: Path) -> None:
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles" / "theirs.json").write_text(
        r'[{"name": "Half", "prompt": "a \ud800"}, {"name": "Whole", "prompt": "b"}]'
    )
    library = PromptLibrary([tmp_path], tmp_path / "own")
    assert "Whole" in names(library) and "Half" not in names(library)
    assert "surrogate" in library.list_broken()[0].reason
    with pytest.raises(RequestError, match="surrogate"):
        library.save_style("Mine", "a \ud800")


def test_files_of_other_programs(tmp_path: Path) -> None:
    models = tmp_path / "webui" / "models"
    models.mkdir(parents=True)
    (tmp_path / "webui" / "styles.csv").write_text(
        '\ufeffname,prompt,negative_prompt\nInk,"ink, {prompt}",photo\n"--- Mine ---",,\n'
        '"Two\nlines",x,\n,no name,\nOld,"multi\nline",\n',
        encoding="utf-8",
    )
    (models / "sdxl_styles").mkdir()
    (models / "sdxl_styles" / "sdxl.json").write_text(
        json.dumps([{"name": "sai-anime", "prompt": "anime {prompt}"}, {"name": 3}, "x"])
    )
    extension = tmp_path / "webui" / "extensions" / "sd-dynamic-prompts" / "wildcards"
    extension.mkdir(parents=True)
    (extension / "hat.txt").write_text("my hat")
    library = PromptLibrary([models])
    assert names(library)[:3] == ["sai-anime", "Ink", "Old"]
    assert library.find_styles(["ink"]) == (Style("Ink", "ink, {prompt}", "photo"),)
    reasons = [broken.reason for broken in library.list_broken()]
    assert [reason.partition(":")[0] for reason in reasons] == ["Row 2", "Row 3", "Row 5", "Row 6"]
    assert "hat" in library.list_wildcards()
    assert Template("__hat__", library.find_wildcards()).expand(0) == "my hat"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"\xff\xfe", "UTF-8"),
        ("a.csv", b'name,prompt\na,"b', "isn't valid CSV"),
        ("a.csv", b"name,prompt\n" + b"a," + b"x" * 200_000, "isn't valid CSV"),
        ("a.csv", b"name,prompt\n" + b",x\n" * 100, "too many can't be used"),
        ("a.json", b"[" * 100_000, "isn't valid JSON"),
        ("a.json", b"{}", "a list of styles"),
        ("a.json", json.dumps([{"name": "a", "prompt": "x" * 5001}]).encode(), "at most 5000"),
        ("a.json", b" " * (8 * 2**20 + 1), "larger than 8 MiB"),
    ],
)
def test_broken_files_say_why(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    styles, broken = read_style_file(tmp_path / name)
    assert styles == ()
    assert says in broken[-1].reason


def test_own_styles_are_saved_edited_and_deleted(tmp_path: Path) -> None:
    library = PromptLibrary(own_folder=tmp_path / "new")
    library.save_style("Mine", "mine, {prompt}")
    library.save_style("Watercolour", "my watercolour of {prompt}", "photo")
    library.save_style("mine", "changed {prompt}")
    again = PromptLibrary(own_folder=tmp_path / "new")
    assert again.find_styles(["MINE", "watercolour"]) == (
        Style("mine", "changed {prompt}", is_own=True),
        Style("Watercolour", "my watercolour of {prompt}", "photo", is_own=True),
    )
    again.delete_style("Watercolour")
    assert "white paper" in library.find_styles(["Watercolour"])[0].prompt
    with pytest.raises(RequestError, match="isn't one of your own"):
        library.delete_style("Watercolour")


def test_a_damaged_file_of_own_styles_is_not_overwritten(tmp_path: Path) -> None:
    library = PromptLibrary(own_folder=tmp_path)
    library.save_style("Mine", "x")
    (tmp_path / "styles.json").write_text("[{")
    with pytest.raises(PromptFileError, match="isn't valid JSON"):
        library.save_style("Other", "y")
    assert (tmp_path / "styles.json").read_text() == "[{"


@pytest.mark.parametrize(
    ("name", "prompt", "says"),
    [("", "x", "no name"), ("a", " ", "empty"), ("a" * 101, "x", "101"), ("a\n", "x\0", "")],
)
def test_a_style_that_cannot_be_saved(tmp_path: Path, name: str, prompt: str, says: str) -> None:
    library = PromptLibrary(own_folder=tmp_path)
    if says:
        with pytest.raises(RequestError, match=says):
            library.save_style(name, prompt)
    else:
        assert library.save_style(name, prompt).name == "a"
    with pytest.raises(RequestError, match="can't be saved here"):
        PromptLibrary().save_style("a", "x")


def test_an_unknown_style_suggests_others() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean Watercolour") as caught:
        PromptLibrary().find_styles(["Watercolor"])
    assert caught.value.suggestion == "Watercolour"

"""Preferences outlive the app, and a broken file never stops it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from paintdiff.config.preferences import Preferences, default_preferences_path
from paintdiff.errors import StorageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "preferences.json"


def test_a_pinned_model_is_there_at_the_next_start(path: Path) -> None:
    preferences = Preferences(path)
    assert (preferences.pinned_model, preferences.problem) == (None, "")
    assert not path.parent.exists(), "nothing is written by asking"
    preferences.pin_model("<b>ünïcode</b>")
    assert preferences.pinned_model == "<b>ünïcode</b>" == Preferences(path).pinned_model
    preferences.pin_model(None)
    assert Preferences(path).pinned_model is None
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_without_a_file_they_last_as_long_as_the_app() -> None:
    preferences = Preferences(None)
    preferences.pin_model("mini")
    assert preferences.pinned_model == "mini"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"model": 7}',
        b'{"model": ""}',
        b'{"model": "' + b"x" * 70_000 + b'"}',
        b"[" * 20_000,
    ],
)
def test_what_cannot_be_read_is_said_ignored_and_mended_by_the_next_pin(
    path: Path, content: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    preferences = Preferences(path)
    assert preferences.pinned_model is None
    assert str(path) in preferences.problem and "ignored" in preferences.problem
    assert path.read_bytes() == content, "what is broken is left to its owner until then"
    preferences.pin_model("mini")
    assert preferences.problem == "" and Preferences(path).pinned_model == "mini"


def test_what_a_newer_version_keeps_there_stays(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"model": "old", "language": "de"}', encoding="utf-8")
    Preferences(path).pin_model("mini")
    assert json.loads(path.read_text(encoding="utf-8")) == {"model": "mini", "language": "de"}


def test_what_is_no_text_of_utf_8_there_stays_too(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"more": "\\ud800"}', encoding="utf-8")
    Preferences(path).pin_model("mini")
    assert json.loads(path.read_text(encoding="utf-8")) == {"model": "mini", "more": "\ud800"}


def test_a_write_that_fails_leaves_everything_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preferences = Preferences(path)
    preferences.pin_model("mini")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        preferences.pin_model("other")
    assert preferences.pinned_model == "mini" == Preferences(path).pinned_model
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="their folders are elsewhere")
def test_they_lie_in_the_configuration_folder_of_the_person() -> None:
    assert default_preferences_path({"XDG_CONFIG_HOME": "/c"}) == Path(
        "/c/paintdiffusion/preferences.json"
    )
    home = Path.home() / ".config" / "paintdiffusion" / "preferences.json"
    assert default_preferences_path({}) == home


def test_how_long_the_bin_keeps_pictures(path: Path) -> None:
    preferences = Preferences(path)
    assert preferences.bin_days is None
    preferences.pin_model("mini")
    preferences.set_bin_days(30)
    again = Preferences(path)
    assert (again.bin_days, again.pinned_model) == (30, "mini")
    again.set_bin_days(None)
    assert Preferences(path).bin_days is None
    path.write_text('{"bin_days": 0}', encoding="utf-8")
    assert Preferences(path).bin_days is None
    assert "bin_days" in Preferences(path).problem

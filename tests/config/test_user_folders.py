from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paintdiff.config import user_folders


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "home/.local/share"),
        ("linux", {"XDG_DATA_HOME": "data"}, "data"),
        ("darwin", {}, "home/Library/Application Support"),
        ("win32", {"LOCALAPPDATA": "local"}, "local"),
        ("win32", {}, "home/.local/share"),
    ],
)
def test_installed_the_pictures_are_in_the_users_data(
    platform: str,
    variables: dict[str, str],
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_folders, "is_installed", lambda: True)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    wanted = tmp_path / folder / "paintdiffusion" / "outputs"
    assert user_folders.default_output_folder() == wanted


def test_in_a_checkout_they_are_in_outputs() -> None:
    assert user_folders.default_output_folder() == Path("outputs")

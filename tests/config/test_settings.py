"""Flags and environment."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from paintdiff.config.settings import Settings, parse_bytes
from paintdiff.errors import SettingsError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("PAINTDIFF_", "GRADIO_")) or name in ("SD_MODEL", "CONTROLNET"):
            monkeypatch.delenv(name)


def test_the_defaults_are_safe() -> None:
    settings = Settings.read()
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 7860, "mini")
    assert not settings.share and settings.credentials is None


def test_a_flag_beats_the_environment_which_beats_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7001")
    assert Settings.read().port == 7001
    monkeypatch.setenv("PAINTDIFF_PORT", "7002")
    assert Settings.read().port == 7002
    assert Settings.read(["--port", "7003"]).port == 7003


def test_every_flag_has_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        Settings.read(["--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    for flag in (
        "--host",
        "--port",
        "--share",
        "--share-open",
        "--allow-origin",
        "--auth",
        "--models-dir",
        "--cache-dir",
        "--output-dir",
        "--device",
        "--engine",
        "--memory-budget",
        "--log-level",
        "--queue-size",
        "--model",
        "--controlnet",
        "--open",
    ):
        variable = "PAINTDIFF_" + flag.removeprefix("--").replace("-", "_").upper()
        assert re.search(rf"^  {flag}\b", text, re.MULTILINE), flag
        assert variable in text
    assert "SD_MODEL" in text and "CONTROLNET" in text


def test_several_models_folders_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAINTDIFF_MODELS_DIR", os.pathsep.join(("/a b", "", "/c")))
    assert Settings.read().models_dir == (Path("/a b"), Path("/c"))
    both = Settings.read(["--models-dir", "/d", "--models-dir", "/e:f"])
    assert both.models_dir == (Path("/d"), Path("/e:f")), "flags beat the environment"


def test_each_kind_of_value_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAINTDIFF_MODELS_DIR", "one:two")
    monkeypatch.setenv("PAINTDIFF_MEMORY_BUDGET", "4GB")
    monkeypatch.setenv("PAINTDIFF_OPEN", "true")
    monkeypatch.setenv("PAINTDIFF_ALLOW_HOST", "a.lan, b.lan")
    monkeypatch.setenv("PAINTDIFF_AUTH", "ada:secret:word")
    settings = Settings.read()
    assert settings.models_dir == (Path("one"), Path("two"))
    assert settings.memory_budget_bytes == 4 * 2**30
    assert settings.open_browser and settings.allow_host == ("a.lan", "b.lan")
    assert settings.credentials == ("ada", "secret:word")


def test_the_model_has_three_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SD_MODEL", "from-sd-model")
    monkeypatch.setenv("CONTROLNET", "canny")
    assert Settings.read().model == "from-sd-model" and Settings.read().controlnet == "canny"
    monkeypatch.setenv("PAINTDIFF_MODEL", "ours")
    assert Settings.read().model == "ours"


def test_a_variable_of_someone_else_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "elsewhere")
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("DEVICE", "nonsense")
    settings = Settings.read()
    assert (settings.host, settings.port, settings.device) == ("127.0.0.1", 7860, "auto")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "70000"], r"--port \(or PAINTDIFF_PORT\).*65535, not '70000'"),
        (["--port", "x"], r"--port"),
        (["--device", "toaster"], r"--device"),
        (["--memory-budget", "much"], r"--memory-budget.*like 4GiB"),
        (["--log-level", "loud"], r"--log-level.*'debug', 'info'"),
        (["--queue-size", "0"], r"--queue-size"),
        (["--auth", "nopassword"], r"--auth.*user:password"),
        (["--nonsense"], r"--nonsense"),
        (["--por", "7"], r"--por"),
        (["extra"], r"extra"),
        (["--allow-origin", "example.org"], r"--allow-origin.*https://example.org"),
        (["--allow-origin", "https://example.org/"], r"--allow-origin.*like https"),
        (["--allow-origin", "null"], r"--allow-origin"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(flags: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        Settings.read(flags)
    assert "\n" not in str(refused.value)


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAINTDIFF_PROT", "7")
    with pytest.raises(SettingsError, match="PAINTDIFF_PROT"):
        Settings.read()


def test_a_password_is_never_shown() -> None:
    settings = Settings.read(["--auth", "ada:hunter2"])
    assert "hunter2" not in repr(settings)
    with pytest.raises(SettingsError) as refused:
        Settings.read(["--auth", "hunter2"])
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("2k", 2048), ("1.5 GiB", 1610612736), ("512MB", 2**29)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


def test_a_password_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "password.txt"
    file.write_text("ada:secret\n", encoding="utf-8-sig")  # as Notepad saves it
    assert Settings(auth_file=file).credentials == ("ada", "secret")

"""The Dockerfile and compose.yaml: what can be checked without building an image."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from paintdiff.config.settings import Settings
from tests.test_app import environment, port, started

__all__ = ["port"]

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} +(.+)$", DOCKERFILE, re.MULTILINE)


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    return dict(
        pair.split("=", 1) for line in instructions("ENV") for pair in re.findall(r"\S+=\S+", line)
    )


def stages() -> dict[str, str]:
    """Each stage, and what it is built on."""
    return {
        name: base
        for base, name in re.findall(r"^FROM +(\S+) +AS +(\S+)$", DOCKERFILE, re.MULTILINE)
    }


def test_both_targets_end_as_a_user_without_privileges() -> None:
    for target in ("cpu", "cuda"):
        stage = DOCKERFILE.split(f" AS {target}\n")[1].split("\nFROM ")[0]
        assert re.findall(r"^USER (.+)$", stage, re.MULTILINE)[-1] == "10001:10001"
        assert stages()[target] == "runtime"
        assert f"--from=dependencies-{target} " in stage


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in rules if line.startswith("!")}
    assert "*" in rules
    local = [line for line in instructions("COPY") if not line.startswith("--from")]
    sources = {source for line in local for source in line.split()[:-1]}
    assert {source.split("/")[0] for source in sources} == kept
    for source in sources:
        assert (ROOT / source).exists(), source


def test_the_images_settings_are_the_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    given = image_environment()
    for name in [name for name in os.environ if name.startswith("PAINTDIFF_")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        if name.startswith("PAINTDIFF_"):
            monkeypatch.setenv(name, value)
    settings = Settings.read()
    assert (settings.host, settings.port) == ("0.0.0.0", 7860)
    assert {settings.output_dir, settings.cache_dir, *settings.models_dir} == {
        Path("/data/outputs"),
        Path("/data/cache"),
        Path("/data/models"),
    }
    assert instructions("EXPOSE") == ["7860"]
    for name in COMPOSE["services"]["app"]["environment"]:
        monkeypatch.setenv(name, "")  # as compose does for a variable that isn't set
    assert Settings.read() == settings


def test_the_images_versions_are_those_of_the_requirements() -> None:
    (version,) = re.findall(r"pip install hatchling==(\S+)", DOCKERFILE)
    assert f"hatchling=={version}" in (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    pinned = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for driver in re.findall(r'"(psycopg\[binary\][^"]+)"', DOCKERFILE):
        assert f'"{driver}"' in pinned


def test_compose_builds_the_dockerfiles_targets() -> None:
    cuda = yaml.safe_load((ROOT / "compose.cuda.yaml").read_text(encoding="utf-8"))
    targets = [file["services"]["app"]["build"]["target"] for file in (COMPOSE, cuda)]
    assert targets == ["cpu", "cuda"]
    app = COMPOSE["services"]["app"]
    (volume,) = instructions("VOLUME")
    named = [each.split(":") for each in app["volumes"]]
    assert [place for _, place in named] == [volume]
    used = {name for name, _ in named}
    used |= {each.split(":")[0] for each in COMPOSE["services"]["postgres"]["volumes"]}
    assert used == COMPOSE["volumes"].keys()
    assert COMPOSE["services"]["postgres"]["profiles"] == ["postgres"]
    assert app["ports"][0].startswith("127.0.0.1:"), "nobody else, unless somebody decides so"


def ask_health(port: int) -> int:
    (command,) = re.findall(r'CMD \["python", "[^"]+/(health\.py)"\]', DOCKERFILE)
    return subprocess.run(
        [sys.executable, "-I", str(ROOT / "docker" / command)],
        env={"PAINTDIFF_PORT": str(port)},
        timeout=60,
    ).returncode


def test_the_health_check_tells_a_living_app_from_none(port: int, tmp_path: Path) -> None:
    assert ask_health(port) == 1
    flags = ("--port", str(port), "--output-dir", str(tmp_path), "--auth", "ada:secret")
    with started("-m", "paintdiff", "serve", *flags, port=port):
        assert ask_health(port) == 0
    assert ask_health(port) == 1


def test_the_entry_point_takes_flags_and_serve() -> None:
    assert instructions("ENTRYPOINT") == ['["paintdiffusion"]']
    program = "from paintdiff.app import main; main(['serve', '--help'])"
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert shown.returncode == 0 and "serve" in shown.stdout

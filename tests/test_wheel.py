"""The wheel works without the repository: installed, it paints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import hatch_build
import paintdiff

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, built by the backend that is installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", *offline, "-w", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the commands of an environment that has the wheel and our dependencies.

    The dependencies are those of this environment, by their folders: installing torch once more
    would take minutes and need a network.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    python = commands / "python"
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout
    shared = [entry for entry in sys.path if Path(entry).name == "site-packages"]
    (Path(own.strip()) / "shared.pth").write_text("\n".join(shared), encoding="utf-8")
    here = ("-m", "pip", "--python", python, "--disable-pip-version-check")
    run(sys.executable, *here, "install", "--quiet", "--no-deps", "--no-index", wheel)
    return commands


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without anything that leads to the checkout."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if cwd is not None:
        environment |= {"HOME": str(cwd), "XDG_DATA_HOME": str(cwd / "data")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_it_has_what_the_package_needs_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"paintdiffusion-{paintdiff.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    info = f"paintdiffusion-{paintdiff.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"paintdiff", info}
    checkout = {
        *(f"paintdiff/{name}" for name in files_below(ROOT / "paintdiff")),
        *(f"paintdiff/presets/{name}" for name in files_below(ROOT / "presets")),
    }
    assert {name for name in names if name.startswith("paintdiff/")} == checkout
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/THIRD_PARTY.md"} <= names


def test_its_description_has_no_link_that_leads_nowhere(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"paintdiffusion-{paintdiff.__version__}.dist-info/METADATA")
    fields, _, description = metadata.decode().partition("\n\n")
    assert "Description-Content-Type: text/markdown" in fields
    assert description.startswith("# PaintDiffusion\n") and "## Install" in description
    assert re.findall(r"\]\((?!https?:)", description) == []


def test_with_an_address_the_description_shows_the_pictures() -> None:
    readme = "---\nsdk: gradio\n---\n\n# Us\n\n![A](docs/a.png) [b](docs/b.md#c) [d](https://e.f/)"
    assert hatch_build.describe(readme, "https://github.com/us/it") == (
        "# Us\n\n![A](https://github.com/us/it/raw/HEAD/docs/a.png) "
        "[b](https://github.com/us/it/blob/HEAD/docs/b.md#c) [d](https://e.f/)"
    )


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_installed_it_paints_from_another_folder(commands: Path, tmp_path: Path) -> None:
    program = "import paintdiff; print(paintdiff.__file__)"
    imported = run(commands / "python", "-c", program, cwd=tmp_path).stdout.strip()
    assert Path(imported).is_relative_to(commands.parent)

    flags = ("--seed", "7", "--steps", "2", "--size", "64x64", "--device", "cpu")
    paint = (commands / "paintdiff", "paint", "a red house", *flags, "--output", "house.png")
    run(*paint, cwd=tmp_path)
    with Image.open(tmp_path / "house.png") as picture:
        assert picture.size == (64, 64)
        assert "a red house" in picture.info["parameters"]
        assert "Seed: 7" in picture.info["parameters"]


def test_the_installed_app_starts_and_keeps_pictures_in_the_users_data(
    commands: Path, tmp_path: Path
) -> None:
    shown = run(commands / "paintdiffusion", "--help", cwd=tmp_path).stdout
    assert shown.startswith("usage: paintdiffusion ")
    program = "from paintdiff.app import App, Settings; s = Settings.read(); print(s.output_dir)"
    composed = run(
        commands / "python", "-c", f"{program}; App.compose(s).build_server()", cwd=tmp_path
    )
    assert composed.stdout.strip() == str(tmp_path / "data" / "paintdiffusion" / "outputs")

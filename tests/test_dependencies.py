"""Every import is a declared dependency, and pinned versions lie within the declared ranges."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def declared(lines: list[str]) -> dict[str, Requirement]:
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(each.name): each for each in requirements}


def pinned(name: str) -> dict[str, str]:
    """Version by distribution, of one requirements file alone."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and line[0] not in "#-"]
    return {canonicalize_name(name.partition("[")[0]): version for name, version in pins}


APP = declared([*PROJECT["dependencies"], *EXTRAS["openvino"]])
DEVELOPMENT = declared([*EXTRAS["dev"], *EXTRAS["train"]])
DEVELOPMENT.pop("paintdiffusion")  # our own extras


@pytest.mark.parametrize(
    ("file", "ranges"), [("requirements.txt", APP), ("requirements-dev.txt", DEVELOPMENT)]
)
def test_every_pinned_version_lies_within_its_range(
    file: str, ranges: dict[str, Requirement]
) -> None:
    pins = pinned(file)
    assert pins.keys() == ranges.keys()
    outside = [name for name, pin in pins.items() if not ranges[name].specifier.contains(pin)]
    assert outside == []


def test_every_imported_library_is_declared() -> None:
    distributions = packages_distributions()
    known = APP.keys() | declared([*EXTRAS["train"], *EXTRAS["video"]]).keys()
    missing: set[str] = set()
    for path in (ROOT / "paintdiff").rglob("*.py"):
        for library in libraries_imported(path) - sys.stdlib_module_names - {"paintdiff"}:
            names = {canonicalize_name(name) for name in distributions.get(library, [library])}
            if not names & known:
                missing.add(f"{library} in {path.relative_to(ROOT)}")
    assert missing == set()


def libraries_imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def test_only_training_needs_what_the_extra_for_it_has() -> None:
    extra = declared(EXTRAS["train"]).keys()
    distributions = packages_distributions()
    outside = [
        f"{library} in {path.relative_to(ROOT)}"
        for path in (ROOT / "paintdiff").rglob("*.py")
        if "mini" not in path.relative_to(ROOT).parts
        for library in libraries_imported(path)
        if {canonicalize_name(name) for name in distributions.get(library, ())} & extra
    ]
    assert outside == []

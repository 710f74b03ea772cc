from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

import paintdiff
from paintdiff.system import library_versions


def test_our_own_version_is_known_without_an_installed_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find(name: str) -> str:
        if name in ("paintdiffusion", "openvino"):
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(library_versions, "version", find)
    library_versions.find_library_versions.cache_clear()
    found = library_versions.find_library_versions()
    library_versions.find_library_versions.cache_clear()
    assert found["paintdiffusion"] == paintdiff.__version__
    assert found["torch"] == version("torch")
    assert "openvino" not in found

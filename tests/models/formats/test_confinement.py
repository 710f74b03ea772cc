from __future__ import annotations

import sys

import pytest

from paintdiff.models.formats.confinement import limit_resources

if sys.platform == "win32":
    pytest.skip("Windows has no limits of this kind", allow_module_level=True)

import resource


def test_a_system_that_refuses_one_limit_has_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS refuses RLIMIT_AS."""
    limited: dict[int, int] = {}

    def setrlimit(kind: int, limits: tuple[int, int]) -> None:
        if kind == resource.RLIMIT_AS:
            raise ValueError("current limit exceeds maximum limit")
        limited[kind] = limits[0]

    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    limit_resources(2**30, file_bytes=0, seconds=7)
    assert limited == {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: 7}

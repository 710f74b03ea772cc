"""The versions of the libraries that decide how a picture looks."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import TYPE_CHECKING

from paintdiff.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIBRARIES = ("torch", "diffusers", "transformers", "openvino")


@cache
def find_library_versions() -> Mapping[str, str]:
    """Return the versions of this package and of the installed libraries, by name.

    Ours is that of the code which runs: a checkout isn't installed.
    """
    found = {"paintdiffusion": __version__}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return MappingProxyType(found)

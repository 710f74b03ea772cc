"""Imports OpenVINO, which is optional, without its telemetry.

It reports conversions with a package of its own, and works without where that can't be imported.
"""

from __future__ import annotations

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules
_modules["openvino_telemetry"] = None

import openvino  # noqa: E402  # pyright: ignore[reportMissingImports] (optional)

__all__ = ["openvino"]

"""OpenVINO, which is optional, without what it sends home: it counts conversions with a package of
its own, and does without where that can't be imported.
"""

from __future__ import annotations

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules
_modules["openvino_telemetry"] = None

import openvino  # noqa: E402  # pyright: ignore[reportMissingImports] (optional)

__all__ = ["openvino"]

"""Runs parts of a benchmark in fresh processes; importable without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

NO_CHANGES: Mapping[str, str] = {}


def answer(
    module: str, asked: Mapping[str, Any], environment: Mapping[str, str] = NO_CHANGES
) -> dict[str, Any]:
    """Run `python -m benchmarks.MODULE --child` with the arguments; return its last line's JSON."""
    output = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", "--child", json.dumps(asked)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ).stdout
    return json.loads(output.splitlines()[-1])

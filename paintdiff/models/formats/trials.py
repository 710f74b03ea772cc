"""Tries an untrusted file in a separate process before a library that it could crash reads it.

Importable without torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from paintdiff.models.formats import messages

_NEEDED_VARIABLES = ("SYSTEMROOT", "WINDIR")  # Windows starts no process without them
_ONE_THREAD = {
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def run_trial(child: Path, content: bytes, seconds: float) -> str | None:
    """Run a Python script with a file's content as its standard input.

    Returns:
        None if it exits with status 0, else the reason: its output, or how it ended.

    Raises:
        OSError: No process can be started.
    """
    own = {name: os.environ[name] for name in _NEEDED_VARIABLES if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-B", str(child)],
            input=content,
            capture_output=True,
            env={**own, **_ONE_THREAD},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return messages.reading_took_longer(seconds)
    if done.returncode == 0:
        return None
    said = done.stdout.decode("utf-8", "replace").strip()
    return said or messages.crashed_its_process(done.returncode)

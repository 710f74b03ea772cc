"""Dying, losing power and failing at single calls; `benchmarks.gallery_faults` takes them all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gallery_faults import CONTROLS

ROOT = Path(__file__).resolve().parents[2]


def find_faults(*arguments: str) -> subprocess.CompletedProcess[str]:
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("it needs Linux and a C compiler")
    command = [sys.executable, "-m", "benchmarks.gallery_faults", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=3600
    )


@pytest.mark.parametrize("work", ["save", "import", "migrate", "bin"])
def test_nothing_is_lost_at_one_call(work: str) -> None:
    done = find_faults(work, "--first", "36", "--every", "1000")
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_lost_with_a_server(postgresql_server: str) -> None:
    done = find_faults("save", "--first", "30", "--every", "1000", "--postgresql")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_flush_is_found() -> None:
    done = find_faults(
        "save", "--mode", "kill", "--first", "36", "--every", "1000", "--without", "file flushes"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "can't be read" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("server", [(), ("--postgresql",)], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize("work", ["save", "import", "migrate", "bin"])
def test_nothing_is_lost_at_any_call(work: str, server: tuple[str, ...]) -> None:
    done = find_faults(work, *server)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("without", CONTROLS)
def test_each_missing_safeguard_is_found(without: str) -> None:
    done = find_faults("save", "--mode", "kill", "--without", without)
    assert done.returncode == 1, done.stdout + done.stderr

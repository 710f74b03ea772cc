"""Marks that end with their process, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from paintdiff.system.process_marks import ProcessMark, is_alive

MAKE = """
import os, sys, time
from pathlib import Path
from paintdiff.system.process_marks import ProcessMark
mark = ProcessMark(Path(sys.argv[1]))
if len(sys.argv) > 2 and os.fork() == 0:  # a child that outlives it doesn't keep the mark
    os.close(1)
    time.sleep(600)
print(os.getpid(), mark.name, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it needs fork")
@pytest.mark.parametrize("forks", [(), ("forks",)])
def test_a_mark_ends_with_its_process(forks: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path), *forks]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        _, name = process.stdout.readline().split()
        assert is_alive(tmp_path, name)
        assert is_alive(tmp_path, name)  # looking doesn't end it
        process.kill()
        process.wait()
        assert not is_alive(tmp_path, name)
        assert list(tmp_path.iterdir()) == []
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_mark_that_is_removed(tmp_path: Path) -> None:
    mark = ProcessMark(tmp_path / "new")
    mark.remove()
    assert not is_alive(tmp_path / "new", mark.name)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "0" * 15, "G" * 16])
def test_what_is_no_mark_is_not_alive(name: str, tmp_path: Path) -> None:
    assert not is_alive(tmp_path, name)

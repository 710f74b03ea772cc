"""A process that lacks something still says and writes what it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PREPARED = "from paintdiff.system.process import prepare_process; said = prepare_process()\n"


def run(script: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment |= more.pop("env", {})  # type: ignore[arg-type]
    command = [sys.executable, "-c", PREPARED + script]
    return subprocess.run(command, env=environment, capture_output=True, check=False, **more)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("utf-8", "a 🐉 \u00e4".encode() + b" \xff"),
        ("cp1252", b"a \\U0001f409 \xe4 \xff"),
        ("ascii", b"a \\U0001f409 \\xe4 \xff"),
    ],
)
def test_every_encoding_can_write_everything(encoding: str, written: bytes) -> None:
    done = run(
        "import sys; sys.stdout.write('a 🐉 \u00e4 \\udcff')", env={"PYTHONIOENCODING": encoding}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == written


def test_without_standard_streams_nothing_else_gets_what_is_printed(tmp_path: Path) -> None:
    """A file that is opened would take the number of the stream that is closed."""
    script = (
        "import sys, os\n"
        f"file = open({str(tmp_path / 'picture')!r}, 'wb')\n"
        "os.write(1, b'printed'); print('printed'); sys.stderr.write('printed')\n"
        "file.write(b'the picture')\n"
    )
    done = run(script, preexec_fn=lambda: [os.close(number) for number in (0, 1, 2)])
    assert done.returncode == 0
    assert (tmp_path / "picture").read_bytes() == b"the picture"


HOME = (
    "import json, os, pathlib; os.environ.pop('USER', None)\n"
    "print(json.dumps([said, str(pathlib.Path.home()), os.access(pathlib.Path.home(), os.W_OK)]))"
)


def test_a_home_that_can_be_written_is_left_alone(tmp_path: Path) -> None:
    said, home, writable = json.loads(run(HOME, env={"HOME": str(tmp_path)}).stdout)
    assert (said, home, writable) == ("", str(tmp_path), True)


@pytest.mark.parametrize("home", ["/no/such/folder", "relative", "/proc"])
def test_without_a_home_a_temporary_one_is_used(home: str, tmp_path: Path) -> None:
    done = run(HOME, env={"HOME": home, "TMPDIR": str(tmp_path)})
    said, found, writable = json.loads(done.stdout)
    assert found in said and found.startswith(str(tmp_path)) and writable


def test_a_home_that_somebody_else_prepared_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    trap = tmp_path / f"paintdiffusion-home-{os.getuid()}"
    trap.symlink_to(tmp_path / "elsewhere")
    done = run(HOME, env={"HOME": "/no/such/folder", "TMPDIR": str(tmp_path)})
    assert json.loads(done.stdout)[1] not in (str(trap), str(tmp_path / "elsewhere"))

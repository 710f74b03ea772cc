"""The repository as a Hugging Face Space: started there as it stands, it paints."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.test_app import ROOT, environment, port

__all__ = ["port"]

READ_ONLY = """
import errno, os, sys

allowed = tuple(os.path.realpath(each) for each in os.environ["WRITABLE"].split(os.pathsep))

def check(path):
    if isinstance(path, (str, bytes, os.PathLike)):
        real = os.path.realpath(os.fsdecode(path))
        if not real.startswith((*allowed, "/dev/", "/proc/")):
            sys.stderr.write(f"REFUSED {real}\\n")
            raise OSError(errno.EROFS, "Read-only file system", real)

def refuse(event, arguments):
    if event == "open":
        path, _mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            check(path)
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "sqlite3.connect"):
        if arguments[0] != ":memory:":
            check(arguments[0])
    elif event in ("os.rename", "os.link", "os.symlink"):
        check(arguments[1])
    elif event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and not str(address[0]).startswith("127."):
            sys.stderr.write(f"REFUSED {address}\\n")
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

sys.addaudithook(refuse)
"""
"""Refuses to write elsewhere and to connect anywhere, and says so: permissions don't hold root."""


def test_it_paints_where_only_tmp_and_the_data_folder_can_be_written(
    port: int, tmp_path: Path
) -> None:
    hook, data, temporary = (tmp_path / each for each in ("hook", "data", "tmp"))
    for folder in (hook, data, temporary):
        folder.mkdir()
    (hook / "sitecustomize.py").write_text(READ_ONLY, encoding="utf-8")
    variables = environment(
        PYTHONPATH=str(hook),
        PYTHONDONTWRITEBYTECODE="1",
        WRITABLE=f"{data}:{temporary}",
        TMPDIR=str(temporary),
        SYSTEM="spaces",
        SPACE_ID="ada/paint",
        SPACE_HOST="ada-paint.hf.space",
        GRADIO_SERVER_NAME="0.0.0.0",
        GRADIO_SERVER_PORT=str(port),
        PAINTDIFF_OUTPUT_DIR=str(data / "outputs"),
    )
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        variables.pop(name, None)
    control = subprocess.run(
        [sys.executable, "-c", f"open({str(tmp_path / 'elsewhere')!r}, 'w')"],
        env=variables,
        capture_output=True,
        text=True,
    )
    assert "Read-only file system" in control.stderr
    space = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**variables, "USER": "user"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert b"PaintDiffusion" in _ask(space, port, "/")
        request = {"prompt": "a red house", "num_inference_steps": 2, "width": 64, "height": 64}
        painted = json.loads(_ask(space, port, "/generate", request))
        assert painted["image"].startswith("data:image/png;base64,")
        assert painted["warnings"] == []
    finally:
        space.terminate()
        _said, log = space.communicate(timeout=60)
    assert "Traceback" not in log
    assert "REFUSED ('" not in log, "nothing is asked of another machine"
    assert len([*(data / "outputs").rglob("*.png")]) == 1


def _ask(
    space: subprocess.Popen[str], port: int, path: str, body: dict[str, Any] | None = None
) -> bytes:
    """What the Space answers to its own proxy, once it listens."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Host": "ada-paint.hf.space", "X-Forwarded-For": "192.0.2.1"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    until = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read()) from error
        except urllib.error.URLError:
            assert space.poll() is None, space.communicate()
            assert time.monotonic() < until
            time.sleep(0.1)

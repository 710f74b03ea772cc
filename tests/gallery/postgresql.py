"""A PostgreSQL server of the tests' own: Debian's programs, on a free port, with its own files."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

_START_SECONDS = 120
_WATCHED = 'trap "" INT TERM; "$@" </dev/null & cat >/dev/null; kill -QUIT $!; wait $!'
"""Stops the server when the tests' end of the pipe closes, even if they are killed."""


@contextmanager
def running_server() -> Generator[str]:
    """Yield the URL of a server, which is stopped and removed at the end.

    The tests are skipped where the programs are missing, but not on Debian in CI, which has to
    install them.
    """
    programs = _find_programs()
    if programs is None:
        missing = "PostgreSQL's initdb and postgres aren't installed"
        if "CI" in os.environ and Path("/etc/debian_version").exists():
            pytest.fail(f"{missing}: apt-get install postgresql")
        pytest.skip(missing)
    user = _find_user()
    with tempfile.TemporaryDirectory(prefix="paintdiff-postgresql-") as name:
        if user is not None:
            os.chown(name, user, -1)
        data, port = Path(name) / "data", _find_free_port()
        setup = (programs / "initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "-N")
        subprocess.run(
            [str(part) for part in setup],
            user=user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            check=True,
            timeout=_START_SECONDS,
        )
        server = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", name]
        server += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        log = Path(name) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", _WATCHED, "sh", *server],
                user=user,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C must not reach it before the tests end
            )
        url = f"postgresql://test@127.0.0.1:{port}/postgres"
        try:
            _wait_until_ready(url, process, log)
            yield url
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(_START_SECONDS)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=5):
            return
        time.sleep(0.05)
    pytest.fail(f"PostgreSQL didn't start: {log.read_text(errors='replace')[-2000:]}")


def _find_programs() -> Path | None:
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in folders if (each / "postgres").exists()), None)


def _find_user() -> int | None:
    """Return a user other than root, as whom PostgreSQL refuses to run; None if we aren't root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise AssertionError("there is no user postgres or nobody")


def _find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

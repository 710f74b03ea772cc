"""Files appear whole or not at all; what killed runs leave is removed, and nothing else."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest

from paintdiff.system import atomic_files
from paintdiff.system.atomic_files import new_file, remove_stale_folders, remove_stale_parts

WRITING = """
import sys, time
from pathlib import Path
from paintdiff.system.atomic_files import new_file
with new_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def written(path: Path, data: bytes) -> None:
    with new_file(path) as file:
        file.write(data)


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    written(path, b"old")
    with pytest.raises(RuntimeError), new_file(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_tidied_up_counts_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unlink = Path.unlink

    def no_unlink(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(Path, "unlink", no_unlink)
    with new_file(tmp_path / "b", overwrite=False) as file:
        file.write(b"whole")
    monkeypatch.setattr(Path, "unlink", unlink)
    assert (tmp_path / "b").read_bytes() == b"whole"
    assert caplog.text.count("not tidied up") == 1


def fail_to_flush_folders(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    fsync = os.fsync

    def no_folders(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(atomic_files.os, "fsync", no_folders)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_name_that_may_be_lost_is_an_error(
    overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").write_bytes(b"")
    fail_to_flush_folders(monkeypatch, errno.EIO)
    with pytest.raises(OSError), new_file(tmp_path / "a", overwrite=overwrite) as file:
        file.write(b"whole")
    assert (tmp_path / "a").exists() == overwrite


def test_where_folders_cannot_be_flushed_a_name_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_flush_folders(monkeypatch, errno.EINVAL)
    written(tmp_path / "new" / "a", b"whole")
    assert (tmp_path / "new" / "a").read_bytes() == b"whole"


def test_new_folders_are_flushed_even_if_another_process_made_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(atomic_files, "sync_folder", flushed.append)
    (tmp_path / "a").mkdir()
    written(tmp_path / "a" / "b" / "c" / "file", b"")
    assert flushed == [tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    flushed.clear()
    written(tmp_path / "a" / "b" / "c" / "second", b"")
    assert flushed == [tmp_path / "a" / "b" / "c"]


def test_what_a_killed_run_leaves_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """However soon that is."""
    day = tmp_path / "2026-11-29"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(day / "a.png")], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        remove_stale_parts(tmp_path, depth=1)
        assert len(list(day.iterdir())) == 1, "it is being written"
        process.send_signal(signal.SIGKILL)
    (part,) = day.iterdir()
    others = [day / ".notes.part", day / "a.part", day / ".0123.part", day / "b.png"]
    for other in others:
        other.touch()
    remove_stale_parts(tmp_path)
    assert part.exists(), "only as deep as asked"
    remove_stale_parts(tmp_path, depth=1)
    assert sorted(day.iterdir()) == sorted(others)


@pytest.mark.parametrize("start_is_over", [True, False])
def test_a_file_that_a_start_takes_for_left_behind_is_created_again(
    start_is_over: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its creation and its lock nothing tells it from one that was left."""
    lock = atomic_files._lock

    @contextmanager
    def other_start_locks(part: Path) -> Generator[None]:
        with part.open("rb") as file:
            lock(file)
            yield
            part.unlink()

    with ExitStack() as starts:

        def lock_late(file: IO[bytes]) -> bool:
            monkeypatch.setattr(atomic_files, "_lock", lock)
            starts.enter_context(other_start_locks(Path(file.name)))
            if start_is_over:
                starts.close()
            return lock(file)

        monkeypatch.setattr(atomic_files, "_lock", lock_late)
        written(tmp_path / "a", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_where_nothing_can_be_locked_only_old_files_are_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_files, "_lock", lambda _file: False)
    part = tmp_path / f".{'0' * 16}.part"
    part.touch()
    remove_stale_parts(tmp_path)
    assert part.exists()
    os.utime(part, (time.time() - 7200, time.time() - 7200))
    remove_stale_parts(tmp_path)
    assert not part.exists()
    remove_stale_parts(tmp_path / "no-such-folder")


WORKING = """
import sys, time
from paintdiff.system.atomic_files import temporary_folder
with temporary_folder() as folder:
    (folder / "file").write_text("half")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_temporary_folder_goes_with_its_run_or_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_files, "gettempdir", lambda: str(tmp_path))
    other = tmp_path / "paintdiff-work-of-something-else"
    other.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", WORKING],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        remove_stale_folders()
        assert (folder / "file").exists(), "it is in use"
        process.send_signal(signal.SIGKILL)
    remove_stale_folders()
    assert list(tmp_path.iterdir()) == [other]

"""Full disks and killed programs while something is downloaded."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from huggingface_hub import constants

from paintdiff.errors import DiskSpaceError, ModelDeleteError
from paintdiff.models.hub import cache as hub_cache
from paintdiff.models.hub import resumable_download as hub_fetch
from paintdiff.models.hub.downloads import Downloads
from tests.hub_server import FakeHub, Repository

ID = "painter/boats"
LARGE = bytes(range(256)) * 8000
NAME = "boats.safetensors"
DOWNLOAD = """
import sys
from paintdiff.errors import PaintError
from paintdiff.models.hub.downloads import Downloads
try:
    print(Downloads().start("painter/boats").result())
except PaintError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def boats_hub(hub: FakeHub) -> FakeHub:
    hub.repositories[ID] = Repository({NAME: LARGE})
    return hub


def environment() -> Mapping[str, str]:
    """The result of a child process with the same hub and cache."""
    return {
        **os.environ,
        "HF_ENDPOINT": constants.ENDPOINT,
        "HF_HUB_CACHE": constants.HF_HUB_CACHE,
        "HF_HUB_OFFLINE": "0",
    }


def names_in_cache() -> set[str]:
    return {path.name for path in Path(constants.HF_HUB_CACHE).rglob("*") if path.is_file()}


def test_a_killed_program_leaves_nothing_that_looks_whole(boats_hub: FakeHub) -> None:
    boats_hub.pause_seconds = 0.02
    with subprocess.Popen([sys.executable, "-c", DOWNLOAD], env=environment()) as child:
        deadline = time.monotonic() + 60
        while boats_hub.sent_bytes("/files/") < 500_000:
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    assert hub_cache.find_snapshot(ID) is None and hub_cache.list_cached_models() == ()
    parts = {name for name in names_in_cache() if name.endswith(hub_cache.PART_SUFFIX)}
    assert len(parts) == 1 and NAME not in names_in_cache()
    boats_hub.pause_seconds = 0.0
    boats_hub.asked.clear()
    path = Downloads().start(ID).result()
    assert path.read_bytes() == LARGE
    assert boats_hub.sent_bytes("/files/") < len(LARGE) - 300_000, "it went on from there"
    assert not any(name.endswith(hub_cache.PART_SUFFIX) for name in names_in_cache())


def test_too_little_room_is_told_before_anything_is_fetched(
    boats_hub: FakeHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.disk_usage(".")
    usage = type(real)(real.total, real.total - 1000, 1000)
    monkeypatch.setattr(hub_fetch.shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(DiskSpaceError, match=r"needs 2 MiB more.*only 1 KiB is free"):
        downloads.start(ID).result()
    assert boats_hub.sent_bytes() == 0
    monkeypatch.undo()


def test_what_other_downloads_will_take_counts(
    boats_hub: FakeHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    boats_hub.repositories["painter/other"] = boats_hub.repositories[ID]
    boats_hub.stalls = True
    first = downloads.start(ID)
    while first.state().done_bytes == 0:
        time.sleep(0.01)
    real = shutil.disk_usage(".")
    enough_for_one = type(real)(real.total, 0, hub_fetch.SPARE_BYTES + len(LARGE) * 3 // 2)
    monkeypatch.setattr(hub_fetch.shutil, "disk_usage", lambda _path: enough_for_one)
    with pytest.raises(DiskSpaceError, match="needs 4 MiB more"):
        downloads.start("painter/other").result()


def test_a_disk_that_fills_up_is_told_and_what_came_is_kept(boats_hub: FakeHub) -> None:
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
    done = subprocess.run(
        [sys.executable, "-c", limited + DOWNLOAD],
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("DiskSpaceError The disk is full: boats.safetensors")
    assert hub_cache.find_snapshot(ID) is None
    boats_hub.asked.clear()
    assert Downloads().start(ID).result().read_bytes() == LARGE
    assert boats_hub.sent_bytes("/files/") == len(LARGE) - 500_000


def test_a_repository_is_deleted_with_what_had_come_of_it(
    boats_hub: FakeHub, downloads: Downloads
) -> None:
    boats_hub.stalls = True
    download = downloads.start(ID)
    while download.state().done_bytes == 0:
        time.sleep(0.01)
    with pytest.raises(ModelDeleteError, match="being downloaded"):
        downloads.delete(ID)
    download.cancel()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            assert downloads.delete(ID) > 0
            break
        except ModelDeleteError:
            time.sleep(0.05)
    assert not hub_cache.get_repository_folder(ID).exists()
    boats_hub.stalls = False
    boats_hub.released.set()
    assert downloads.start(ID).result().read_bytes() == LARGE
    assert downloads.delete(ID) >= len(LARGE)
    assert hub_cache.list_cached_models() == ()
    with pytest.raises(ModelDeleteError, match="isn't in"):
        downloads.delete(ID)


def test_two_repositories_at_once(boats_hub: FakeHub, downloads: Downloads) -> None:
    boats_hub.repositories["painter/other"] = boats_hub.repositories[ID]
    boats_hub.stalls = True
    both = [downloads.start(ID), downloads.start("painter/other")]
    deadline = time.monotonic() + 30
    while not all(0 < one.state().done_bytes < len(LARGE) for one in both):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    boats_hub.stalls = False
    boats_hub.released.set()
    assert [one.result().read_bytes() for one in both] == [LARGE, LARGE]

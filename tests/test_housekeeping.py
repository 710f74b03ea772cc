"""Work beside painting: watched folders, thumbnails, and the bin."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paintdiff.config.preferences import Preferences
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.database import FILE_NAME
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.rows import set_values
from paintdiff.housekeeping import Housekeeping
from tests.gallery.records import record
from tests.gallery.test_importing import write


def test_watched_folders_are_imported_until_the_app_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = tmp_path / "theirs", tmp_path / "missing"
    write(folders[0] / "one.png", "red")
    gallery, status = Gallery(tmp_path / "out"), SimpleNamespace(running_job_id="1", queue_length=0)
    engine: Any = SimpleNamespace(status=lambda: status)
    keeping = Housekeeping(gallery, engine, Preferences(None), folders)
    works = keeping.watch_folders, keeping.make_thumbnails
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    try:
        until = time.monotonic() + 60
        while gallery.store.count(PictureQuery()) == 0:
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        keeping.ended.set()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert "1 imported" in capsys.readouterr().out
    gallery.close()


def test_old_pictures_leave_the_bin_by_themselves(tmp_path: Path) -> None:
    gallery, preferences = Gallery(tmp_path), Preferences(None)
    nothing: Any = None
    keeping = Housekeeping(gallery, nothing, preferences)
    old, recent, kept = (gallery.store.add(record()) for _ in range(3))
    gallery.store.delete([old.id, recent.id])
    with gallery.database.write() as session:
        set_values(session, [old.id], deleted_at=datetime.now(UTC) - timedelta(days=8))
    keeping.empty_old_bin()
    assert gallery.store.count(PictureQuery(bin=True)) == 2, "only if that was chosen"
    preferences.set_bin_days(7)
    keeping.empty_old_bin()
    assert [each.id for each in gallery.store.page(PictureQuery(bin=True)).records] == [recent.id]
    assert gallery.store.get(kept.id) == kept
    gallery.close()
    (tmp_path / FILE_NAME).write_bytes(b"damaged" * 1000)
    keeping.empty_old_bin()  # says so in the log, and the app goes on

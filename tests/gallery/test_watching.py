"""Watched folders: what appears there is imported when it is whole, once, and nothing stops it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from paintdiff.errors import SettingsError
from paintdiff.gallery.adoption import empty_bin
from paintdiff.gallery.checking import find_mismatches
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.importing.import_folder import ImportReport, import_folder
from paintdiff.gallery.importing.thumbnails_ahead import ThumbnailsAhead
from paintdiff.gallery.importing.watching import SETTLE_SECONDS, FolderWatcher
from paintdiff.gallery.records.query import PictureQuery
from tests.gallery.test_importing import A1111, write


class Watch:
    """A watcher of the folder `theirs`, and its clock."""

    def __init__(self, gallery: Gallery, folder: Path, *, copy: bool = False) -> None:
        self.gallery, self.folder, self.copy, self.now = gallery, folder, copy, 0.0
        self.restart()

    def restart(self) -> None:
        self.watcher = FolderWatcher(
            self.gallery, [self.folder], copy=self.copy, clock=lambda: self.now
        )

    def look(self, seconds: float = SETTLE_SECONDS) -> ImportReport:
        self.now += seconds
        report = ImportReport()
        self.watcher.look(report)
        return report

    def settle(self) -> ImportReport:
        self.look(0)
        return self.look()

    @property
    def names(self) -> list[str]:
        found = self.gallery.store.records(PictureQuery())
        return sorted(Path(each.file).name for each in found)


@pytest.fixture
def watch(gallery: Gallery, tmp_path: Path) -> Watch:
    (tmp_path / "theirs").mkdir()
    return Watch(gallery, tmp_path / "theirs")


def test_what_appears_is_imported_once(watch: Watch) -> None:
    write(watch.folder / "one.png", "red", parameters=A1111)
    assert watch.look(0).imported == 0
    assert watch.look().imported == 1
    write(watch.folder / "deep" / "two.png", "green")
    assert watch.settle().imported == 1
    assert watch.settle() == ImportReport()
    watch.restart()
    assert watch.settle() == ImportReport()
    assert watch.names == ["one.png", "two.png"]
    assert watch.gallery.store.count(PictureQuery(search="lighthouse")) == 1
    assert list(find_mismatches(watch.gallery, thorough=True)) == []


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_file_that_grows_is_imported_when_it_is_whole(watch: Watch, suffix: str) -> None:
    source, target = watch.folder.parent / f"all{suffix}", watch.folder / f"one{suffix}"
    Image.effect_noise((128, 128), 90).convert("RGB").save(source)
    data = source.read_bytes()
    for part in (len(data) // 3, len(data) // 2):
        target.write_bytes(data[:part])
        watch.look()
        assert watch.look(SETTLE_SECONDS / 2).imported == 0, "it hasn't settled"
    report = watch.look()
    assert report.imported == 0 and [path for path, _ in report.failed] == [target]
    assert watch.look().failed == [], "it is reported once"
    target.write_bytes(data)
    assert watch.settle().imported == 1


def test_a_file_is_tried_again_though_it_looks_the_same(watch: Watch) -> None:
    """Programs that copy may set the size and the time first, and the content last."""
    write(watch.folder / "one.png", "red")
    path = watch.folder / "one.png"
    data, state = path.read_bytes(), path.stat()
    path.write_bytes(bytes(len(data)))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert watch.settle().failed
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert watch.look(1000).imported == 1


def test_a_renamed_picture_keeps_its_record(watch: Watch) -> None:
    write(watch.folder / "one.png", "red")
    watch.settle()
    (before,) = watch.gallery.store.records(PictureQuery())
    watch.gallery.store.set_feedback([before.id], 1)
    (watch.folder / "sub").mkdir()
    (watch.folder / "one.png").rename(watch.folder / "sub" / "other.png")
    assert watch.settle() == ImportReport(moved=1)
    (after,) = watch.gallery.store.records(PictureQuery())
    assert (after.id, after.feedback) == (before.id, 1)
    assert watch.gallery.path_of(after.file) == watch.folder / "sub" / "other.png"
    assert list(find_mismatches(watch.gallery, thorough=True)) == []


def test_a_missing_disk_loses_nothing(watch: Watch) -> None:
    write(watch.folder / "one.png", "red")
    watch.settle()
    watch.folder.rename(watch.folder.with_name("away"))
    report = watch.settle()
    assert "can't be read" in watch.watcher._refused[str(watch.folder)]  # pyright: ignore[reportPrivateUsage]
    assert report.failed == [], "the look before has said so"
    assert watch.names == ["one.png"]
    watch.folder.with_name("away").rename(watch.folder)
    write(watch.folder / "two.png", "blue")
    assert watch.settle() == ImportReport(imported=1)


@pytest.mark.parametrize("copy", [False, True])
def test_what_was_deleted_from_the_gallery_stays_away(watch: Watch, copy: bool) -> None:
    watch.copy = copy
    watch.restart()
    write(watch.folder / "one.png", "red")
    watch.settle()
    watch.gallery.store.delete([each.id for each in watch.gallery.store.records(PictureQuery())])
    (watch.folder / "one.png").rename(watch.folder / "renamed.png")
    watch.restart()
    watch.settle()
    assert watch.names == []
    empty_bin(watch.gallery)
    watch.restart()
    watch.settle()
    assert watch.names == []
    assert (watch.folder / "renamed.png").is_file()
    assert import_folder(watch.gallery, watch.folder).imported == 1, "by hand it comes back"


def test_copies_and_duplicates_are_not_read_at_each_start(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.copy = True
    watch.restart()
    for name in ("one.png", "same.png"):
        write(watch.folder / name, "red")
    report = watch.settle()
    assert (report.imported, report.present) == (1, 1)
    monkeypatch.setattr("paintdiff.gallery.importing.watching.read_picture_file", None)
    watch.restart()
    assert watch.settle() == ImportReport()
    assert len(watch.names) == 1


def test_a_changed_picture_says_so(watch: Watch) -> None:
    write(watch.folder / "one.png", "red")
    watch.settle()
    write(watch.folder / "one.png", "blue", parameters=A1111)
    ((_, reason),) = watch.settle().failed
    assert "changed since" in reason
    watch.restart()
    assert watch.settle().failed, "it says so again after a start"


def test_what_cannot_be_imported_is_said_once_and_stops_nothing(watch: Watch) -> None:
    os.mkfifo(watch.folder / "a.png")
    (watch.folder / "b.png").symlink_to("/etc/passwd")
    (watch.folder / "c.png").write_bytes(b"broken")
    write(watch.folder / "d.png", "red")
    first, second = watch.look(0), watch.look()
    assert [path.name for path, _ in first.failed + second.failed] == ["a.png", "b.png", "c.png"]
    assert second.imported == 1
    assert watch.look().failed == []
    (watch.folder / "c.png").unlink()
    write(watch.folder / "c.png", "green")
    assert watch.settle().imported == 1


def test_names_and_times_that_no_database_holds_stop_nothing(watch: Watch) -> None:
    odd = Path(os.fsdecode(os.fsencode(watch.folder) + b"/\xff"))
    write(odd / "a.png", "red")
    write(watch.folder / "b.png", "green")
    os.utime(watch.folder / "b.png", ns=(10**19, 10**19))  # where the file system can
    watch.copy = True
    watch.restart()
    first, report = watch.look(0), watch.look()
    assert report.imported == 1 and [path for path, _ in first.failed] == [odd]
    assert any(name.startswith("b-") for name in watch.names)
    watch.restart()
    assert watch.settle().imported == 0


def test_the_gallerys_own_pictures_are_left_alone(watch: Watch, tmp_path: Path) -> None:
    write(watch.gallery.folder / "2026-11-30" / "own.png", "red")
    watch.folder = tmp_path
    watch.restart()
    watch.settle()
    assert watch.names == []
    (tmp_path / "link").symlink_to(watch.gallery.folder)
    for folder in (watch.gallery.folder / "2026-11-30", tmp_path / "link"):
        with pytest.raises(SettingsError, match="gallery's own"):
            FolderWatcher(watch.gallery, [folder])


def test_it_goes_on_after_a_failure_and_ends_at_once(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database can't be used at first."""
    write(watch.folder / "one.png", "red")
    ended, told = threading.Event(), list[ImportReport]()
    monkeypatch.setattr("paintdiff.gallery.importing.watching.SETTLE_SECONDS", 0)
    monkeypatch.setattr("paintdiff.gallery.importing.watching._FIRST_RETRY_SECONDS", 0.01)
    real = watch.gallery._url  # pyright: ignore[reportPrivateUsage]
    watch.gallery.close()
    watch.gallery._url = "postgresql://test@127.0.0.1:1/nothing"  # pyright: ignore[reportPrivateUsage]

    def wait(seconds: float) -> bool:
        watch.gallery._url = real  # pyright: ignore[reportPrivateUsage]
        return bool(seconds) and bool(told)

    monkeypatch.setattr(ended, "wait", wait)

    def tell(report: ImportReport) -> None:
        told.append(report)
        ended.set()

    watch.watcher.run(ended, tell)
    assert told == [ImportReport(imported=1)]


def test_thumbnails_are_made_while_nothing_is_painted(watch: Watch) -> None:
    for number, colour in enumerate(("red", "green", "blue")):
        write(watch.folder / f"{number}.png", colour)
    import_folder(watch.gallery, watch.folder)
    files = [each.file for each in watch.gallery.store.records(PictureQuery(oldest_first=True))]
    busy, ended = [True, True, False, False, False], threading.Event()
    ended.wait = lambda timeout=None: False  # pyright: ignore[reportAttributeAccessIssue]
    ahead = ThumbnailsAhead(watch.gallery, lambda: busy.pop(0))
    assert ahead.work(ended)
    assert busy == [] and all(map(watch.gallery.thumbnails.has, files))
    assert ahead.work(ended), "nothing is left, and nobody is asked whether something is painted"


def test_thumbnails_made_ahead_take_half_of_the_room(watch: Watch) -> None:
    thumbnails = watch.gallery.thumbnails
    thumbnails._max_bytes = 1000  # pyright: ignore[reportPrivateUsage]
    assert thumbnails.keep_ahead("a.png", bytes(400))
    assert not thumbnails.keep_ahead("b.png", bytes(200))
    assert thumbnails.has("a.png") and not thumbnails.has("b.png")

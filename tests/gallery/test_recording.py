"""Pictures are recorded before anybody hears of them, and nothing is lost if that fails."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import GalleryUnavailableError, StorageError
from paintdiff.gallery import recording
from paintdiff.gallery.adoption import describe_file
from paintdiff.gallery.files.picture_files import read_picture_file
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder, Waiting
from paintdiff.gallery.records import database
from paintdiff.gallery.records.database import FILE_NAME
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.gallery.records.record import Record
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import Finished, Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.job import Job
from paintdiff.jobs.request_parts import ControlInput
from paintdiff.jobs.requests import ImageToImage, Request, TextToImage, Upscale
from paintdiff.models.manager.model_manager import ModelManager

REQUEST = TextToImage(
    prompt="a boat",
    negative_prompt="fog",
    seed=3,
    width=64,
    height=32,
    num_inference_steps=2,
    guidance_scale=4.0,
    sampler="ddim",
)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path / "out")
    yield opened
    opened.close()


@pytest.fixture
def folder(gallery: Gallery) -> PictureFolder:
    return PictureFolder(gallery.folder)


@pytest.fixture
def recorder(gallery: Gallery, folder: PictureFolder) -> Recorder:
    return Recorder(gallery, folder)


def painted(folder: PictureFolder | None, seed: int = 3) -> Picture:
    request = REQUEST.model_copy(update={"seed": seed})
    picture = Picture(
        Image.new("RGB", (64, 32)),
        request,
        "abc",
        seconds=1.5,
        device="cpu",
        engine="OpenVINO",
        libraries={"torch": "2.15"},
    )
    return picture if folder is None else replace(picture, path=folder.save(picture))


def prompts(gallery: Gallery) -> list[str]:
    return [each.prompt for each in gallery.store.page(PictureQuery()).records]


def test_a_record_has_what_painted_the_picture(
    gallery: Gallery, folder: PictureFolder, recorder: Recorder
) -> None:
    job = Job(REQUEST, visitor="192.0.2.7", owner="ann")
    picture = recorder.record(job, painted(folder))
    record = gallery.store.get(picture.id)
    assert picture.path == gallery.path_of(record.file)
    data = picture.path.read_bytes()
    assert (record.file_bytes, record.file_sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert record.params == REQUEST.model_dump(mode="json")
    assert (record.prompt, record.negative_prompt, record.seed) == ("a boat", "fog", 3)
    assert (record.kind, record.model, record.model_hash) == ("text_to_image", "mini", "abc")
    assert (record.size, record.seconds, record.device) == (Size(64, 32), 1.5, "cpu")
    assert (record.owner, record.libraries) == ("ann", {"torch": "2.15"})
    assert job.warnings == ()


def test_the_record_is_there_before_anybody_hears_of_the_picture(
    gallery: Gallery,
    folder: PictureFolder,
    recorder: Recorder,
    tiny_manager: ModelManager,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[tuple[str, bool, bool]] = []
    add = Job.add_picture

    def check(job: Job, picture: Picture) -> None:
        record = gallery.store.get(picture.id)
        assert picture.path is not None
        heard.append((record.prompt, picture.path.is_file(), record.seconds is not None))
        add(job, picture)

    monkeypatch.setattr(Job, "add_picture", check)
    with Engine(tiny_manager, store=folder, recorder=recorder) as engine:
        request = TextToImage(prompt="a red house", num_inference_steps=2, seed=7, num_images=2)
        done = engine.generate(request)
    assert heard == [("a red house", True, True)] * 2
    assert done.warnings == ()
    ids = [each.id for each in done.pictures]
    assert ids == sorted(ids)
    assert all(gallery.store.get(each).device == "cpu" for each in ids)


def test_a_locked_database_keeps_the_picture_for_a_retry(
    gallery: Gallery,
    folder: PictureFolder,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    assert gallery.store.count(PictureQuery()) == 0
    job = Job(REQUEST)
    with closing(sqlite3.connect(gallery.folder / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        picture = recorder.record(job, painted(folder))
        assert picture.id == ""
        assert "saved, but isn't in the gallery yet" in job.warnings[0]
        assert "in use by another program" in job.warnings[0]
        with pytest.raises(GalleryUnavailableError):
            recorder.retry()
        assert [each.path for each in recorder.pending] == [picture.path]
        other.execute("ROLLBACK")
    (recorded,) = recorder.retry()
    assert recorded.id
    assert recorder.pending == ()
    assert recorder.retry() == ()
    assert prompts(gallery) == ["a boat"]


class Broken(PictureFolder):
    """A folder whose disk is full."""

    full = True

    def save(self, picture: Picture) -> Path:
        if self.full:
            raise StorageError("Can't write the file: the disk is full.")
        return super().save(picture)


def test_a_full_disk_keeps_the_picture_in_memory(gallery: Gallery) -> None:
    folder = Broken(gallery.folder)
    recorder = Recorder(gallery, folder)
    job = Job(REQUEST)
    kept = recorder.record(job, painted(None))
    assert (kept.path, kept.id) == (None, "")
    assert job.warnings == ("The picture is kept in memory and saved as soon as possible.",)
    with pytest.raises(StorageError, match="disk is full"):
        recorder.retry()
    folder.full = False
    next_one = recorder.record(job, painted(folder, seed=4))
    assert next_one.id
    assert recorder.pending == ()
    records = gallery.store.page(PictureQuery(oldest_first=True)).records
    assert [each.seed for each in records] == [3, 4]
    assert all(gallery.path_of(each.file).is_file() for each in records)


def test_what_is_kept_in_memory_is_limited(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MAX_HELD_BYTES", 2 * 64 * 32 * 3)
    recorder = Recorder(gallery, Broken(gallery.folder))
    jobs = [Job(REQUEST) for _ in range(3)]
    for job in jobs:
        recorder.record(job, painted(None))
    assert len(recorder.pending) == 2
    assert "Download this one now" in jobs[2].warnings[0]


def test_a_picture_that_vanished_is_reported_and_holds_nothing_up(
    gallery: Gallery, folder: PictureFolder, recorder: Recorder
) -> None:
    picture, job = painted(folder), Job(REQUEST)
    assert picture.path is not None
    picture.path.unlink()
    recorder.record(job, picture)
    assert "isn't in the gallery" in job.warnings[0]
    assert recorder.pending == ()
    assert recorder.record(job, painted(folder)).id


def test_a_failing_recorder_loses_no_picture(
    tiny_manager: ModelManager, folder: PictureFolder
) -> None:
    class Failing:
        def record(self, job: Job, picture: Picture) -> Picture:
            raise RuntimeError("unexpected")

    with Engine(tiny_manager, store=folder, recorder=Failing()) as engine:
        done: Finished = engine.generate(TextToImage(prompt="a", num_inference_steps=2, seed=1))
    assert done.pictures[0].path is not None
    assert len(done.warnings) == 1


def test_a_job_hears_of_a_picture_that_is_saved_after_all(gallery: Gallery) -> None:
    folder = Broken(gallery.folder)
    recorder = Recorder(gallery, folder)
    job = Job(REQUEST, owner="ann")
    for seed in (3, 4):
        job.add_picture(recorder.record(job, painted(None, seed=seed)))
    job.emit(Finished(job.pictures, (), 1.0, 1.0))
    waiting = recorder.waiting()
    assert (waiting.unsaved, waiting.unrecorded) == (2, 0)
    assert waiting.reason == "Can't write the file: the disk is full."
    assert recorder.waiting("ann") == waiting
    assert recorder.waiting("bob") == Waiting(0, 0, "")
    folder.full = False
    recorder.retry()
    assert recorder.waiting() == Waiting(0, 0, "")
    assert [gallery.store.get(each.id).seed for each in job.pictures] == [3, 4]
    assert all(each.path is not None and each.path.is_file() for each in job.pictures)
    assert job.pictures[0].image.size == (64, 32), "it can still be shown"


def child_of(gallery: Gallery, recorder: Recorder, request: Request, **job: Any) -> Record:
    made = Picture(Image.new("RGB", (64, 32)), request)
    folder = PictureFolder(gallery.folder)
    saved = replace(made, path=folder.save(made))
    return gallery.store.get(recorder.record(Job(request, **job), saved).id)


def test_a_variation_is_a_child(
    gallery: Gallery, folder: PictureFolder, recorder: Recorder
) -> None:
    parent = recorder.record(Job(REQUEST), painted(folder))
    child = child_of(gallery, recorder, REQUEST, varied=parent.id)
    assert (child.parent, child.relation) == (parent.id, "variation")
    erased = child_of(gallery, recorder, REQUEST, varied="gone")
    assert (erased.parent, erased.relation) == (None, None)


def test_a_parent_is_one_that_the_owner_may_see(
    gallery: Gallery, folder: PictureFolder, recorder: Recorder
) -> None:
    parent = recorder.record(Job(REQUEST, owner="ann"), painted(folder))
    assert parent.path is not None
    upscale = Upscale(images=(InputImage(data=parent.path.read_bytes()),))
    for job, expected in (
        ({"owner": "ann"}, parent.id),
        ({"owner": "bob"}, None),
        ({"owner": ""}, None),
        ({"owner": "", "sees_all": True}, parent.id),
    ):
        child = child_of(gallery, recorder, upscale, **job)
        assert child.parent == expected, job
        assert child.prompt == ("a boat" if expected else "")


def test_the_picture_that_is_changed_is_the_parent_before_those_that_guide(
    gallery: Gallery, folder: PictureFolder, recorder: Recorder
) -> None:
    changed = recorder.record(Job(REQUEST), painted(folder))
    guide = recorder.record(Job(REQUEST), painted(folder, seed=9))
    assert changed.path is not None and guide.path is not None
    settled = REQUEST.model_dump(exclude={"kind", "hires", "controls"})
    request = ImageToImage(
        **settled,
        image=InputImage(data=changed.path.read_bytes()),
        controls=(ControlInput(image=InputImage(data=guide.path.read_bytes())),),
    )
    child = child_of(gallery, recorder, request)
    assert (child.parent, child.relation) == (changed.id, "image_to_image")
    controlled = TextToImage(**settled, controls=request.controls)
    child = child_of(gallery, recorder, controlled)
    assert (child.parent, child.relation) == (guide.id, "control")


def test_what_was_made_from_a_picture_leads_to_it(
    gallery: Gallery, folder: PictureFolder, recorder: Recorder
) -> None:
    """A control map that was kept, and a picture that was drawn on; also when files are adopted."""
    parent = recorder.record(Job(REQUEST), painted(folder))
    assert parent.path is not None
    source = InputImage(data=parent.path.read_bytes())
    kept = InputImage.from_image(Image.new("RGB", (64, 32), "white"), source)
    edited = InputImage.from_image(Image.new("RGB", (64, 32), "grey"), kept)
    assert len({each.sha256 for each in (source, kept, edited)}) == 3
    assert {each.source_sha256 for each in (source, kept, edited)} == {source.sha256}
    settled = REQUEST.model_dump(exclude={"kind", "hires", "controls"})
    requests = {
        "control": TextToImage(**settled, controls=(ControlInput(image=edited),)),
        "image_to_image": ImageToImage(**settled, image=kept),
    }
    for relation, request in requests.items():
        child = child_of(gallery, recorder, request)
        assert (child.parent, child.relation) == (parent.id, relation)
        assert len(child.inputs) == 1, "the parent's file isn't kept a second time"
        facts = read_picture_file(gallery.path_of(child.file))
        adopted = describe_file(gallery, child.file, facts)
        assert (adopted.parent, adopted.relation) == (parent.id, relation)


def test_a_wrong_source_is_no_source() -> None:
    image = Image.new("RGB", (4, 4))
    for text in ("", "a" * 63, "../../" * 20, "A" * 64):
        wrong = InputImage.from_image(
            image, InputImage(data=b"x").model_copy(update={"sha256": text})
        )
        assert wrong.source_sha256 == wrong.sha256
    damaged = InputImage(data=b"\x89PNG\r\n\x1a\npaintdiffusion-source")
    assert damaged.source_sha256 == damaged.sha256

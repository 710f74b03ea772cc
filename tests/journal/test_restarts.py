"""What the next process does with the jobs of one that has ended."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import GalleryDamagedError, GalleryUnavailableError, JobNotFoundError
from paintdiff.gallery.adoption import adopt_orphans, collect_inputs
from paintdiff.gallery.checking import find_mismatches
from paintdiff.gallery.files.saving import PictureFolder, encode_png
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.gallery.records.database import FILE_NAME, Database
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.jobs.events import Cancelled, CellDone, Failed, Finished, Picture, Progress
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.job import Job, JobKey, RunningJob
from paintdiff.jobs.request_parts import Axis
from paintdiff.jobs.requests import (
    Grid,
    ImageToImage,
    Inpaint,
    Request,
    TextToImage,
    Upscale,
    count_pictures,
)
from paintdiff.journal.journal import EVENTS_PER_PROCESS, MAX_STARTS, GalleryJournal
from paintdiff.models.manager.model_manager import ModelManager
from tests.job_helpers import ENDLESS, until

BOAT = TextToImage(prompt="a boat", num_inference_steps=2, seed=7, width=64, height=64)
SOURCE = InputImage.from_image(Image.new("RGB", (64, 64), "teal"))
MASK = InputImage.from_image(Image.new("L", (64, 64), 255))
REQUESTS: dict[str, Request] = {
    "batch": BOAT.model_copy(update={"num_images": 3}),
    "wildcards": BOAT.model_copy(update={"prompt": "a {red|blue|green} boat", "num_images": 3}),
    "picture": ImageToImage(prompt="a boat", image=SOURCE, num_inference_steps=2, num_images=2),
    "inpaint": Inpaint(prompt="a boat", image=SOURCE, mask=MASK, num_inference_steps=2),
    "upscale": Upscale(images=(SOURCE, MASK, SOURCE)),
    "grid": Grid(base=BOAT, x=Axis(field="steps", values=("1", "2", "3"))),
}


def open_engine(
    manager: ModelManager, gallery: Gallery, recorder: Recorder | None = None
) -> Engine:
    folder = PictureFolder(gallery.folder)
    return Engine(
        manager,
        store=folder,
        recorder=recorder or Recorder(gallery, folder),
        journal=GalleryJournal(gallery),
    )


class Stopping(Recorder):
    """A recorder whose process dies, as far as others can see, at the n-th picture."""

    def __init__(self, gallery: Gallery, dies_at: int, *, recorded: bool) -> None:
        super().__init__(gallery, PictureFolder(gallery.folder))
        self._left, self._recorded = dies_at, recorded
        self.died, self.released = threading.Event(), threading.Event()

    def record(self, job: RunningJob, picture: Picture) -> Picture:
        self._left -= 1
        if self._left == 0 and self._recorded:
            super().record(job, picture)
        if self._left <= 0:
            self.died.set()
            self.released.wait(300)
            raise GalleryUnavailableError("dead")
        return super().record(job, picture)


@contextmanager
def dying(
    manager: ModelManager, gallery: Gallery, dies_at: int, *, recorded: bool
) -> Generator[Engine]:
    """An engine that stops for good at a picture: before it is recorded, or right after."""
    recorder = Stopping(gallery, dies_at, recorded=recorded)
    engine = open_engine(manager, gallery, recorder)
    try:
        yield engine
    finally:
        recorder.released.set()
        engine.close()


def wait_until_dead(engine: Engine) -> None:
    recorder = engine._output.recorder
    assert isinstance(recorder, Stopping)
    assert recorder.died.wait(120)


def files_in(gallery: Gallery) -> list[Path]:
    return sorted(gallery.folder.glob("*-*-*/*.png"))


def check_gallery(gallery: Gallery, *jobs: Job) -> None:
    """Every job has each of its pictures once, and the gallery has no others."""
    ids = [picture.id for job in jobs for picture in job.pictures]
    assert all(ids) and len(ids) == len(set(ids))
    records = list(gallery.store.records(PictureQuery()))
    assert {each.id for each in records} == set(ids)
    assert adopt_orphans(gallery) == 0
    assert len(files_in(gallery)) == len(ids)
    assert list(find_mismatches(gallery)) == []


@pytest.fixture
def manager(tiny_manager: ModelManager) -> ModelManager:
    return tiny_manager


def test_waiting_jobs_go_on_in_order_with_their_ids(
    manager: ModelManager, gallery: Gallery
) -> None:
    first = open_engine(manager, gallery)
    running = first.submit(ENDLESS, owner="ada", sees_all=True)
    until(running, Progress)
    waiting = [
        first.submit(BOAT.model_copy(update={"seed": seed}), "198.51.100.1", f"owner-{seed}")
        for seed in range(3)
    ]
    assert first.close() == 4
    with open_engine(manager, gallery) as second:
        assert second.resume() == 4
        again = second.job(running.id)
        until(again, Progress)
        assert (again.owner, again.sees_all, again.request) == ("ada", True, running.request)
        assert again.list_events()[0][0] > EVENTS_PER_PROCESS
        jobs = [second.job(each.id) for each in waiting]
        assert [each.latest for each in jobs] == [each.latest for each in waiting]
        again.cancel()
        ends = [job.result(120) for job in jobs]
    order = [end.pictures[0].id for end in ends]
    assert order == sorted(order)
    assert [each.owner for each in gallery.store.get_all(order)] == [
        f"owner-{seed}" for seed in range(3)
    ]
    check_gallery(gallery, *jobs)
    with open_engine(manager, gallery) as third:
        assert third.resume() == 0
        assert isinstance(third.job(running.id).latest, Cancelled)


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "saved"])
@pytest.mark.parametrize("kind", REQUESTS)
def test_a_job_goes_on_after_the_pictures_that_it_has(
    kind: str, recorded: bool, manager: ModelManager, gallery: Gallery
) -> None:
    request = REQUESTS[kind]
    cells = 3 if isinstance(request, Grid) else 0
    total = cells + 1 if cells else count_pictures(request)
    dies_at = max(1, total - 1)
    with dying(manager, gallery, dies_at, recorded=recorded) as first:
        job = first.submit(request, owner="ada")
        wait_until_dead(first)
        saved = files_in(gallery)
        assert len(saved) == dies_at
        with open_engine(manager, gallery) as second:
            assert second.resume() == 1
            again = second.job(job.id)
            assert again.request == job.request
            assert len(again.pictures) == dies_at
            end = again.result(120)
            assert len(end.pictures) == total
            assert set(saved) < set(files_in(gallery)) or dies_at == total
            assert [each.cell for each in end.pictures] == (
                [*range(cells), None] if cells else [None] * total
            )
            check_gallery(gallery, again)
            whole = second.generate(job.request)
            for one, other in zip(end.pictures, whole.pictures, strict=True):
                assert read_pixels(one) == read_pixels(other)


def read_pixels(picture: Picture) -> bytes:
    assert picture.path is not None
    with Image.open(picture.path) as image:
        return image.tobytes()


def test_a_finished_job_is_not_painted_again(manager: ModelManager, gallery: Gallery) -> None:
    """Its process dies after its last picture is recorded, before the end of the job is."""
    with dying(manager, gallery, 1, recorded=True) as first:
        job = first.submit(BOAT)
        wait_until_dead(first)
        with open_engine(manager, gallery) as second:
            assert second.resume() == 1
            end = second.job(job.id).result(120)
            assert len(end.pictures) == 1
            check_gallery(gallery, second.job(job.id))


def test_a_job_that_ends_the_process_again_and_again_fails(
    manager: ModelManager, gallery: Gallery
) -> None:
    with open_engine(manager, gallery) as first:
        running = first.submit(ENDLESS)
        until(running, Progress)
        job = first.submit(BOAT)
    for start in range(MAX_STARTS):
        journal = GalleryJournal(gallery)
        reopened = {each.job.id: each for each in journal.reopen()}
        assert reopened[job.id].problem is None, start
        assert reopened[job.id].job.starts == start
        journal.begin(reopened[job.id].job)
        journal.close()
    with open_engine(manager, gallery) as last:
        assert last.resume() == 2
        end = last.job(job.id).latest
        assert isinstance(end, Failed) and f"ended {MAX_STARTS} times" in str(end.error)
        until(last.job(running.id), Progress)  # the others go on
    with open_engine(manager, gallery) as after:
        end = after.job(job.id).latest
        assert isinstance(end, Failed) and "smaller size" in str(end.error)


def test_a_stop_is_no_failed_start(manager: ModelManager, gallery: Gallery) -> None:
    job_id = ""
    for _ in range(MAX_STARTS + 1):
        with open_engine(manager, gallery) as engine:
            engine.resume()
            job_id = job_id or engine.submit(ENDLESS).id
            until(engine.job(job_id), Progress)


def test_a_stop_lets_the_running_job_finish(manager: ModelManager, gallery: Gallery) -> None:
    engine = open_engine(manager, gallery)
    running = engine.submit(BOAT.model_copy(update={"num_images": 8}))
    waiting = engine.submit(BOAT)
    until(running, Progress)
    assert engine.close(finish_seconds=300) == 1
    assert isinstance(running.latest, Finished)
    with open_engine(manager, gallery) as second:
        assert second.resume() == 1
        second.job(waiting.id).result(120)
        check_gallery(gallery, second.job(waiting.id), second.job(running.id))


def test_a_second_signal_ends_the_wait(manager: ModelManager, gallery: Gallery) -> None:
    engine = open_engine(manager, gallery)
    running = engine.submit(ENDLESS)
    until(running, Progress)
    closing = threading.Thread(target=engine.close, args=(3000.0,))
    closing.start()
    engine.hurry()
    closing.join(60)
    assert not closing.is_alive()
    while engine.is_working:  # until its next step; the app would end without it
        time.sleep(0.01)
    engine.close()
    with open_engine(manager, gallery) as second:
        assert second.resume() == 1


def test_a_stop_during_a_grid_makes_no_sheet(manager: ModelManager, gallery: Gallery) -> None:
    engine = open_engine(manager, gallery)
    steps = Axis(field="steps", values=("1", "400"))
    job = engine.submit(Grid(base=BOAT, x=steps))
    until(job, CellDone)
    engine.close()
    assert len(files_in(gallery)) == 1
    with open_engine(manager, gallery) as second:
        second.resume()
        end = second.job(job.id).result(120)
    assert [each.cell for each in end.pictures] == [0, 1, None]
    check_gallery(gallery, second.job(job.id))


def test_a_cancelled_job_stays_cancelled(manager: ModelManager, gallery: Gallery) -> None:
    first = open_engine(manager, gallery)
    until(first.submit(ENDLESS), Progress)
    waiting = first.submit(BOAT)
    waiting.cancel()
    first.close()
    with open_engine(manager, gallery) as second:
        assert second.resume() == 1
        assert second.job(waiting.id).latest == Cancelled()


def test_jobs_that_nobody_waits_for_end_with_the_process(
    manager: ModelManager, gallery: Gallery
) -> None:
    first = open_engine(manager, gallery)
    until(first.submit(ENDLESS, durable=False), Progress)
    first.submit(BOAT, saves=False)
    first.submit(BOAT, on_step=lambda _: None)
    plain = Engine(manager)
    assert not plain.submit(BOAT).durable
    plain.close()
    assert first.close() == 0
    with open_engine(manager, gallery) as second:
        assert second.resume() == 0


def test_a_key_holds_over_restarts(manager: ModelManager, gallery: Gallery) -> None:
    key = JobKey("once", "digest")
    with open_engine(manager, gallery) as first:
        done = first.submit(BOAT, owner="ada", key=key)
        pictures = done.result(120).pictures
        done.result(120)
        until(first.submit(ENDLESS), Progress)
        waiting = first.submit(BOAT, owner="ada", key=JobKey("twice", "other"))
    with open_engine(manager, gallery) as second:
        second.resume()
        again = second.find_submitted("ada", "once")
        assert again is not None and again.id == done.id and again.key == key
        end = again.latest
        assert isinstance(end, Finished) and [each.id for each in end.pictures] == [
            each.id for each in pictures
        ]
        assert encode_png(end.pictures[0]) == encode_png(pictures[0])
        assert second.find_submitted("ada", "twice") is second.job(waiting.id)
        assert second.find_submitted("bob", "once") is None


def test_input_images_are_kept_for_jobs_that_wait(manager: ModelManager, gallery: Gallery) -> None:
    first = open_engine(manager, gallery)
    running = first.submit(ENDLESS)
    until(running, Progress)
    waiting = first.submit(REQUESTS["picture"])
    first.close()
    collect_inputs(gallery)
    assert list(find_mismatches(gallery)) == []
    assert gallery.inputs.find(SOURCE.sha256) is not None
    with open_engine(manager, gallery) as second:
        second.resume()
        for each in (running, waiting):
            second.job(each.id).cancel()
            for _event in second.job(each.id).events(60):
                pass
    collect_inputs(gallery)
    assert list(gallery.inputs.list()) == []


def test_a_missing_input_image_ends_its_job_alone(manager: ModelManager, gallery: Gallery) -> None:
    first = open_engine(manager, gallery)
    until(first.submit(ENDLESS), Progress)
    waiting, other = first.submit(REQUESTS["picture"]), first.submit(BOAT)
    first.close()
    path = gallery.inputs.find(SOURCE.sha256)
    assert path is not None
    path.unlink()
    with open_engine(manager, gallery) as second:
        assert second.resume() == 3
        assert isinstance(second.job(waiting.id).latest, Failed)
        assert not second.job(other.id).done


@pytest.mark.parametrize(
    "damage",
    [
        *("request='{'", "request='[1]'", "request='5'", "request=x'ff'", "warnings='{}'"),
        *("starts='x'", "painted=x'00'", "accepted_at='x'", "request='" + "[" * 100_000 + "'"),
    ],
)
def test_a_damaged_job_ends_alone(tmp_path: Path, damage: str) -> None:
    gallery = Gallery(tmp_path)
    jobs = [Job(BOAT, durable=True) for _ in range(2)]
    first = GalleryJournal(gallery)
    for job in jobs:
        first.accept(job)
    first.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute(f"UPDATE jobs SET {damage} WHERE id = ?", (jobs[0].id,))
    for _start in range(2):
        journal = GalleryJournal(gallery)
        with closing(journal):
            assert [each.job.id for each in journal.reopen()] == [jobs[1].id]
            with suppress(GalleryDamagedError):  # then it isn't shown at all
                ended = journal.find(jobs[0].id)
                assert ended is not None and isinstance(ended.latest, Failed)
                assert "can't be read" in str(ended.latest.error)
    gallery.close()


def test_a_job_of_odd_warnings_goes_on_with_those_that_are_texts(tmp_path: Path) -> None:
    gallery, job = Gallery(tmp_path), Job(BOAT, durable=True)
    first = GalleryJournal(gallery)
    first.accept(job)
    first.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("""UPDATE jobs SET warnings = '[null, "hm", {}]'""")
    second = GalleryJournal(gallery)
    [again] = second.reopen()
    assert again.job.warnings == ("hm",)
    second.close()
    gallery.close()


@pytest.fixture
def failing_writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """Numbers, from 1, of the writes to the database that fail."""
    numbers: set[int] = set()
    write, count, lock = Database.write, [0], threading.Lock()

    @contextmanager
    def fail(database: Database) -> Generator[object]:
        with lock:
            count[0] += 1
            number = count[0]
        with write(database) as session:
            yield session
            if number in numbers:
                raise GalleryUnavailableError("the disk is away")

    monkeypatch.setattr(Database, "write", fail)
    yield numbers


@pytest.mark.parametrize("number", range(1, 6))
def test_a_commit_that_fails_costs_no_picture_and_makes_none_twice(
    number: int, failing_writes: set[int], manager: ModelManager, gallery: Gallery
) -> None:
    """The writes are: accepted, begun, recorded, ended, and the next job's."""
    failing_writes.add(number)
    with open_engine(manager, gallery) as first:
        jobs = [first.submit(BOAT.model_copy(update={"seed": seed})) for seed in (1, 2)]
        for job in jobs:
            job.result(120)
        if number == 1:
            assert "it is lost" in jobs[0].warnings[0]
    with open_engine(manager, gallery) as second:
        second.resume()
        for job in jobs:
            if job.durable:
                assert len(second.job(job.id).result(120).pictures) == 1
    recorder = Recorder(gallery, PictureFolder(gallery.folder))
    recorder.retry()
    adopt_orphans(gallery)
    assert gallery.store.count(PictureQuery()) == len(files_in(gallery)) == 2


def test_a_commit_whose_answer_is_lost_makes_no_second_job(
    manager: ModelManager, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, lost = GalleryJournal.accept, [True, True]

    def lose(journal: GalleryJournal, job: Job) -> None:
        accept(journal, job)
        if lost:
            lost.pop()
            raise GalleryUnavailableError("the connection is lost")

    monkeypatch.setattr(GalleryJournal, "accept", lose)
    key = JobKey("once", "digest")
    with open_engine(manager, gallery) as first:
        with pytest.raises(GalleryUnavailableError):
            first.submit(BOAT, key=key)
        plain = first.submit(BOAT.model_copy(update={"seed": 8}))
        assert not plain.durable
        assert first.find_submitted("", "once") is None
        keyed = first.submit(BOAT, key=key)
        for job in (plain, keyed):
            job.result(120)
    with open_engine(manager, gallery) as second:
        assert second.resume() == 0
    check_gallery(gallery, plain, keyed)


def test_a_key_that_cannot_be_kept_is_refused(
    failing_writes: set[int], manager: ModelManager, gallery: Gallery
) -> None:
    failing_writes.update(range(100))
    with open_engine(manager, gallery) as engine:
        with pytest.raises(GalleryUnavailableError):
            engine.submit(BOAT, key=JobKey("once", "digest"))
        failing_writes.clear()
        assert engine.submit(BOAT, key=JobKey("once", "digest")).result(120).pictures


def test_ended_jobs_are_forgotten_in_time(
    manager: ModelManager, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paintdiff.journal.table.MAX_ENDED", 2)
    with open_engine(manager, gallery) as engine:
        jobs = [engine.submit(BOAT.model_copy(update={"seed": seed})) for seed in range(4)]
        for job in jobs:
            job.result(120)
    with open_engine(manager, gallery) as second:
        assert [second.job(each.id).done for each in jobs[2:]] == [True, True]
        for each in jobs[:2]:
            with pytest.raises(JobNotFoundError):
                second.job(each.id)
    assert gallery.store.count(PictureQuery()) == 4


def test_a_job_that_waited_is_not_taken_for_begun(manager: ModelManager, gallery: Gallery) -> None:
    """A picture that somebody else paints meanwhile isn't the waiting job's."""
    with open_engine(manager, gallery) as first:
        until(first.submit(ENDLESS), Progress)
        waiting = first.submit(BOAT)
    with Engine(manager, store=PictureFolder(gallery.folder)) as other:
        other.generate(waiting.request)
    journal = GalleryJournal(gallery)
    reopened = {each.job.id: each for each in journal.reopen()}
    journal.close()
    assert reopened[waiting.id].started_at is None


def test_pictures_of_earlier_jobs_have_their_pixels(
    manager: ModelManager, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_engine(manager, gallery) as first:
        painted = first.submit(REQUESTS["batch"])
        pictures = painted.result(120).pictures
        grid = first.submit(REQUESTS["grid"])
        grid.result(120)
    with open_engine(manager, gallery) as second:
        assert not second.remembers(painted.id)
        found = second.job(painted.id).pictures
        assert second.remembers(painted.id)
        assert [each.image.tobytes() for each in found] == [
            each.image.tobytes() for each in pictures
        ]
        assert len(second.job(grid.id).cells) == 3
    monkeypatch.setattr("paintdiff.journal.loading.MAX_JOB_BYTES", 0)
    monkeypatch.setattr("paintdiff.journal.loading._SMALL_SIDE_PX", 16)
    with open_engine(manager, gallery) as third:
        found = third.job(painted.id).pictures
        assert [each.is_reduced for each in found] == [False, True, True]
        assert {each.size.width for each in found} == {64}


class Recalling(GalleryJournal):
    """A journal that counts how often it reads an earlier job, and how many at once."""

    def __init__(self, gallery: Gallery) -> None:
        super().__init__(gallery)
        self.reads, self.at_once, self.most_at_once = 0, 0, 0

    def find(self, job_id: str) -> Job | None:
        self.reads += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.2)  # so that others would come in
        self.at_once -= 1
        return super().find(job_id)


def test_pictures_of_earlier_jobs_are_read_again_one_job_at_a_time(
    manager: ModelManager, gallery: Gallery
) -> None:
    with open_engine(manager, gallery) as first:
        ids = [first.submit(BOAT).id for _ in range(2)]
        for each in ids:
            first.job(each).result(120)
    journal = Recalling(gallery)
    with (
        Engine(manager, store=PictureFolder(gallery.folder), journal=journal) as second,
        ThreadPoolExecutor(6) as pool,
    ):
        found = list(pool.map(second.job, ids * 3))
    assert [each.id for each in found] == ids * 3
    assert len({id(each) for each in found}) == len(ids)
    assert (journal.reads, journal.most_at_once) == (len(ids), 1)

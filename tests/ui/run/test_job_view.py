"""The page's view of each event."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from paintdiff.errors import ModelLoadError
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.database import FILE_NAME
from paintdiff.jobs.events import Cancelled, Event, Failed, Finished, Loading, Progress, Queued
from paintdiff.jobs.requests import TextToImage
from paintdiff.server.identities import Identity, current_identity
from paintdiff.ui.common import browser_state
from paintdiff.ui.common.browser_state import FilmPicture
from paintdiff.ui.run import job_view
from tests.gallery.records import record
from tests.ui.fake_engine import WORDS, FakeEngine, FakeJob, picture


@pytest.fixture
def job(engine: FakeEngine) -> Any:
    return engine.submit(TextToImage(prompt="a cat", num_images=2))


def view(job: Any, event: Event) -> job_view.View:
    job.latest = event
    return job_view.build_view(job, event, WORDS)


def test_the_queue_is_told_in_words(job: Any) -> None:
    assert "Queued, 2 ahead of you" in view(job, Queued(2)).progress
    assert "next" in view(job, Queued(0)).progress


def test_loading_says_what(job: Any) -> None:
    assert "Loading mini…" in view(job, Loading("mini", "Loading mini")).progress


def test_a_step_shows_its_number_the_time_left_and_its_preview(job: Any) -> None:
    preview = Image.new("RGB", (16, 16))
    shown = view(job, Progress(4, 20, 1, 2, preview=preview, seconds_left=3.2))
    assert "Picture 2 of 2 · Step 4 of 20 · 3 s left" in shown.progress
    assert 'value="0.600"' in shown.progress
    assert shown.stage is not None and "data:image/jpeg" in shown.stage
    assert not shown.is_over


def test_pictures_that_are_painted_at_once_are_counted_and_shown_so(job: Any) -> None:
    preview = Image.new("RGB", (16, 16))
    step = Progress(4, 20, 1, 6, preview=preview, together=3)
    shown = view(job, step)
    assert "Pictures 2 to 4 of 6 · Step 4 of 20" in shown.progress
    assert f'value="{(1 + 3 * 4 / 20) / 6:.3f}"' in shown.progress
    assert shown.stage is not None and "--aspect:1.00000" in shown.stage
    two = view(job, Progress(4, 20, 1, 6, preview=preview, together=2))
    assert two.stage is not None and "--aspect:2.00000" in two.stage
    decoded = view(job, Progress(20, 20, 2, 6, "decoding", together=3))
    assert "Picture 3 of 6 · Finishing" in decoded.progress
    assert f'value="{5 / 6:.3f}"' in decoded.progress


def test_finished_pictures_of_a_batch_are_shown_beside_the_preview(job: Any) -> None:
    job.finished = (picture(job),)
    shown = view(job, Progress(4, 20, 1, 4, preview=Image.new("RGB", (16, 16)))).stage
    assert shown is not None and "data:image/jpeg" in shown and 'data-state="painting"' in shown
    assert f"pictures/{job.id}/0.png" in shown and "--columns:2;--rows:2" in shown
    assert "<details" not in shown, "a menu would close with the next preview"


def test_a_step_without_preview_leaves_the_stage_alone(job: Any) -> None:
    assert view(job, Progress(4, 20, 0, 1)).stage is None


def test_only_the_eye_is_told_every_step(job: Any) -> None:
    """A screen reader hears "Painting" once; its text is the same from step to step."""
    lines = [view(job, Progress(step, 20, 0, 1)).progress for step in (4, 5)]
    heard = {line.split('role="status">')[1] for line in lines}
    assert len(heard) == 1 and lines[0] != lines[1]


def test_a_finished_job_says_seconds_and_seed(job: Any) -> None:
    pictures = (picture(job), picture(job, "blue"))
    shown = view(job, Finished(pictures, ("I don't know 'zebra'.",), 4.26, 9.9))
    assert "Painted in 4.3 s · seed 7 · " in shown.progress
    assert shown.warnings == ("I don't know 'zebra'.",)
    assert shown.seed == 7 and shown.is_over
    assert shown.stage is not None and f"pictures/{job.id}/1.png" in shown.stage


@pytest.mark.parametrize("profile", [None, "exact", "turbo"])
def test_a_picture_says_at_which_speed_it_was_painted(job: Any, profile: str | None) -> None:
    painted = picture(job)
    request = painted.request.model_copy(update={"profile": profile})
    shown = view(job, Finished((replace(painted, request=request),), (), 1.0, 9.9))
    assert [each for each in ("Exact", "Turbo") if f"· {each}" in shown.progress] == (
        [] if profile is None else [profile.capitalize()]
    )
    assert "None" not in shown.progress


def test_an_error_of_ours_speaks_for_itself_and_others_do_not_leak(job: Any) -> None:
    ours = view(job, Failed(ModelLoadError("mini has no weights.")))
    assert ours.stage is not None and "mini has no weights." in ours.stage
    other = view(job, Failed(RuntimeError("/home/someone/secret")))
    assert other.stage is not None and "secret" not in other.stage and "RuntimeError" in other.stage


def test_what_was_finished_before_a_cancel_is_kept(job: Any) -> None:
    assert "Nothing was saved" in str(view(job, Cancelled()).stage)
    shown = view(job, Cancelled((picture(job),)))
    assert "One picture was finished" in shown.progress


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "almost done"), (12.4, "12 s left"), (89, "89 s left"), (130, "2 min left")],
)
def test_time_left(seconds: float, text: str) -> None:
    assert job_view.describe_time_left(seconds) == text


async def collected(job: FakeJob, script: list[Event], slice_seconds: float) -> list[job_view.View]:
    async def tell() -> None:
        for event in script:
            await asyncio.sleep(0.1)
            job.latest = event

    telling = asyncio.create_task(tell())
    views = [view async for view in job_view.watch_job(job, WORDS, slice_seconds)]  # type: ignore[arg-type]
    telling.cancel()
    return views


def test_a_watch_ends_with_the_job(job: Any) -> None:
    script: list[Event] = [
        Progress(1, 2, 0, 1),
        Progress(2, 2, 0, 1),
        Finished((picture(job),), (), 1.0, 2.0),
    ]
    views = asyncio.run(collected(job, script, 5))
    assert [item.state for item in views] == ["queued", "painting", "painting", "finished"]


def test_a_watch_lets_go_in_time(job: Any) -> None:
    job.latest = Progress(1, 2, 0, 1)
    started = time.monotonic()
    assert len(asyncio.run(collected(job, [], 0.3))) == 1
    assert time.monotonic() - started < 3


def test_a_job_that_waits_is_not_held(job: Any) -> None:
    """Otherwise eight tabs that wait would take all of a browser's six connections."""
    job.latest = Queued(1)
    started = time.monotonic()
    assert [item.position for item in asyncio.run(collected(job, [], 5))] == [1]
    assert time.monotonic() - started < 3


def test_stale_ids_are_left_out_quietly(engine: FakeEngine, job: Any) -> None:
    job.latest = Finished((picture(job),), (), 1.0, 2.0)
    film = [FilmPicture(each) for each in (("gone", 0), (job.id, 0), (job.id, 7))]
    strip = job_view.build_film(engine, film, WORDS)  # type: ignore[arg-type]
    assert strip.count("<li>") == 1
    for nonsense in (None, "", 7, ["x"], "gone"):
        assert job_view.find_job(engine, nonsense) is None  # type: ignore[arg-type]


def test_the_filmstrip_outlives_the_jobs(engine: FakeEngine, tmp_path: Path) -> None:
    """After a restart only the gallery knows the pictures."""
    gallery = Gallery(tmp_path)
    params = {"kind": "text_to_image", "prompt": "a boat", "seed": 7}
    kept, deleted, missing = (
        gallery.store.add(record(prompt, params={**params, "prompt": prompt}))
        for prompt in ("a boat", "a deleted cat", "a missing dog")
    )
    for each in (kept, deleted):
        path = gallery.path_of(each.file)
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    gallery.store.delete([deleted.id])
    film = [
        FilmPicture((f"gone{number}", 0), id)
        for number, id in enumerate((kept.id, deleted.id, missing.id, "unknown", ""))
    ]
    strip = job_view.build_film(engine, film, WORDS, gallery)  # type: ignore[arg-type]
    assert strip.count("<li>") == 1 and 'alt="a boat"' in strip and "seed 7" in strip
    assert f'src="gallery/pictures/{kept.id}/thumbnail"' in strip
    assert f'data-picture="{kept.id}"' in strip
    assert f'data-after="gallery/pictures/{kept.id}/file"' in strip
    token = current_identity.set(Identity("somebody else", sees_all=False))
    assert "<li>" not in job_view.build_film(engine, film, WORDS, gallery)  # type: ignore[arg-type]
    current_identity.reset(token)
    assert "<li>" not in job_view.build_film(engine, film, WORDS)  # type: ignore[arg-type]
    gallery.close()


def test_a_new_browsers_strip_has_the_newest_pictures_of_its_own(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    guided = {"kind": "text_to_image", "controls": [{"preprocessor": "canny"}]}
    made = [
        gallery.store.add(record(str(minute), minute, **values))
        for minute, values in enumerate(
            [{"owner": "ada"}, {"params": guided}, {}, {"kind": "inpaint"}, {}]
        )
    ]
    gallery.store.delete([made[4].id])

    def recent(tab: str) -> list[str]:
        return [each.recorded for each in job_view.find_recent(gallery, tab)]

    assert recent("text_to_image") == [made[2].id, made[1].id]
    assert recent("controlnet") == [made[1].id]
    assert recent("inpaint") == [made[3].id]
    assert recent("upscale") == []
    (film,) = job_view.find_recent(gallery, "inpaint")
    assert browser_state.parse_film(browser_state.format_film([film])) == (film,)
    assert job_view.find_recent(None, "inpaint") == ()
    gallery.close()
    (tmp_path / FILE_NAME).write_bytes(b"damaged" * 1000)
    assert recent("inpaint") == [], "the page opens without it"
    gallery.close()

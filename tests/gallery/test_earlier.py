"""A request that was painted before in "exact" is answered with that picture, and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.gallery.settings.earlier import EarlierPictures
from paintdiff.jobs.events import Finished
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.inference.pipelines.leased_pipeline import LeasedPipeline
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.system import library_versions
from tests.job_helpers import pixels

REQUEST = TextToImage(prompt="a house", width=64, height=64, num_inference_steps=2, seed=7)
Paint = Callable[..., Finished]


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def paint(gallery: Gallery, tiny_manager: ModelManager) -> Iterator[Paint]:
    folder = PictureFolder(gallery.folder)
    recorder = Recorder(gallery, folder)
    earlier = EarlierPictures(gallery)
    with Engine(tiny_manager, store=folder, recorder=recorder, earlier=earlier) as engine:

        def run(owner: str = "", *, saves: bool = True, **changes: Any) -> Finished:
            request = REQUEST.model_copy(update=changes)
            return engine.submit(request, owner=owner, saves=saves).result()

        yield run


def is_reused(finished: Finished) -> bool:
    return any("painted before" in each for each in finished.warnings)


def test_the_same_request_is_answered_with_the_same_picture(paint: Paint, gallery: Gallery) -> None:
    first = paint()
    again = paint()
    assert (is_reused(first), is_reused(again)) == (False, True)
    (one,), (other,) = first.pictures, again.pictures
    assert (other.id, other.path, other.request) == (one.id, one.path, one.request)
    assert pixels(other) == pixels(one)
    assert len(list(gallery.folder.rglob("*.png"))) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 8},
        {"prompt": "a boat"},
        {"num_inference_steps": 3},
        {"profile": "fast"},
        {"owner": "ann"},
        {"saves": False},
        {"num_images": 2},
        {"seed": None},
    ],
)
def test_anything_else_is_painted(paint: Paint, changes: dict[str, Any]) -> None:
    paint()
    assert not is_reused(paint(**changes))


def test_several_are_answered_if_all_were_painted(paint: Paint) -> None:
    first = paint(num_images=2)
    again = paint(num_images=2)
    assert is_reused(again)
    assert [each.id for each in again.pictures] == [each.id for each in first.pictures]


def test_deleted_missing_and_changed_pictures_are_painted_again(
    paint: Paint, gallery: Gallery
) -> None:
    (one,) = paint().pictures
    gallery.store.delete([one.id])
    (two,) = paint().pictures
    assert two.id != one.id
    assert two.path is not None
    Image.new("RGB", (64, 64)).save(two.path)
    changed = paint()
    assert not is_reused(changed)
    path = changed.pictures[0].path
    assert path is not None
    path.unlink()
    assert not is_reused(paint())


def test_other_weights_and_other_libraries_are_painted_again(
    paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint()
    with monkeypatch.context() as patch:
        patch.setattr(LeasedPipeline, "hashes", property(lambda _self: {"LoRA ink": "ab"}))
        assert not is_reused(paint())
        assert is_reused(paint())
    monkeypatch.setattr(library_versions, "_LIBRARIES", ("torch",))
    library_versions.find_library_versions.cache_clear()
    try:
        assert not is_reused(paint())
    finally:
        library_versions.find_library_versions.cache_clear()


def test_what_weights_without_a_hash_take_part_in_is_painted_again(paint: Paint) -> None:
    changes = {"upscaling": Upscaling(upscaler="double", scale=2)}
    paint(**changes)
    assert not is_reused(paint(**changes))


def test_a_gallery_that_cannot_be_read_does_not_stop_painting(
    paint: Paint, gallery: Gallery
) -> None:
    paint()
    gallery.close()
    for path in gallery.folder.glob("gallery.sqlite3*"):
        path.write_bytes(b"damaged" * 1000)
    finished = paint()
    assert not is_reused(finished)
    assert len(finished.pictures) == 1

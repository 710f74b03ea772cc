"""Input images are kept once, and any picture can be painted again from the gallery alone."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from paintdiff.errors import InputMissingError, StorageError
from paintdiff.gallery.adoption import adopt_orphans, collect_inputs, empty_bin
from paintdiff.gallery.files.saving import PictureFolder
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.recording import Recorder
from paintdiff.gallery.records.query import PictureQuery
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.job import Job
from paintdiff.jobs.requests import ImageToImage, Inpaint, Request, TextToImage, Upscale
from tests.gallery.test_recording import REQUEST, painted

SETTINGS = REQUEST.model_dump(exclude={"kind", "hires", "prompt"})


@pytest.fixture
def gallery(tmp_path: Path, database_url: str) -> Iterator[Gallery]:
    opened = Gallery(tmp_path / "out", database_url)
    yield opened
    opened.close()


@pytest.fixture
def folder(gallery: Gallery) -> PictureFolder:
    return PictureFolder(gallery.folder)


def image(colour: str, format: str = "PNG") -> InputImage:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 32), colour).save(buffer, format)
    return InputImage(data=buffer.getvalue())


def record(gallery: Gallery, folder: PictureFolder, request: Request) -> str:
    picture = Picture(Image.new("RGB", (64, 32)), request)
    saved = replace(picture, path=folder.save(picture))
    return Recorder(gallery, folder).record(Job(request), saved).id


def kept(gallery: Gallery) -> set[str]:
    return {sha256 for sha256, _ in gallery.inputs.list()}


def inpaint(source: InputImage, mask: InputImage) -> Inpaint:
    return Inpaint(prompt="a tree", image=source, mask=mask, **SETTINGS)


def test_a_picture_can_be_painted_again_from_the_gallery(
    gallery: Gallery, folder: PictureFolder
) -> None:
    request = inpaint(image("red", "JPEG"), image("white", "WEBP"))
    control = {"image": image("blue"), "controlnet": "mini-sketch"}
    request = Inpaint.parse({**request.model_dump(), "controls": [control]})
    first = record(gallery, folder, request)
    record(gallery, folder, request)
    assert kept(gallery) == {each.sha256 for each in request.input_images()}
    assert gallery.load_request(gallery.store.get(first)) == request


def test_a_reference_to_nothing_says_so(gallery: Gallery, folder: PictureFolder) -> None:
    source = image("red")
    one = record(gallery, folder, ImageToImage(prompt="a", image=source, **SETTINGS))
    path = gallery.inputs.find(source.sha256)
    assert path is not None
    path.write_bytes(b"changed")
    with pytest.raises(InputMissingError, match=source.sha256[:12]):
        gallery.load_request(gallery.store.get(one))
    path.unlink()
    with pytest.raises(InputMissingError):
        gallery.load_request(gallery.store.get(one))


def test_those_of_erased_pictures_are_removed(gallery: Gallery, folder: PictureFolder) -> None:
    shared, alone, mask = image("red"), image("green"), image("white")
    one = record(gallery, folder, inpaint(shared, mask))
    two = record(gallery, folder, inpaint(alone, mask))
    gallery.store.delete([two])
    collect_inputs(gallery)
    assert alone.sha256 in kept(gallery), "it can still be restored"
    assert empty_bin(gallery) == 1
    assert kept(gallery) == {shared.sha256, mask.sha256}
    assert gallery.load_request(gallery.store.get(one)) == inpaint(shared, mask)


def test_those_of_an_orphan_stay(gallery: Gallery, folder: PictureFolder) -> None:
    request = inpaint(image("red"), image("white"))
    folder.save(Picture(Image.new("RGB", (64, 32)), request))
    gallery.inputs.keep([image("black")])
    assert adopt_orphans(gallery) == 1
    assert kept(gallery) == {each.sha256 for each in request.input_images()}
    (found,) = gallery.store.page(PictureQuery()).records
    assert gallery.load_request(found) == request


def test_one_that_was_removed_meanwhile_is_written_again(
    gallery: Gallery, folder: PictureFolder
) -> None:
    request = inpaint(image("red"), image("white"))
    picture = Picture(Image.new("RGB", (64, 32)), request)
    saved = replace(picture, path=folder.save(picture))
    collect_inputs(gallery)
    assert kept(gallery) == set()
    one = Recorder(gallery, folder).record(Job(request), saved).id
    assert gallery.load_request(gallery.store.get(one)) == request


def test_a_picture_painted_from_another_is_its_child(
    gallery: Gallery, folder: PictureFolder
) -> None:
    first = Recorder(gallery, folder).record(Job(REQUEST), painted(folder))
    assert first.path is not None
    source = InputImage.from_file(first.path)
    control = [{"image": source, "controlnet": "mini-sketch"}]
    for relation, request in {
        "image_to_image": ImageToImage(prompt="b", image=source, **SETTINGS),
        "inpaint": inpaint(source, image("white")),
        "upscale": Upscale(images=(source,)),
        "control": TextToImage.parse({**REQUEST.model_dump(), "controls": control}),
    }.items():
        child = gallery.store.get(record(gallery, folder, request))
        assert (child.parent, child.relation) == (first.id, relation)
    enlarged = gallery.store.children(first.id)[2]
    assert (enlarged.prompt, enlarged.seed) == ("a boat", 3)


def test_an_adopted_picture_finds_its_parent(gallery: Gallery, folder: PictureFolder) -> None:
    first = folder.save(Picture(Image.new("RGB", (64, 32)), REQUEST, seconds=2.0, device="cpu"))
    request = ImageToImage(prompt="b", image=InputImage.from_file(first), **SETTINGS)
    second = folder.save(Picture(Image.new("RGB", (64, 32)), request))
    os.utime(second, (first.stat().st_atime, first.stat().st_mtime + 1))
    assert adopt_orphans(gallery) == 2
    parent = gallery.store.find_by_file(gallery.name_of(first))
    child = gallery.store.find_by_file(gallery.name_of(second))
    assert parent is not None and child is not None
    assert (child.parent, child.relation) == (parent.id, "image_to_image")
    assert (parent.device, parent.owner, parent.seconds) == ("cpu", "", None)


def test_an_input_that_cannot_be_written_keeps_the_picture_unsaved(
    gallery: Gallery, folder: PictureFolder
) -> None:
    (gallery.folder).mkdir()
    (gallery.folder / "inputs").write_text("a file in its place")
    request = inpaint(image("red"), image("white"))
    with pytest.raises(StorageError, match="input image"):
        folder.save(Picture(Image.new("RGB", (64, 32)), request))
    assert not any(gallery.folder.glob("20*/*"))

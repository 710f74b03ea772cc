"""A picture of the gallery goes to other tabs with what its record knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from paintdiff.errors import PictureNotFoundError, RequestError
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.store import Record
from paintdiff.jobs.requests import TextToImage, Upscale
from paintdiff.server.identities import Identity, current_identity
from paintdiff.ui.common.context import PageContext
from paintdiff.ui.common.pictures import encode_whole_png
from paintdiff.ui.gallery.pictures import load_picture
from paintdiff.ui.page import find_sent_picture
from tests.gallery.records import record

PARAMS = {"kind": "text_to_image", "prompt": "a boat", "model": "gone", "seed": 7}


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path)
    yield opened
    opened.close()


def add(gallery: Gallery, **values: Any) -> Record:
    made = gallery.store.add(record(**values))
    path = gallery.path_of(made.file)
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (256, 128), "red").save(path)
    return made


def test_it_is_the_file_with_its_settings(gallery: Gallery) -> None:
    stored = add(gallery, params=PARAMS)
    picture = load_picture(gallery, stored.id)
    assert isinstance(picture.request, TextToImage)
    assert (picture.request.prompt, picture.request.seed) == ("a boat", 7)
    assert picture.size == stored.size
    # The very bytes, so that what is painted from them is known as a child.
    assert encode_whole_png(picture) == gallery.path_of(stored.file).read_bytes()


def test_one_without_settings_is_only_a_picture(gallery: Gallery) -> None:
    stored = add(gallery, kind="unknown", file_sha256="")
    assert isinstance(load_picture(gallery, stored.id).request, Upscale)


def test_it_has_to_be_there_and_ones_own(gallery: Gallery) -> None:
    stored = add(gallery, owner="ada")
    for id in ("unknown", "../x", "", stored.id.upper()):
        with pytest.raises(PictureNotFoundError):
            load_picture(gallery, id)
    token = current_identity.set(Identity("bob", sees_all=False))
    with pytest.raises(PictureNotFoundError):
        load_picture(gallery, stored.id)
    current_identity.reset(token)
    gallery.store.delete([stored.id])
    assert load_picture(gallery, stored.id).id == stored.id
    with pytest.raises(PictureNotFoundError):
        load_picture(gallery, stored.id, in_bin=False)
    gallery.path_of(stored.file).unlink()
    with pytest.raises(RequestError, match="missing"):
        load_picture(gallery, stored.id)


def test_the_page_adapts_the_settings_to_what_is_installed(
    gallery: Gallery, context: PageContext
) -> None:
    page = replace(context, gallery=gallery)
    stored = add(gallery, params={**PARAMS, "sampler": "No such sampler"})
    found = find_sent_picture(page, stored.id)
    assert found is not None and isinstance(found.request, TextToImage)
    assert (found.request.model, found.request.sampler) == ("mini", None)
    with pytest.raises(gr.Error, match="has no picture"):
        find_sent_picture(page, "unknown")
    for name in ("gone/0", None, 7, {"path": "/etc/passwd"}):
        assert find_sent_picture(page, name) is None
    assert find_sent_picture(context, stored.id) is None

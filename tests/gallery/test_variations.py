"""Requests for variations of a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from paintdiff.errors import RequestError
from paintdiff.gallery.gallery import Gallery
from paintdiff.gallery.records.record import Record
from paintdiff.gallery.variations import KnownModels, Wish, make_variations
from paintdiff.jobs.requests import ImageToImage, TextToImage
from tests.gallery.records import record

PARAMS = {
    "kind": "text_to_image",
    "prompt": "a boat",
    "negative_prompt": "fog",
    "model": "mini",
    "seed": 7,
    "num_inference_steps": 12,
    "clip_skip": 2,
    "num_images": 1,
}
MODELS = KnownModels(("mini",), "mini")
OF_SEED, OF_PICTURE = Wish("seed", 0.2, 3), Wish("picture", 0.2, 3)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    opened = Gallery(tmp_path)
    yield opened
    opened.close()


def add(gallery: Gallery, **values: Any) -> Record:
    made = record(**values)
    path = gallery.path_of(made.file)
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.new("RGB", (64, 32), "red").save(path)
    return gallery.store.add(made)


def test_nearby_seeds_keep_the_settings(gallery: Gallery) -> None:
    picture = add(gallery, params=PARAMS, seed=7)
    made = make_variations(gallery, picture, OF_SEED, MODELS)
    assert isinstance(made, TextToImage)
    assert (made.prompt, made.seed, made.clip_skip) == ("a boat", 7, 2)
    assert (made.num_images, made.variation_strength, made.variation_seed) == (3, 0.2, None)


def test_image_to_image_starts_from_the_picture_itself(gallery: Gallery) -> None:
    picture = add(gallery, params={**PARAMS, "hires": {"scale": 2}}, seed=7, prompt="a boat")
    made = make_variations(gallery, picture, OF_PICTURE, MODELS)
    assert isinstance(made, ImageToImage)
    data = gallery.path_of(picture.file).read_bytes()
    assert made.image.sha256 == hashlib.sha256(data).hexdigest()
    assert (made.prompt, made.negative_prompt, made.clip_skip) == ("a boat", "fog", 2)
    assert (made.seed, made.strength, made.num_images, made.width) == (None, 0.2, 3, None)


@pytest.mark.parametrize("params", [{}, {**PARAMS, "model": "gone"}])
def test_a_picture_of_an_unknown_model_is_varied_with_another(
    gallery: Gallery, params: dict[str, Any]
) -> None:
    picture = add(gallery, params=params, prompt="a boat")
    made = make_variations(gallery, picture, OF_PICTURE, MODELS)
    assert isinstance(made, ImageToImage)
    assert (made.model, made.prompt, made.clip_skip) == ("mini", "a boat", 1)


@pytest.mark.parametrize("params", [{}, {"kind": "upscale"}, {**PARAMS, "seed": None}])
def test_without_a_seed_there_are_no_nearby_ones(gallery: Gallery, params: dict[str, Any]) -> None:
    picture = add(gallery, params=params)
    with pytest.raises(RequestError, match="isn't known"):
        make_variations(gallery, picture, OF_SEED, MODELS)


def test_a_picture_whose_file_is_missing_has_no_variations(gallery: Gallery) -> None:
    picture = add(gallery, params=PARAMS)
    gallery.path_of(picture.file).unlink()
    with pytest.raises(RequestError, match="file of this picture is missing") as caught:
        make_variations(gallery, picture, OF_PICTURE, MODELS)
    assert str(gallery.folder) not in str(caught.value)

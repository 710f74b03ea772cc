"""Upscaling as the last stage of another task."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from paintdiff.engine.engine import Engine
from paintdiff.errors import (
    PaintError,
)
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.imaging.geometry import Size
from paintdiff.jobs.events import (
    Cancelled,
)
from paintdiff.jobs.request_parts import HiresFix, Upscaling
from paintdiff.jobs.requests import TextToImage
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from tests.job_helpers import QUICK, pixels, until
from tests.tasks.pictures import finished, image_to_image, inpaint
from tests.tasks.upscaling import DOUBLE, failing_at, gate_at, only, upscale

Build = Callable[..., Any]


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (lambda **changes: QUICK.model_copy(update=changes), Size(192, 192)),
        (image_to_image, Size(168, 144)),
        (inpaint, Size(168, 144)),
    ],
    ids=["text_to_image", "image_to_image", "inpaint"],
)
def test_what_is_painted_is_enlarged_at_the_end(
    build: Build, size: Size, saving_engine: Engine
) -> None:
    upscaling = Upscaling(upscaler="double", scale=1.5)
    plain = only(saving_engine, build())
    request = build(upscaling=upscaling)
    picture = only(saving_engine, request)
    assert picture.size == size
    assert picture.image.size == (size.width, size.height)
    painted = f"{plain.size} to {size} with Double."
    assert picture.notes == (*plain.notes, f"Upscaled {painted}")
    alone = only(saving_engine, upscale(plain.image, scale=1.5))
    assert pixels(picture) == pixels(alone), "as if it had been done afterwards"
    assert picture.path is not None
    read = read_request(picture.path)
    assert read == picture.request.without_image_data()
    assert read.upscaling == upscaling
    again = only(saving_engine, picture.request)
    assert pixels(again) == pixels(picture)
    if isinstance(read, TextToImage):
        assert pixels(only(saving_engine, read)) == pixels(picture)


def test_each_picture_is_enlarged_as_it_would_be_alone(tiny_engine: Engine) -> None:
    request = QUICK.model_copy(update={"num_images": 2, "upscaling": DOUBLE})
    pictures = finished(tiny_engine, request).pictures
    assert [picture.request.seed for picture in pictures] == [7, 8]
    for picture in pictures:
        assert pixels(only(tiny_engine, picture.request)) == pixels(picture)


def test_it_comes_after_a_hires_fix(tiny_engine: Engine) -> None:
    hires = HiresFix(scale=1.5, upscaler="double", strength=0.5)
    picture = only(tiny_engine, QUICK.model_copy(update={"hires": hires, "upscaling": DOUBLE}))
    assert picture.size == Size(384, 384)
    assert picture.notes[-1] == "Upscaled 192x192 to 384x384 with Double."


def test_a_painted_picture_is_not_lost_if_it_cannot_be_enlarged(
    tiny_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = only(tiny_engine, QUICK)
    failing_at(monkeypatch, 1)
    request = QUICK.model_copy(update={"num_images": 2, "upscaling": DOUBLE})
    done = finished(tiny_engine, request)
    assert pixels(done.pictures[0]) == pixels(plain)
    assert done.pictures[0].request == plain.request, "it says what it is"
    assert done.pictures[1].size == Size(256, 256), "the next is tried again"
    (warning,) = done.warnings
    assert warning.startswith("The picture was painted but not upscaled: ")
    assert "The log has the details" in warning and "something broke" not in warning


def test_a_painted_picture_is_kept_if_its_enlarging_is_cancelled(
    saving_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = only(saving_engine, QUICK)
    gate = gate_at(monkeypatch, 2)
    upscaling = Upscaling(upscaler="double", tile_px=64)
    job = saving_engine.submit(QUICK.model_copy(update={"upscaling": upscaling}))
    assert gate.reached.wait(20)
    job.cancel()
    gate.open.set()
    cancelled = until(job, Cancelled)
    assert isinstance(cancelled, Cancelled)
    (picture,) = cancelled.pictures
    assert gate.calls == 2
    assert pixels(picture) == pixels(plain)
    assert picture.path is not None
    assert read_request(picture.path) == plain.request


def test_an_upscaler_that_cant_be_loaded_is_known_before_painting(
    tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "broken.pth"
    file.write_text("no network")
    catalog = tiny_catalog.with_first(UpscalerRow, str(file))

    def refused(*_arguments: object) -> None:
        raise AssertionError("it began to paint")

    monkeypatch.setattr(ModelManager, "lease", refused)
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        job = engine.submit(QUICK.model_copy(update={"upscaling": Upscaling(upscaler="broken")}))
        with pytest.raises(PaintError, match=r"broken\.pth isn't a (?:readable )?safetensors"):
            job.result(120)


def test_what_a_saved_picture_was_painted_from_stays_with_it(
    saving_engine: Engine,
) -> None:
    """An enlarged file says how it was painted, to those who read A1111's text."""
    painted = only(saving_engine, QUICK)
    assert painted.path is not None
    enlarged_picture = only(saving_engine, upscale(painted.path.read_bytes()))
    assert enlarged_picture.path is not None
    with Image.open(io.BytesIO(enlarged_picture.path.read_bytes())) as image:
        text = image.info["parameters"]
    assert text.startswith("a red house\nSteps: 3, ")
    assert ", Seed: 7, " in text
    assert "Postprocess upscale by: 2, Postprocess upscaler: double" in text
    assert enlarged_picture.path.name.split("-")[1] == "2x"

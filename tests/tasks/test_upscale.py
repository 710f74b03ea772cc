"""Pictures that are enlarged by themselves."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from paintdiff.engine.engine import Engine
from paintdiff.errors import (
    RequestError,
    SizeError,
    UnknownNameError,
)
from paintdiff.imaging import rasters
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.images import decode_pixels
from paintdiff.imaging.rasters import Raster
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import HiresFix, Upscaling
from paintdiff.jobs.requests import TextToImage, Upscale
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.discovery.row_builder import FoundRows
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.tasks.upscale import resolve
from tests.gallery.test_png import written
from tests.job_helpers import QUICK
from tests.pictures import encoded, png_of
from tests.tasks.pictures import difference, given, photo
from tests.tasks.upscaling import (
    ALPHA,
    COLOUR,
    DOUBLE,
    GREY,
    HOLED,
    only,
    saved_pixels,
    sixteen,
    upscale,
)

# Sizes


@pytest.mark.parametrize("upscaler", ["mini-upscaler", "double"])
@pytest.mark.parametrize("scale", [1, 1.5, 2, 3, 4, 8])
def test_any_factor_whatever_the_networks_is(
    scale: float, upscaler: str, tiny_engine: Engine, tiny_catalog: Catalog
) -> None:
    source = photo(0, 42, 30)
    picture = only(tiny_engine, upscale(source, scale=scale, upscaler=upscaler))
    size = Size(round(42 * scale), round(30 * scale))
    assert picture.size == size
    assert (picture.image.mode, picture.image.size) == ("RGB", (size.width, size.height))
    title = tiny_catalog.find(UpscalerRow, upscaler).title
    assert picture.notes == (f"Upscaled 42x30 to {size} with {title}.",)
    assert picture.model_hash
    assert difference(picture.image.resize(source.size), source) < 25
    assert difference(picture.image.resize(source.size), source.rotate(180)) > 35, "the control"


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (1, 300), (300, 1), (7, 13), (101, 37), (2, 67)]
)
@pytest.mark.parametrize("scale", [2, 3])
def test_odd_sizes(width: int, height: int, scale: int, tiny_engine: Engine) -> None:
    source = photo(0, width, height)
    picture = only(tiny_engine, upscale(source, scale=scale, tile_px=32))
    assert picture.image.size == (width * scale, height * scale)
    assert difference(picture.image.resize(source.size, Image.Resampling.BOX), source) < 25


def test_the_side_of_the_tiles_changes_nothing_else(tiny_engine: Engine) -> None:
    source = photo(0, 60, 37)
    whole = only(tiny_engine, upscale(source, scale=8))
    tiled = only(tiny_engine, upscale(source, scale=8, tile_px=32))
    levels = [np.asarray(one.image, int) for one in (whole, tiled)]
    assert np.abs(levels[0] - levels[1]).max() <= 1


def test_too_large_a_result_is_refused_before_anything_is_loaded(
    tiny_engine: Engine, nothing_is_loaded: None
) -> None:
    wide = Image.new("RGB", (3000, 2))
    with pytest.raises(SizeError, match=r"^3000x2 enlarged 8 times.*at most 5.46 times") as caught:
        tiny_engine.submit(upscale(wide, scale=8))
    assert caught.value.field == "images.0"
    with pytest.raises(SizeError, match=r"^Picture 2: 3000x2") as caught:
        tiny_engine.submit(upscale(photo(), wide, scale=8))
    assert caught.value.field == "images.1"
    large = TextToImage(prompt="a boat", width=4096, height=512, upscaling=Upscaling(scale=8))
    with pytest.raises(SizeError, match="4096x512") as caught:
        tiny_engine.submit(large)
    assert caught.value.field == "upscaling.scale"
    hires = QUICK.model_copy(update={"width": 1024, "hires": HiresFix(scale=4, upscaler="double")})
    with pytest.raises(SizeError, match="4096x") as caught:
        tiny_engine.submit(hires.model_copy(update={"upscaling": Upscaling(scale=8)}))
    assert caught.value.field == "upscaling.scale"


# Kinds of pictures


def _palette(transparent: bool) -> bytes:
    image = Image.fromarray(COLOUR).quantize(16)
    image.paste(3, (20, 10, 30, 20))
    return encoded(image, "PNG", transparency=3) if transparent else png_of(image)


@pytest.mark.parametrize(
    ("data", "channels", "bits"),
    [
        (png_of(Image.fromarray(GREY[..., 0])), 1, 8),
        (png_of(Image.fromarray(np.concatenate((GREY, ALPHA), axis=2))), 2, 8),
        (png_of(Image.fromarray(COLOUR)), 3, 8),
        (png_of(Image.fromarray(np.concatenate((COLOUR, ALPHA), axis=2))), 4, 8),
        (png_of(Image.fromarray(GREY[..., 0]).convert("1")), 1, 8),
        (_palette(False), 3, 8),
        (_palette(True), 4, 8),
        (encoded(Image.fromarray(GREY[..., 0]), "JPEG", quality=95), 1, 8),
        (encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", quality=95), 3, 8),
        (encoded(Image.fromarray(COLOUR), "WEBP", lossless=True), 3, 8),
        (written(Raster.of(sixteen(GREY))), 1, 16),
        (written(Raster.of(sixteen(GREY, ALPHA))), 2, 16),
        (written(Raster.of(sixteen(COLOUR))), 3, 16),
        (written(Raster.of(sixteen(COLOUR, ALPHA))), 4, 16),
        # A level that is transparent, in place of a channel that says so.
        (written(Raster.of(sixteen(HOLED)), [(b"tRNS", b"\xff\xff")]), 2, 16),
        (written(Raster.of(sixteen(HOLED.repeat(3, 2))), [(b"tRNS", b"\xff\xff" * 3)]), 4, 16),
    ],
)
def test_a_picture_stays_of_its_kind(
    data: bytes, channels: int, bits: int, saving_engine: Engine
) -> None:
    before, _profile = decode_pixels(data)
    picture = only(saving_engine, upscale(data))
    after = saved_pixels(picture)
    assert after.shape == (60, 80, channels)
    assert after.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert picture.image.mode == rasters.MODES[channels]
    most = np.iinfo(after.dtype).max
    means = [each.astype(float).mean() / most for each in (before, after)]
    assert abs(means[0] - means[1]) < 0.08
    if bits == 16:
        assert np.count_nonzero(after[..., 0] % 257) > after[..., 0].size / 2, "not of 8 bits"
        assert picture.raster is None, "it was saved"
        shown = np.asarray(picture.image, float).reshape(after.shape)
        assert np.abs(shown - after / 257).max() <= 0.51
    if channels in (2, 4):
        alpha, seen = after[..., -1], before[..., -1]
        assert alpha.min() == 0 and alpha.max() == most
        for level in (0, most):  # what is opaque or can't be seen stays so, but for its edge
            same = cv2.erode((seen == level).astype(np.uint8), np.ones((3, 3), np.uint8))
            where = same.repeat(2, axis=0).repeat(2, axis=1) == 1
            assert where.any()
            assert np.all(alpha[where] == level)


def test_what_is_hidden_does_not_show_at_the_edges(tiny_engine: Engine) -> None:
    """Most programs store black where a picture is transparent."""
    alpha = np.zeros((40, 40, 1), np.uint8)
    alpha[10:30, 10:30] = 255
    white = np.where(alpha > 0, 255, 0).astype(np.uint8).repeat(3, axis=2)
    picture = only(tiny_engine, upscale(Image.fromarray(np.concatenate((white, alpha), axis=2))))
    made = np.asarray(picture.image)
    expected = np.asarray(only(tiny_engine, upscale(Image.new("RGB", (40, 40), "white"))).image)
    seen = made[..., 3] > 0
    assert np.array_equal(made[24:56, 24:56, :3], expected[24:56, 24:56])
    assert made[seen][:, :3].min() >= expected.min() - 1


@pytest.mark.parametrize("bits", [8, 16])
def test_a_picture_is_turned_as_its_exif_says(bits: int, saving_engine: Engine) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # by 90 degrees, clockwise
    image = Image.new("L", (40, 20), 0)
    image.paste(255, (0, 0, 20, 20))  # its left will be the top
    if bits == 16:
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    after = saved_pixels(only(saving_engine, upscale(encoded(image, "PNG", exif=exif))))
    assert after.shape == (80, 40, 1)
    assert after.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert after[:30].mean() > 5 * after[50:].mean()


@pytest.mark.parametrize("bits", [8, 16])
def test_the_colour_profile_stays(bits: int, saving_engine: Engine) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    levels = COLOUR if bits == 8 else sixteen(COLOUR)
    picture = only(saving_engine, upscale(written(Raster.of(levels, profile))))
    assert picture.path is not None
    assert decode_pixels(picture.path)[1] == profile
    assert picture.image.info["icc_profile"] == profile


# What can't be used


def test_a_damaged_picture_is_named(tiny_engine: Engine, nothing_is_loaded: None) -> None:
    data = png_of(photo())
    with pytest.raises(RequestError, match=r"^The picture is damaged or cut off") as caught:
        tiny_engine.submit(upscale(data[: len(data) // 2]))
    assert caught.value.field == "images.0"
    with pytest.raises(RequestError, match=r"^Picture 3: .*damaged or cut off") as caught:
        tiny_engine.submit(upscale(data, data, data[: len(data) // 2]))
    assert caught.value.field == "images.2"
    with pytest.raises(RequestError, match=r"^Picture 2: Can't open this") as caught:
        tiny_engine.submit(upscale(data, b"a text"))
    reference = InputImage(data=data).reference()
    with pytest.raises(RequestError, match=f"{reference.sha256}.*again") as caught:
        tiny_engine.submit(upscale(reference))
    assert caught.value.field == "images.0"


@pytest.mark.parametrize(
    "request_",
    [upscale(photo(), upscaler="dubble"), QUICK.model_copy(update={"upscaling": DOUBLE})],
    ids=["upscale", "text_to_image"],
)
def test_an_unknown_upscaler_is_named(
    request_: Any, tiny_engine: Engine, nothing_is_loaded: None
) -> None:
    upscaling = Upscaling(upscaler="dubble")
    with pytest.raises(UnknownNameError, match=r"'dubble'.*double") as caught:
        tiny_engine.submit(request_.model_copy(update={"upscaling": upscaling}))
    assert caught.value.field == "upscaling.upscaler"


def test_without_any_upscaler_that_is_said(tiny_catalog: Catalog) -> None:
    catalog = Catalog(FoundRows(tiny_catalog.rows(ModelRow)))
    with pytest.raises(RequestError, match=r"No upscaler.*upscale_models") as caught:
        resolve(Upscale(images=(given(photo()),)), catalog)
    assert caught.value.field == "upscaling.upscaler"


def test_the_first_upscaler_is_filled_in(tiny_engine: Engine) -> None:
    job = tiny_engine.submit(Upscale(images=(given(photo(0, 20, 10)),)))
    assert isinstance(job.request, Upscale)
    assert job.request.upscaling == Upscaling(upscaler="mini-upscaler", scale=2)
    assert job.result(120).pictures[0].size == Size(40, 20)

"""Pictures written strip by strip, read back by others."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from paintdiff.gallery.files import png
from paintdiff.gallery.files.png import write_raster
from paintdiff.gallery.files.saving import write_png
from paintdiff.gallery.settings.metadata import read_request
from paintdiff.imaging import rasters
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.images import decode_pixels
from paintdiff.imaging.rasters import Pixels, Raster
from paintdiff.jobs.events import Picture
from paintdiff.jobs.input_images import InputImage
from paintdiff.jobs.request_parts import Upscaling
from paintdiff.jobs.requests import Upscale
from tests.tasks.pictures import photo

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(autouse=True)
def many_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasters, "_STRIP_BYTES", 1000)
    monkeypatch.setattr(png, "_CHUNK_BYTES", 500)


def levels(height: int, width: int, channels: int, dtype: type = np.uint8) -> Pixels:
    """Slopes and noise side by side, so that every filter has its rows."""
    rng = np.random.default_rng(height * width)
    most = np.iinfo(dtype).max
    noise = rng.integers(0, most + 1, (height, width, channels))
    slope = np.linspace(0, most, width)[None, :, None] + np.linspace(0, most, height)[:, None, None]
    made = np.where(np.arange(height)[:, None, None] % 7 == 3, noise, slope / 2)
    return made.astype(dtype)


def written(raster: Raster, chunks: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    buffer = io.BytesIO()
    write_raster(buffer, raster, chunks)
    return buffer.getvalue()


def chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each, once its sum has been checked."""
    place = 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert data[place + 8 + length :][:4] == struct.pack(">I", zlib.crc32(kind + content))
        yield kind, content
        place += 12 + length


def by_opencv(data: bytes) -> Pixels:
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read is not None
    if read.ndim == 2:
        return read[..., None]
    return read[..., [2, 1, 0, 3][: read.shape[2]]]


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 37), (41, 1), (53, 31), (3, 2), (2, 900)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_others_read_it_to_the_last_bit(
    channels: int, dtype: type, height: int, width: int
) -> None:
    pixels = levels(height, width, channels, dtype)
    data = written(Raster.of(pixels))
    seen = by_opencv(data)
    if channels == 2:  # OpenCV makes colours of grey with alpha
        seen = seen[..., [0, 3]]
    assert seen.dtype == dtype
    assert np.array_equal(seen, pixels)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.size == (width, height)
        if dtype == np.uint8 or channels == 1:  # of more with 16 bits Pillow keeps 8
            assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)
        else:
            eight = np.asarray(image)
            eight = eight[..., [0, 3]] if channels == 2 else eight
            assert np.abs(eight - pixels.astype(float) / 257).max() <= 1
    ours, profile = decode_pixels(data)
    assert ours.dtype == dtype
    assert np.array_equal(ours, pixels)
    assert profile is None


def test_the_file_is_made_of_whole_chunks_and_hardly_larger_than_pillows() -> None:
    pixels = np.asarray(photo(3, 200, 150))
    data = written(Raster.of(pixels))
    kinds = [kind for kind, _content in chunks_of(data)]
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert kinds.count(b"IDAT") > 1, "in pieces"
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    pillows = sum(len(content) for kind, content in chunks_of(buffer.getvalue()))
    assert sum(len(content) for _kind, content in chunks_of(data)) < 1.1 * pillows


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_colour_profile_and_texts_are_read(dtype: type) -> None:
    raster = Raster.of(levels(20, 30, 3, dtype), PROFILE)
    text = (b"tEXt", b"parameters\0a red house")
    data = written(raster, (text,))
    kinds = [kind for kind, _content in chunks_of(data)]
    assert kinds[:3] == [b"IHDR", b"iCCP", b"tEXt"], "before the pixels, as readers want them"
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == PROFILE
        assert image.info["parameters"] == "a red house"
    assert decode_pixels(data)[1] == PROFILE


def test_a_picture_in_a_raster_is_saved_whole_with_its_settings(tmp_path: Path) -> None:
    pixels = levels(60, 44, 4, np.uint16)
    request = Upscale(images=(InputImage.from_image(photo(1, 22, 30)),), upscaling=Upscaling())
    settled = request.model_copy(update={"upscaling": Upscaling(upscaler="höher, 4x")})
    picture = Picture.of_raster(Raster.of(pixels, PROFILE), settled, "0123456789")
    path = write_png(tmp_path / "a.png", picture)
    assert read_request(path) == settled.without_image_data()
    saved, profile = decode_pixels(path)
    assert saved.dtype == np.uint16
    assert np.array_equal(saved, pixels)
    assert profile == PROFILE
    small = Picture.of_raster(Raster.of(levels(9, 8, 3), PROFILE), settled)
    assert small.raster is None, "it has no need of it"
    saved, profile = decode_pixels(write_png(tmp_path / "b.png", small))
    assert np.array_equal(saved, levels(9, 8, 3))
    assert profile == PROFILE


@pytest.mark.parametrize("in_a_raster", [True, False])
@pytest.mark.parametrize("profile", [None, PROFILE])
def test_what_has_no_profile_says_that_it_is_srgb(
    tmp_path: Path, profile: bytes | None, in_a_raster: bool
) -> None:
    request = Upscale(images=(InputImage.from_image(photo(1, 22, 30)),), upscaling=Upscaling())
    dtype = np.uint16 if in_a_raster else np.uint8
    raster = Raster.of(levels(6, 4, 3, dtype), profile)
    path = write_png(tmp_path / "a.png", Picture.of_raster(raster, request))
    kinds = [kind for kind, _content in chunks_of(path.read_bytes())]
    assert (b"sRGB" in kinds, b"iCCP" in kinds) == (profile is None, profile is not None)


def test_a_picture_that_lacks_rows_is_no_file(tmp_path: Path) -> None:
    raster = Raster(Size(4, 4), 3, 16)
    raster.append(levels(3, 4, 3, np.uint16))
    with pytest.raises(ValueError, match="3 of 4 rows"):
        written(raster)
    request = Upscale(images=(InputImage(data=b"x"),))
    image = Image.new("RGB", (4, 4))
    with pytest.raises(ValueError, match="3 of 4 rows"):
        write_png(tmp_path / "a.png", Picture(image, request, raster=raster))
    assert list(tmp_path.iterdir()) == []

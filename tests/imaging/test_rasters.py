from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from paintdiff.errors import StorageError
from paintdiff.imaging import rasters
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.rasters import MODES, Raster


def noise(height: int, width: int, channels: int, dtype: type = np.uint8) -> np.ndarray:
    most = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, most + 1, (height, width, channels), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_rows_come_back_as_they_went_in(
    channels: int, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rasters, "_IN_MEMORY_BYTES", 1000)  # the rest goes to the disk
    monkeypatch.setattr(rasters, "_STRIP_BYTES", 200)
    pixels = noise(61, 17, channels, dtype)
    raster = Raster(Size(17, 61), channels, 8 if dtype == np.uint8 else 16)
    for top in (0, 1, 30):
        raster.append(pixels[top : {0: 1, 1: 30, 30: 61}[top]])
    assert raster.complete
    strips = list(raster.rows())
    assert len(strips) > 3, "in pieces"
    assert np.array_equal(np.concatenate(strips), pixels)
    assert np.array_equal(np.concatenate(list(raster.rows())), pixels), "and again"
    assert raster.image().mode == MODES[channels]


def test_the_image_is_the_picture_with_8_bits() -> None:
    pixels = noise(9, 7, 3, np.uint16)
    image = Raster.of(pixels, b"profile").image()
    exact = pixels / 257
    assert np.abs(np.asarray(image) - exact).max() <= 0.5
    assert image.info["icc_profile"] == b"profile"


def test_a_reduced_image_looks_like_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasters, "_STRIP_BYTES", 5000)
    across = np.linspace(0, 255, 700)[None, :, None]
    down = np.linspace(0, 255, 431)[:, None, None]
    pixels = np.concatenate(np.broadcast_arrays(across, down, 255 - across), axis=2)
    pixels = pixels.round().astype(np.uint8)
    small = Raster.of(pixels).image(100)
    assert small.size == (100, 62)
    whole = Raster.of(pixels).image().resize((100, 62))
    difference = np.asarray(small).astype(int) - np.asarray(whole)
    assert np.abs(difference).max() <= 2
    assert Raster.of(pixels).image(5000).size == (700, 431), "never grown"
    assert Raster.of(noise(1, 900, 1)).image(10).size == (10, 1)


def test_wrong_and_missing_rows_are_refused() -> None:
    raster = Raster(Size(4, 3), 3)
    for rows in (noise(1, 5, 3), noise(1, 4, 1), noise(1, 4, 3, np.uint16), noise(4, 4, 3)):
        with pytest.raises(ValueError, match="rows"):
            raster.append(rows)
    raster.append(noise(2, 4, 3))
    assert not raster.complete
    with pytest.raises(ValueError, match="2 of 3 rows"):
        raster.rows().__next__()


def test_a_full_disk_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    raster = Raster(Size(4, 3), 3)

    class _Full:
        def seek(self, _place: int) -> None: ...

        def write(self, _data: object) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(raster, "_file", _Full())
    with pytest.raises(StorageError, match=r"4x3.*No space left.*TMPDIR"):
        raster.append(noise(1, 4, 3))


def test_a_forgotten_raster_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasters, "_IN_MEMORY_BYTES", 10)
    monkeypatch.setattr(rasters.tempfile, "tempdir", str(tmp_path))
    raster = Raster.of(noise(50, 50, 3))
    file = raster._file  # pyright: ignore[reportPrivateUsage]
    alive = weakref.ref(raster)
    del raster
    gc.collect()
    assert alive() is None
    assert file.closed
    assert list(tmp_path.iterdir()) == []

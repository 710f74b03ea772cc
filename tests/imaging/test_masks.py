from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from paintdiff.imaging.geometry import Box, Size
from paintdiff.imaging.masks import (
    blur_mask,
    composite,
    count_changed_outside,
    draw_strokes,
    fill_masked,
    find_box,
    grow_canvas,
    make_mask,
    mask_weights,
    place_mask,
    scale_mask,
    spread_mask,
)

SIZE = Size(64, 48)


def square(left: int, top: int, right: int, bottom: int, level: int = 255) -> Image.Image:
    """A mask with one rectangle in it; `right` and `bottom` are outside it."""
    mask = Image.new("L", (SIZE.width, SIZE.height), 0)
    mask.paste(level, (left, top, right, bottom))
    return mask


def noise(seed: int, size: Size = SIZE) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 256, (size.height, size.width, 3))
    return Image.fromarray(levels.astype(np.uint8))


def test_a_mask_is_read_from_brightness_or_from_alpha() -> None:
    grey = Image.new("RGB", (2, 1), (100, 100, 100))
    assert make_mask(grey).getpixel((0, 0)) == 100
    assert make_mask(grey.convert("RGBA")).getpixel((0, 0)) == 100
    strokes = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    assert make_mask(strokes).getextrema() == (0, 0)
    strokes.putpixel((1, 0), (0, 0, 0, 200))
    assert list(make_mask(strokes).tobytes()) == [0, 200], "black strokes on an empty canvas"
    strokes.putpixel((0, 0), (255, 255, 255, 100))
    assert list(make_mask(strokes).tobytes()) == [100, 0], "black and white, where both show"


@given(sigma_px=st.floats(0.5, 12))
def test_blur_softens_and_ends(sigma_px: float) -> None:
    mask = Image.new("L", (160, 9), 0)
    mask.paste(255, (0, 0, 20, 9))
    row = np.asarray(blur_mask(mask, sigma_px))[4].astype(int)
    assert (np.diff(row) <= 0).all()
    assert 120 <= row[19] <= 250
    assert (row[20 + int(np.ceil(4 * sigma_px)) + 1 :] == 0).all()
    assert blur_mask(mask, 0).tobytes() == mask.tobytes()


def test_what_was_added_counts_in_full_and_blends_into_the_picture() -> None:
    inside = place_mask(Image.new("L", (32, 48), 255), Box(32, 0, 64, 48), SIZE)
    added = Image.eval(inside, lambda level: 255 - level)
    row = np.asarray(mask_weights(square(0, 0, 0, 0), 4, added))[24].astype(int)
    assert (row[:32] == 255).all(), "there is nothing there to mix with"
    assert row[32] > 200
    assert 0 < row[38] < row[32]
    assert row[60] == 0
    plain = mask_weights(square(10, 10, 20, 20), 4)
    assert plain.tobytes() == blur_mask(square(10, 10, 20, 20), 4).tobytes()


def test_a_canvas_grows_around_the_picture() -> None:
    image = noise(1, Size(8, 6))
    canvas = grow_canvas(image, Box(3, 2, 11, 8), Size(12, 9))
    assert canvas.size == (12, 9)
    assert canvas.crop((3, 2, 11, 8)).tobytes() == image.tobytes()
    assert canvas.getpixel((0, 0)) == image.getpixel((0, 0))
    assert canvas.getpixel((11, 8)) == image.getpixel((7, 5))
    mask = place_mask(Image.new("L", (8, 6), 9), Box(3, 2, 11, 8), Size(12, 9))
    assert find_box(mask) == Box(3, 2, 11, 8)
    assert find_box(Image.new("L", (3, 3))) is None


@pytest.mark.parametrize("level", [1, 255])
def test_no_spot_is_too_small_to_be_touched(level: int) -> None:
    mask = Image.new("L", (4000, 3000), 0)
    mask.putpixel((2001, 7), level)
    found = spread_mask(mask, Box(0, 0, 4000, 3000), Size(128, 96))
    assert np.count_nonzero(np.asarray(found)) == 1
    assert set(found.tobytes()) == {0, 255}
    assert find_box(spread_mask(square(8, 8, 16, 16), Box(0, 0, 64, 48), Size(128, 96))) == Box(
        16, 16, 32, 32
    )


def test_scaling_a_mask_does_not_ring() -> None:
    found = np.asarray(scale_mask(square(16, 16, 32, 32), Box(0, 0, 64, 48), Size(128, 96)))
    assert (found[:, :28] == 0).all()
    assert found[48, 48] == 255
    image = noise(2)
    assert scale_mask(image, Box(0, 0, 64, 48), SIZE).tobytes() == image.tobytes()


def test_filling_takes_the_colours_around() -> None:
    image = Image.new("RGB", (64, 48), "red")
    image.paste("blue", (32, 0, 64, 48))
    hidden = image.copy()
    hidden.paste("lime", (8, 8, 56, 40))
    unknown = square(8, 8, 56, 40)
    result = fill_masked(hidden, unknown)
    levels = np.asarray(result).astype(int)
    assert levels[..., 1].max() <= 1, "no green is left"
    assert levels[24, 12, 0] > levels[24, 12, 2], "red on the left"
    assert levels[24, 52, 2] > levels[24, 52, 0], "blue on the right"
    assert count_changed_outside(hidden, result, unknown) == 0
    everything = fill_masked(hidden, Image.new("L", (64, 48), 255))
    assert everything.getpixel((3, 3)) == (128, 128, 128)
    assert fill_masked(Image.new("RGB", (1, 1), "red"), Image.new("L", (1, 1), 0)).getpixel(
        (0, 0)
    ) == (
        255,
        0,
        0,
    )


def test_strokes_lie_over_the_picture() -> None:
    sketch = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    ImageDraw.Draw(sketch).rectangle((4, 4, 8, 8), fill=(255, 0, 0, 255))
    image = noise(3)
    result = draw_strokes(image, sketch)
    assert result.getpixel((6, 6)) == (255, 0, 0)
    assert count_changed_outside(image, result, square(4, 4, 9, 9)) == 0


@given(seed=st.integers(0, 1000), level=st.integers(0, 255))
def test_compositing_keeps_what_has_no_weight(seed: int, level: int) -> None:
    original, painted = noise(seed), noise(seed + 1)
    weight = square(10, 10, 30, 30, level)
    result = composite(original, painted, weight)
    assert count_changed_outside(original, result, weight) == 0
    if level == 255:
        assert result.crop((10, 10, 30, 30)).tobytes() == painted.crop((10, 10, 30, 30)).tobytes()


def test_the_check_sees_a_single_level_of_a_single_pixel() -> None:
    """The negative control of the promise."""
    size = Size(40, 1300)
    original, weight = noise(5, size), Image.new("L", (40, 1300), 0)
    weight.putpixel((0, 0), 1)
    for place, count in (((0, 0), 0), ((1, 0), 1), ((39, 1299), 1), ((3, 512), 1)):
        result = original.copy()
        red, green, blue = original.getpixel(place)
        result.putpixel(place, (red, green, blue ^ 1))
        assert count_changed_outside(original, result, weight) == count

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paintdiff.errors import SizeError
from paintdiff.imaging.geometry import (
    MAX_AREA_PX,
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    Box,
    Size,
    check_size,
    choose_working_size,
    crop_to_aspect,
    describe_resize,
    fit_within,
    pad_to_aspect,
    round_to_multiple,
    size_for_area,
)

NATIVE = Size(128, 128)
SIDES = st.integers(1, 9000)
SIZES = st.builds(Size, SIDES, SIDES)


@pytest.mark.parametrize("text", ["512x768", " 512 x 768 ", "512X768", "512×768", "512*768"])  # noqa: RUF001
def test_a_size_is_read(text: str) -> None:
    assert Size.parse(text) == Size(512, 768)


@pytest.mark.parametrize(
    "text", ["", "512", "x", "512x", "-1x5", "1e3x5", "512x768x3", "\u0665x\u0665", "0x9"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SizeError):
        Size.parse(text)


def test_a_size_prints_as_it_is_read() -> None:
    assert str(Size.parse("8x9")) == "8x9"
    assert Size(8, 9).swap_sides() == Size(9, 8)
    assert Size(8, 9).area == 72


@pytest.mark.parametrize(
    ("size", "field"),
    [
        (Size(MIN_SIDE_PX - 1, 128), "width"),
        (Size(128, MAX_SIDE_PX + 1), "height"),
        (Size(4096, 4096), "width"),
    ],
)
def test_a_size_outside_the_limits_names_its_field(size: Size, field: str) -> None:
    with pytest.raises(SizeError) as caught:
        check_size(size)
    assert caught.value.field == field


def test_the_limits_themselves_are_allowed() -> None:
    for size in (Size(MIN_SIDE_PX, MIN_SIDE_PX), Size(MAX_SIDE_PX, MAX_AREA_PX // MAX_SIDE_PX)):
        assert check_size(size) == size


@pytest.mark.parametrize(
    ("side", "rounded"), [(1, 8), (11, 8), (12, 16), (16, 16), (127, 128), (131, 128), (132, 136)]
)
def test_sides_are_rounded_to_the_nearest_multiple(side: int, rounded: int) -> None:
    assert round_to_multiple(Size(side, 64), 8) == Size(rounded, 64)


def test_fitting_shrinks_and_never_grows() -> None:
    assert fit_within(Size(100, 50), 200) == Size(100, 50)
    assert fit_within(Size(1000, 500), 200) == Size(200, 100)
    assert fit_within(Size(4096, 1), 256) == Size(256, 1)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        (Size(128, 128), Size(128, 128)),
        (Size(112, 96), Size(112, 96)),
        (Size(160, 200), Size(160, 200)),
        (Size(130, 100), Size(128, 104)),
        (Size(640, 480), Size(152, 112)),
        (Size(1, 1), Size(128, 128)),
        (Size(8000, 8000), Size(128, 128)),
        (Size(8000, 1), Size(512, 32)),
        (Size(1, 8000), Size(32, 512)),
    ],
)
def test_the_working_size_keeps_the_pictures_own_or_its_proportions(
    source: Size, size: Size
) -> None:
    assert choose_working_size(source, NATIVE, 8) == size


@given(source=SIZES, native=st.sampled_from([128, 512, 1024]), multiple=st.sampled_from([8, 64]))
def test_any_working_size_can_be_painted(source: Size, native: int, multiple: int) -> None:
    size = choose_working_size(source, Size(native, native), multiple)
    assert check_size(size) == size
    assert round_to_multiple(size, multiple) == size
    assert size.area < 4.5 * native**2


def test_a_size_of_an_area_is_that_area() -> None:
    assert size_for_area(Size(40, 20), 128 * 128, 8) == Size(184, 88)
    assert choose_working_size(Size(100, 100), NATIVE, 8) == Size(104, 104)
    assert size_for_area(Size(100, 100), 128 * 128, 8) == NATIVE


@given(source=SIZES, target=SIZES)
def test_crops_and_pads_stay_inside_and_keep_proportions(source: Size, target: Size) -> None:
    for outer, aspect, box in (
        (source, target, crop_to_aspect(source, target)),
        (target, source, pad_to_aspect(source, target)),
    ):
        assert 0 <= box.left < box.right <= outer.width
        assert 0 <= box.top < box.bottom <= outer.height
        assert box.size.width == outer.width or box.size.height == outer.height
        scale = min(outer.width / aspect.width, outer.height / aspect.height)
        assert abs(box.size.width - aspect.width * scale) <= 1
        assert abs(box.size.height - aspect.height * scale) <= 1


@given(data=st.data(), canvas=SIZES, aspect=SIZES, padding_px=st.integers(0, 512))
def test_a_box_grows_around_what_it_was_and_never_off_the_canvas(
    data: st.DataObject, canvas: Size, aspect: Size, padding_px: int
) -> None:
    left, top = (data.draw(st.integers(0, side - 1)) for side in (canvas.width, canvas.height))
    right, bottom = (
        data.draw(st.integers(start + 1, side))
        for start, side in ((left, canvas.width), (top, canvas.height))
    )
    small = Box(left, top, right, bottom)
    padded = small.pad(padding_px, canvas)
    grown = padded.grow_to_aspect(aspect, canvas)
    for inner, outer in ((small, padded), (padded, grown)):
        assert outer.left <= inner.left < inner.right <= outer.right
        assert outer.top <= inner.top < inner.bottom <= outer.bottom
    assert min(grown.left, grown.top) >= 0
    assert grown.right <= canvas.width
    assert grown.bottom <= canvas.height
    room = grown.size.width < canvas.width and grown.size.height < canvas.height
    if room:
        wanted = grown.size.height * aspect.width / aspect.height
        assert abs(grown.size.width - wanted) <= max(1, aspect.width / aspect.height)


def test_a_box_without_pixels_is_refused() -> None:
    with pytest.raises(SizeError, match="box"):
        Box(3, 3, 3, 4)


def test_what_resizing_does_is_said_in_words() -> None:
    photo, square = Size(640, 480), Size(512, 512)
    assert describe_resize(photo, photo, "crop") == "The size stays 640x480."
    assert describe_resize(photo, Size(320, 240), "pad") == "640x480 will be resized to 320x240."
    assert describe_resize(photo, square, "stretch") == (
        "640x480 will be stretched to 512x512, which changes its proportions."
    )
    assert describe_resize(photo, square, "crop") == (
        "640x480 will be cropped to 480x480 (80 px left, 80 px right cut off), "
        "then resized to 512x512."
    )
    assert describe_resize(photo, square, "pad", done=True) == (
        "640x480 was resized to 512x384, then padded to 512x512 (64 px top, 64 px bottom added)."
    )
    assert describe_resize(Size(64, 65), Size(64, 64), "crop") == (
        "64x65 will be cropped to 64x64 (1 px bottom cut off)."
    )
    assert (
        describe_resize(photo, Size(152, 112), "stretch") == "640x480 will be resized to 152x112."
    )

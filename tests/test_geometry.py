from __future__ import annotations

import pytest

from paintdiff.errors import SizeError
from paintdiff.geometry import (
    MAX_AREA_PX,
    MAX_SIDE_PX,
    MIN_SIDE_PX,
    Size,
    checked,
    fitted_within,
    rounded_to_multiple,
)


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
    assert Size(8, 9).swapped() == Size(9, 8)
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
        checked(size)
    assert caught.value.field == field


def test_the_limits_themselves_are_allowed() -> None:
    for size in (Size(MIN_SIDE_PX, MIN_SIDE_PX), Size(MAX_SIDE_PX, MAX_AREA_PX // MAX_SIDE_PX)):
        assert checked(size) == size


@pytest.mark.parametrize(
    ("side", "rounded"), [(1, 8), (11, 8), (12, 16), (16, 16), (127, 128), (131, 128), (132, 136)]
)
def test_sides_are_rounded_to_the_nearest_multiple(side: int, rounded: int) -> None:
    assert rounded_to_multiple(Size(side, 64), 8) == Size(rounded, 64)


def test_fitting_shrinks_and_never_grows() -> None:
    assert fitted_within(Size(100, 50), 200) == Size(100, 50)
    assert fitted_within(Size(1000, 500), 200) == Size(200, 100)
    assert fitted_within(Size(4096, 1), 256) == Size(256, 1)

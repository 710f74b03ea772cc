from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paintdiff.imaging.geometry import Size
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.tiling.windows import choose_windows, cover_with_windows, sees_through_windows

SIDES = st.integers(1, 80).map(lambda units: units * 8)


@given(
    size=st.builds(Size, SIDES, SIDES),
    window=st.builds(Size, SIDES, SIDES),
    overlap=st.sampled_from([0.0, 1 / 8, 1 / 3, 1 / 2, 0.9]),
)
def test_windows_cover_the_picture_and_share_what_they_should(
    size: Size, window: Size, overlap: float
) -> None:
    boxes = cover_with_windows(size, window, 8, overlap)
    assert len(set(boxes)) == len(boxes)
    assert {box.size for box in boxes} == {
        Size(min(size.width, window.width), min(size.height, window.height))
    }
    for starts, side, length in (
        (sorted({box.left for box in boxes}), boxes[0].size.width, size.width),
        (sorted({box.top for box in boxes}), boxes[0].size.height, size.height),
    ):
        assert starts[0] == 0
        assert starts[-1] + side == length
        assert all(start % 8 == 0 for start in starts)
        for one, following in pairwise(starts):
            assert one < following
            # Within less than a multiple, and never a gap.
            assert following - one <= max(8, side * (1 - overlap))
    assert len(boxes) == len({box.left for box in boxes}) * len({box.top for box in boxes})


@pytest.mark.parametrize("side", [32, 96, 128])
def test_what_fits_into_one_window_is_one(side: int) -> None:
    (box,) = cover_with_windows(Size(side, 64), Size(128, 128), 8, 0.5)
    assert box.corners == (0, 0, side, 64)


def test_half_overlapping_windows_of_a_picture_twice_as_large_are_nine() -> None:
    boxes = cover_with_windows(Size(256, 256), Size(128, 128), 8, 0.5)
    assert [box.corners[:2] for box in boxes][:4] == [(0, 0), (64, 0), (128, 0), (0, 64)]
    assert len(boxes) == 9


def test_a_window_that_is_no_multiple_is_made_one() -> None:
    boxes = cover_with_windows(Size(256, 64), Size(100, 100), 8, 0.5)
    assert {box.size for box in boxes} == {Size(96, 64)}


def test_a_model_sees_twice_its_native_area_at_once() -> None:
    model = Catalog.default().find(ModelRow, "mini")
    assert not sees_through_windows(None, Size(256, 128), model)
    assert sees_through_windows(None, Size(264, 128), model)
    assert sees_through_windows(True, Size(64, 64), model)
    assert not sees_through_windows(False, Size(512, 512), model)
    assert {box.size for box in choose_windows(Size(264, 128), model)} == {model.native_size}

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from paintdiff.preprocessors import lines
from paintdiff.preprocessors.lines import WEIGHTLESS, Pixels


def scene(side: int = 128) -> Pixels:
    """A dark square and a red circle on a light ground, with a little noise."""
    picture = np.full((side, side * 5 // 4, 3), 200, np.uint8)
    unit = side // 8
    cv2.rectangle(picture, (unit, unit), (4 * unit, 5 * unit), (20, 60, 120), -1)
    cv2.circle(picture, (7 * unit, 4 * unit), 2 * unit, (250, 20, 20), -1)
    noise = np.random.default_rng(0).integers(-3, 4, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def widths(drawn: Pixels) -> list[int]:
    """The widths of the white runs in the rows through the square's middle."""
    side = drawn.shape[0]
    found: list[int] = []
    for row in range(2 * side // 8, 4 * side // 8):
        edges = np.flatnonzero(np.diff(np.pad(drawn[row] > 0, 1).astype(int)))
        found += list(np.diff(edges)[::2])
    return found


@pytest.mark.parametrize("function", WEIGHTLESS.values(), ids=WEIGHTLESS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (33, 47), (128, 160)])
def test_a_map_has_the_pictures_size(
    function: Callable[[Pixels], Pixels], shape: tuple[int, int]
) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    kept = picture.copy()
    drawn = function(picture)
    assert drawn.shape[:2] == shape
    assert drawn.ndim == 2 or drawn.shape[2] == 3
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, function(picture)), "the same picture gives the same map"
    assert np.array_equal(picture, kept), "the picture is left alone"


@pytest.mark.parametrize("name", ["canny", "scribble", "lines", "lineart_standard"])
def test_of_a_plain_picture_nothing_is_drawn(name: str) -> None:
    assert not WEIGHTLESS[name](np.full((64, 64, 3), 99, np.uint8)).any()


def test_canny_draws_edges_white_on_black() -> None:
    drawn = lines.detect_canny_edges(scene())
    assert set(np.unique(drawn)) == {0, 255}
    assert drawn[40, 16 - 2 : 16 + 3].any(), "the square's left edge"
    assert not drawn[30:50, 30:50].any(), "nothing inside"
    assert not drawn[:8, :8].any(), "and not the noise"


@pytest.mark.parametrize(("side", "least", "most"), [(128, 2, 3), (512, 2.5, 4.5), (1024, 5, 9)])
def test_scribbles_are_as_broad_as_the_picture_wants(side: int, least: float, most: float) -> None:
    drawn = lines.draw_scribble(scene(side))
    assert set(np.unique(drawn)) == {0, 255}
    assert least <= float(np.median(widths(drawn))) <= most


def test_scribbles_leave_specks_out() -> None:
    picture = np.full((512, 512, 3), 255, np.uint8)
    picture[100:102, 100:102] = 0
    assert not lines.draw_scribble(picture).any()
    picture[150:153, 20:200] = 0
    assert lines.draw_scribble(picture).any()


def test_invert_turns_a_drawing_white_on_black() -> None:
    drawing = np.full((8, 8, 3), 255, np.uint8)
    drawing[4] = 0
    inverted = lines.invert(drawing)
    assert (inverted[4] == 255).all()
    assert inverted.sum() == 8 * 255


def test_line_art_is_of_what_is_darker() -> None:
    drawing = np.full((64, 64, 3), 230, np.uint8)
    drawing[30:32] = 30
    drawn = lines.draw_line_art(drawing)
    assert drawn[30:32].min() > 100
    assert drawn[:15].max() == 0


def test_straight_edges_are_drawn_whole() -> None:
    drawn = lines.detect_lines(scene(256)) > 0
    for edge in (drawn[29:36, 40:120], drawn[157:164, 40:120]):
        assert edge.any(axis=0).mean() > 0.9
    for edge in (drawn[40:150, 29:36], drawn[40:150, 125:132]):
        assert edge.any(axis=1).mean() > 0.9
    assert drawn[45:145, 45:115].mean() < 0.05, "and hardly any of the noise"


def test_tile_keeps_colours_and_loses_detail() -> None:
    checked = np.indices((64, 64)).sum(axis=0) % 2 * 255
    picture = np.stack([checked] * 3, axis=2).astype(np.uint8)
    picture[:, 32:] = (200, 30, 30)
    tiled = lines.blur_tile(picture)
    assert np.ptp(tiled[:, :20].astype(int)) <= 8
    assert abs(tiled[:, 44:].reshape(-1, 3).mean(axis=0) - (200, 30, 30)).max() < 4


def test_shuffle_keeps_colours_and_loses_places() -> None:
    picture = scene()
    stirred = lines.shuffle(picture)
    assert abs(stirred.astype(int) - picture).mean() > 20
    assert {200, 250} & set(np.unique(stirred // 10 * 10))

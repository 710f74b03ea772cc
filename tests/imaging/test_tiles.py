"""With stand-ins for networks whose reach is known to the pixel."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image

from paintdiff.errors import JobCancelledError, MemoryBudgetError
from paintdiff.imaging.geometry import Size
from paintdiff.imaging.tiles import (
    FEATHER_PX,
    LEAST_TILE_PX,
    Enlargement,
    Floats,
    Network,
    Tile,
    resample,
    tile_spans,
)

REACH_PX = 6
LEVEL = 1 / 255


def blurred(tile: Floats, factor: int = 2) -> Floats:
    """Each pixel's surroundings (REACH_PX each way, nothing outside the tile), repeated and unlike
    each other within a pixel.
    """
    side = 2 * REACH_PX + 1
    around = cv2.blur(np.ascontiguousarray(tile), (side, side), borderType=cv2.BORDER_CONSTANT)
    far = around * 0.7 + tile * 0.3
    made = np.repeat(np.repeat(far, factor, axis=0), factor, axis=1)
    made[::factor] *= 0.9
    return made.astype(np.float32)


def network(
    run: Callable[[Floats], Floats] = blurred, factor: int = 2, context: int = REACH_PX
) -> Network:
    return Network(run, factor, lambda: (context, 1))


def picture(height: int, width: int, channels: int = 3) -> Floats:
    return np.random.default_rng(1).random((height, width, channels), dtype=np.float32)


def enlarged(
    pixels: Floats,
    target: Size,
    tile_px: int,
    one: Network,
    on_tile: Callable[[Tile], None] = lambda _tile: None,
) -> Floats:
    size = Size(pixels.shape[1], pixels.shape[0])
    work = Enlargement(size, target, one, tile_px)
    strips = [pixels[top : top + 13] for top in range(0, len(pixels), 13)]
    made = np.concatenate(list(work.rows(iter(strips), on_tile)))
    assert made.shape == (target.height, target.width, pixels.shape[2])
    assert made.dtype == np.float32
    return made


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("height", "width", "scale"),
    [
        (100, 130, 2),
        (77, 141, 4),
        (65, 33, 3),
        (50, 97, 1.37),
        (90, 90, 1),
        (1, 1, 2),
        (1, 500, 2.6),
        (300, 2, 3.3),
    ],
)
def test_in_tiles_it_is_the_same_as_at_once(
    height: int, width: int, scale: float, channels: int
) -> None:
    pixels = picture(height, width, channels)
    target = Size(max(1, round(width * scale)), max(1, round(height * scale)))
    at_once = enlarged(pixels, target, 10_000, network())
    in_tiles = enlarged(pixels, target, LEAST_TILE_PX, network())
    assert np.abs(at_once - in_tiles).max() < LEVEL / 10


def test_too_little_context_would_be_seen() -> None:
    """The control: without the margins the tiles' edges show."""
    pixels = picture(100, 100)
    at_once = enlarged(pixels, Size(200, 200), 10_000, network())
    bare = enlarged(pixels, Size(200, 200), LEAST_TILE_PX, network(context=0))
    assert np.abs(at_once - bare).max() > 10 * LEVEL


def test_a_seam_is_feathered() -> None:
    """Where tiles disagree one turns into the other, and no step is left."""
    count = 0

    def constant(tile: Floats) -> Floats:
        nonlocal count
        count += 1
        return np.full((len(tile) * 2, tile.shape[1] * 2, 3), count % 2, np.float32)

    made = enlarged(picture(8, 64), Size(128, 16), 32, network(constant))
    steps = np.abs(np.diff(made[0, :, 0]))
    assert {made[0, 0, 0], made[0, -1, 0]} == {0.0, 1.0}
    assert steps.max() <= 1 / (2 * FEATHER_PX) + 1e-6
    assert np.count_nonzero(steps > 1e-6) >= 2 * FEATHER_PX - 1


def test_the_network_runs_until_its_factors_reach_the_scale() -> None:
    for factor, scale, passes in (
        (2, 1, 1),
        (2, 2, 1),
        (2, 2.1, 2),
        (2, 8, 3),
        (4, 4, 1),
        (4, 5, 2),
        (1, 1, 1),
        (1, 8, 1),
        (3, 8, 2),
    ):
        assert Network(blurred, factor).passes(scale) == passes, (factor, scale)


def test_a_network_that_only_repairs_is_run_once_then_enlarged() -> None:
    calls = 0

    def repaired(tile: Floats) -> Floats:
        nonlocal calls
        calls += 1
        return tile * 0.5

    made = enlarged(picture(40, 40) * 0 + 0.8, Size(100, 100), 999, network(repaired, 1))
    assert calls == 1
    assert np.allclose(made, 0.4, atol=1e-6)


def test_resampling_in_strips_is_pillows() -> None:
    pixels = picture(901, 83)
    for target in (Size(50, 333), Size(120, 1303), Size(83, 901), Size(1, 2)):
        rows = iter([pixels[:100], pixels[100:]])
        made = np.concatenate(list(resample(rows, Size(83, 901), target)))
        size = (target.width, target.height)
        for channel in range(3):
            image = Image.fromarray(np.ascontiguousarray(pixels[..., channel]))
            whole = np.asarray(image.resize(size, Image.Resampling.LANCZOS)).clip(0, 1)
            assert np.abs(whole - made[..., channel]).max() < LEVEL / 10


def test_tiles_cover_a_length_once_and_begin_at_multiples() -> None:
    for length in (1, 31, 32, 33, 64, 65, 1000, 1017):
        for multiple in (1, 8):
            made = tile_spans(length, 32, 10, multiple)
            assert made[0].start == 0 and made[-1].end == length
            assert made[0].read_start == 0 and made[-1].read_end == length
            for before, after in pairwise(made):
                assert 0 < before.end - after.start <= FEATHER_PX
                assert before.read_end == length or before.read_end >= before.end + 10
                assert after.read_start == 0 or after.read_start <= after.start - 10
            assert all(span.read_start % multiple == 0 for span in made)
            assert all(span.end - span.start <= 32 + 2 * FEATHER_PX for span in made)


def test_the_overhead_of_tiles_is_small() -> None:
    """For a context that is measured of small networks."""
    for side, tile_px in ((2048, 512), (4096, 512), (4096, 1024), (1500, 512)):
        read = sum(span.read_end - span.read_start for span in tile_spans(side, tile_px, 9))
        assert (read / side) ** 2 < 1.10, (side, tile_px)


def test_each_tile_is_told_with_its_place_and_the_work_can_be_ended() -> None:
    told: list[Tile] = []
    enlarged(picture(70, 100), Size(300, 210), 40, network(), told.append)
    assert [tile.number for tile in told] == list(range(1, len(told) + 1))
    assert {tile.total for tile in told} == {len(told)}
    painted = np.zeros((210, 300), bool)
    for tile in told:
        box = tile.box
        painted[box.top : box.bottom, box.left : box.right] = True
        assert tile.pixels.shape[2] == 3
    assert painted.all()

    def stop(tile: Tile) -> None:
        if tile.number == 2:
            raise JobCancelledError("enough")

    calls = 0

    def counted(tile: Floats) -> Floats:
        nonlocal calls
        calls += 1
        return blurred(tile)

    with pytest.raises(JobCancelledError):
        enlarged(picture(200, 200), Size(400, 400), 40, network(counted), stop)
    assert calls == 2


def test_rows_come_before_the_last_tile_is_done() -> None:
    """Finished rows are handed out: no more than a band is held."""
    told: list[int] = []
    pixels = picture(400, 40)
    work = Enlargement(Size(40, 400), Size(80, 800), network(), 40)
    rows = work.rows(iter([pixels]), lambda tile: told.append(tile.number))
    next(rows)
    assert told == [1]
    assert work.total_tiles == 10


def test_short_memory_makes_the_tiles_smaller_and_nothing_else() -> None:
    pixels = picture(150, 210)
    expected = enlarged(pixels, Size(420, 300), 999, network())
    largest = 0

    def limited(tile: Floats) -> Floats:
        nonlocal largest
        if tile.shape[0] * tile.shape[1] > 70 * 70:
            raise MemoryBudgetError("too large")
        largest = max(largest, *tile.shape[:2])
        return blurred(tile)

    work = Enlargement(Size(210, 150), Size(420, 300), network(limited), 999)
    made = np.concatenate(list(work.rows(iter([pixels]), lambda _tile: None)))
    assert np.abs(made - expected).max() < LEVEL / 10
    assert work.smallest_tile_px < 70
    assert largest > 32

    def never(_tile: Floats) -> Floats:
        raise MemoryBudgetError("no memory at all")

    with pytest.raises(MemoryBudgetError, match="no memory at all"):
        enlarged(pixels, Size(420, 300), 999, network(never))


def test_alpha_stays_between_its_neighbours() -> None:
    """Opaque pixels stay opaque, however the network errs."""
    alpha = np.ones((40, 60, 1), np.float32)
    alpha[:, 30:] = 0
    pixels = np.concatenate((picture(40, 60), alpha), axis=2)

    def ringing(tile: Floats) -> Floats:
        return np.clip(blurred(tile) * 1.2 - 0.05, 0, 1)

    made = enlarged(pixels, Size(120, 80), 32, network(ringing))[..., 3]
    assert np.all(made[:, :56] == 1)
    assert np.all(made[:, 64:] == 0)
    assert 0 < made[40, 61] < 1, "only the edge itself is the network's"

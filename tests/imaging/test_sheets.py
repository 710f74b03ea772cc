"""Sheets of a grid's pictures."""

from __future__ import annotations

import pytest
from PIL import Image

from paintdiff.imaging.sheets import (
    MAX_SHEET_PIXELS,
    MAX_SHEET_SIDE_PX,
    SheetLabels,
    compose_sheet,
)

LABELS = SheetLabels(["Steps: 1", "Steps: 2"], ["a house", "Ñandú в снегу"], ["mini", "other"])


def squares(count: int, side: int = 64) -> dict[int, Image.Image]:
    return {number: Image.new("RGB", (side, side), (number, 90, 200)) for number in range(count)}


def places(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int] | None:
    """Return the first pixel of a colour, from the top."""
    pixels = sheet.load()
    assert pixels is not None
    found = (
        (x, y) for y in range(sheet.height) for x in range(sheet.width) if pixels[x, y] == colour
    )
    return next(found, None)


def test_pictures_stand_in_their_places_unchanged() -> None:
    sheet = compose_sheet(squares(8), LABELS, {})
    assert sheet.notes == ()
    corners = [places(sheet.image, (number, 90, 200)) for number in range(8)]
    assert None not in corners
    (left, top), (right, _), (_, below) = corners[0], corners[1], corners[2]  # type: ignore[misc]
    assert right - left > 64
    assert below - top >= 64
    block = sheet.image.crop((left, top, left + 64, top + 64))
    assert block.tobytes() == squares(1)[0].tobytes()
    assert left > 60  # the labels of the rows are beside them
    ys = [corner[1] for corner in corners if corner]
    assert ys == sorted(ys)


def test_a_failed_cell_says_why_and_others_stay_empty() -> None:
    pictures = squares(1)
    failed = compose_sheet(pictures, SheetLabels(["a", "b"]), {1: "Out of memory."})
    empty = compose_sheet(pictures, SheetLabels(["a", "b"]), {})
    assert places(failed.image, (155, 28, 28)) is not None
    assert places(empty.image, (155, 28, 28)) is None
    assert places(empty.image, (236, 238, 241)) is not None


def test_labels_are_drawn_whatever_they_contain() -> None:
    strange = ["", "x" * 5000, "\ud800\x00\u202e\n", "word " * 500]
    sheet = compose_sheet(squares(4), SheetLabels(strange), {})
    assert sheet.image.height < 64 + 300


def test_a_character_without_a_font_is_noted() -> None:
    sheet = compose_sheet(squares(1), SheetLabels(["\U00013000 house"]), {})
    assert "No font on this machine" in sheet.notes[0]


@pytest.mark.parametrize(
    ("count", "side", "labels"),
    [
        (500, 1024, SheetLabels([str(number) for number in range(500)])),
        (500, 64, SheetLabels(["a"], [str(number) for number in range(500)])),
        (2, 8192, SheetLabels(["a", "b"])),
    ],
)
def test_a_sheet_is_never_too_large(count: int, side: int, labels: SheetLabels) -> None:
    picture = Image.new("RGB", (side, side))
    sheet = compose_sheet(dict.fromkeys(range(count), picture), labels, {})
    assert sheet.image.width * sheet.image.height <= MAX_SHEET_PIXELS
    assert max(sheet.image.size) <= MAX_SHEET_SIDE_PX
    assert "reduced" in sheet.notes[0]


def test_a_long_axis_alone_is_broken_into_rows() -> None:
    labels = SheetLabels([str(number) for number in range(20)])
    assert labels.columns == 5
    assert [len(row.cells) for row in labels.rows()] == [5, 5, 5, 5]
    assert labels.rows()[-1].labels == ["15", "16", "17", "18", "19"]


def test_pictures_of_several_sizes_and_modes_are_centred() -> None:
    pictures = {0: Image.new("RGBA", (64, 32), (9, 9, 9, 255)), 1: Image.new("L", (32, 64), 77)}
    sheet = compose_sheet(pictures, SheetLabels(["", ""]), {}).image
    first = places(sheet, (9, 9, 9))
    second = places(sheet, (77, 77, 77))
    assert first is not None
    assert second is not None
    assert first[1] - second[1] == 16

"""Sheets: the pictures of a grid side by side, with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from paintdiff.imaging import messages
from paintdiff.imaging.geometry import Size, choose_grid
from paintdiff.imaging.label_fonts import Font, LabelFonts

MAX_SHEET_PIXELS = 48_000_000
MAX_SHEET_SIDE_PX = 16_000
LONGEST_ROW = 8
"""A grid of one axis with more values than this is broken into rows."""

_LEAST_CELL_PX = 24
_LEAST_TEXT_PX, _MOST_TEXT_PX = 12, 32
_MAX_LABEL_CHARACTERS = 300
_MAX_LABEL_LINES = 5
_PAPER, _INK, _EMPTY, _FAILED = "#ffffff", "#1f2328", "#eceef1", "#9b1c1c"


@dataclass(frozen=True)
class SheetRow:
    """A row of cells. `cells` are their numbers; `labels` stand above them, None for none.

    `block` and `label` are the labels of z and y; `begins_block` is true in a block's first row.
    """

    block: str
    begins_block: bool
    label: str
    cells: Sequence[int]
    labels: Sequence[str] | None


@dataclass(frozen=True)
class SheetLabels:
    """The labels of columns (`x`), rows (`y`) and blocks of rows (`z`); [""] for none."""

    x: Sequence[str]
    y: Sequence[str] = ("",)
    z: Sequence[str] = ("",)

    @property
    def columns(self) -> int:
        """Return how many cells are side by side."""
        if len(self.y) > 1 or self.y[0] or len(self.x) <= LONGEST_ROW:
            return len(self.x)
        return min(LONGEST_ROW, choose_grid(len(self.x))[0])

    def rows(self) -> list[SheetRow]:
        """Return the rows from the top down."""
        rows: list[SheetRow] = []
        broken = self.columns < len(self.x)
        for z, block in enumerate(self.z):
            for y, label in enumerate(self.y):
                first = (z * len(self.y) + y) * len(self.x)
                for start in range(0, len(self.x), self.columns):
                    texts = self.x[start : start + self.columns]
                    cells = range(first + start, first + start + len(texts))
                    begins = y == 0 and start == 0
                    shown = (broken or y == 0) and any(texts)
                    rows.append(SheetRow(block, begins, label, cells, texts if shown else None))
        return rows


@dataclass(frozen=True)
class Sheet:
    """A sheet (RGB), and notes about it for people."""

    image: Image.Image
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Layout:
    """Measures in pixels."""

    cell: Size
    text_px: int
    gap: int
    left: int
    labels_height: int
    blocks_height: int
    size: Size


def compose_sheet(
    pictures: Mapping[int, Image.Image], labels: SheetLabels, failures: Mapping[int, str]
) -> Sheet:
    """Lay out pictures (any mode and size) by their number: along x, then y, then z.

    Smaller ones are centred in their cell. In the cells of `failures` stands a message; others are
    empty. A sheet beyond MAX_SHEET_PIXELS or MAX_SHEET_SIDE_PX has reduced pictures, and says so.
    """
    sides = [picture.size for picture in pictures.values()] or [(64, 64)]
    whole = Size(max(width for width, _ in sides), max(height for _, height in sides))
    rows = labels.rows()
    layout = _fit_layout(whole, rows, labels)
    sheet = Image.new("RGB", (layout.size.width, layout.size.height), _PAPER)
    pen = _Pen(sheet, LabelFonts(layout.text_px), layout)
    top = layout.gap
    for row in rows:
        if row.begins_block and row.block:
            pen.write(row.block, layout.gap, top, sheet.width - 2 * layout.gap, middle=False)
            top += layout.blocks_height
        if row.labels is not None:
            for column, label in enumerate(row.labels):
                pen.write(label, layout.left + column * pen.pitch, top, layout.cell.width)
            top += layout.labels_height
        if row.label:
            pen.write(row.label, layout.gap, top, layout.left - 2 * layout.gap, middle=False)
        for column, number in enumerate(row.cells):
            corner = (layout.left + column * pen.pitch, top)
            pen.fill(corner, pictures.get(number), failures.get(number, ""))
        top += layout.cell.height + layout.gap
    notes = [messages.sheet_reduced(layout.cell, whole)] if layout.cell != whole else []
    if pen.missing:
        notes.append(messages.no_font_for("".join(pen.missing)))
    return Sheet(sheet, tuple(notes))


def _fit_layout(whole: Size, rows: Sequence[SheetRow], labels: SheetLabels) -> _Layout:
    """Return the layout with the largest cells, at most `whole`, that is within the limits."""
    scale = 1.0
    while True:
        cell = Size(max(1, round(whole.width * scale)), max(1, round(whole.height * scale)))
        layout = _measure(cell, rows, labels)
        size = layout.size
        fits = size.area <= MAX_SHEET_PIXELS and max(size.width, size.height) <= MAX_SHEET_SIDE_PX
        if fits or max(cell.width, cell.height) <= _LEAST_CELL_PX:
            return layout
        scale *= 0.9


def _measure(cell: Size, rows: Sequence[SheetRow], labels: SheetLabels) -> _Layout:
    text_px = min(_MOST_TEXT_PX, max(_LEAST_TEXT_PX, cell.width // 14))
    gap = max(4, text_px // 2)
    fonts = LabelFonts(text_px)
    left = gap
    if any(labels.y):
        most = max(8 * text_px, cell.width // 2)
        widest = max(fonts.choose(text)[0].getlength(_clean(text)) for text in labels.y)
        left = 2 * gap + min(most, round(widest) + 1)
    line = _line_height(text_px)
    most_lines = max(
        (len(_wrap(text, fonts.choose(text)[0], cell.width)) for text in labels.x), default=0
    )
    labels_height = most_lines * line + gap // 2
    blocks_height = line + gap
    width = left + labels.columns * (cell.width + gap)
    height = gap + len(rows) * (cell.height + gap)
    height += sum(labels_height for row in rows if row.labels is not None)
    height += blocks_height * (len(labels.z) if any(labels.z) else 0)
    return _Layout(cell, text_px, gap, left, labels_height, blocks_height, Size(width, height))


class _Pen:
    """Draws on a sheet. `missing` are the characters for which there was no font."""

    def __init__(self, sheet: Image.Image, fonts: LabelFonts, layout: _Layout) -> None:
        self._sheet, self._fonts, self._layout = sheet, fonts, layout
        self._draw = ImageDraw.Draw(sheet)
        self.pitch = layout.cell.width + layout.gap
        self.missing: dict[str, None] = {}

    def write(self, text: str, left: int, top: int, width: int, *, middle: bool = True) -> None:
        """Write a text within a width, broken into lines, in the `middle` or from the left."""
        self._write(text, (left, top), width, _INK, _MAX_LABEL_LINES, middle=middle)

    def _write(
        self,
        text: str,
        corner: tuple[int, int],
        width: int,
        colour: str,
        most_lines: int,
        *,
        middle: bool,
    ) -> None:
        font, missing = self._fonts.choose(_clean(text))
        self.missing |= dict.fromkeys(missing)
        line_height = _line_height(self._layout.text_px)
        for number, line in enumerate(_wrap(text, font, width)[:most_lines]):
            free = (width - font.getlength(line)) / 2 if middle else 0
            place = (corner[0] + max(0, free), corner[1] + number * line_height)
            self._draw.text(place, line, fill=colour, font=font)

    def fill(self, corner: tuple[int, int], picture: Image.Image | None, failure: str) -> None:
        """Fill a cell with its picture, or with the reason why there is none."""
        cell, (left, top) = self._layout.cell, corner
        if picture is None:
            self._draw.rectangle(
                (left, top, left + cell.width - 1, top + cell.height - 1), fill=_EMPTY
            )
            if failure:
                inner = self._layout.gap // 2
                lines = (cell.height - inner) // _line_height(self._layout.text_px)
                place, width = (left + inner, top + inner), cell.width - 2 * inner
                self._write(failure, place, width, _FAILED, lines, middle=True)
            return
        shown = _flatten(picture)
        scale = min(1.0, cell.width / shown.width, cell.height / shown.height)
        if scale < 1:
            sides = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
            shown = shown.resize(sides, Image.Resampling.LANCZOS)
        place = (left + (cell.width - shown.width) // 2, top + (cell.height - shown.height) // 2)
        self._sheet.paste(shown, place)


def _flatten(picture: Image.Image) -> Image.Image:
    """Return a picture as RGB, on paper where it is transparent."""
    if picture.mode not in ("LA", "RGBA"):
        return picture.convert("RGB")
    paper = Image.new("RGBA", picture.size, _PAPER)
    return Image.alpha_composite(paper, picture.convert("RGBA")).convert("RGB")


def _line_height(text_px: int) -> int:
    return round(text_px * 1.3)


def _clean(text: str) -> str:
    """Return a text on one line, shortened, with characters that can be drawn."""
    plain = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    plain = "".join(each for each in plain if each.isprintable())
    short = plain[: _MAX_LABEL_CHARACTERS - 1] + "…"
    return plain if len(plain) <= _MAX_LABEL_CHARACTERS else short


def _wrap(text: str, font: Font, width: float) -> list[str]:
    """Break a text into lines of a width in pixels; what doesn't fit on them is cut off."""
    lines: list[str] = []
    line = ""
    for word in _clean(text).split(" "):
        joined = f"{line} {word}".strip()
        if font.getlength(joined) <= width:
            line = joined
            continue
        lines += [line] if line else []
        while len(word) > 1 and font.getlength(word) > width and len(lines) <= _MAX_LABEL_LINES:
            fits = max(1, _count_fitting(word, font, width))
            lines.append(word[:fits])
            word = word[fits:]
        line = word
    lines += [line] if line else []
    if len(lines) > _MAX_LABEL_LINES:
        return [*lines[: _MAX_LABEL_LINES - 1], f"{lines[_MAX_LABEL_LINES - 1][:-1]}…"]
    return lines


def _count_fitting(word: str, font: Font, width: float) -> int:
    """Return how many characters at the start of a word fit into a width."""
    low, high = 0, len(word)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(word[:middle]) <= width else (low, middle - 1)
    return low

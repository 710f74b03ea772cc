"""The stage of a grid: its cells in their places, which fill one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from paintdiff.errors import PaintError
from paintdiff.imaging.sheets import SheetLabels
from paintdiff.jobs.grid_cells import list_labels
from paintdiff.jobs.requests import Grid
from paintdiff.ui.common import markup
from paintdiff.ui.run import messages

if TYPE_CHECKING:
    from paintdiff.jobs.job import Job

MAX_LIVE_CELLS = 36
"""With more cells the one being painted shows no preview: the page would be busy with the rest."""


def build_stage(
    job: Job,
    results: Mapping[int, markup.Result],
    preview: Image.Image | None,
    state: str = "painting",
    sheet: markup.Result | None = None,
) -> str:
    """Return the stage of a grid's job as markup.

    `results` are the finished cells by number; `preview` is that of the one being painted. Once
    all is done there is a `sheet`.
    """
    grid = job.request
    assert isinstance(grid, Grid)
    labels = SheetLabels(*list_labels(grid))
    failures = {done.cell: done.error for done in job.cells_done if done.error is not None}
    over = state != "painting"
    current = next(
        (
            cell.index
            for cell in job.cells
            if not over and cell.index not in results and cell.index not in failures
        ),
        None,
    )

    def cell(number: int) -> str:
        if number in results:
            return _finished(results[number])
        if number in failures:
            return _failed(failures[number])
        if number == current:
            return _current(preview)
        return '<div class="cell waiting"></div>'

    shape = job.cells[0].request.sampling().size
    style = f"--columns:{labels.columns};--shape:{shape.width}/{shape.height}"
    headed = " headed" if any(labels.y) else ""
    acts = "" if sheet is None else _sheet_line(sheet)
    return (
        f'<div class="stage gridded" data-state="{escape(state)}">{acts}'
        f'<div class="cells{headed}" style="{style}" role="group" '
        f'aria-label="{escape(messages.GRID)}">{"".join(_rows(labels, cell))}</div></div>'
    )


def _rows(labels: SheetLabels, cell: Callable[[int], str]) -> Sequence[str]:
    parts: list[str] = []
    for row in labels.rows():
        if row.begins_block and row.block:
            parts.append(f'<p class="block">{escape(row.block)}</p>')
        if row.labels is not None:
            parts += ['<p class="corner"></p>'] if any(labels.y) else []
            parts += (f'<p class="column">{escape(each)}</p>' for each in row.labels)
            parts += ["<p></p>"] * (labels.columns - len(row.labels))
        if any(labels.y):
            parts.append(f'<p class="row">{escape(row.label)}</p>')
        parts += (cell(number) for number in row.cells)
        parts += ["<p></p>"] * (labels.columns - len(row.cells))
    return parts


def _finished(result: markup.Result) -> str:
    return (
        f'<div class="cell done"><button type="button" class="open" '
        f'{markup.look_attributes(result)} aria-label="{escape(result.settings)}">'
        f'<img src="{escape(markup.picture_url(result, suffix="jpg"))}" alt="" '
        'decoding="sync"></button></div>'
    )


def _failed(error: Exception | None) -> str:
    reason = str(error) if isinstance(error, PaintError) else messages.CELL_FAILED
    return f'<div class="cell failed" title="{escape(reason)}"><p>{escape(reason)}</p></div>'


def _current(preview: Image.Image | None) -> str:
    image = (
        ""
        if preview is None
        else f'<img src="{markup.preview_url(preview)}" alt="{escape(messages.PAINTING)}">'
    )
    return f'<div class="cell current">{image}</div>'


def _sheet_line(sheet: markup.Result) -> str:
    url = f"{escape(markup.picture_url(sheet))}?download=1"
    return (
        f'<p class="sheet-line acts"><button type="button" class="act" '
        f"{markup.look_attributes(sheet)}>{escape(messages.SHOW_SHEET)}</button>"
        f'<a class="save" href="{url}" download>{escape(messages.DOWNLOAD_SHEET)}</a></p>'
    )

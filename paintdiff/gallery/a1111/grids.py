"""A grid's sheet in A1111's `parameters` text: `Script: X/Y/Z plot, X Type: Steps, X Values: ...`.

The sheet's own settings are those of its base, as far as they are the same for all cells.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping

from paintdiff.gallery.settings.sampler_names import to_a1111
from paintdiff.jobs.axes import find_axis
from paintdiff.jobs.requests import Grid

_NEGATIVE = "Negative prompt:"


def write_grid(grid: Grid, join: Callable[[Mapping[str, str]], str]) -> str:
    """Return a sheet's text. `join` writes settings in one line."""
    base = grid.base
    sampler, schedule = to_a1111(base.sampler) if base.sampler else ("", "")
    scale = base.guidance_scale
    settings = {
        "Steps": str(base.num_inference_steps or ""),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": "" if scale is None else f"{scale:g}",
        "Seed": "" if base.seed is None else str(base.seed),
        "Size": f"{base.width}x{base.height}" if base.width and base.height else "",
        "Model": base.model,
        "Script": "X/Y/Z plot",
    }
    for name, axis in grid.axes.items():
        settings[f"{name.upper()} Type"] = find_axis(axis.field).title
        settings[f"{name.upper()} Values"] = _list_values(axis.values)
    lines = [base.prompt]
    if base.negative_prompt:
        lines.append(f"{_NEGATIVE} {base.negative_prompt}")
    return "\n".join([*lines, join(settings)])


def _list_values(values: tuple[str, ...]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(values)
    return written.getvalue()

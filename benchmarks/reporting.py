"""Tables that benchmarks print and record, with the machine they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import diffusers
import psutil
import torch

from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.registry.model_rows import ModelRow

RESULTS = Path(__file__).with_name("RESULTS.md")


def catalog_with(model: str) -> tuple[Catalog, str]:
    """Return the catalog with a model given by name or path, and the model's name in it."""
    catalog = Catalog.default()
    if not Path(model).exists():
        return catalog, model
    catalog = catalog.with_source(model)
    return catalog, catalog.rows(ModelRow)[-1].name


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Format a Markdown table; missing cells are empty."""
    head = list(dict.fromkeys(key for row in rows for key in row))
    lines = [head, ["---"] * len(head), *([row.get(key, "") for key in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(device: str) -> str:
    """Describe the machine and the software."""
    name = f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}"
    if device.startswith("cuda"):
        name = f"{torch.cuda.get_device_name()}, {name}"
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return (
        f"{date.today().isoformat()}, {name}, {os.cpu_count()} cores, {memory}, {versions}, "
        f"diffusers {diffusers.__version__}, {torch.get_num_threads()} threads."
    )


def recorded(title: str, command: str, device: str, text: str) -> None:
    """Append a section to RESULTS.md."""
    section = f"\n## {title}\n\n{machine(device)} `{command}`\n\n{text}\n"
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(section)

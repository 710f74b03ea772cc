from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import paintdiff
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.manager.model_manager import ModelManager


def test_every_public_name_is_there() -> None:
    for name in paintdiff.__all__:
        assert getattr(paintdiff, name) is not None
    assert set(paintdiff.__all__) <= set(dir(paintdiff))
    with pytest.raises(AttributeError, match="Gadget"):
        _ = paintdiff.Gadget  # pyright: ignore[reportAttributeAccessIssue]


def test_importing_it_imports_next_to_nothing() -> None:
    program = "import paintdiff, sys; assert not {'torch', 'PIL', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def test_what_is_computed_does_not_hang_on_where_numbers_lie_in_memory() -> None:
    """A file's weights lie where its header ends. Without MKL_CBWR it failed on an AMD EPYC."""
    program = (
        "import paintdiff, torch; torch.manual_seed(0); inputs = torch.randn(1, 37);"
        "store = torch.empty(37 * 64 + 16);"
        "wanted = torch.randn(64, 37); found = set();\n"
        "for start in range(16):\n"
        "    weight = store[start : start + wanted.numel()].view_as(wanted).copy_(wanted)\n"
        "    found.add(torch.nn.functional.linear(inputs, weight).numpy().tobytes())\n"
        "assert len(found) == 1, len(found)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_large_tensors_lie_in_large_pages() -> None:
    """Where Linux gives these to who asks."""
    kernel = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not kernel.exists() or "[madvise]" not in kernel.read_text():
        pytest.skip("this kernel gives large pages to everybody or to nobody")
    program = (
        "import paintdiff, torch; held = torch.ones(64 * 2**20);"
        "lines = open('/proc/self/smaps_rollup').read().splitlines();"
        "(line,) = [each for each in lines if each.startswith('AnonHugePages')];"
        "print(line.split()[1])"
    )
    found: list[int] = []
    for setting in ({}, {"THP_MEM_ALLOC_ENABLE": "0"}):
        others = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
        command = [sys.executable, "-c", program]
        found.append(int(subprocess.check_output(command, env={**others, **setting}, timeout=60)))
    assert found[0] > found[1]


def test_four_lines_paint(tiny_folder: Path, tmp_path: Path) -> None:
    """The README's four lines, with a model of the test's."""
    from paintdiff import Engine, TextToImage  # noqa: PLC0415 (what is tested)

    catalog = Catalog.default().with_source(str(tiny_folder))
    request = TextToImage(prompt="a boat", model="tiny", width=64, height=64, quality="fast")
    with Engine(ModelManager(catalog, device="cpu")) as engine:
        finished = engine.generate(request)
    finished.pictures[0].image.save(tmp_path / "boat.png")
    assert (tmp_path / "boat.png").stat().st_size > 0

"""A container's memory limits, as Linux reports them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from paintdiff.models.memory import usage
from paintdiff.models.memory.container_limits import MemoryLimit, read_memory_limit

GIB = 2**30


def group(folder: Path, *, limit: str, used: int, inactive: int, version: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {inactive}\nslab 7\n")


@pytest.mark.parametrize(
    ("version", "line", "base"), [(2, "0::/a/b", ""), (1, "4:cpu,memory:/a/b", "memory")]
)
def test_the_tightest_group_counts(version: int, line: str, base: str, tmp_path: Path) -> None:
    root, groups = tmp_path / "cgroup", tmp_path / "groups"
    groups.write_text(f"9:pids:/a/b\n{line}\n")
    assert read_memory_limit(root, groups) is None, "there are no such groups here"
    unlimited = "max" if version == 2 else str(2**63 - 4096)
    group(root / base / "a" / "b", limit=unlimited, used=GIB, inactive=0, version=version)
    assert read_memory_limit(root, groups) is None
    group(root / base / "a", limit=str(4 * GIB), used=3 * GIB, inactive=GIB, version=version)
    assert read_memory_limit(root, groups) == MemoryLimit(4 * GIB, 2 * GIB)
    group(root / base, limit=str(8 * GIB), used=9 * GIB, inactive=0, version=version)
    assert read_memory_limit(root, groups) == MemoryLimit(4 * GIB, 0)


@pytest.mark.parametrize("content", ["", "nonsense", "0::/../../elsewhere", "\udcff"])
def test_what_makes_no_sense_is_no_limit(content: str, tmp_path: Path) -> None:
    groups = tmp_path / "groups"
    assert read_memory_limit(tmp_path, groups) is None
    groups.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert read_memory_limit(tmp_path, groups) is None


def test_a_container_bounds_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "read_memory_limit", lambda: MemoryLimit(1000, 300))
    assert usage.count_free_bytes() == 300 and usage.measure_memory("cpu").total_bytes == 1000
    monkeypatch.setattr(usage, "read_memory_limit", lambda: None)
    assert usage.measure_memory("cpu").total_bytes == psutil.virtual_memory().total

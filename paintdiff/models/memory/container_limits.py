"""Main memory that a container grants this process, by Linux's control groups (v1 and v2).

A process that takes more is killed, however much the machine still has. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_GROUPS = Path("/proc/self/cgroup")
_UNLIMITED_BYTES = 2**60
"""Control groups v1 express "no limit" by a very large number."""


@dataclass(frozen=True)
class MemoryLimit:
    """The memory limit of a container, in bytes.

    It holds the total for everything in the container, and how much of that is available.
    """

    total_bytes: int
    available_bytes: int


def read_memory_limit(root: Path = _ROOT, groups: Path = _GROUPS) -> MemoryLimit | None:
    """Return the tightest limit of all control groups that this process is in.

    None if there is no limit, or no readable one. `root` is where groups are mounted; `groups`
    lists the groups of this process.
    """
    found = [
        limit
        for folder, names in _folders(root, groups)
        if (limit := _limit_of(folder, *names)) is not None
    ]
    if not found:
        return None
    return MemoryLimit(
        min(each.total_bytes for each in found), min(each.available_bytes for each in found)
    )


def _folders(root: Path, groups: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield the groups' folders, inner ones first, with the names of the files to read in them."""
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            base, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        parts = Path(path.lstrip("/")).parts
        if ".." in parts:  # a group that the container can't see
            parts = ()
        for count in range(len(parts), -1, -1):
            yield base.joinpath(*parts[:count]), names


def _limit_of(folder: Path, limit: str, usage: str, inactive: str) -> MemoryLimit | None:
    try:
        total = int((folder / limit).read_text(encoding="ascii"))
        used = int((folder / usage).read_text(encoding="ascii"))
        statistics = (folder / "memory.stat").read_text(encoding="ascii").split()
        kept = int(dict(zip(statistics[::2], statistics[1::2], strict=False)).get(inactive, "0"))
    except (OSError, ValueError):  # no such group here, or "max"
        return None
    if total >= _UNLIMITED_BYTES:
        return None
    # The kernel reclaims the file cache when somebody needs memory.
    return MemoryLimit(total, max(0, total - max(0, used - kept)))

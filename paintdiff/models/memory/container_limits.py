"""What a container lets this process have of the main memory: Linux's control groups, of both
versions. Who takes more is killed, whatever the machine still has. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_GROUPS = Path("/proc/self/cgroup")
_UNLIMITED_BYTES = 2**60
"""The first version says "no limit" by a very large number."""


@dataclass(frozen=True)
class MemoryLimit:
    """Of a container, in bytes: what all in it may have together, and what of it could be had."""

    total_bytes: int
    available_bytes: int


def read_memory_limit(root: Path = _ROOT, groups: Path = _GROUPS) -> MemoryLimit | None:
    """The tightest of all groups that this process is in; None if there is no limit, or none that
    can be read. `root` is where groups are mounted, `groups` says which are this process's.
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
    """The groups' folders, the inner ones first, with the names of what is to be read in them."""
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
        if ".." in parts:  # a group outside of what the container sees
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
    # What is kept of files is given up when somebody needs it.
    return MemoryLimit(total, max(0, total - max(0, used - kept)))

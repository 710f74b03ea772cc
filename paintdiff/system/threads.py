"""The number of compute threads and how they wait: set once, before torch is imported.

It applies to the app, the command line and the library. Threads of OpenMP wait for each other
hundreds of times a step. By default they spin meanwhile, and if another program holds the CPU of
the last one, a picture takes 50 times as long. So they sleep instead, and one CPU is left to the
browser and other programs: a thread that shares its CPU delays all others. See
benchmarks/RESULTS.md.

What a person has set in the environment stays. Child processes inherit the rest.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from paintdiff.system import messages

logger = logging.getLogger(__name__)

_LOW_PRIORITY = 15
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
# GOMP_SPINCOUNT is GNU OpenMP's (Linux), KMP_BLOCKTIME, in milliseconds, LLVM's and Intel's (macOS,
# Windows).
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
_WAITING_BY_HAND = (*_WAITING, "GOMP_SPINCOUNT")


def set_up_threads() -> None:
    """Make torch, MKL and OpenBLAS use `choose_thread_count` threads that sleep while waiting.

    If torch is imported already, only the number can still be changed, and is only lowered; what
    can't be changed is logged.
    """
    count_is_set = any(os.environ.get(name) for name in _COUNTS)
    waiting_is_set = any(os.environ.get(name) for name in _WAITING_BY_HAND)
    count = choose_thread_count()
    if not count_is_set:
        os.environ["OMP_NUM_THREADS"] = str(count)
    if not waiting_is_set:
        os.environ.update(_WAITING)
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if not count_is_set and torch.get_num_threads() > count:
        torch.set_num_threads(count)
    if not waiting_is_set and torch.get_num_threads() > 1:
        logger.warning("%s", messages.torch_came_first(torch.get_num_threads()))


def lower_priority() -> None:
    """Let the calling thread work only while others don't need its CPU, where that is possible."""
    if sys.platform != "linux":
        return  # elsewhere it would be that of all threads
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
    except OSError as error:
        logger.debug("a thread's priority can't be lowered: %s", error)


def choose_thread_count() -> int:
    """Return the number of usable cores, but one CPU less than usable; at least 1."""
    cpus, cores = count_usable_cpus()
    return max(1, min(cores, cpus - 1))


def count_usable_cpus(root: Path = Path("/")) -> tuple[int, int]:
    """Return how many CPUs this process may use, and on how many cores they are.

    It considers the affinity and the control group's quota (Linux, files under `root`). Two CPUs of
    one core (hyper-threading) compute hardly more than one.
    """
    if not hasattr(os, "sched_getaffinity"):
        return _count_by_psutil()
    allowed = os.sched_getaffinity(0)
    folder = root / "sys/devices/system/cpu"
    cores = {
        _read_text(folder / f"cpu{cpu}/topology/thread_siblings_list") or cpu for cpu in allowed
    }
    quota = min(_read_quotas(root), default=math.inf)
    cpus = max(1, math.ceil(min(len(allowed), quota)))
    return cpus, min(cpus, len(cores))


def _count_by_psutil() -> tuple[int, int]:
    import psutil  # noqa: PLC0415 (Linux does without)

    cpus = os.cpu_count() or 1
    with suppress(AttributeError, OSError):  # macOS has no affinity
        cpus = len(psutil.Process().cpu_affinity() or range(cpus))
    return cpus, min(cpus, psutil.cpu_count(logical=False) or cpus)


def _read_quotas(root: Path) -> Iterator[float]:
    """Yield the CPU quota of each control group around this process."""
    groups = [line.split(":", 2) for line in _read_text(root / "proc/self/cgroup").splitlines()]
    for _number, controllers, path in (each for each in groups if len(each) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In a container the path may be the host's, of which only the root is visible.
        mounts = (controllers, "cpu") if controllers else ("", "unified")
        for mount in mounts:
            top = root / "sys/fs/cgroup" / mount
            folder = top / path.lstrip("/")
            for each in (folder, *folder.parents):
                yield from _read_quota(each)
                if each == top:
                    break


def _read_quota(folder: Path) -> Iterator[float]:
    """Yield the quota in a control group's folder, of either version, if any."""
    figures = _read_text(folder / "cpu.max").split()  # "max 100000" or "150000 100000", version 2
    if not figures:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        figures = [_read_text(folder / name).strip() for name in names]
    with suppress(ValueError, ZeroDivisionError):
        quota, period = map(int, figures)
        if quota > 0 and period > 0:
            yield quota / period


def _read_text(path: Path) -> str:
    """Read a small file; "" if it can't be read."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii")
    return ""

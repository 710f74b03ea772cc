from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from paintdiff.system import threads

WITHOUT = ("OMP_", "MKL_NUM", "GOMP_", "KMP_")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's files")


def computer(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def siblings(*pairs: str) -> dict[str, str]:
    return {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{pair}\n"
        for cpu, pair in enumerate(pairs)
    }


@linux
@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, (4, 4)),
        (siblings("0-1", "0-1", "2-3", "2-3"), (4, 2)),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, (4, 4)),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n"}, (2, 2)),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}, (3, 3)),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "5000 100000\n"}, (1, 1)),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "800000 100000\n"}, (4, 4)),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "nonsense\n"}, (4, 4)),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n3:cpuset:/\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            (2, 2),
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/x\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            (4, 4),
        ),
    ],
)
def test_affinity_and_quota_say_what_may_be_used(
    files: Mapping[str, str],
    found: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2, 3})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert threads.count_usable_cpus(computer(tmp_path, files)) == found


@pytest.mark.parametrize(
    ("usable", "count"),
    [((1, 1), 1), ((2, 2), 1), ((2, 1), 1), ((4, 4), 3), ((8, 4), 4), ((3, 3), 2)],
)
def test_one_cpu_is_left_to_others(
    usable: tuple[int, int], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "count_usable_cpus", lambda: usable)
    assert threads.choose_thread_count() == count


def said_by(program: str, **variables: str) -> str:
    """The output of a separate program, stderr included."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(WITHOUT)}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**others, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=300,
    ).stdout


@linux
@pytest.mark.parametrize("first", ["paintdiff", "paintdiff.config.settings", "paintdiff.cli.main"])
def test_torchs_own_threads_are_told(first: str) -> None:
    """GNU's OpenMP, with which torch computes, says what it has read."""
    program = f"import {first}; import torch; print('threads', torch.get_num_threads())"
    said = said_by(program, OMP_DISPLAY_ENV="true")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in said
    assert f"OMP_NUM_THREADS = '{threads.choose_thread_count()}'" in said
    assert f"threads {threads.choose_thread_count()}\n" in said


@linux
def test_what_is_set_by_hand_stays() -> None:
    said = said_by(
        "import paintdiff, torch",
        OMP_DISPLAY_ENV="true",
        OMP_NUM_THREADS="3",
        OMP_WAIT_POLICY="ACTIVE",
    )
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in said
    assert "OMP_NUM_THREADS = '3'" in said


PRETENDED = """
import os, sys, types
torch = sys.modules["torch"] = types.ModuleType("torch")
torch.count = {has}
torch.get_num_threads = lambda: torch.count
torch.set_num_threads = lambda count: setattr(torch, "count", count)
os.sched_getaffinity = lambda process: {{0, 1, 2, 3}}
import paintdiff
print("threads", torch.count)
"""


@linux
@pytest.mark.parametrize(("has", "left"), [(4, 3), (2, 2), (1, 1)])
def test_if_torch_came_first_its_number_is_lowered_and_the_rest_is_said(
    has: int, left: int
) -> None:
    quota_of_this_machine = threads.count_usable_cpus()[0]
    said = said_by(PRETENDED.format(has=has))
    if len(os.sched_getaffinity(0)) == quota_of_this_machine:  # else a quota lowers it further
        assert f"threads {left}\n" in said
    assert ("OMP_WAIT_POLICY=PASSIVE" in said) == (left > 1)


@linux
def test_if_torch_came_first_what_is_set_by_hand_stays_too() -> None:
    program = PRETENDED.format(has=4)
    assert said_by(program, OMP_NUM_THREADS="4", OMP_WAIT_POLICY="PASSIVE") == "threads 4\n"

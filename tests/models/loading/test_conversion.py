from __future__ import annotations

import io
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from paintdiff.errors import DiskSpaceError, ModelError, ModelLoadError, UnsafeWeightsError
from paintdiff.models.formats.pickles.safe_pickle import read_records
from paintdiff.models.loading.conversion import converter as conversion
from paintdiff.models.loading.conversion.converter import convert_file

BASE = torch.arange(24, dtype=torch.float32).reshape(4, 6)
SHARED = torch.arange(100).half()
TENSORS = OrderedDict(
    {
        "model.diffusion_model.whole": BASE,
        "model.diffusion_model.turned": BASE.t()[1:3, 1:],
        "model.diffusion_model.last": torch.arange(48.0)
        .reshape(1, 3, 4, 4)
        .to(memory_format=torch.channels_last),
        "first_stage_model.empty": torch.zeros(0, 3),
        "first_stage_model.scalar": torch.tensor(2.5, dtype=torch.float64),
        "first_stage_model.brain": torch.randn(2, 2).bfloat16(),
        "cond_stage_model.head": SHARED[:10],
        "cond_stage_model.tail": SHARED[90:],
        "cond_stage_model.numbers": torch.arange(3),
        "cond_stage_model.parameter": torch.nn.Parameter(torch.ones(2)),
    }
)


class ModelCheckpoint:
    """A leftover of Lightning 1.x in checkpoints: an instance, and its class as a key."""

    __module__ = "pytorch_lightning.callbacks.model_checkpoint"

    def __init__(self) -> None:
        self.best = torch.tensor(0.5)


class Hostile:
    """A pickle that leaves a trace if it is run."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self._made = (function, arguments)

    def __reduce__(self) -> Any:
        return self._made


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> type:
    """Lightning isn't installed here; this is enough of it to write such a checkpoint."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    for package in ("pytorch_lightning", "pytorch_lightning.callbacks", name):
        monkeypatch.setitem(sys.modules, package, type(sys)(package))
    sys.modules[name].ModelCheckpoint = ModelCheckpoint  # type: ignore[attr-defined]
    return ModelCheckpoint


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert sorted(found) == sorted(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_checkpoint_of_a_training_run_keeps_its_tensors_to_the_last_bit(
    tmp_path: Path, lightning: type, new: bool
) -> None:
    averages = {name.replace("model.", "model_ema.", 1): t + 1 for name, t in TENSORS.items()}
    averages = {name: t for name, t in averages.items() if name.startswith("model_ema.")}
    content = {
        "epoch": 7,
        "global_step": np.float64(875000.0),
        "when": np.arange(3),
        "state_dict": OrderedDict(TENSORS, **averages),
        "optimizer_states": [{"state": {0: {"exp_avg": torch.randn(50)}}, "kind": {1, 2}}],
        "callbacks": {lightning: {"best": torch.tensor(1.0)}, "more": lightning()},
        "hyper_parameters": {"folder": Path("x"), "device": torch.device("cpu"), "d": torch.half},
    }
    path = tmp_path / "model.ckpt"
    torch.save(content, path, _use_new_zipfile_serialization=new)
    messages: list[str] = []
    made = convert_file(path, tmp_path / "cache", messages.append)
    same(load_file(made), dict(TENSORS))
    assert made.parent == tmp_path / "cache"
    assert made.name.startswith("model-")
    assert messages[0] == "Converting model.ckpt to safetensors"
    assert messages[-1] == "Converting model.ckpt to safetensors: 100 %"


def test_averages_alone_and_plain_tables_are_kept(tmp_path: Path) -> None:
    wanted = {"model_ema.a": torch.ones(3), "b": torch.zeros(2)}
    for content in (wanted, {"state_dict": {"state_dict": wanted}}, {"model": wanted, "step": 3}):
        path = tmp_path / "x.pt"
        torch.save(content, path)
        same(load_file(convert_file(path, tmp_path / "cache")), wanted)


@pytest.mark.parametrize(
    "content",
    [{"epoch": 3}, {}, {"a": {"x": torch.ones(1)}, "b": {"x": torch.ones(1)}}, [torch.ones(1)]],
)
def test_a_file_without_one_table_of_tensors_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "x.pt"
    torch.save(content, path)
    with pytest.raises(ModelLoadError, match=r"x\.pt.*table"):
        convert_file(path, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_it_is_done_once_and_again_when_the_file_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = tmp_path / "x.ckpt", tmp_path / "cache"
    torch.save({"a": torch.ones(1)}, path)
    first = convert_file(path, cache)
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", lambda *_a, **_k: pytest.fail("a second time"))
        assert convert_file(path, cache) == first
    status = path.stat()
    torch.save({"a": torch.full((1,), 2.0)}, path)  # as long as before
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert load_file(convert_file(path, cache))["a"] == 2
    assert load_file(first)["a"] == 1


# -- hostile files -----------------------------------------------------------------------------


def zipped(path: Path, stream: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", stream)


def global_stream(module: str, name: str, argument: str) -> bytes:
    """STACK_GLOBAL: the name is put together on the stack, where a scan for GLOBAL doesn't look."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    return b"\x80\x04" + text(module) + text(name) + b"\x93" + text(argument) + b"\x85R."


def nested(trace: Path) -> bytes:
    """A pickle in a storage, for those who load what `_load_from_bytes` is given."""
    inner = io.BytesIO()
    torch.save(Hostile(os.mkdir, str(trace)), inner)
    return pickle.dumps({"a": Hostile(torch.storage._load_from_bytes, inner.getvalue())})


HOSTILE: dict[str, Any] = {
    "system": lambda trace: pickle.dumps(Hostile(os.system, f"mkdir '{trace}'")),
    "eval": lambda trace: pickle.dumps(Hostile(eval, f"__import__('os').mkdir({str(trace)!r})")),
    "chain": lambda trace: pickle.dumps(
        {"a": Hostile(Hostile, Hostile(getattr, Hostile(__import__, "os"), "mkdir"), str(trace))}
    ),
    "nested": nested,
    "stack global": lambda trace: global_stream("posix", "mkdir", str(trace)),
    "dotted": lambda trace: global_stream("builtins", "dict.__class__", str(trace)),
    "through a package that is dropped": lambda trace: global_stream(
        "pytorch_lightning.os", "os.mkdir", str(trace)
    ),
}


@pytest.mark.parametrize(
    ("kind", "where"),
    [*((kind, "zip") for kind in HOSTILE), ("system", "bare"), ("system", "zip in a zip")],
)
def test_what_would_run_code_is_refused_and_never_run(
    tmp_path: Path, kind: str, where: str
) -> None:
    trace, path = tmp_path / "it ran", tmp_path / "x.ckpt"
    stream = HOSTILE[kind](trace)
    if where == "bare":
        path.write_bytes(stream)
    else:
        zipped(path, stream)
    if where == "zip in a zip":
        inner = path.read_bytes()
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/inner.zip", inner)
            archive.writestr("x/data.pkl", stream)
    for read in (read_records, lambda file: convert_file(file, tmp_path / "cache")):
        with pytest.raises(UnsafeWeightsError, match=r"x\.ckpt.*It was not run"):
            read(path)
    assert not trace.exists()
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_hostile_files_do_run_where_pickles_are_run(tmp_path: Path) -> None:
    for kind in ("system", "eval", "stack global"):
        trace = tmp_path / kind
        pickle.loads(HOSTILE[kind](trace))
        assert trace.is_dir()


CONFINED = """
import sys; sys.path.insert(0, sys.argv[1])
import os, socket, subprocess, ctypes
from paintdiff.models.loading.conversion import worker as child
left = child.leave_network()
child.limit_resources(child.MAX_MEMORY_BYTES, 1000, 60)
child.forbid_everything_else()
open(sys.argv[2]).close()
attempts = {
    "socket": lambda: socket.socket(),
    "process": lambda: subprocess.run(["true"]),
    "system": lambda: os.system("true"),
    "fork": lambda: os.fork(),
    "write": lambda: open(sys.argv[2], "w"),
    "append": lambda: os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND),
    "remove": lambda: os.remove(sys.argv[2]),
    "library": lambda: ctypes.CDLL(None),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except child.UnsafeWeightsError:
        continue
    print(name)
print("left" if left else "not left", len(os.listdir("/sys/class/net")) if left else "")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits and the network are Linux's")
def test_the_child_can_do_nothing_but_read(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    root = Path(conversion.__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-I", "-c", CONFINED, str(root), str(precious)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[:-1] == []
    assert precious.read_text() == "x"


def test_the_child_is_told_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    seen: dict[str, Any] = {}
    start = subprocess.Popen

    def popen(command: Any, **named: Any) -> Any:
        seen.update(named, command=command)
        return start(command, **named)

    monkeypatch.setattr(subprocess, "Popen", popen)
    path = tmp_path / "x; touch y.ckpt"
    torch.save({"a": torch.ones(1)}, path)
    convert_file(path, tmp_path / "cache")
    assert "secret" not in str(seen["env"])
    assert set(seen["env"]) <= {
        "HF_HUB_OFFLINE",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "SYSTEMROOT",
        "WINDIR",
    }
    assert isinstance(seen["command"], list)
    assert not any(path.name in part for part in seen["command"])
    assert not seen.get("shell")


# -- files that are broken, disks that are full, people who go away ------------------------------


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0, 3, 30, 200, -10, -60])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, new: bool, kept: int) -> None:
    path = tmp_path / "x.ckpt"
    torch.save({"a": torch.zeros(100)}, path, _use_new_zipfile_serialization=new)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises((ModelLoadError, UnsafeWeightsError), match=r"x\.ckpt"):
        convert_file(path, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_bits_that_have_turned_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    torch.save({"a": torch.full((5000,), 1.5)}, path)
    data = bytearray(path.read_bytes())
    place = data.index(struct.pack("<f", 1.5) * 8)
    data[place + 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelLoadError, match="checksum"):
        convert_file(path, tmp_path / "cache")


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_is_seen_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.ckpt"
    torch.save({"a": torch.zeros(1000)}, path)
    free = conversion.SPARE_BYTES + 3000
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(free, 0, free))
    with pytest.raises(DiskSpaceError, match=r"too little room.*only 3,000 are free"):
        convert_file(path, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on a file's size is Unix's")
def test_a_disk_that_fills_up_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    torch.save({"a": torch.zeros(10**6)}, path)
    # The system's own limit stands for the full disk; a process of its own, as it can't be undone.
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from paintdiff.errors import DiskSpaceError\n"
        "from paintdiff.models.loading.conversion.converter import convert_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
        "try:\n    convert_file(Path(sys.argv[2]), Path(sys.argv[3]))\n"
        "except DiskSpaceError as error:\n    print(error)\n"
    )
    root = str(Path(conversion.__file__).parents[4])
    command = [sys.executable, "-I", "-c", code, root, str(path), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "The disk has too little room" in done.stdout
    assert list((tmp_path / "cache").iterdir()) == []


def slow_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that writes half a file, says so, and then takes its time."""
    script = tmp_path / "slow.py"
    script.write_text(
        "import sys, time\n"
        "sys.stdout.buffer.write(b'\\0' * 1000); sys.stdout.flush()\n"
        'print(\'{"done": 1, "total": 2}\', file=sys.stderr, flush=True)\n'
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(conversion, "_CHILD", script)


def test_the_child_is_killed_when_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_child(monkeypatch, tmp_path)
    path = tmp_path / "x.ckpt"
    torch.save({"a": torch.zeros(10)}, path)
    messages: list[str] = []
    started = time.monotonic()
    with pytest.raises(ModelLoadError, match="was cancelled"):
        convert_file(
            path, tmp_path / "cache", messages.append, lambda: not messages[-1].endswith("50 %")
        )
    assert time.monotonic() - started < 20
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_child_that_is_killed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_child(monkeypatch, tmp_path)
    path = tmp_path / "x.ckpt"
    torch.save({"a": torch.zeros(10)}, path)
    started: list[Any] = []
    start = subprocess.Popen

    def popen(*positional: Any, **named: Any) -> Any:
        started.append(start(*positional, **named))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)

    def report(message: str) -> None:
        if message.endswith("50 %"):
            os.kill(started[0].pid, signal.SIGKILL)

    with pytest.raises(ModelError, match=r"crashed \(status"):
        convert_file(path, tmp_path / "cache", report)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the child ends with its parent on Linux")
def test_a_process_that_is_killed_leaves_no_file_that_counts(tmp_path: Path) -> None:
    path, cache = tmp_path / "x.ckpt", tmp_path / "cache"
    torch.save({f"t{number}": torch.zeros(2**22) for number in range(32)}, path)
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from paintdiff.models.loading.conversion.converter import convert_file\n"
        "def report(message):\n"
        "    if message.endswith('%'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "convert_file(Path(sys.argv[2]), Path(sys.argv[3]), report)\n"
    )
    root = str(Path(conversion.__file__).parents[4])
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, root, str(path), str(cache)], check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert all(left.suffix == ".part" for left in cache.iterdir())
    part = cache / f".{'0' * 16}.part"
    part.write_bytes(b"x")
    os.utime(part, (1, 1))
    assert len(load_file(convert_file(path, cache))) == 32
    assert not part.exists(), "what is left of long ago is cleared away"


def test_what_a_broken_child_writes_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "wrong.py"
    script.write_text("import sys; sys.stdout.buffer.write(b'nonsense' * 8)\n")
    monkeypatch.setattr(conversion, "_CHILD", script)
    path = tmp_path / "x.ckpt"
    torch.save({"a": torch.zeros(10)}, path)
    with pytest.raises(ModelError):
        convert_file(path, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []

"""A models folder full of files that try to hang, crash or fill up whoever looks into it, from the
scan to a painted picture.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from paintdiff import Engine, TextToImage
from paintdiff.errors import ModelError, ModelLoadError, UnsafeWeightsError
from paintdiff.models.catalog.catalog import Catalog
from paintdiff.models.catalog.live_catalog import LiveCatalog
from paintdiff.models.discovery import header_reader
from paintdiff.models.discovery.detection_cache import DetectionCache
from paintdiff.models.discovery.header_reader import FileReader
from paintdiff.models.discovery.inspection import InspectedFile
from paintdiff.models.discovery.scanning import scan_folders
from paintdiff.models.formats.headers import read_header
from paintdiff.models.formats.limits import MAX_REASON_CHARACTERS, MAX_WASTED_SECONDS
from paintdiff.models.formats.pickles.safe_pickle import (
    list_tensor_names,
    read_records,
    read_tensors,
)
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.adapter_rows import EmbeddingRow, LoraRow
from tests.hostile_files import BESIDE, HOSTILE, PICKLES, mutations, shared_storage, zipped
from tests.models.weight_files import write_sparse

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="many of them need a POSIX system")

LOOKS = 40
LOST = ("took longer", "crashed the process", "too much memory", "invalid answer")
"""What is said of files that only the process's own limits could stop."""


def fill(folder: Path, every: int) -> dict[Path, str]:
    """Write every so many-th of the hostile files, each in a folder of its own. Returns which path
    should be listed, and the file's name.
    """
    written: dict[Path, str] = {}
    for number, (name, write) in enumerate(list(HOSTILE.items())[::every]):
        inner = folder / f"{number:03}"
        inner.mkdir(parents=True)
        written[write(inner)] = name
    return written


def looked(library: LiveCatalog) -> Catalog:
    """The catalog once no file has to wait for the next look."""
    for _ in range(LOOKS):
        catalog = library.rescan()
        if not any("wasn't read yet" in problem.reason for problem in catalog.problems()):
            return catalog
    pytest.fail("the files are never all looked at")


def test_each_hostile_file_is_listed_and_the_app_paints(tmp_path: Path) -> None:
    models = tmp_path / "models"
    written = fill(models, every=3)
    assert len(written) >= 50
    beside = list(BESIDE.items())[::3]
    for number, (_name, write) in enumerate(beside):
        (models / f"beside {number}").mkdir()
        write(models / f"beside {number}")
    write_sparse(models / "good.safetensors", {"emb_params": (4, 768)})
    library = LiveCatalog([models], cache=tmp_path / "cache")
    catalog = looked(library)
    reasons = {problem.path: problem.reason for problem in catalog.problems()}
    for path, name in written.items():
        assert path in reasons, name
        reason = reasons[path]
        assert reason and reason.isprintable() and len(reason) <= MAX_REASON_CHARACTERS, name
        assert not any(lost in reason for lost in LOST), (name, reason)
        reason.encode()
    assert len(catalog.rows(LoraRow)) == len(beside), (
        "what lies beside a file costs only what it says"
    )
    assert [row.name for row in catalog.rows(EmbeddingRow)] == ["good"]
    with Engine(ModelManager(library, device="cpu")) as engine:
        request = TextToImage(
            prompt="a red sailboat", model="mini", width=64, height=64, num_inference_steps=2
        )
        assert engine.generate(request).pictures


@pytest.mark.parametrize("name", PICKLES)
def test_a_hostile_pickle_is_refused_or_of_no_use(tmp_path: Path, name: str) -> None:
    path = tmp_path / "it.ckpt"
    path.write_bytes(PICKLES[name])
    try:
        tensors = list_tensor_names(path)
        content = read_tensors(path)
    except (ModelLoadError, UnsafeWeightsError) as error:
        assert "it.ckpt" in str(error)
    else:
        assert not tensors and len(content) <= 1


def test_changed_files_raise_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "it.ckpt"
    good = zipped(PICKLES["tensors that share a storage"][60:400])
    for data in (good, shared_storage(tensors=3, count=4)):
        for changed in mutations(data, 400):
            path.write_bytes(changed)
            try:
                read_records(path)
                read_header(path)
            except ModelError:
                continue


CHILD = """
import json, os, sys, time
for line in sys.stdin.buffer:
    name = json.loads(line)
    if "dies" in name:
        os._exit(9)
    if "stalls" in name:
        time.sleep(600)
    if "babbles" in name:
        print("what?", flush=True)
        continue
    answer = {"detected": {"kind": "lora", "reason": name}, "form": "safetensors"}
    print(json.dumps(answer), flush=True)
"""


def test_a_file_that_ends_or_stalls_the_process_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    monkeypatch.setattr(header_reader, "_CHILD", child)
    reader = FileReader({}, file_seconds=1.0)
    reader.inspect(Path("first"))  # so that the process has started
    names = ("good", "dies", "fine", "stalls", "good", "babbles", "good")
    reader.expect(map(Path, names))
    found = [reader.inspect(Path(name)) for name in names]
    assert [known.detected.reason for known in found[:3:2]] == ["good", "fine"]
    reader.expect(map(Path, names))
    assert reader.inspect(Path("other")).detected.reason == "other"
    reader.close()
    assert [known.detected.kind for known in found[::2]] == ["lora"] * 4
    said = [known.detected.reason for known in found[1::2]]
    assert "crashed the process" in said[0]
    assert "took longer than 1 seconds" in said[1]
    assert "invalid answer" in said[2]
    assert reader.wasted_seconds >= 1.0


class Slow(FileReader):
    """Says that each file is of no use and took long."""

    def inspect(self, path: Path) -> InspectedFile:
        known = super().inspect(path)
        self.wasted_seconds += 0.6 * MAX_WASTED_SECONDS
        return known


def test_files_that_take_long_let_the_app_start_and_are_read_later(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.safetensors").write_bytes(b"nonsense")
    library = LiveCatalog([tmp_path])
    library._known = DetectionCache(None, reader=Slow({}))  # pyright: ignore[reportPrivateUsage]
    counts: list[int] = []
    for _ in range(4):
        problems = library.rescan().problems()
        counts.append(sum("wasn't read yet" in each.reason for each in problems))
        assert len(problems) == 5
    assert counts == [3, 1, 0, 0]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_the_process_has_little_memory_and_no_network(tmp_path: Path) -> None:
    (tmp_path / "it.safetensors").write_bytes(b"nonsense")
    reader = FileReader({})
    reader.inspect(tmp_path / "it.safetensors")
    child = reader._child  # pyright: ignore[reportPrivateUsage]
    assert child is not None
    limits = Path(f"/proc/{child._process.pid}/limits").read_text()  # pyright: ignore[reportPrivateUsage]
    reader.close()
    assert f"Max address space         {2**30}" in limits
    assert "Max file size             0" in limits


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "it")
    started = time.monotonic()
    with pytest.raises(ModelError, match="named pipe"):
        read_header(tmp_path / "it")
    assert time.monotonic() - started < 30


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_links_to_the_systems_folders_are_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "models"
    inside.mkdir()
    targets = {"proc": "/proc", "dev": "/dev", "sys": "/sys/kernel", "self": "/proc/self/task"}
    for name, target in targets.items():
        (inside / name).symlink_to(target)
    (inside / "there").symlink_to(inside / "proc")
    found = scan_folders([inside])
    assert not found.files and not found.folders
    assert {each.path.name for each in found.unusable} == {*targets, "there"}
    assert all("operating system" in each.reason for each in found.unusable)

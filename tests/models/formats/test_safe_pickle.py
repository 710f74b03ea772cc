from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from paintdiff.errors import ModelLoadError, UnsafeWeightsError
from paintdiff.models.formats.pickles.records import TensorRecord
from paintdiff.models.formats.pickles.safe_pickle import read_records, read_tensors

BASE = torch.arange(24, dtype=torch.float32).reshape(4, 6)
TENSORS = OrderedDict(
    whole=BASE,
    cut=BASE.t()[1:3, 1:],
    empty=torch.zeros(0, 3),
    scalar=torch.tensor(2.5),
    half=torch.arange(5).half(),
    brain=torch.ones(2, 2).bfloat16(),
    whole_numbers=torch.arange(3),
    parameter=torch.nn.Parameter(torch.ones(2)),
)


class Hostile:
    """A pickle that leaves a trace if it is run."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self._trace),)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_what_torch_has_written_is_read_to_the_last_bit(tmp_path: Path, new: bool) -> None:
    content = {
        "state_dict": TENSORS,
        "model": torch.nn.Linear(3, 4).state_dict(),
        "epoch": 3,
        "name": "x",
    }
    path = tmp_path / "x.pth"
    torch.save(content, path, _use_new_zipfile_serialization=new)
    read = read_tensors(path)
    for part in ("state_dict", "model"):
        assert read[part].keys() == content[part].keys()
        for name, tensor in content[part].items():
            assert torch.equal(read[part][name], tensor), name
            assert read[part][name].dtype == tensor.dtype
    assert (read["epoch"], read["name"]) == (3, "x")
    record = read_records(path)["state_dict"]["cut"]
    assert isinstance(record, TensorRecord)
    assert record.shape == (2, 3)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, new: bool) -> None:
    path, trace = tmp_path / "x.pth", tmp_path / "it ran"
    torch.save({"a": torch.zeros(1), "b": Hostile(trace)}, path, _use_new_zipfile_serialization=new)
    for read in (read_records, read_tensors):
        with pytest.raises(UnsafeWeightsError, match=r"x\.pth.*mkdir.*safetensors"):
            read(path)
    assert not trace.exists()
    with pytest.raises(FileExistsError):  # the control: it does run where pickles are run
        trace.mkdir()
        torch.load(path, weights_only=False)


def test_a_bare_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    path, trace = tmp_path / "x.ckpt", tmp_path / "it ran"
    path.write_bytes(pickle.dumps(Hostile(trace)))
    with pytest.raises(UnsafeWeightsError):
        read_records(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "stream",
    [
        # The state of what stands for a function, a class, and a storage's kind is set.
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02ctorch\nFloatStorage\n}X\x01\x00\x00\x00aK\x01sb.",
        # And what stands for a kind is called.
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02cbuiltins\neval\n.",
    ],
)
def test_a_pickle_cannot_change_what_reads_it(tmp_path: Path, stream: bytes) -> None:
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", stream)
    with pytest.raises((UnsafeWeightsError, ModelLoadError)):
        read_tensors(path)
    torch.save({"a": torch.ones(2)}, path)
    assert torch.equal(read_tensors(path)["a"], torch.ones(2))


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0, 3, 30, 200, -10, -60])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, new: bool, kept: int) -> None:
    path = tmp_path / "x.pth"
    torch.save({"a": torch.zeros(100)}, path, _use_new_zipfile_serialization=new)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises((ModelLoadError, UnsafeWeightsError), match=r"x\.pth"):
        read_tensors(path)


def test_a_tensor_beyond_its_storage_and_a_bomb_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"a": torch.zeros(10)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in members if name.endswith("data.pkl"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            # The shape and the stride: (10,), (1,)
            far = data.replace(b"K\n\x85", b"K\xff\x85") if name == pickled else data
            archive.writestr(name, far)
    with pytest.raises(ModelLoadError, match="damaged"):
        read_tensors(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(ModelLoadError, match="compressed"):
        read_tensors(path)


@pytest.mark.parametrize(
    "data",
    [b"\x80\x02.", b"\x80\x02t.", b"\x80\x02\xff.", b"PK\x03\x04" + bytes(40), b"\x80\x02K"],
    ids=["empty stack", "no mark", "no opcode", "no zip", "cut off"],
)
def test_damage_is_explained_without_texts_of_python(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    with pytest.raises(ModelLoadError, match=r"damaged .*: its data is inconsistent or incomplete"):
        read_records(path)

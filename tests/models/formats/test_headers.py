"""Headers of weight files: formats, limits, damage."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from paintdiff.errors import ModelLoadError, ModelNotFoundError, UnsafeWeightsError
from paintdiff.models.formats.headers import TensorShape, read_header
from tests.models.weight_files import checkpoint, gguf, write_gguf, write_sparse


def written(path: Path, text: str, data_bytes: int = 0) -> Path:
    path.write_bytes(struct.pack("<Q", len(text.encode())) + text.encode() + bytes(data_bytes))
    return path


def test_names_shapes_and_what_it_says_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    write_sparse(path, checkpoint(768), modelspec__title="Ä")
    header = read_header(path)
    assert header.form == "safetensors"
    assert dict(header.metadata) == {"format": "pt", "modelspec.title": "Ä"}
    assert {name: each.shape for name, each in header.tensors.items()} == checkpoint(768)
    assert header.tensors["model.diffusion_model.time_embed.0.weight"].dtype == "F16"
    assert "nothing" not in header.tensors and len(header.tensors) == len(checkpoint(768))


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": [0, 2], "b": [2, 8]},
        {"b": [2, 8], "a": [0, 2]},
        {'a"},"b': [0, 8]},
        {"a},": [0, 8]},
        {'{"dtype":"': [0, 8]},
        {"\u00e4 \n<b>": [0, 8]},
        {"": [0, 8]},
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (",", ": ")])
def test_however_a_header_is_written_the_same_is_read(
    tensors: dict[str, list[int]], separators: tuple[str, str], tmp_path: Path
) -> None:
    content = {
        name: {"dtype": "U8", "shape": [ends[1] - ends[0]], "data_offsets": ends}
        for name, ends in tensors.items()
    }
    for metadata in ({}, {"__metadata__": {"a": '{"dtype":"F16"},"', "b": "\\"}}):
        text = json.dumps(metadata | content, separators=separators)
        header = read_header(written(tmp_path / "it", text, 8))
        assert dict(header.tensors) == {
            name: TensorShape("U8", (ends[1] - ends[0],)) for name, ends in tensors.items()
        }
        assert dict(header.metadata) == metadata.get("__metadata__", {})


HUNDRED_GB = struct.pack("<Q", 100 * 10**9) + b"{" + bytes(100)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (HUNDRED_GB, r"claims a header of 100,000,000,000 bytes; at most 67,108,864"),
        (struct.pack("<Q", 1000) + b'{"a"', r"cut off: it should have 1,008 bytes, and has 12"),
        (struct.pack("<Q", 8) + b'{"a": 1,', "isn't a usable safetensors file"),
        (struct.pack("<Q", 9) + b'{"a": 12}', "entry for 'a' isn't a valid tensor"),
        (struct.pack("<Q", 4) + b"[12]", "its format is unknown"),
        (struct.pack("<Q", 4) + b"{\xff\xff}", "isn't a usable safetensors file"),
        (
            struct.pack("<Q", 20000) + b'{"a":' * 3000 + b" " * 5000,
            "isn't a usable safetensors file",
        ),
        (b"", "it is empty"),
        (b"nonsense", "its format is unknown"),
        (b"<!DOCTYPE html><html>login</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"GGUF", "cut off in its header"),
        (b"GGUF" + struct.pack("<I", 99), "version 99"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), r"claims 1,152,921,504,606,846,976 tensors"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, 2**50), "claims a text of"),
        (
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<IIQ", 9, 4, 2**62),
            "a list of 4,611,686,018,427,387,904; at most 2,000,000",
        ),
        (gguf({"a": (1000, 1000)}), "cut off: it should have 2,000,0"),
    ],
)
def test_damaged_and_hostile_files_are_refused_in_words(
    content: bytes, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "it.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelLoadError, match=complaint):
        read_header(path)


def test_a_file_that_was_cut_is_told_by_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"
    write_sparse(path, checkpoint(768))
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(ModelLoadError, match="damaged or cut off"):
        read_header(path)


def test_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="No such file"):
        read_header(tmp_path / "nothing")
    with pytest.raises(ModelNotFoundError, match="a folder"):
        read_header(tmp_path)


def test_a_gguf_files_shapes_are_in_torchs_order(tmp_path: Path) -> None:
    path = tmp_path / "it.gguf"
    write_gguf(path, {"a.weight": (3, 64), "b": (7,)}, general__architecture="flux")
    header = read_header(path)
    assert header.form == "gguf"
    assert dict(header.tensors) == {
        "a.weight": TensorShape("F16", (3, 64)),
        "b": TensorShape("F16", (7,)),
    }
    assert dict(header.metadata) == {"general.architecture": "flux"}


def test_a_gguf_file_is_read_as_the_library_writes_it(tmp_path: Path) -> None:
    import gguf as library  # noqa: PLC0415 (only here)
    import numpy as np  # noqa: PLC0415

    path = tmp_path / "it.gguf"
    writer = library.GGUFWriter(path, "flux")
    writer.add_array("some.list", ["a", "b"])
    writer.add_array("numbers", [1, 2, 3])
    writer.add_uint32("count", 7)
    quantized = library.quants.quantize(
        np.ones((4, 64), np.float32), library.GGMLQuantizationType.Q8_0
    )
    writer.add_tensor("q", quantized, raw_dtype=library.GGMLQuantizationType.Q8_0)
    writer.add_tensor("f", np.ones((2, 3), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = read_header(path)
    assert dict(header.tensors) == {
        "q": TensorShape("Q8_0", (4, 64)),
        "f": TensorShape("F16", (2, 3)),
    }
    assert header.metadata["general.architecture"] == "flux"
    os.truncate(path, path.stat().st_size - 64)
    with pytest.raises(ModelLoadError, match="cut off"):
        read_header(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickles_are_told_by_their_tables(legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "it.safetensors"  # whatever it is called
    content = {
        "epoch": 3,
        "optimizer_states": [{"lr": 0.1}],
        "state_dict": OrderedDict(a=torch.zeros(2, 3), b=torch.zeros(4, dtype=torch.float16)),
    }
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    header = read_header(path)
    assert header.form == "pickle"
    assert {name: each.shape for name, each in header.tensors.items()} == {"a": (2, 3), "b": (4,)}
    nested = {"image_proj": {"proj.weight": torch.zeros(1)}, "ip_adapter": {"1.x": torch.zeros(2)}}
    torch.save(nested, path)
    assert set(read_header(path).tensors) == {"image_proj.proj.weight", "ip_adapter.1.x"}


def test_a_parameter_dict_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "it.pt"
    table = torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.zeros(2, 768))})
    torch.save({"string_to_token": {"*": 265}, "string_to_param": table}, path)
    assert read_header(path).tensors["string_to_param.*"].shape == (2, 768)


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("/tmp/paintdiff-was-run",)


def test_code_in_a_pickle_never_runs(tmp_path: Path) -> None:
    path, proof = tmp_path / "it.ckpt", Path("/tmp/paintdiff-was-run")
    assert not proof.exists()
    torch.save({"state_dict": {"a": torch.zeros(1)}, "callbacks": Hostile()}, path)
    with pytest.raises(UnsafeWeightsError, match=r"more than tensors.*posix.mkdir"):
        read_header(path)
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(UnsafeWeightsError, match="more than tensors"):
        read_header(path)
    assert not proof.exists()


def test_notes_of_a_training_are_passed_over(tmp_path: Path) -> None:
    """pytorch-lightning's checkpoints name a class as a key, and have numpy's numbers in them."""
    path = tmp_path / "it.ckpt"
    buffer = io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(1)}}, buffer)
    callbacks = b"cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n"
    assert pickle.loads  # (never used on it: the class isn't even installed)
    import zipfile  # noqa: PLC0415 (only here)

    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("/data.pkl"):
                assert data.endswith(b"s.")
                data = data[:-1] + b"X\x09\x00\x00\x00callbacks}" + callbacks + b"K\x01ss."
            target.writestr(name, data)
    assert set(read_header(path).tensors) == {"a"}

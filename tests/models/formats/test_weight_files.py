from __future__ import annotations

import hashlib
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from paintdiff.errors import ModelNotFoundError, UnsafeWeightsError
from paintdiff.models.formats.weight_files import (
    check_weights_in,
    count_parameters,
    file_identity,
    find_weights_kind,
    list_weight_files,
    read_file_header,
)


def test_parameters_are_counted_without_reading_them(tmp_path: Path) -> None:
    averages = {"model_ema.a": torch.zeros(9)}  # aren't read
    save_file({"a": torch.zeros(3, 5), "b": torch.zeros(7), **averages}, tmp_path / "x.safetensors")
    assert count_parameters(list_weight_files(tmp_path)) == 22


def test_a_broken_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for content in (b"", b"\xff" * 64, (10).to_bytes(8, "little") + b"no json at all"):
        path.write_bytes(content)
        with pytest.raises(ModelNotFoundError, match=r"x\.safetensors"):
            read_file_header(path)


def test_pickles_are_told_by_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    weights = tmp_path / "unet" / "model.safetensors"
    save_file({"a": torch.zeros(1)}, weights)
    check_weights_in(tmp_path)
    assert find_weights_kind(weights) == "safetensors"
    weights.write_bytes(pickle.dumps([1]))
    with pytest.raises(UnsafeWeightsError, match="pickle"):
        check_weights_in(tmp_path)
    assert find_weights_kind(weights) == "pickle"
    with zipfile.ZipFile(weights, "w") as archive:
        archive.writestr("data.pkl", b"")
    assert find_weights_kind(weights) == "pickle"
    check_weights_in(weights)  # a file of its own is converted


def test_what_is_in_no_known_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for content in (b"", b"hello", b"\x89HDF\r\n\x1a\n", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(content)
        with pytest.raises(
            UnsafeWeightsError, match=r"x\.safetensors isn't a (?:readable )?safetensors"
        ):
            check_weights_in(path)
    path.write_bytes(b"GGUF\x03\0\0\0")
    assert find_weights_kind(path) == "gguf"


def test_a_folder_without_safetensors_needs_pickles_that_are_some(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    path = tmp_path / "unet" / "diffusion_pytorch_model.bin"
    path.write_bytes(b"x")
    with pytest.raises(UnsafeWeightsError, match="safetensors version"):
        check_weights_in(tmp_path)
    torch.save({"a": torch.ones(1)}, path)
    check_weights_in(tmp_path)


def test_the_identity_of_a_file_is_what_other_tools_show(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    assert file_identity(path) == hashlib.sha256(path.read_bytes()).hexdigest()[:10]


def test_the_identity_of_a_folder_changes_with_any_weight(tmp_path: Path) -> None:
    assert file_identity(tmp_path) == ""
    (tmp_path / "unet").mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "unet" / "x.safetensors")
    first = file_identity(tmp_path)
    assert len(first) == 10
    save_file({"a": torch.ones(1)}, tmp_path / "unet" / "x.safetensors")
    assert file_identity(tmp_path) != first

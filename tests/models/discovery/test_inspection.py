"""What a weight file is, by its header and its format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from paintdiff.models.discovery.inspection import inspect_file
from paintdiff.models.formats.tensor_inventory import UNET_WIDTHS
from tests.models.weight_files import controlnet, kohya_lora, unet, vae, write_gguf, write_sparse


@pytest.mark.parametrize("shapes", [kohya_lora(768), vae(), controlnet(768)])
def test_what_is_not_read_as_gguf_is_unusable(tmp_path: Path, shapes: Mapping[str, Any]) -> None:
    write_sparse(tmp_path / "it.safetensors", shapes)
    write_gguf(tmp_path / "it.gguf", shapes)
    assert inspect_file(tmp_path / "it.safetensors", UNET_WIDTHS).detected.kind != "unknown"
    found = inspect_file(tmp_path / "it.gguf", UNET_WIDTHS).detected
    assert found.kind == "unknown" and "safetensors" in found.reason


def test_a_denoiser_is_read_as_gguf(tmp_path: Path) -> None:
    write_gguf(tmp_path / "it.gguf", unet(768))
    assert inspect_file(tmp_path / "it.gguf", UNET_WIDTHS).detected.kind == "denoiser"

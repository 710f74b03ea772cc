"""Upscalers of random weights, by way of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.models.upscaling.upscaler import Floats, LoadedUpscaler, load_upscaler
from tests.models.architectures import small_network
from tests.tasks.pictures import photo

Tensors = Mapping[str, torch.Tensor]


def row_of(file: Path) -> UpscalerRow:
    return UpscalerRow(name=file.stem, title=f"The {file.stem}", source=str(file))


def loaded(file: Path, dtype: str | None = None) -> LoadedUpscaler:
    return load_upscaler(row_of(file), "cpu", dtype)


def saved(tensors: Tensors, file: Path) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


def small(name: str, folder: Path, dtype: str | None = None) -> LoadedUpscaler:
    """The small network of that architecture, by way of a file."""
    return loaded(saved(small_network(name).state_dict(), folder / "x.safetensors"), dtype)


def compact(folder: Path, **settings: Any) -> LoadedUpscaler:
    torch.manual_seed(0)
    network = Compact(**{"num_feat": 8, "num_conv": 2, "upscale": 2} | settings)
    return loaded(saved(network.state_dict(), folder / "compact.safetensors"))


def picture(width: int, height: int) -> Floats:
    return np.asarray(photo(1, width, height), np.float32) / 255

"""Reads single-file checkpoints under their usual tensor names, with scaled 8-bit weights restored.

Imports torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch

from paintdiff.errors import ModelLoadError
from paintdiff.models.formats.name_prefixes import strip_wrappers
from paintdiff.models.formats.safetensors_reader import TensorFile
from paintdiff.models.loading import messages

UNET = "model.diffusion_model."
VAE = "first_stage_model."

# Other prefixes of the denoiser. EMA weights are used only if there is nothing else.
_UNETS = (
    "diffusion_model.",
    "unet.",
    "model.",
    "model_ema.diffusion_model.",
    "ema.diffusion_model.",
    "ema.model.diffusion_model.",
    "ema_model.diffusion_model.",
)
_BARE_UNET = (
    "input_blocks.",
    "middle_block.",
    "output_blocks.",
    "time_embed.",
    "label_emb.",
    "out.",
)
_FIRST = "input_blocks.0.0.weight"
_OTHER_PARTS = (VAE, "cond_stage_model.", "conditioner.", "vae.", "text_encoders.")
_SCALES = (".scale_weight", ".weight_scale")
_BESIDE_SCALES = (".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8", ".scale_output")
_EIGHT_BIT_FLOATS = (torch.float8_e4m3fn, torch.float8_e5m2)


class CheckpointFile:
    """An open safetensors checkpoint, for use in a `with`. `name` is its name in messages.

    Tensors that hold the scales of others aren't listed: they are multiplied in. Raises what
    TensorFile raises, and ModelLoadError for an unsupported scale.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        self._file = TensorFile(path, name)
        self.name = self._file.name
        self.metadata = self._file.metadata
        shapes = self._file.shapes
        stored = _normalize_names(strip_wrappers(shapes) or {each: each for each in shapes})
        self._scales = {
            _get_scaled_name(each): stored[each] for each in stored if each.endswith(_SCALES)
        }
        beside = (*_SCALES, *_BESIDE_SCALES)
        self._stored = {each: at for each, at in stored.items() if not each.endswith(beside)}
        self.shapes: Mapping[str, tuple[int, ...]] = {
            each: shapes[at] for each, at in self._stored.items()
        }

    def __enter__(self) -> CheckpointFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def read(self, name: str, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Return a new tensor on the CPU; floating-point numbers as `dtype`, if given.

        Raises what TensorFile raises, and ModelLoadError if the scale doesn't fit.
        """
        scale_at = self._scales.get(name)
        if scale_at is None:
            return self._file.read(self._stored[name], dtype)
        tensor = self._file.read(self._stored[name])
        scale = self._file.read(scale_at, torch.float32)
        if tensor.dtype not in _EIGHT_BIT_FLOATS:
            raise ModelLoadError(
                messages.unsupported_quantization(
                    self.name, name, str(tensor.dtype).removeprefix("torch.")
                )
            )
        if scale.numel() > 1:
            if scale.numel() != tensor.shape[0] or scale.shape[0] != tensor.shape[0]:
                raise ModelLoadError(
                    messages.blockwise_scales(
                        self.name, scale_at, tuple(scale.shape), tuple(tensor.shape)
                    )
                )
            scale = scale.reshape(-1, *[1] * (tensor.ndim - 1))
        whole = tensor.to(torch.float32) * scale.reshape(scale.shape if scale.numel() > 1 else ())
        return whole if dtype is None else whole.to(dtype)

    def check_unchanged(self) -> None:
        """Raise ModelLoadError if the file was written to since it was opened."""
        self._file.check_unchanged()


def _get_scaled_name(scale: str) -> str:
    end = next(end for end in _SCALES if scale.endswith(end))
    return f"{scale.removesuffix(end)}.weight"


def _normalize_names(stored: Mapping[str, str]) -> Mapping[str, str]:
    """Replace unusual prefixes of names by the usual ones."""
    if not _begins(stored, UNET):
        other = next((each for each in _UNETS if each + _FIRST in stored), None)
        if other is not None:
            stored = {_replace_start(name, other, UNET): at for name, at in stored.items()}
        elif _FIRST in stored and any(_begins(stored, part) for part in _OTHER_PARTS):
            stored = {
                UNET + name if name.startswith(_BARE_UNET) else name: at
                for name, at in stored.items()
            }
    if not _begins(stored, VAE):
        stored = {_replace_start(name, "vae.", VAE): at for name, at in stored.items()}
    return stored


def _begins(names: Collection[str], start: str) -> bool:
    return any(name.startswith(start) for name in names)


def _replace_start(name: str, start: str, other: str) -> str:
    return other + name[len(start) :] if name.startswith(start) else name

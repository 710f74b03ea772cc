"""Sizes of a model's parts before it is loaded, by its files' headers.

Importable without torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from paintdiff.models.formats.weight_files import is_gguf, is_pickle, read_file_header
from paintdiff.models.memory.plans import PartBytes
from paintdiff.models.registry.families import DENOISERS

_DENOISER, _TEXT_ENCODERS, _VAE = "denoiser", "text_encoders", "vae"
_NOT_LOADED = frozenset({"safety_checker", "image_encoder", "feature_extractor"})
_HALF_VARIANT = ".fp16."
_NOT_READ = ("model_ema.",)
_PREFIXES = {
    "first_stage_model.": _VAE,
    "vae.": _VAE,
    "cond_stage_model.": _TEXT_ENCODERS,
    "conditioner.": _TEXT_ENCODERS,
    "text_encoders.": _TEXT_ENCODERS,
}
"""Prefixes of tensor names in single files, for all parts but the denoiser."""
_WORD_TABLES = (
    "token_embedding.weight",
    "position_embedding.weight",
    "shared.weight",
    "embed_tokens.weight",
)


def measure_part_bytes(files: Iterable[Path], bytes_per_number: int) -> PartBytes:
    """Measure the memory of the parts in these files once loaded in that precision.

    Folders of `model_index.json` are parts by their names, single files by the names of their
    tensors.

    The header of a pickle isn't read for that: it counts as a denoiser in full precision. GGUF
    stays as small as on disk. Raises ModelNotFoundError for a file that can't be read.
    """
    sizes: dict[str, int] = {_DENOISER: 0, _TEXT_ENCODERS: 0, _VAE: 0}
    word_tables, quantized = 0, False
    for path in _once(files):
        if is_gguf(path):
            sizes[_DENOISER] += path.stat().st_size
            quantized = True
        elif is_pickle(path):
            sizes[_DENOISER] += path.stat().st_size // 4 * bytes_per_number
        else:
            for part, name, numbers in _numbers_in(path):
                sizes[part] += numbers * bytes_per_number
                if part == _TEXT_ENCODERS and name.endswith(_WORD_TABLES):
                    word_tables += numbers * bytes_per_number
    return PartBytes(
        sizes[_DENOISER],
        sizes[_TEXT_ENCODERS],
        sizes[_VAE],
        bytes_per_number=bytes_per_number,
        word_tables=word_tables,
        quantized=quantized,
    )


def _once(files: Iterable[Path]) -> list[Path]:
    """Return the files that get loaded: of two variants in a folder only the first."""
    found = [path for path in files if path.parent.name not in _NOT_LOADED]
    full = {path.parent for path in found if _HALF_VARIANT not in path.name}
    return [path for path in found if _HALF_VARIANT not in path.name or path.parent not in full]


def _numbers_in(path: Path) -> list[tuple[str, str, int]]:
    """Return for each tensor its part, its name, and how many numbers it has."""
    folder = path.parent.name
    of_folder = None
    if folder.startswith("text_encoder"):
        of_folder = _TEXT_ENCODERS
    elif folder == "vae":
        of_folder = _VAE
    elif folder in DENOISERS:
        of_folder = _DENOISER
    return [
        (of_folder or _part_of(name), name, math.prod(tensor.shape))
        for name, tensor in read_file_header(path).tensors.items()
        if not name.startswith(_NOT_READ)
    ]


def _part_of(tensor_name: str) -> str:
    found = (part for prefix, part in _PREFIXES.items() if tensor_name.startswith(prefix))
    return next(found, _DENOISER)

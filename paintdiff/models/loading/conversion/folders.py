"""Converts folders in the diffusers layout that have pickled weights.

The converted folder in the cache has the same settings, and all weights as safetensors. Importable
without torch.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paintdiff.models.loading import messages
from paintdiff.models.loading.conversion.cache import note_origin
from paintdiff.models.loading.conversion.converter import Report, Wanted, convert_file
from paintdiff.models.loading.library_errors import make_load_error
from paintdiff.models.registry.model_rows import read_json_file

_NAMES: Mapping[str, str] = {
    "diffusion_pytorch_model": "diffusion_pytorch_model",
    "pytorch_model": "model",
}
_SETTINGS = frozenset({".json", ".txt", ".model"})
_NEVER_LOADED = frozenset({"safety_checker", "feature_extractor", "image_encoder"})


def find_pickled_parts(folder: Path) -> tuple[Path, ...]:
    """List a model's subfolders whose weights are only pickles, by their names."""
    return tuple(
        sorted(
            part
            for part in folder.iterdir()
            if part.is_dir()
            and part.name not in _NEVER_LOADED
            and _list_pickles(part)
            and not any(part.glob("*.safetensors"))
        )
    )


def convert_folder(folder: Path, cache: Path, report: Report, wanted: Wanted) -> Path:
    """Return a folder in `cache` with this one's settings and all weights as safetensors.

    Existing safetensors are linked (or copied where links don't work). Code isn't copied. Raises
    what `convert_file` raises, and ModelLoadError if the folder can't be copied.
    """
    try:
        return _build_mirror(folder, cache, report, wanted)
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise make_load_error(messages.not_converted(folder.name), error) from error


def _build_mirror(folder: Path, cache: Path, report: Report, wanted: Wanted) -> Path:
    pickled = find_pickled_parts(folder)
    others = [
        part
        for part in sorted(folder.iterdir())
        if part.is_dir() and part not in pickled and part.name not in _NEVER_LOADED
    ]
    files = {
        part: [convert_file(path, cache, report, wanted) for path in _list_pickles(part)]
        for part in pickled
    }
    key = hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    mirror = cache / f"{key}.model"
    shutil.rmtree(mirror, ignore_errors=True)
    mirror.mkdir(parents=True)
    note_origin(mirror, folder)
    _copy_settings(folder, mirror)
    for part in (*pickled, *others):
        (mirror / part.name).mkdir()
        _copy_settings(part, mirror / part.name)
    for part in others:
        for path in part.glob("*.safetensors"):
            _link(path, mirror / part.name / path.name)
    for part, made in files.items():
        for path, safe in zip(_list_pickles(part), made, strict=True):
            _link(safe, mirror / part.name / _get_safe_name(path.name))
        for index in part.glob("*.bin.index.json"):
            _write_index(index, mirror / part.name)
    return mirror


def _list_pickles(part: Path) -> tuple[Path, ...]:
    """List the pickles to read: whole, sharded, or else in half precision (".fp16.bin")."""
    for base in _NAMES:
        for pattern in (f"{base}.bin", f"{base}-*-of-*.bin", f"{base}.fp16.bin"):
            if found := tuple(sorted(part.glob(pattern))):
                return found
    return ()


def _get_safe_name(name: str) -> str:
    base = next(base for base in _NAMES if name.startswith(base))
    rest = name.removeprefix(base).removesuffix(".bin").removesuffix(".fp16")
    return f"{_NAMES[base]}{rest}.safetensors"


def _write_index(index: Path, target: Path) -> None:
    content = read_json_file(index, dict[str, Any])
    content["weight_map"] = {
        str(name): _get_safe_name(str(piece)) for name, piece in content["weight_map"].items()
    }
    base = next(base for base in _NAMES if index.name.startswith(base))
    (target / index.name).unlink(missing_ok=True)
    path = target / f"{_NAMES[base]}.safetensors.index.json"
    path.write_text(json.dumps(content), encoding="utf-8")


def _copy_settings(folder: Path, target: Path) -> None:
    for path in folder.iterdir():
        if path.is_file() and path.suffix.lower() in _SETTINGS:
            shutil.copyfile(path, target / path.name)


def _link(path: Path, link: Path) -> None:
    try:
        link.symlink_to(path.resolve())
    except OSError:  # Windows may forbid links
        shutil.copyfile(path, link)

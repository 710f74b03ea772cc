"""Face restorers as the catalog knows them, and the detector that finds them faces: files in the
models folders. None ships with the app or is downloaded.

Importable without torch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from paintdiff.errors import PaintError
from paintdiff.models.pickles import tensor_names
from paintdiff.models.sources import WeightsRow, entries_of, free_name
from paintdiff.models.weights import is_pickle, safetensors_header

FACE_FOLDERS = ("facerestore_models", "GFPGAN", "face_restoration")
"""Where in a models folder face restorers are looked for."""

FACE_PX = 512
"""The side of the pictures of faces that all of them were trained on."""

DETECTOR_FOLDERS = ("face_detection", "facedetection", *FACE_FOLDERS)
DETECTOR_FILES = "face_detection_yunet_*.onnx"
MAX_DETECTOR_BYTES = 5 * 10**6

_FILE_SUFFIXES = frozenset({".safetensors", ".pth", ".pt", ".ckpt", ".bin"})
# By the names of which tensors the networks are told that can be used, as spandrel tells them. The
# folders are those of other programs, which keep more in them.
_TELLING_NAMES: Mapping[str, tuple[str, ...]] = {
    "GFPGAN": ("toRGB.0.weight", "stylegan_decoder.style_mlp.1.weight"),
    "RestoreFormer": ("quantize.embedding.weight", "encoder.down.0.block.0.norm1.weight"),
}

logger = logging.getLogger(__name__)


class FaceRestorerRow(WeightsRow):
    """One face restorer: a network that repairs a face. `source` is its file; `detector` is the one
    of what finds the faces, without which it can't be used.
    """

    what: ClassVar[str] = "face restorer"

    detector: Path | None = None

    @property
    def file(self) -> Path:
        """Where it lies."""
        return Path(self.source)


def face_restorers_in(models_dirs: Sequence[Path]) -> tuple[FaceRestorerRow, ...]:
    """The face restorers in the models folders, told by their tables of contents.

    What can't be used as one is left out, and logged.
    """
    made: dict[str, FaceRestorerRow] = {}
    detector = face_detector_in(models_dirs)
    for file in _files_in(models_dirs, FACE_FOLDERS):
        if file.suffix.lower() not in _FILE_SUFFIXES or not _is_face_restorer(file):
            continue
        name = free_name(file.stem, made)
        made[name] = FaceRestorerRow(
            name=name, title=file.stem, source=str(file), detector=detector
        )
    if made and detector is None:
        logger.warning(
            "%s can't be used: a file %s is missing in the folder %s of a models folder",
            ", ".join(made),
            DETECTOR_FILES,
            DETECTOR_FOLDERS[0],
        )
    return tuple(made.values())


def face_detector_in(models_dirs: Sequence[Path]) -> Path | None:
    """The detector's file, the first in the models folders; None if there is none."""
    files = _files_in(models_dirs, DETECTOR_FOLDERS)
    return next((file for file in files if file.match(DETECTOR_FILES)), None)


def _files_in(models_dirs: Sequence[Path], names: Iterable[str]) -> list[Path]:
    """All files in the sub-folders of these names, in their order."""
    found: list[Path] = []
    for models_dir in models_dirs:
        for name in names:
            entries = entries_of(models_dir.expanduser().resolve() / name)
            found += (file for file in entries if file.is_file())
    # On a file system that ignores case two of the folders may be one.
    return list(dict.fromkeys(found))


def _is_face_restorer(file: Path) -> bool:
    try:
        names = tensor_names(file) if is_pickle(file) else safetensors_header(file)
    except (PaintError, OSError) as error:
        logger.warning("%s is left out, it can't be read: %s", file, error)
        return False
    for telling in _TELLING_NAMES.values():
        if all(any(name.endswith(end) for name in names) for end in telling):
            return True
    logger.info("%s is left out, it is none of %s", file, ", ".join(_TELLING_NAMES))
    return False

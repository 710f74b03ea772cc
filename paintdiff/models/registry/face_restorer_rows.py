"""Catalog rows of face restorers, and the face detector they need.

These are files in the models folders; none is shipped or downloaded. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from paintdiff.models.registry.base_rows import WeightsRow

FACE_FOLDERS = ("facerestore_models", "GFPGAN", "face_restoration")
"""Subfolders of a models folder for face restorers."""

FACE_PX = 512
"""The side of the face crops that all of them were trained on."""

DETECTOR_FOLDERS = ("face_detection", "facedetection", *FACE_FOLDERS)
DETECTOR_FILES = "face_detection_yunet_*.onnx"
MAX_DETECTOR_BYTES = 5 * 10**6


class FaceRestorerRow(WeightsRow):
    """A network that repairs faces. `detector` is the face detector's file, which it requires."""

    what: ClassVar[str] = "face restorer"
    subfolder: ClassVar[str] = "facerestore_models"

    detector: Path | None = None

    @property
    def file(self) -> Path:
        """The file."""
        return Path(self.source)


def find_detector(files: Iterable[Path]) -> Path | None:
    """Return the first file that is a face detector by its name; None without one."""
    return next((file for file in files if file.match(DETECTOR_FILES)), None)

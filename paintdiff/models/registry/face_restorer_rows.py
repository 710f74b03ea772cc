"""Face restorers as the catalog knows them, and the detector that finds them faces: files in the
models folders. None ships with the app or is downloaded.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from paintdiff.models.registry.base_rows import WeightsRow

FACE_FOLDERS = ("facerestore_models", "GFPGAN", "face_restoration")
"""Where in a models folder face restorers are kept."""

FACE_PX = 512
"""The side of the pictures of faces that all of them were trained on."""

DETECTOR_FOLDERS = ("face_detection", "facedetection", *FACE_FOLDERS)
DETECTOR_FILES = "face_detection_yunet_*.onnx"
MAX_DETECTOR_BYTES = 5 * 10**6


class FaceRestorerRow(WeightsRow):
    """One face restorer: a network that repairs a face. `source` is its file; `detector` is the one
    of what finds the faces, without which it can't be used.
    """

    what: ClassVar[str] = "face restorer"
    subfolder: ClassVar[str] = "facerestore_models"

    detector: Path | None = None

    @property
    def file(self) -> Path:
        """Where it lies."""
        return Path(self.source)


def find_detector(files: Iterable[Path]) -> Path | None:
    """The first of the files that is a face detector by its name; None if there is none."""
    return next((file for file in files if file.match(DETECTOR_FILES)), None)

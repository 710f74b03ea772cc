"""Detection of faces in a picture with OpenCV's YuNet; the user provides its weights.

Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from paintdiff.byte_sizes import format_byte_size
from paintdiff.errors import ModelLoadError, ModelNotFoundError
from paintdiff.models.formats.limits import MAX_DETECTOR_SECONDS
from paintdiff.models.formats.trials import run_trial
from paintdiff.models.registry.face_restorer_rows import MAX_DETECTOR_BYTES
from paintdiff.models.upscaling import messages
from paintdiff.system.regular_files import open_file

Landmarks = NDArray[np.float64]
"""(5, 2): x and y of the eyes, the tip of the nose and the corners of the mouth, pairs from left to
right as they lie in the picture of an upright face; in pixels, (0, 0) is the centre of the first.
"""

FindFaces = Callable[[NDArray[np.uint8]], "tuple[Landmarks, ...]"]
"""A function that finds the faces in a picture (height, width, 3), RGB. Raises ModelLoadError."""

_CHILD = Path(__file__).with_name("face_detection_worker.py")

SIDE_PX = 640
"""The longer side, in pixels, of the picture that the detector sees."""

_LEAST_SCORE = 0.7
_MOST_OVERLAP = 0.3
_MOST_FOUND = 500
_LOOKS = (SIDE_PX, SIDE_PX // 2)
"""The detector finds faces of 10 to 300 pixels; at half of the size also those that fill the
picture."""
_STRIDES = (8, 16, 32)
_OUTPUTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}


class FaceDetector:
    """YuNet, read from a file. For one thread at a time.

    It is tried in a process of its own first, because some files crash OpenCV. Raises
    ModelNotFoundError if the file is missing, ModelLoadError if it isn't YuNet.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        model = _content(file)
        reason = run_trial(_CHILD, model, 2 * MAX_DETECTOR_SECONDS)
        if reason is not None:
            raise ModelLoadError(messages.not_yunet(file.name, reason))
        self._network = network_of(np.frombuffer(model, np.uint8))

    def __call__(self, picture: NDArray[np.uint8]) -> tuple[Landmarks, ...]:
        """Return the faces in a picture (height, width, 3), RGB, the surest first."""
        found: list[NDArray[np.float64]] = []
        longest = max(picture.shape[:2])
        for side_px in dict.fromkeys(min(longest, side) for side in _LOOKS):
            for face in self._found_at(picture, side_px):
                if all(_overlap(face, other) <= _MOST_OVERLAP for other in found):
                    found.append(face)
        found.sort(key=lambda face: -face[-1])
        return tuple(face[4:14].reshape(5, 2) for face in found)

    def _found_at(self, picture: NDArray[np.uint8], side_px: int) -> list[NDArray[np.float64]]:
        """Find faces in the picture scaled so that its longer side is `side_px`.

        Returns for each face the left, top, width and height, its landmarks and its score, in
        pixels of the picture.
        """
        height, width = picture.shape[:2]
        factor = side_px / max(height, width)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        # Always the same size, so that the network's outputs have the shapes that were checked.
        canvas = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        canvas[: size[1], : size[0]] = small[..., ::-1]
        try:
            found: Any = self._network.detect(canvas)[1]  # None if there is no face
        except cv2.error as error:
            raise ModelLoadError(
                messages.not_yunet(self._file.name, messages.DAMAGED_OR_OTHER)
            ) from error
        across, down = width / size[0], height / size[1]
        made: list[NDArray[np.float64]] = []
        for row in np.asarray([] if found is None else found, np.float64):
            if not np.isfinite(row).all():
                continue
            points = row[4:14].reshape(5, 2)
            placed = (points + 0.5) * (across, down) - 0.5
            box = row[:4] * (across, down, across, down)
            made.append(np.concatenate((box, placed.ravel(), row[14:])))
        return made


def _content(file: Path) -> bytes:
    try:
        with open_file(file) as opened:
            content = opened.read(MAX_DETECTOR_BYTES + 1)
    except OSError as error:
        raise ModelNotFoundError(messages.unreadable(file.name, error.strerror)) from error
    if len(content) > MAX_DETECTOR_BYTES:
        raise ModelLoadError(
            messages.not_yunet(
                file.name, messages.larger_than(format_byte_size(MAX_DETECTOR_BYTES))
            )
        )
    return content


def network_of(model: NDArray[np.uint8]) -> Any:
    """Read YuNet from the bytes of its file, for pictures of SIDE_PX by SIDE_PX.

    Files that aren't YuNet can crash the process.

    Raises:
        ValueError: Its outputs don't have the shapes of YuNet's. OpenCV doesn't check them.
        cv2.error: It is damaged.
    """
    network = cv2.dnn.readNetFromONNX(model)
    network.setInput(np.zeros((1, 3, SIDE_PX, SIDE_PX), np.float32))
    expected = {
        f"{name}_{stride}": (SIDE_PX // stride) ** 2 * channels
        for name, channels in _OUTPUTS.items()
        for stride in _STRIDES
    }
    for output, (name, count) in zip(
        network.forward(list(expected)), expected.items(), strict=True
    ):
        if output.dtype != np.float32 or output.size != count:
            raise ValueError(messages.wrong_shape(name, output.shape))
    return cv2.FaceDetectorYN.create(
        "onnx",
        model,
        np.empty(0, np.uint8),
        (SIDE_PX, SIDE_PX),
        _LEAST_SCORE,
        _MOST_OVERLAP,
        _MOST_FOUND,
    )


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the share of two boxes that they have in common, 0 to 1."""
    ends = np.minimum(one[:2] + one[2:4], other[:2] + other[2:4])
    shared = float(np.prod(np.maximum(0, ends - np.maximum(one[:2], other[:2]))))
    together = float(np.prod(one[2:4]) + np.prod(other[2:4])) - shared
    return shared / together if together > 0 else 1.0

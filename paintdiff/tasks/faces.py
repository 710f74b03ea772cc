"""Restore the faces in a picture that is being enlarged.

Each face is found, turned upright, restored by a network for faces, and laid over the enlarged
picture strip by strip. Memory depends on the number of faces, not on the picture's size.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

import paintdiff.tasks.messages as messages
from paintdiff.error_reports import report_unexpected
from paintdiff.errors import PaintError
from paintdiff.imaging.geometry import Box, Size
from paintdiff.imaging.rasters import Pixels
from paintdiff.models.registry.face_restorer_rows import FACE_PX
from paintdiff.tasks.steps import OnStep, Step

if TYPE_CHECKING:
    from paintdiff.models.upscaling.face_detection import Landmarks
    from paintdiff.models.upscaling.face_restorer import LeasedFaceRestorer

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]
"""(3, 3): maps a point (x, y, 1) to another; (0, 0) is the centre of the first pixel."""

STAGE = "faces"
MAX_FACES = 32
LEAST_EYE_DISTANCE_PX = 5.0
"""Faces whose eyes are closer are skipped, as in facexlib: they have too little detail."""

FACE_TEMPLATE: Matrix = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
"""Positions of eyes, nose and corners of the mouth in a face of FFHQ, 512 x 512.

facexlib's template (FaceRestoreHelper), on which GFPGAN and RestoreFormer were trained.
"""

_FEATHER_PX = 64
"""Width of the edge, in pixels of the restored face, over which its opacity falls to 0."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's L


class _UnusableFaceError(ValueError):
    """Raised for a face that can't be restored; its text goes into the picture's notes."""


@dataclass(frozen=True)
class FaceRestoration:
    """A leased face restorer, and the opacity of the restored faces, 0 to 1."""

    restorer: LeasedFaceRestorer
    strength: float


@dataclass(frozen=True)
class RestoredFaces:
    """The restored faces of a picture. `notes` are sentences to show about them."""

    patches: tuple[Patch, ...] = ()
    notes: tuple[str, ...] = ()

    def lay_over(self, rows: Iterator[Floats]) -> Iterator[Floats]:
        """Yield the strips of the enlarged picture, from the top, with the faces over them.

        A strip is (height, width, channels). Alpha doesn't change.
        """
        top = 0
        for strip in rows:
            here = [patch for patch in self.patches if patch.reaches(top, top + len(strip))]
            if here:
                strip = strip.copy()
                for patch in here:
                    patch.lay_over(strip, top)
            yield strip
            top += len(strip)


@dataclass(frozen=True)
class Patch:
    """A restored face: `pixels` (height, width, colours) and `opacity` (height, width), 0 to 1.

    `placed` maps its pixels to those of the enlarged picture, in which it lies in `box`.
    """

    pixels: Floats
    opacity: Floats
    placed: Matrix
    box: Box

    def reaches(self, top: int, bottom: int) -> bool:
        """Return whether any of it lies in the rows `top` to `bottom`."""
        return self.box.top < bottom and self.box.bottom > top

    def lay_over(self, strip: Floats, top: int) -> None:
        """Draw it into a strip of the picture, whose first row is row `top` of the picture."""
        first = max(self.box.top, top)
        last = min(self.box.bottom, top + len(strip))
        size = (self.box.size.width, last - first)
        matrix = (_make_translation(-self.box.left, -first) @ self.placed)[:2]
        # cv2 drops the last axis of a picture with one channel.
        pixels = cv2.warpAffine(
            self.pixels, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        ).reshape(size[1], size[0], -1)
        opacity = cv2.warpAffine(
            self.opacity, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )[..., None]
        place = strip[
            first - top : last - top, self.box.left : self.box.right, : self.pixels.shape[2]
        ]
        place += opacity * (np.clip(pixels, 0, 1) - place)


def restore_faces(
    pixels: Pixels, target: Size, wanted: FaceRestoration, on_step: OnStep, index: int
) -> RestoredFaces:
    """Restore the faces of a picture for the same picture at the size `target`.

    `pixels` is (height, width, channels): grey or RGB, either with alpha. Each face is reported as
    a step of the stage "faces" of picture `index`, after a step 0; errors from `on_step` pass
    through unchanged. A face that can't be restored doesn't change, and the notes say why.
    """
    title = wanted.restorer.row.title
    if wanted.strength == 0:
        return RestoredFaces((), (messages.FACES_UNCHANGED,))
    try:
        found = wanted.restorer.find_faces(_to_rgb8(pixels))
    except Exception as error:
        return RestoredFaces((), (messages.faces_unchanged_because(_explain(error)),))
    faces, notes = _choose_faces(found)
    patches: list[Patch] = []
    failed: list[str] = []
    if faces:
        on_step(Step(0, len(faces), index, STAGE))
    for number, landmarks in enumerate(faces):
        try:
            patches.append(_restore_face(pixels, target, landmarks, wanted))
        except Exception as error:
            failed.append(_explain(error))
        on_step(Step(number + 1, len(faces), index, STAGE))
    if patches:
        notes.insert(0, messages.restored_faces(len(patches), title))
    if failed:
        notes.append(messages.faces_failed(len(failed), failed[0]))
    return RestoredFaces(tuple(patches), tuple(notes))


def _choose_faces(found: tuple[Landmarks, ...]) -> tuple[list[Landmarks], list[str]]:
    """Return the large enough faces, the largest first, at most MAX_FACES, and notes."""
    if not found:
        return [], [messages.NO_FACE]
    large = [face for face in found if _measure_eye_distance(face) >= LEAST_EYE_DISTANCE_PX]
    large.sort(key=_measure_eye_distance, reverse=True)
    notes: list[str] = []
    if len(large) > MAX_FACES:
        notes.append(messages.too_many_faces(len(large), MAX_FACES))
    if len(large) < len(found):
        too_small = len(found) - len(large)
        notes.append(messages.faces_too_small(too_small))
    return large[:MAX_FACES], notes


def _measure_eye_distance(landmarks: Landmarks) -> float:
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


def _explain(error: Exception) -> str:
    if isinstance(error, (PaintError, _UnusableFaceError)):
        return f"{str(error).rstrip('.')}."
    return str(report_unexpected(logger, messages.FACE_FAILED, error))


# From the picture to an upright face


def find_alignment(landmarks: Landmarks) -> Matrix:
    """Return the matrix that rotates, scales and moves a face's landmarks onto FACE_TEMPLATE.

    The best fit by least squares (Umeyama 1991, without reflection). Raises ValueError if the
    landmarks are all in one place.
    """
    points, goals = (each[:, 0] + 1j * each[:, 1] for each in (landmarks, FACE_TEMPLATE))
    middle, goal = points.mean(), goals.mean()
    spread = float((np.abs(points - middle) ** 2).sum())
    if not math.isfinite(spread) or spread == 0:
        raise _UnusableFaceError(messages.LANDMARKS_IN_ONE_PLACE)
    turn = (np.conj(points - middle) * (goals - goal)).sum() / spread
    move = goal - turn * middle
    return np.array(
        [[turn.real, -turn.imag, move.real], [turn.imag, turn.real, move.imag], [0, 0, 1]]
    )


def _restore_face(
    pixels: Pixels, target: Size, landmarks: Landmarks, wanted: FaceRestoration
) -> Patch:
    height, width, channels = pixels.shape
    upright = find_alignment(landmarks)
    face = wanted.restorer.restore(_cut_face_out(pixels, upright))
    if channels < 3:
        face = (face @ _LUMA)[..., None]
    grown = _make_scaling(target.width / width, target.height / height)
    placed: Matrix = grown @ np.linalg.inv(upright)
    opacity = _make_feather() * np.float32(wanted.strength)
    # If the face is smaller than it was restored, each pixel is the mean of several.
    side = min(FACE_PX, max(1, math.ceil(FACE_PX * _measure_scale(placed))))
    if side < FACE_PX:
        face = _shrink(face, (side, side))
        opacity = _shrink(opacity, (side, side))[..., 0]
        placed = placed @ _make_scaling(FACE_PX / side, FACE_PX / side)
    return Patch(face, opacity, placed, _find_extent(placed, side, target))


def _cut_face_out(pixels: Pixels, upright: Matrix) -> Floats:
    """Return the upright face (512, 512, 3), 0 to 1, RGB."""
    height, width, channels = pixels.shape
    placed = np.asarray(np.linalg.inv(upright), np.float64)
    box = _find_extent(placed, FACE_PX, Size(width, height))
    part = pixels[box.top : box.bottom, box.left : box.right, : 1 if channels < 3 else 3]
    matrix = upright @ _make_translation(box.left, box.top)
    # A face much larger than needed is shrunk first: each pixel becomes the mean of several.
    shrink = int(1 / _measure_scale(upright))
    if shrink > 1:
        size = (max(1, box.size.width // shrink), max(1, box.size.height // shrink))
        part = _shrink(part, size)
        matrix = matrix @ _make_scaling(box.size.width / size[0], box.size.height / size[1])
    levels = np.float32(np.iinfo(pixels.dtype).max)
    face = cv2.warpAffine(
        part.astype(np.float32) / levels,
        matrix[:2],
        (FACE_PX, FACE_PX),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    colours = np.asarray(face, np.float32).reshape(FACE_PX, FACE_PX, -1)
    return np.repeat(colours, 3 // colours.shape[2], axis=2)


def _shrink(picture: Pixels | Floats, size: tuple[int, int]) -> Floats:
    """Shrink a picture (height, width, channels) to the width and height `size`.

    Each pixel is the mean of those it replaces.
    """
    made = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(made, np.float32).reshape(size[1], size[0], -1)


def _to_rgb8(pixels: Pixels) -> NDArray[np.uint8]:
    """Return the colours of a picture as (height, width, 3), RGB, 8 bits."""
    colours = pixels[..., : 1 if pixels.shape[2] < 3 else 3]
    levels = (colours if colours.dtype == np.uint8 else colours >> 8).astype(np.uint8, copy=False)
    return np.repeat(levels, 3, axis=2) if levels.shape[2] == 1 else levels


def _make_feather() -> Floats:
    """Return opacities (512, 512): 1 in the middle, falling smoothly to 0 at the edges."""
    place = np.arange(FACE_PX)
    from_edge = (np.minimum(place, FACE_PX - 1 - place) + 0.5) / _FEATHER_PX
    ramp = np.minimum(from_edge, 1)
    smooth = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    return smooth[:, None] * smooth[None, :]


def _find_extent(placed: Matrix, side: int, within: Size) -> Box:
    """Return the box of a picture's pixels onto which a square of `side` pixels is mapped.

    Raises ValueError if it is outside the picture.
    """
    ends = np.array([[-0.5, side - 0.5, -0.5, side - 0.5], [-0.5, -0.5, side - 0.5, side - 0.5]])
    corners = placed[:2, :2] @ ends + placed[:2, 2:]
    left, top = (max(0, math.floor(low)) for low in corners.min(axis=1))
    right, bottom = (
        min(most, math.ceil(high) + 1)
        for high, most in zip(corners.max(axis=1), (within.width, within.height), strict=True)
    )
    if right <= left or bottom <= top:
        raise _UnusableFaceError(messages.FACE_OUTSIDE)
    return Box(left, top, right, bottom)


def _measure_scale(matrix: Matrix) -> float:
    """Return the factor by which lengths grow."""
    return math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))


def _make_scaling(across: float, down: float) -> Matrix:
    """Return the matrix that scales a picture about its corner.

    Pixel centres move; the corner, which is half a pixel outside the first centre, doesn't.
    """
    return np.array(
        [[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]], np.float64
    )


def _make_translation(across: float, down: float) -> Matrix:
    return np.array([[1, 0, across], [0, 1, down], [0, 0, 1]], np.float64)

"""Run preprocessors; those with weights are controlnet-aux's, on the CPU."""

from __future__ import annotations

import colorsys
import contextlib
import importlib
import io
import logging
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from paintdiff.error_reports import report_unexpected
from paintdiff.errors import AnnotatorError, DownloadError, ModelError
from paintdiff.models.formats.pickles.safe_pickle import read_tensors
from paintdiff.models.manager.loaders import PREPROCESSOR
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.preprocessor_rows import PreprocessorRow
from paintdiff.preprocessors import messages
from paintdiff.preprocessors.lines import WEIGHTLESS, Pixels
from paintdiff.preprocessors.table import AnnotatorWeights, Preprocessor, find_preprocessor
from paintdiff.system.atomic_files import temporary_folder

logger = logging.getLogger(__name__)

ANNOTATORS_FOLDER = "annotators"
"""Folder in a models folder with the preprocessors' weights."""

_POLL_SECONDS = 0.1
_LEAST_SIDE_PX = 64
"""controlnet-aux rounds down to multiples of this, so smaller pictures would vanish."""

_Detect = Callable[[Any, Pixels, int], Any]


@dataclass(frozen=True)
class _Detector:
    """A class of controlnet-aux, and the function that calls it.

    The function gets the detector, the picture and its shorter side.
    """

    module: str
    class_name: str
    detect: _Detect
    options: Mapping[str, str] = field(default_factory=dict[str, str])


def _detect(detector: Any, picture: Pixels, side: int) -> Any:
    return detector(picture, detect_resolution=side, image_resolution=side, output_type="np")


def _detect_at_size(detector: Any, picture: Pixels, side: int) -> Any:
    return detector(picture, detect_resolution=side, image_resolution=side)


def _detect_pose(detector: Any, picture: Pixels, side: int) -> Any:
    settings = {"include_body": True, "include_hand": True, "include_face": True}
    return detector(
        picture, detect_resolution=side, image_resolution=side, output_type="np", **settings
    )


def _detect_segments(detector: Any, picture: Pixels, _side: int) -> Any:
    """Return each segment in its own colour, the same every time, small ones over large ones."""
    found = sorted(
        detector.mask_generator.generate(picture), key=lambda each: each["area"], reverse=True
    )
    painted = np.zeros_like(picture)
    for number, each in enumerate(found):
        # Steps of the golden section keep any number of hues apart.
        colour = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.75, 1.0)
        painted[each["segmentation"]] = [round(255 * part) for part in colour]
    return painted


_DETECTORS: Mapping[str, _Detector] = MappingProxyType(
    {
        "hed": _Detector("hed", "HEDdetector", _detect),
        "pidinet": _Detector("pidi", "PidiNetDetector", _detect),
        "lineart": _Detector("lineart", "LineartDetector", _detect),
        "lineart_anime": _Detector("lineart_anime", "LineartAnimeDetector", _detect),
        "mlsd": _Detector("mlsd", "MLSDdetector", _detect),
        "depth_midas": _Detector("midas", "MidasDetector", _detect_at_size),
        "depth_zoe": _Detector("zoe", "ZoeDetector", _detect_at_size),
        "normal_bae": _Detector("normalbae", "NormalBaeDetector", _detect),
        "openpose": _Detector("open_pose", "OpenposeDetector", _detect_pose),
        "segmentation": _Detector(
            "segment_anything",
            "SamDetector",
            _detect_segments,
            {"model_type": "vit_t", "filename": "mobile_sam.pt"},
        ),
    }
)


@dataclass(frozen=True)
class LoadedDetector:
    """A preprocessor's network in RAM, on the CPU. `weights_bytes` is the memory it takes."""

    network: Any
    weights_bytes: int


class Annotators:
    """Makes control maps. Safe to use from any thread.

    `folders` are models folders. Weights are looked for in the sub-folder `annotators` of each, by
    their names on Hugging Face, then in Hugging Face's cache, then they are downloaded. `manager`
    downloads them, and keeps loaded networks like models (None: a manager of its own).
    """

    def __init__(self, folders: Sequence[Path] = (), manager: ModelManager | None = None) -> None:
        self._folders = tuple(folder / ANNOTATORS_FOLDER for folder in folders)
        self._manager = manager if manager is not None else ModelManager()
        self._one_at_a_time = threading.Lock()  # the detectors aren't thread-safe

    def make_map(
        self,
        picture: Image.Image,
        preprocessor: str,
        report: Callable[[str], None] = lambda _message: None,
    ) -> Image.Image:
        """Make the control map of a picture: both RGB, of one size.

        While weights are downloaded and loaded, `report` gets messages to show, again and again; an
        error that it raises ends the wait, and the download unless somebody else waits for it.
        Raises UnknownNameError, AnnotatorError if the weights can't be downloaded or used, and
        MemoryBudgetError.
        """
        row = find_preprocessor(preprocessor)
        pixels = np.array(picture.convert("RGB"))
        if row.weights is not None:
            found = self._annotate(row, row.weights, pixels, report)
        elif row.name in WEIGHTLESS:
            found = WEIGHTLESS[row.name](pixels)
        else:
            found = pixels
        return _make_map(found, picture.size)

    def _annotate(
        self,
        row: Preprocessor,
        weights: AnnotatorWeights,
        pixels: Pixels,
        report: Callable[[str], None],
    ) -> Any:
        with ExitStack() as held:
            try:
                lent = self._manager.lease_weights(
                    PREPROCESSOR,
                    self._make_row(row, weights),
                    report,
                    argument=partial(_load_detector, row, weights),
                )
                detector: LoadedDetector = held.enter_context(lent)
            except DownloadError as error:
                raise AnnotatorError(self._explain_missing(row, weights, error)) from error
            while not self._one_at_a_time.acquire(timeout=_POLL_SECONDS):
                report(messages.waiting_for(row.title))
            held.callback(self._one_at_a_time.release)
            try:
                side = max(_LEAST_SIDE_PX, min(pixels.shape[:2]))
                return _DETECTORS[row.name].detect(detector.network, pixels, side)
            except Exception as error:
                what = messages.cannot_make_map(row.title)
                raise report_unexpected(logger, what, error, AnnotatorError) from error

    def _make_row(self, row: Preprocessor, weights: AnnotatorWeights) -> PreprocessorRow:
        """Return the row of its weights: where they are, or where they can be downloaded."""
        source, stamps = weights.repo, list[str]()
        for folder in self._folders:
            files = [folder / name for name in weights.files]
            if all(file.is_file() for file in files):
                source = str(folder.absolute())
                stats = [file.stat() for file in files]
                stamps = [f"{stat.st_size}-{stat.st_mtime_ns}" for stat in stats]
                break
        return PreprocessorRow(
            name=row.name,
            title=row.title,
            source=source,
            files=weights.files,
            size_bytes=weights.size_bytes,
            fingerprint="+".join(stamps),
        )

    def _explain_missing(
        self, row: Preprocessor, weights: AnnotatorWeights, error: Exception
    ) -> str:
        return messages.missing_weights(
            row.title, weights.files, weights.size_text, weights.repo, error, ANNOTATORS_FOLDER
        )


def _load_detector(row: Preprocessor, weights: AnnotatorWeights, folder: Path) -> LoadedDetector:
    """Load a detector of controlnet-aux from the files in a folder. Raises AnnotatorError.

    It reads pickles, so it gets files that we have written, which contain nothing but tensors.
    """
    import torch  # noqa: PLC0415 (slow to import; the page is served first)

    made = _DETECTORS[row.name]
    files = [folder / name for name in weights.files]
    try:
        with temporary_folder() as written:
            for file in files:
                torch.save(read_tensors(file), written / file.name)
            said = io.StringIO()
            # controlnet-aux imports all its detectors, which warn, and prints to standard output,
            # which another program may read.
            with warnings.catch_warnings(), contextlib.redirect_stdout(said):
                warnings.simplefilter("ignore")
                module = importlib.import_module(f"controlnet_aux.{made.module}")
                detector = getattr(module, made.class_name).from_pretrained(
                    str(written), **made.options
                )
            logger.debug("controlnet-aux said: %s", said.getvalue())
            return LoadedDetector(detector, sum(file.stat().st_size for file in files))
    except MemoryError:
        raise
    except ModelError as error:
        raise AnnotatorError(messages.cannot_use(row.title, error)) from error
    except Exception as error:
        what = messages.cannot_load(row.title)
        raise report_unexpected(logger, what, error, AnnotatorError) from error


def _make_map(pixels: Any, size: tuple[int, int]) -> Image.Image:
    """Return a map (height, width) or (height, width, 3), uint8, as RGB of that size.

    A detector may return another size.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)

"""All preprocessors at work; those with weights are controlnet-aux's, on the CPU."""

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
from paintdiff.models.formats.safe_pickle import read_tensors
from paintdiff.models.manager.loaders import PREPROCESSOR
from paintdiff.models.manager.model_manager import ModelManager
from paintdiff.models.registry.preprocessor_rows import PreprocessorRow
from paintdiff.preprocessors.lines import WEIGHTLESS, Pixels
from paintdiff.preprocessors.table import AnnotatorWeights, Preprocessor, checked_preprocessor
from paintdiff.system.atomic_files import temporary_folder

logger = logging.getLogger(__name__)

ANNOTATORS_FOLDER = "annotators"
"""Where in a models folder the preprocessors' weights are looked for."""

_POLL_SECONDS = 0.1
_LEAST_SIDE_PX = 64
"""controlnet-aux rounds to multiples of this, and a small picture to nothing."""

_Detect = Callable[[Any, Pixels, int], Any]


@dataclass(frozen=True)
class _Detector:
    """A class of controlnet-aux, and how it is asked: with the picture and its shorter side."""

    module: str
    class_name: str
    detect: _Detect
    options: Mapping[str, str] = field(default_factory=dict[str, str])


def _plainly(detector: Any, picture: Pixels, side: int) -> Any:
    return detector(picture, detect_resolution=side, image_resolution=side, output_type="np")


def _sized(detector: Any, picture: Pixels, side: int) -> Any:
    return detector(picture, detect_resolution=side, image_resolution=side)


def _pose(detector: Any, picture: Pixels, side: int) -> Any:
    settings = {"include_body": True, "include_hand": True, "include_face": True}
    return detector(
        picture, detect_resolution=side, image_resolution=side, output_type="np", **settings
    )


def _segments(detector: Any, picture: Pixels, _side: int) -> Any:
    """Each thing in a colour of its own, the same every time, small things over large ones."""
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
        "hed": _Detector("hed", "HEDdetector", _plainly),
        "pidinet": _Detector("pidi", "PidiNetDetector", _plainly),
        "lineart": _Detector("lineart", "LineartDetector", _plainly),
        "lineart_anime": _Detector("lineart_anime", "LineartAnimeDetector", _plainly),
        "mlsd": _Detector("mlsd", "MLSDdetector", _plainly),
        "depth_midas": _Detector("midas", "MidasDetector", _sized),
        "depth_zoe": _Detector("zoe", "ZoeDetector", _sized),
        "normal_bae": _Detector("normalbae", "NormalBaeDetector", _plainly),
        "openpose": _Detector("open_pose", "OpenposeDetector", _pose),
        "segmentation": _Detector(
            "segment_anything",
            "SamDetector",
            _segments,
            {"model_type": "vit_t", "filename": "mobile_sam.pt"},
        ),
    }
)


@dataclass(frozen=True)
class LoadedDetector:
    """A preprocessor's network in main memory, on the CPU. `weights_bytes` is what it takes."""

    network: Any
    weights_bytes: int


class Annotators:
    """Makes control maps. Safe to use from any thread.

    `folders` are models folders; in the sub-folder `annotators` of each, files are looked for by
    the names they have on the hub, then in the hub's cache, then they are downloaded. `manager`
    fetches them, and keeps what is loaded as it keeps models (None: one of its own).
    """

    def __init__(self, folders: Sequence[Path] = (), manager: ModelManager | None = None) -> None:
        self._folders = tuple(folder / ANNOTATORS_FOLDER for folder in folders)
        self._manager = manager if manager is not None else ModelManager()
        self._one_at_a_time = threading.Lock()  # the detectors aren't made to be used by two

    def control_map(
        self,
        picture: Image.Image,
        preprocessor: str,
        report: Callable[[str], None] = lambda _message: None,
    ) -> Image.Image:
        """The control map of a picture by the preprocessor of that name: both RGB, of one size.

        While weights are fetched and loaded `report` gets sentences for people again and again;
        what it raises ends the wait, and the download unless somebody else waits for it. Raises
        UnknownNameError, AnnotatorError if the weights can't be had or can't be used, and
        MemoryBudgetError.
        """
        row = checked_preprocessor(preprocessor)
        pixels = np.array(picture.convert("RGB"))
        if row.weights is not None:
            found = self._annotated(row, row.weights, pixels, report)
        elif row.name in WEIGHTLESS:
            found = WEIGHTLESS[row.name](pixels)
        else:
            found = pixels
        return _as_map(found, picture.size)

    def _annotated(
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
                    self._row_of(row, weights),
                    report,
                    argument=partial(_detector, row, weights),
                )
                detector: LoadedDetector = held.enter_context(lent)
            except DownloadError as error:
                raise AnnotatorError(self._help(row, weights, error)) from error
            while not self._one_at_a_time.acquire(timeout=_POLL_SECONDS):
                report(f"Waiting for {row.title}: it is making another map")
            held.callback(self._one_at_a_time.release)
            try:
                side = max(_LEAST_SIDE_PX, min(pixels.shape[:2]))
                return _DETECTORS[row.name].detect(detector.network, pixels, side)
            except Exception as error:
                what = f"The preprocessor {row.title} can't make a map of this picture"
                raise report_unexpected(logger, what, error, AnnotatorError) from error

    def _row_of(self, row: Preprocessor, weights: AnnotatorWeights) -> PreprocessorRow:
        """Where its weights are, or can be had."""
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

    def _help(self, row: Preprocessor, weights: AnnotatorWeights, error: Exception) -> str:
        where = f"the folder {ANNOTATORS_FOLDER} of a models folder (--models-dir)"
        return (
            f"The preprocessor {row.title} needs {', '.join(weights.files)} ({weights.size_text}), "
            f"which couldn't be downloaded from https://huggingface.co/{weights.repo}: {error} "
            f"Try again later, put it in {where} by hand, or choose a preprocessor that needs no "
            "weights."
        )


def _detector(row: Preprocessor, weights: AnnotatorWeights, folder: Path) -> LoadedDetector:
    """A detector of controlnet-aux over the files in a folder. Raises AnnotatorError.

    It reads pickles, so it is given files that we have written, with the tensors and nothing else.
    """
    import torch  # noqa: PLC0415 (the page is served before)

    made = _DETECTORS[row.name]
    files = [folder / name for name in weights.files]
    try:
        with temporary_folder() as written:
            for file in files:
                torch.save(read_tensors(file), written / file.name)
            said = io.StringIO()
            # controlnet-aux imports all that it has, with its warnings, and prints what it does;
            # our own standard output may be a program's input.
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
        raise AnnotatorError(f"The preprocessor {row.title} can't be used: {error}") from error
    except Exception as error:
        what = f"The preprocessor {row.title} can't be loaded"
        raise report_unexpected(logger, what, error, AnnotatorError) from error


def _as_map(pixels: Any, size: tuple[int, int]) -> Image.Image:
    """RGB, of that size, from (height, width) or (height, width, 3), uint8; a detector may return
    another size.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)

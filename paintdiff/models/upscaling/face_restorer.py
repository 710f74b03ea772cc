"""Face restorers in use: GFPGAN and RestoreFormer as spandrel builds them, and a face detector.

Weights are read safely. Imports torch: import it in a function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from paintdiff.errors import ModelLoadError, ModelNotFoundError
from paintdiff.models.formats.weight_files import file_identity
from paintdiff.models.loading.library_errors import as_memory_error, make_load_error
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.upscaling import messages
from paintdiff.models.upscaling.face_detection import FaceDetector, FindFaces
from paintdiff.models.upscaling.spandrel_networks import (
    Use,
    choose_network_dtype,
    count_network_bytes,
    load_descriptor,
)

Floats = NDArray[np.float32]

_USE = Use(
    what="face restorer",
    does=messages.RESTORERS_DO,
    example="GFPGANv1.4.pth",
    known=messages.KNOWN_RESTORERS,
)


def _by_gfpgan(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Restore a face with the noise saved in the file, so that the result is always the same."""
    return model(pixels, return_rgb=False, randomize_noise=False)[0]


def _by_restoreformer(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    return model(pixels)[0]


_RUNS: Mapping[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "GFPGAN": _by_gfpgan,
    "RestoreFormer": _by_restoreformer,
}
"""Functions that restore faces (1, 3, 512, 512), -1..1, by spandrel's id of the architecture.
(spandrel's own call of GFPGAN ignores that it takes and gives -1..1.)"""


class LoadedFaceRestorer:
    """A face restorer in memory. `network` is spandrel's descriptor."""

    def __init__(
        self,
        row: FaceRestorerRow,
        network: Any,
        find_faces: FindFaces,
        model_hash: str,
        device: torch.device,
    ) -> None:
        self.row = row
        self.network = network
        self.find_faces = find_faces
        self.model_hash = model_hash
        self.device = device
        self.weights_bytes = count_network_bytes(network)

    def restore(self, face: Floats) -> Floats:
        """Return an aligned face (512, 512, 3), 0..1, RGB, repaired.

        Raises MemoryBudgetError if there isn't enough memory, and ModelLoadError if the result has
        NaN values.
        """
        try:
            made = self._run(face)
        except Exception as error:
            told = as_memory_error(error)
            if told is None:
                raise
            raise told from error
        if made.shape != face.shape or not np.isfinite(made).all():
            raise ModelLoadError(messages.restorer_failed(self.row.title))
        return np.clip(made, 0, 1)

    @torch.inference_mode()
    def _run(self, face: Floats) -> Floats:
        pixels = torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1)))[None] * 2 - 1
        run = _RUNS[self.network.architecture.id]
        made = run(self.network.model, pixels.to(self.device, self.network.dtype))
        return ((made[0].permute(1, 2, 0).float() + 1) / 2).cpu().numpy()


LeasedFaceRestorer = LoadedFaceRestorer
"""The restorer that a task works with: it has no state that each lease would need for itself."""


def load_face_restorer(
    row: FaceRestorerRow,
    device: str,
    dtype: str | None = None,
    report: Callable[[str], None] = lambda _message: None,
) -> LoadedFaceRestorer:
    """Load the weights of a face restorer and of its face detector onto a device.

    `dtype` is "float32", "bfloat16" or "float16". None means full precision: there are few faces,
    and half precision is visible in them. `report` receives progress messages. Raises
    ModelNotFoundError, UnsafeWeightsError or ModelLoadError.
    """
    if not row.file.is_file():
        raise ModelNotFoundError(messages.restorer_missing(row.file.name, row.title))
    if row.detector is None:
        raise ModelNotFoundError(messages.no_face_detector(row.name))
    report(messages.loading(row.title))
    find_faces = FaceDetector(row.detector)
    try:
        network = load_descriptor(row.file, _USE)
        _check_use(network, row)
        network.model.requires_grad_(False).eval()
        network.to(torch.device(device), choose_network_dtype(network, device, dtype or "float32"))
    except Exception as error:
        what = messages.restorer_not_loaded(row.title)
        raise make_load_error(what, error) from error
    return LoadedFaceRestorer(
        row, network, find_faces, file_identity(row.file), torch.device(device)
    )


def _check_use(network: Any, row: FaceRestorerRow) -> None:
    """Raise ModelLoadError unless the network turns a face into a better one."""
    kind, reason = network.architecture, None
    if kind.id not in _RUNS:
        reason = messages.NOT_FOR_FACES
    elif (network.input_channels, network.output_channels) != (3, 3):
        reason = messages.makes_channels_not_rgb(network.output_channels, network.input_channels)
    if reason is not None:
        raise ModelLoadError(messages.not_a_restorer(row.file.name, kind.name, reason))

"""Inspects one weight file by its header. The process that reads headers runs this.

Imports neither torch nor pydantic, so that this process starts quickly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paintdiff.errors import ModelError, UnsafeWeightsError
from paintdiff.models.discovery import messages
from paintdiff.models.discovery.detection import detect
from paintdiff.models.discovery.sidecars import SidecarMetadata, read_embedded_metadata
from paintdiff.models.formats.headers import Header, read_header
from paintdiff.models.formats.tensor_inventory import DetectedWeights

logger = logging.getLogger(__name__)

_GGUF_KINDS = ("checkpoint", "denoiser", "unknown")
"""Of GGUF only denoisers are read, alone or in a checkpoint."""


@dataclass(frozen=True)
class InspectedFile:
    """The result of inspecting a file.

    `form` is its format, "" if it can't be read. `unsafe` means that it could run code. `metadata`
    comes from the file itself.
    """

    detected: DetectedWeights
    metadata: SidecarMetadata = field(default_factory=SidecarMetadata)
    form: str = ""
    unsafe: bool = False


def make_unreadable(reason: str, *, unsafe: bool = False) -> InspectedFile:
    """Return the result for a file that can't be read."""
    return InspectedFile(DetectedWeights("unknown", reason=reason), unsafe=unsafe)


def inspect_file(
    path: Path,
    widths: Mapping[int, str],
    read: Callable[[Path], Header] = read_header,
) -> InspectedFile:
    """Read a file's header and detect what the file is.

    `widths` maps text-embedding widths to families of UNets. Never raises: an unusable file's
    result says why.
    """
    try:
        header = read(path)
        found = detect(header.tensors, header.metadata, widths)
        if header.form == "gguf" and found.kind not in _GGUF_KINDS:
            found = DetectedWeights("unknown", reason=messages.IS_NOT_READ_AS_GGUF)
        return InspectedFile(found, read_embedded_metadata(header.metadata), header.form)
    except ModelError as error:
        return make_unreadable(str(error), unsafe=isinstance(error, UnsafeWeightsError))
    except MemoryError:
        return make_unreadable(messages.READING_TAKES_TOO_MUCH_MEMORY)
    except Exception as error:  # any error makes only this file unusable
        logger.info("reading %r raised %r", str(path), error)
        return make_unreadable(messages.reading_failed(type(error).__name__, error))

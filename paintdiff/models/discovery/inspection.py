"""What one file of weights is, by its header: the step that the process for reading headers runs.
Importable without torch and without pydantic, so that this process starts quickly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paintdiff.errors import ModelError, UnsafeWeightsError
from paintdiff.models.discovery.detection import detect
from paintdiff.models.discovery.sidecars import SidecarMetadata, read_embedded_metadata
from paintdiff.models.formats.headers import Header, read_header
from paintdiff.models.formats.tensor_inventory import DetectedWeights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """What a file is. `form` is its format, "" if it can't be read, and `unsafe` says that it could
    run code. `said` is what it says of itself.
    """

    recognized: DetectedWeights
    said: SidecarMetadata = field(default_factory=SidecarMetadata)
    form: str = ""
    unsafe: bool = False


def make_unreadable(reason: str, *, unsafe: bool = False) -> Known:
    """Return what is known of a file that can't be read."""
    return Known(DetectedWeights("unknown", reason=reason), unsafe=unsafe)


def inspect_file(
    path: Path,
    widths: Mapping[int, str],
    read: Callable[[Path], Header] = read_header,
) -> Known:
    """Read a file's header, and return what the file is. Never raises: what can't be read is of no
    use, and says why. `widths` are the families of UNets by how many numbers stand for a word.
    """
    try:
        header = read(path)
        found = detect(header.tensors, header.metadata, widths)
        return Known(found, read_embedded_metadata(header.metadata), header.form)
    except ModelError as error:
        return make_unreadable(str(error), unsafe=isinstance(error, UnsafeWeightsError))
    except MemoryError:
        return make_unreadable("it can't be read: that would take too much memory")
    except Exception as error:  # it costs this file, and no other
        logger.info("reading %r raised %r", str(path), error)
        return make_unreadable(f"it can't be read ({type(error).__name__}: {error})")

"""What one file of weights is, by its header: the step that the process for reading headers runs.
Importable without torch and without pydantic, so that this process starts quickly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paintdiff.errors import ModelError, UnsafeWeightsError
from paintdiff.models.files.file_contents import Recognized
from paintdiff.models.files.headers import Header, read_header
from paintdiff.models.finding.recognition import recognized
from paintdiff.models.finding.sidecars import Said, said_inside

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """What a file is. `form` is its format, "" if it can't be read, and `unsafe` says that it could
    run code. `said` is what it says of itself.
    """

    recognized: Recognized
    said: Said = field(default_factory=Said)
    form: str = ""
    unsafe: bool = False


def unreadable(reason: str, *, unsafe: bool = False) -> Known:
    """Return what is known of a file that can't be read."""
    return Known(Recognized("unknown", reason=reason), unsafe=unsafe)


def known_file(
    path: Path,
    widths: Mapping[int, str],
    read: Callable[[Path], Header] = read_header,
) -> Known:
    """Read a file's header, and return what the file is. Never raises: what can't be read is of no
    use, and says why. `widths` are the families of UNets by how many numbers stand for a word.
    """
    try:
        header = read(path)
        found = recognized(header.tensors, header.metadata, widths)
        return Known(found, said_inside(header.metadata), header.form)
    except ModelError as error:
        return unreadable(str(error), unsafe=isinstance(error, UnsafeWeightsError))
    except MemoryError:
        return unreadable("it can't be read: that would take too much memory")
    except Exception as error:  # it costs this file, and no other
        logger.info("reading %r raised %r", str(path), error)
        return unreadable(f"it can't be read ({type(error).__name__}: {error})")

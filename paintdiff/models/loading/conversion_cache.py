"""The folder in which what pickles were converted to is kept. Beside each stands what it was made
of, so that it goes once that is gone. Importable without torch.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from paintdiff.models.hub.direct_download import get_cache_folder

_ORIGIN_SUFFIX = ".origin"


def find_conversions_folder() -> Path:
    """Where they are kept: beside what was downloaded, as they may be as large."""
    return get_cache_folder() / "paintdiffusion-converted"


def note_origin(made: Path, origin: Path) -> None:
    """Write down what a file or folder in the cache is made of. Raises OSError."""
    path = origin.absolute().as_posix().encode("utf-8", "surrogateescape")
    made.with_name(made.name + _ORIGIN_SUFFIX).write_bytes(path)


def remove_orphans(cache: Path, deleted: Path | None = None) -> None:
    """Delete what was made of files and folders that are gone: of `deleted` and all in it, and of
    what is missing from a folder that is there. (Without the folder, its disk may be elsewhere.)

    What can't be deleted stays: somebody may be reading it, and the next time will do.
    """
    for note in cache.glob(f"*{_ORIGIN_SUFFIX}"):
        with contextlib.suppress(OSError):
            origin = Path(note.read_bytes().decode("utf-8", "surrogateescape"))
            gone = deleted is not None and origin.is_relative_to(deleted.absolute())
            if origin.exists() or not (gone or origin.parent.is_dir()):
                continue
            made = note.with_name(note.name.removesuffix(_ORIGIN_SUFFIX))
            if made.is_dir():
                shutil.rmtree(made)
            else:
                made.unlink(missing_ok=True)
            note.unlink()

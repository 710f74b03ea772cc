"""The folder that keeps converted pickles, each with a note of its origin.

When the origin is gone, its conversion is deleted. Importable without torch.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from paintdiff.models.hub.direct_download import get_cache_folder

_ORIGIN_SUFFIX = ".origin"


def find_conversions_folder() -> Path:
    """Return the folder of conversions, beside the downloads, since they may be as large."""
    return get_cache_folder() / "paintdiffusion-converted"


def note_origin(made: Path, origin: Path) -> None:
    """Record what a converted file or folder was made from. Raise OSError."""
    path = origin.absolute().as_posix().encode("utf-8", "surrogateescape")
    made.with_name(made.name + _ORIGIN_SUFFIX).write_bytes(path)


def remove_orphans(cache: Path, deleted: Path | None = None) -> None:
    """Delete conversions whose origin is gone: in `deleted`, or missing from an existing folder.

    (If the folder is missing, too, its disk may be unmounted.) What can't be deleted, for example
    while it is being read, stays until next time.
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

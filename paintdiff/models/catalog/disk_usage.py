"""What a row of the catalog takes on the disk: its files, their size, and deleting them.

Importable without torch.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paintdiff.config.presets import presets_folder
from paintdiff.errors import RequestError, StorageError
from paintdiff.models.catalog import messages
from paintdiff.models.hub.cache import delete_cached, find_snapshot, get_repository_folder
from paintdiff.models.hub.direct_download import get_cache_folder
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.loading.conversion.cache import (
    find_conversions_folder,
    remove_orphans,
)
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow

logger = logging.getLogger(__name__)

_SURE_DIGITS = 16


@dataclass(frozen=True)
class LoadedSummary:
    """Weights in memory.

    `weights_bytes` is 0 while they are being loaded, which counts as in use. Weights that `waits`
    is True for are offloaded to main memory until they are used again.
    """

    what: str
    name: str
    weights_bytes: int
    in_use: bool
    waits: bool = False

    @property
    def key(self) -> str:
        """Return what `ModelCache.unload` takes: rows of two kinds may have the same name."""
        return f"{self.what} {self.name}"


@dataclass(frozen=True)
class Removal:
    """The files that deleting a row would delete: one file, or a folder with all that is in it.

    `sure` stands for exactly this, as it is now: whoever confirms gives it back, and if the file
    has changed since, it isn't deleted.
    """

    path: Path
    size_bytes: int
    from_hub: bool
    sure: str


def is_from_hub(row: WeightsRow) -> bool:
    """Return whether its source is a hub id, wherever it lies now."""
    return HUB_ID.fullmatch(row.source) is not None


def find_place(row: WeightsRow) -> Path | None:
    """Return the file or folder of a row on this machine, None if it isn't here.

    For a Hugging Face id that is the one in its cache, if it is complete.
    """
    place = row.folder
    if place is None and is_from_hub(row):
        return find_snapshot(row.source, str(getattr(row, "revision", "")))
    return place if place is not None and place.exists() else None


def measure_size(row: WeightsRow) -> int:
    """Return the bytes that a row takes on the disk, 0 if it isn't here."""
    known: object = getattr(row, "size_bytes", 0)
    if isinstance(known, int) and known > 0 and not isinstance(row, UpscalerRow):
        return known
    place = find_place(row)
    return 0 if place is None else _size_bytes(place)


def is_shipped(row: WeightsRow) -> bool:
    """Return whether it ships with the app."""
    return row.folder is not None and _is_inside(row.folder, presets_folder())


def has_hub_token() -> bool:
    """Return whether there is a token for gated models on Hugging Face."""
    import huggingface_hub  # noqa: PLC0415 (needed for hub ids only)

    return huggingface_hub.get_token() is not None


def plan_removal(row: WeightsRow, models_dirs: Sequence[Path]) -> Removal | str:
    """Return what would be deleted, or a sentence that says why nothing may be.

    Only what lies in one of `models_dirs`, symlinks followed, or was downloaded.
    """
    if is_shipped(row):
        return messages.SHIPPED
    if is_from_hub(row):
        fetched = get_repository_folder(row.source)
        place = fetched if fetched.is_dir() and not fetched.is_symlink() else None
    else:
        place = row.folder
    if place is None or not place.exists():
        return messages.NOT_HERE
    roots = (get_cache_folder(),) if is_from_hub(row) else (*models_dirs, get_cache_folder())
    if not any(_is_inside(place, root) for root in roots):
        return messages.outside_models_folders(place.name)
    size_bytes = _size_bytes(place)
    state = f"{place}\0{size_bytes}\0{place.stat().st_mtime_ns}".encode()
    sure = hashlib.sha256(state).hexdigest()[:_SURE_DIGITS]
    return Removal(place, size_bytes, is_from_hub(row), sure)


def remove(
    row: WeightsRow,
    models_dirs: Sequence[Path],
    sure: str,
    delete_from_hub: Callable[[str], object] = delete_cached,
) -> Removal:
    """Delete a row's file or folder and what was converted from it; return what was deleted.

    `delete_from_hub` deletes a download, given its Hugging Face id.

    Raises RequestError if it may not be deleted or isn't what `sure` was given for, StorageError or
    ModelDeleteError if it can't be.
    """
    removal = plan_removal(row, models_dirs)
    if isinstance(removal, str):
        raise RequestError(removal, field="name")
    if removal.sure != sure:
        raise RequestError(
            messages.has_changed(removal.path),
            field="name",
        )
    if removal.from_hub:
        delete_from_hub(row.source)
        return removal
    try:
        if removal.path.is_dir():
            shutil.rmtree(removal.path)
        else:
            removal.path.unlink()
    except OSError as error:
        logger.warning("%s can't be deleted", removal.path, exc_info=True)
        reason = error.strerror or type(error).__name__
        raise StorageError(messages.not_deleted(removal.path.name, reason)) from error
    remove_orphans(find_conversions_folder(), removal.path)
    return removal


def _is_inside(path: Path, root: Path) -> bool:
    """Return whether a path lies below a folder once all symlinks are followed."""
    inner, outer = path.resolve(), root.expanduser().resolve()
    return inner != outer and inner.is_relative_to(outer)


def _size_bytes(place: Path) -> int:
    if place.is_file():
        return place.stat().st_size
    files = (path for path in place.rglob("*") if path.is_file())
    return sum({path.resolve(): path.stat().st_size for path in files}.values())

"""Finds the weights of a row, downloading them if needed. Importable without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from paintdiff.errors import ModelNotFoundError
from paintdiff.models.hub.downloads import Downloads, DownloadState
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.loading import messages
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.controlnet_rows import HUB_FILES, ControlNetRow
from paintdiff.models.registry.language_model_rows import LanguageModelRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.preprocessor_rows import PreprocessorRow


def locate(
    row: WeightsRow,
    report: Callable[[str], None],
    downloads: Downloads | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> Path:
    """Return the folder or file of a model, ControlNet, preprocessor or language model.

    A Hugging Face id that isn't cached is downloaded by `downloads` (None: separately), at the
    row's commit. `report` receives progress messages. Once `wanted` returns False, this stops.

    Raises:
        ModelNotFoundError: It is missing.
        DownloadError: It can't be downloaded.
    """
    if not HUB_ID.fullmatch(row.source):
        path = Path(row.source)
        if not path.exists():
            raise ModelNotFoundError(messages.file_missing(row.name, path.name))
        return path

    def on_progress(state: DownloadState) -> None:
        report(state.message)

    return (downloads if downloads is not None else Downloads()).fetch(
        row.source,
        row.revision if isinstance(row, ModelRow) else "",
        files=_list_files(row),
        on_progress=on_progress,
        wanted=wanted,
    )


def needs_fetching(row: WeightsRow) -> bool:
    """Return whether `locate` may have to contact Hugging Face."""
    return HUB_ID.fullmatch(row.source) is not None


def _list_files(row: WeightsRow) -> tuple[str, ...]:
    """List the files to download, none for those that a pipeline needs."""
    if isinstance(row, (LanguageModelRow, PreprocessorRow)):
        return row.files
    return HUB_FILES if isinstance(row, ControlNetRow) else ()

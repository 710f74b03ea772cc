"""Where the weights of a row lie on this machine, fetched from the hub if need be. Importable
without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from paintdiff.errors import ModelNotFoundError
from paintdiff.models.hub.downloads import Downloads, DownloadState
from paintdiff.models.hub.hub_id import HUB_ID
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.controlnet_rows import HUB_FILES, ControlNetRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.preprocessor_rows import PreprocessorRow


def locate(
    row: WeightsRow,
    report: Callable[[str], None],
    downloads: Downloads | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> Path:
    """Where a model, a ControlNet or a preprocessor lies: a folder or a file.

    A hub id that isn't in the cache is fetched by `downloads` (None: by itself), at the row's
    commit.

    `report` gets sentences for people; once `wanted` says no it is given up. Raises
    ModelNotFoundError, a DownloadError among others.
    """
    if not HUB_ID.fullmatch(row.source):
        path = Path(row.source)
        if not path.exists():
            raise ModelNotFoundError(f"{row.name} should be in {path.name}, which doesn't exist.")
        return path

    def told(state: DownloadState) -> None:
        report(state.message)

    return (downloads if downloads is not None else Downloads()).fetch(
        row.source,
        row.revision if isinstance(row, ModelRow) else "",
        files=_files_of(row),
        on_progress=told,
        wanted=wanted,
    )


def needs_fetching(row: WeightsRow) -> bool:
    """Whether `locate` may have to ask the hub."""
    return HUB_ID.fullmatch(row.source) is not None


def _files_of(row: WeightsRow) -> tuple[str, ...]:
    """The names of the files that are fetched, none for what a pipeline needs."""
    if isinstance(row, PreprocessorRow):
        return row.files
    return HUB_FILES if isinstance(row, ControlNetRow) else ()

"""Catalog rows of upscalers: presets, files in models folders, and downloads on first use.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from paintdiff.byte_sizes import format_byte_size
from paintdiff.config.presets import find_row, validate_row
from paintdiff.errors import ModelNotFoundError
from paintdiff.models.hub.direct_download import download, get_cache_folder
from paintdiff.models.registry import messages
from paintdiff.models.registry.base_rows import WeightsRow, find_free_name, get_display_name

UPSCALER_FOLDERS = ("upscale_models", "ESRGAN", "RealESRGAN", "upscalers")
"""Subfolders of a models folder for upscalers; downloads go into the first."""

_SCHEMES = ("https://", "http://")
_CACHE_FOLDER = "paintdiffusion-upscalers"


class UpscalerRow(WeightsRow):
    """A network that enlarges pictures. `source` is a file, or the address of one.

    A download must have `size_bytes` and the given `sha256` (hex). It is saved in `downloads_to`
    (None: the Hugging Face cache folder).
    """

    what: ClassVar[str] = "upscaler"

    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    size_bytes: int = Field(default=0, ge=0)
    downloads_to: Path | None = None

    @model_validator(mode="after")
    def _sure_of_downloads(self) -> Self:
        if self.address is not None and not (self.sha256 and self.size_bytes):
            raise ValueError("an address needs a sha256 and size_bytes")
        return self

    @property
    def address(self) -> str | None:
        """The address to download from, None for a local file."""
        return self.source if self.source.startswith(_SCHEMES) else None

    @property
    def file(self) -> Path:
        """The local file, which may not be downloaded yet."""
        if self.address is None:
            return Path(self.source)
        return (self.downloads_to or get_cache_folder() / _CACHE_FOLDER) / _get_file_name(
            self.source
        )

    @property
    def folder(self) -> Path | None:
        """The file."""
        return self.file


class _UpscalerText(BaseModel):
    """An upscaler in YAML; `source` is an address, or a file beside the YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    source: str
    sha256: str = ""
    size_bytes: int = 0
    licence: str = ""
    description: str = ""


def read_upscalers(rows: object, path: Path) -> tuple[UpscalerRow, ...]:
    """Read the `upscalers` section of a models file. Raise PresetError, which names `path`."""
    found: list[UpscalerRow] = []
    for name, row in validate_row(dict[str, dict[str, object]], rows or {}, path).items():
        values = validate_row(_UpscalerText, find_row(name, row, path), path).model_dump()
        if not values["source"].startswith(_SCHEMES):
            values["source"] = str((path.parent / values["source"]).resolve())
        found.append(validate_row(UpscalerRow, values, path))
    return tuple(found)


def add_files(
    rows: Iterable[UpscalerRow],
    files: Sequence[Path],
    models_dirs: Sequence[Path],
    assign_names: Callable[[Iterable[Path], Iterable[str]], Mapping[Path, str]],
) -> tuple[UpscalerRow, ...]:
    """Return the rows, then rows of the files found in models folders.

    `assign_names` names files, given the names that are taken. If a row's download is already among
    the files by its name, the row uses that, and it isn't listed twice; else it is downloaded into
    the first models folder.
    """
    left, made = list(files), dict[str, UpscalerRow]()
    for row in rows:
        if row.address is not None:
            name = _get_file_name(row.source)
            here = next((file for file in left if file.name == name), None)
            if here is not None:
                left.remove(here)
                row = row.model_copy(update={"downloads_to": here.parent})
            elif models_dirs:
                folder = models_dirs[0].expanduser().resolve() / UPSCALER_FOLDERS[0]
                row = row.model_copy(update={"downloads_to": folder})
        made[row.name] = row
    names = assign_names(left, made)
    for file in left:
        made[names[file]] = _make_file_row(file, names[file], made)
    return tuple(made.values())


def make_upscaler_row(
    source: str | Path, taken: Mapping[str, object], name: str | None = None
) -> UpscalerRow:
    """Make the row of a file without reading it; a name in `taken` gets a number.

    Raises:
        ModelNotFoundError: The file is missing.
    """
    file = Path(source).expanduser()
    if not file.is_file():
        raise ModelNotFoundError(messages.no_upscaler_at(str(source)))
    return _make_file_row(file, name or get_display_name(file), taken)


def _make_file_row(file: Path, wanted: str, taken: Container[str]) -> UpscalerRow:
    return UpscalerRow(name=find_free_name(wanted, taken), title=wanted, source=str(file.resolve()))


def locate_upscaler(
    row: UpscalerRow, report: Callable[[str], None], wanted: Callable[[], bool] = lambda: True
) -> Path:
    """Return the row's file, downloading and verifying it if needed.

    `report` receives progress messages. The download stops once `wanted` returns False.

    Raises:
        ModelNotFoundError: The file is missing, or the download failed.
    """
    file = row.file
    if file.is_file():
        return file
    if row.address is None:
        raise ModelNotFoundError(messages.upscaler_missing(row.name, file.name))

    def report_progress(done_bytes: int) -> None:
        done, size = format_byte_size(done_bytes), format_byte_size(row.size_bytes)
        report(messages.downloading_upscaler(row.title, done, size))

    report_progress(0)
    try:
        download(row.address, file, row.sha256, row.size_bytes, report_progress, wanted)
    except (OSError, ValueError) as error:
        raise ModelNotFoundError(
            messages.upscaler_not_downloaded(
                row.title, format_byte_size(row.size_bytes), row.address, error, file.parent
            )
        ) from error
    return file


def _get_file_name(address: str) -> str:
    return unquote(urlsplit(address).path).rpartition("/")[2]

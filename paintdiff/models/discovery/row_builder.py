"""From what lies in the models folders to the rows of the catalog. Importable without torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from paintdiff.errors import ModelError, PresetError, RequestError
from paintdiff.models.discovery.adapter_row_builders import (
    FoundItem,
    aliases_of,
    both_stamps,
    make_embedding_row,
    make_file_item,
    make_folder_item,
    make_ip_adapter_row,
    make_lora_row,
    make_tiny_row,
    make_vae_row,
    stamp,
)
from paintdiff.models.discovery.detection_cache import DetectionCache
from paintdiff.models.discovery.diffusers_folders import detect_folder_family, detect_part
from paintdiff.models.discovery.inspection import Known
from paintdiff.models.discovery.permanent_names import PermanentNames
from paintdiff.models.discovery.scanning import FoundFile, FoundFolder, ScanResult
from paintdiff.models.discovery.sidecars import SidecarMetadata, plain_text, read_sidecar
from paintdiff.models.formats.limits import MAX_REASON_CHARACTERS
from paintdiff.models.formats.onnx_files import check_onnx
from paintdiff.models.formats.tensor_inventory import UNET_WIDTHS
from paintdiff.models.registry.adapter_rows import (
    EmbeddingRow,
    IpAdapterRow,
    LoraRow,
    TinyAutoencoderRow,
    VaeRow,
)
from paintdiff.models.registry.base_rows import WeightsRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow, make_controlnet_row
from paintdiff.models.registry.face_restorer_rows import (
    MAX_DETECTOR_BYTES,
    FaceRestorerRow,
    find_detector,
)
from paintdiff.models.registry.families import Family
from paintdiff.models.registry.model_rows import ModelRow, ModelText, QualityFigures, make_model_row
from paintdiff.models.registry.upscaler_rows import UpscalerRow, add_files

logger = logging.getLogger(__name__)

_DESCRIBED = ("lora", "embedding")
"""The kinds of files that other programs describe in files beside them."""
_MAX_SIDECAR_REASON = 200

RowT = TypeVar("RowT", bound=WeightsRow)


@dataclass(frozen=True)
class Problem:
    """A file in a models folder that is left out, and why."""

    path: Path
    reason: str

    @classmethod
    def of(cls, path: Path, error: object) -> Problem:
        """A problem whose reason may quote what a stranger wrote: without control characters and
        halves of letters, and cut to a length.
        """
        return cls(path, plain_text(str(error), MAX_REASON_CHARACTERS))

    def log(self) -> None:
        """Write it to the log, on one line whatever the path is."""
        logger.warning("%r was left out: %s", str(self.path), self.reason)


@dataclass(frozen=True)
class FoundRows:
    """The rows of a catalog, those of a kind in the order in which they are offered.

    `gone` are the places of files that have gone, by kind (`WeightsRow.what`) and name; `folders`
    are the models folders.
    """

    rows: tuple[WeightsRow, ...] = ()
    problems: tuple[Problem, ...] = ()
    gone: Mapping[str, Mapping[str, Path]] = field(default_factory=dict[str, Mapping[str, Path]])
    folders: tuple[Path, ...] = ()

    def of(self, kind: type[RowT]) -> tuple[RowT, ...]:
        """Return the rows of a kind."""
        return tuple(row for row in self.rows if isinstance(row, kind))


def unet_widths(families: Mapping[str, Family]) -> dict[int, str]:
    """The families of UNets by how many numbers stand for a word: the usual ones, and what the
    table of families says.
    """
    own = {
        row.cross_attention_dim: name
        for name, row in families.items()
        if name in UNET_WIDTHS.values() and row.cross_attention_dim is not None
    }
    return {**UNET_WIDTHS, **own}


@dataclass
class _Sorted:
    """What was found, by what it is."""

    items: dict[str, list[FoundItem]] = field(default_factory=dict[str, list[FoundItem]])
    pipelines: list[FoundFolder] = field(default_factory=list[FoundFolder])
    problems: list[Problem] = field(default_factory=list[Problem])

    def of(self, *kinds: str) -> list[FoundItem]:
        return [item for kind in kinds for item in self.items.get(kind, ())]

    def put(self, kind: str, item: FoundItem) -> None:
        self.items.setdefault(kind, []).append(item)

    @contextmanager
    def costs_only(self, path: Path) -> Generator[None]:
        """What goes wrong inside costs what is at this path, which is then among the problems."""
        try:
            yield
        except (ModelError, PresetError, RequestError) as error:
            self.problems.append(Problem.of(path, error))
        except Exception as error:
            logger.exception("%r can't be listed", str(path))
            reason = f"it can't be used ({type(error).__name__}: {error})"
            self.problems.append(Problem.of(path, reason))


class RowBuilder:
    """Makes rows of what was found. `shipped` are the rows that are there without any folder,
    `general` the figures of each quality preset, `names` are those that were given before.
    """

    def __init__(
        self,
        shipped: FoundRows,
        families: Mapping[str, Family],
        general: Mapping[str, QualityFigures],
        known: DetectionCache,
        names: PermanentNames,
    ) -> None:
        self._shipped = shipped
        self._families = families
        self._general = general
        self._known = known
        self._names = names
        self._folders: tuple[Path, ...] = ()
        self._gone: dict[str, Mapping[str, Path]] = {}

    def shelved(self, found: ScanResult, models_dirs: Sequence[Path]) -> FoundRows:
        """The shipped rows and those of what was found. What can't be used is among the
        problems.
        """
        sorted_ = self._sorted(found)
        self._folders, self._gone = tuple(models_dirs), {}

        def rows(what: str, kind: str, made: Callable[[FoundItem, str], RowT]) -> tuple[RowT, ...]:
            return self._rows(what, sorted_, kind, made)

        encoders = sorted_.of("image_encoder")
        all_rows: tuple[WeightsRow, ...] = (
            *self._models(sorted_),
            *self._controlnets(sorted_),
            *self._upscalers(sorted_, models_dirs),
            *self._face_restorers(sorted_, found.detectors),
            *rows(LoraRow.what, "lora", partial(make_lora_row, families=self._families)),
            *rows(EmbeddingRow.what, "embedding", make_embedding_row),
            *rows(VaeRow.what, "vae", make_vae_row),
            *rows(TinyAutoencoderRow.what, "tiny_autoencoder", make_tiny_row),
            *rows(IpAdapterRow.what, "ip_adapter", partial(make_ip_adapter_row, encoders=encoders)),
        )
        return FoundRows(all_rows, tuple(sorted_.problems), self._gone, self._folders)

    def _named(
        self, what: str, fingerprints: Mapping[Path, str], taken: Iterable[str] = ()
    ) -> Mapping[Path, str]:
        named = self._names.named(what, fingerprints, taken, self._folders)
        self._gone[what] = named.gone
        return named.names

    def _sorted(self, found: ScanResult) -> _Sorted:
        sorted_ = _Sorted()
        sorted_.problems += (Problem.of(each.path, each.reason) for each in found.unusable)
        self._known.expect(found.files)
        for file in found.files:
            known = self._known.known(file.path, file.size_bytes, file.mtime_ns)
            kind = known.recognized.kind
            if kind == "unknown" and file.role == "upscaler" and not known.unsafe:
                kind = "upscaler"  # there are more architectures than are told apart here
            if kind in ("unknown", "text_encoder"):
                sorted_.problems.append(Problem.of(file.path, known.recognized.reason))
            else:
                said = _said_of(file, known, sorted_) if kind in _DESCRIBED else known.said
                sorted_.put(kind, make_file_item(file, known, said))
        for folder in found.folders:
            if folder.pipeline:
                sorted_.pipelines.append(folder)
                continue
            with sorted_.costs_only(folder.path):
                part = detect_part(folder.path)
                if part.kind == "unknown":
                    sorted_.problems.append(Problem.of(folder.path, part.reason))
                else:
                    sorted_.put(part.kind, make_folder_item(folder, part))
        return sorted_

    def _rows(
        self, what: str, sorted_: _Sorted, kind: str, made: Callable[[FoundItem, str], RowT]
    ) -> tuple[RowT, ...]:
        items = sorted_.of(kind)
        names = self._named(what, _fingerprints(items))
        rows: list[RowT] = []
        for item in items:
            with sorted_.costs_only(item.path):
                rows.append(made(item, names[item.path]))
        return tuple(sorted(rows, key=lambda row: (row.name.casefold(), row.name)))

    def _models(self, sorted_: _Sorted) -> tuple[ModelRow, ...]:
        items = sorted_.of("checkpoint", "denoiser")
        usable = [item for item in items if self._has_family(item, sorted_)]
        texts = {item.path: self._file_text(item) for item in usable}
        stamps = {item.path: (item.fingerprint, item.size_bytes) for item in usable}
        for folder in sorted_.pipelines:
            with sorted_.costs_only(folder.path):
                family = detect_folder_family(folder.path, self._families)
                texts[folder.path] = {"family": family.name, "description": family.notice}
                stamps[folder.path] = (folder.fingerprint, folder.size_bytes)
        paths = sorted(texts, key=lambda path: path.parts)
        names = self._named(
            ModelRow.what,
            {path: stamps[path][0] for path in paths},
            (row.name for row in self._shipped.of(ModelRow)),
        )
        rows = list(self._shipped.of(ModelRow))
        parts = {item.path: item.recognized.parts for item in usable}
        aliases = {item.path: aliases_of(item) for item in usable}
        for path in paths:
            said = {"name": names[path], "title": names[path], "source": str(path)}
            more = {
                "fingerprint": stamps[path][0],
                "size_bytes": stamps[path][1],
                "parts": parts.get(path, ()),
                "aliases": aliases.get(path, ()),
            }
            with sorted_.costs_only(path):
                text = ModelText.model_validate({**said, **texts[path]})
                row = make_model_row(text, self._families[text.family], self._general)
                rows.append(row.model_copy(update=more))
        return tuple(rows)

    def _file_text(self, item: FoundItem) -> dict[str, object]:
        said = item.said
        only = (
            "Only a denoiser, without VAE and text encoders. "
            if item.recognized.kind == "denoiser"
            else ""
        )
        return {
            "family": item.recognized.family,
            "prediction_type": item.recognized.prediction_type,
            "zero_terminal_snr": item.recognized.zero_terminal_snr,
            "licence": said.licence,
            "description": (only + said.description).strip(),
        }

    def _has_family(self, item: FoundItem, sorted_: _Sorted) -> bool:
        family = item.recognized.family
        if family in self._families:
            return True
        reason = item.recognized.reason
        if family is not None:
            reason = f"it is of the family {family!r}, which isn't supported ({reason})"
        sorted_.problems.append(Problem.of(item.path, reason))
        return False

    def _controlnets(self, sorted_: _Sorted) -> tuple[ControlNetRow, ...]:
        items = sorted(sorted_.of("controlnet"), key=lambda item: item.path.parts)
        shipped = self._shipped.of(ControlNetRow)
        rows: list[ControlNetRow] = []
        usable = [item for item in items if item.file is None or self._has_family(item, sorted_)]
        names = self._named(
            ControlNetRow.what, _fingerprints(usable), (row.name for row in shipped)
        )
        for item in usable:
            family = self._families.get(item.recognized.family or "")
            name, source = names[item.path], str(item.path)
            with sorted_.costs_only(item.path):
                row = (
                    make_controlnet_row(source, self._families, {}, name)
                    if family is None
                    else ControlNetRow(name=name, title=name, family=family, source=source)
                )
                rows.append(row.model_copy(update=stamp(item)))
        return (*shipped, *rows)

    def _upscalers(self, sorted_: _Sorted, models_dirs: Sequence[Path]) -> tuple[UpscalerRow, ...]:
        items = {item.path: item for item in sorted_.of("upscaler")}
        fingerprints = _fingerprints(items.values())

        def named(paths: Iterable[Path], taken: Iterable[str]) -> Mapping[Path, str]:
            return self._named(
                UpscalerRow.what, {path: fingerprints[path] for path in paths}, taken
            )

        rows = add_files(self._shipped.of(UpscalerRow), list(items), models_dirs, named)
        stamped: list[UpscalerRow] = []
        for row in rows:
            item = items.get(row.file)
            if item is None:
                stamped.append(row)
            else:
                own = stamp(item) if row.address is None else {"fingerprint": item.fingerprint}
                stamped.append(row.model_copy(update=own))
        return tuple(stamped)

    def _face_restorers(
        self, sorted_: _Sorted, detectors: Sequence[tuple[Path, str]]
    ) -> tuple[FaceRestorerRow, ...]:
        stamps: dict[Path, str] = {}
        for path, fingerprint in detectors:
            with sorted_.costs_only(path):
                if find_detector([path]):
                    check_onnx(path, MAX_DETECTOR_BYTES)
                    stamps[path] = fingerprint
        detector = find_detector(stamps)
        items = sorted_.of("face_restorer")
        if detector is None:
            reason = "it needs a face detector, face_detection_yunet_*.onnx, and none was found"
            sorted_.problems += (Problem.of(item.path, reason) for item in items)
        names = self._named(FaceRestorerRow.what, _fingerprints(items))
        return tuple(
            FaceRestorerRow(
                name=names[item.path],
                title=names[item.path],
                source=str(item.path),
                detector=detector,
                fingerprint=both_stamps(item, detector and stamps[detector]),
                size_bytes=item.size_bytes,
                aliases=aliases_of(item),
            )
            for item in items
        )


def _said_of(file: FoundFile, known: Known, sorted_: _Sorted) -> SidecarMetadata:
    """Return what a file and those beside it say of it. One beside it that can't be read is among
    the problems.
    """

    def refused(path: Path, reason: str) -> None:
        also = f"{file.path.name} can be used without what this file says of it"
        sorted_.problems.append(Problem.of(path, f"{reason[:_MAX_SIDECAR_REASON]}. {also}."))

    return read_sidecar((path for path, _time in file.sidecars), refused).over(known.said)


def _fingerprints(items: Iterable[FoundItem]) -> dict[Path, str]:
    return {item.path: item.fingerprint for item in items}

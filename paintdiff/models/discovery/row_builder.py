"""Turns the content of models folders into the rows of the catalog. Importable without torch."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from paintdiff.errors import ModelError, PresetError, RequestError
from paintdiff.models.discovery import messages
from paintdiff.models.discovery.adapter_row_builders import (
    ADAPTER_KINDS,
    AdapterKind,
    FoundItem,
    RowContext,
    combine_fingerprints,
    list_aliases,
    make_file_item,
    make_folder_item,
    make_stamp,
)
from paintdiff.models.discovery.detection_cache import DetectionCache
from paintdiff.models.discovery.diffusers_folders import detect_folder_family, detect_part
from paintdiff.models.discovery.inspection import InspectedFile
from paintdiff.models.discovery.permanent_names import PermanentNames
from paintdiff.models.discovery.scanning import FoundFile, FoundFolder, ScanResult
from paintdiff.models.discovery.sidecars import SidecarMetadata, clean_text, read_sidecar
from paintdiff.models.formats.limits import MAX_REASON_CHARACTERS
from paintdiff.models.formats.onnx_files import check_onnx
from paintdiff.models.formats.tensor_inventory import UNET_WIDTHS
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

_DESCRIBED = {kind.detected_as for kind in ADAPTER_KINDS if kind.described}
_MAX_SIDECAR_REASON = 200

RowT = TypeVar("RowT", bound=WeightsRow)


@dataclass(frozen=True)
class Problem:
    """An unusable file in a models folder, and why."""

    path: Path
    reason: str

    @classmethod
    def of(cls, path: Path, error: object) -> Problem:
        """Create a problem. Its reason may quote untrusted text, so it is cleaned and cut."""
        return cls(path, clean_text(str(error), MAX_REASON_CHARACTERS))

    def log(self) -> None:
        """Log it on one line, whatever the path is."""
        logger.warning("%r is unusable: %s", str(self.path), self.reason)


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


def map_unet_widths(families: Mapping[str, Family]) -> dict[int, str]:
    """Map text-embedding widths to families of UNets: the defaults, and those of `families`."""
    own = {
        row.cross_attention_dim: name
        for name, row in families.items()
        if name in UNET_WIDTHS.values() and row.cross_attention_dim is not None
    }
    return {**UNET_WIDTHS, **own}


@dataclass
class _SortedItems:
    """Discovered items by kind."""

    items: dict[str, list[FoundItem]] = field(default_factory=dict[str, list[FoundItem]])
    pipelines: list[FoundFolder] = field(default_factory=list[FoundFolder])
    problems: list[Problem] = field(default_factory=list[Problem])

    def list_items(self, *kinds: str) -> list[FoundItem]:
        return [item for kind in kinds for item in self.items.get(kind, ())]

    def put(self, kind: str, item: FoundItem) -> None:
        self.items.setdefault(kind, []).append(item)

    @contextmanager
    def collect_problems(self, path: Path) -> Generator[None]:
        """Add an error inside the block to the problems, as one of this path."""
        try:
            yield
        except (ModelError, PresetError, RequestError) as error:
            self.problems.append(Problem.of(path, error))
        except Exception as error:
            logger.exception("%r can't be listed", str(path))
            reason = messages.use_failed(type(error).__name__, error)
            self.problems.append(Problem.of(path, reason))


class RowBuilder:
    """Builds rows of discovered files.

    `shipped` are the rows that exist without any folder, `general` the figures of each quality
    preset, `names` the names assigned before.
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

    def build(self, found: ScanResult, models_dirs: Sequence[Path]) -> FoundRows:
        """Return the shipped rows and those of a scan's results. Unusable files become problems."""
        sorting = self._sort(found)
        self._folders, self._gone = tuple(models_dirs), {}

        context = RowContext(self._families, sorting.list_items("image_encoder"))
        all_rows: tuple[WeightsRow, ...] = (
            *self._build_models(sorting),
            *self._build_controlnets(sorting),
            *self._build_upscalers(sorting, models_dirs),
            *self._build_face_restorers(sorting, found.detectors),
            *(row for kind in ADAPTER_KINDS for row in self._build_kind(kind, sorting, context)),
        )
        return FoundRows(all_rows, tuple(sorting.problems), self._gone, self._folders)

    def _assign_names(
        self, what: str, fingerprints: Mapping[Path, str], taken: Iterable[str] = ()
    ) -> Mapping[Path, str]:
        named = self._names.assign(what, fingerprints, taken, self._folders)
        self._gone[what] = named.gone
        return named.names

    def _sort(self, found: ScanResult) -> _SortedItems:
        sorting = _SortedItems()
        sorting.problems += (Problem.of(each.path, each.reason) for each in found.unusable)
        self._known.expect(found.files)
        for file in found.files:
            known = self._known.inspect(file.path, file.size_bytes, file.mtime_ns)
            kind = known.detected.kind
            if kind == "unknown" and file.role == "upscaler" and not known.unsafe:
                kind = "upscaler"  # some supported architectures aren't detected
            if kind in ("unknown", "text_encoder"):
                sorting.problems.append(Problem.of(file.path, known.detected.reason))
            else:
                said = (
                    _read_metadata(file, known, sorting) if kind in _DESCRIBED else known.metadata
                )
                sorting.put(kind, make_file_item(file, known, said))
        for folder in found.folders:
            if folder.pipeline:
                sorting.pipelines.append(folder)
                continue
            with sorting.collect_problems(folder.path):
                part = detect_part(folder.path)
                if part.kind == "unknown":
                    sorting.problems.append(Problem.of(folder.path, part.reason))
                else:
                    sorting.put(part.kind, make_folder_item(folder, part))
        return sorting

    def _build_kind(
        self, kind: AdapterKind, sorting: _SortedItems, context: RowContext
    ) -> tuple[WeightsRow, ...]:
        items = sorting.list_items(kind.detected_as)
        shipped = self._shipped.of(kind.row_class)
        names = self._assign_names(
            kind.row_class.what, _map_fingerprints(items), (row.name for row in shipped)
        )
        rows: list[WeightsRow] = []
        for item in items:
            with sorting.collect_problems(item.path):
                rows.append(kind.make_row(item, names[item.path], context))
        return (*shipped, *sorted(rows, key=lambda row: (row.name.casefold(), row.name)))

    def _build_models(self, sorting: _SortedItems) -> tuple[ModelRow, ...]:
        items = sorting.list_items("checkpoint", "denoiser")
        usable = [item for item in items if self._has_family(item, sorting)]
        texts = {item.path: self._describe_file(item) for item in usable}
        stamps = {item.path: (item.fingerprint, item.size_bytes) for item in usable}
        for folder in sorting.pipelines:
            with sorting.collect_problems(folder.path):
                family = detect_folder_family(folder.path, self._families)
                texts[folder.path] = {"family": family.name, "description": family.notice}
                stamps[folder.path] = (folder.fingerprint, folder.size_bytes)
        paths = sorted(texts, key=lambda path: path.parts)
        names = self._assign_names(
            ModelRow.what,
            {path: stamps[path][0] for path in paths},
            (row.name for row in self._shipped.of(ModelRow)),
        )
        rows = list(self._shipped.of(ModelRow))
        parts = {item.path: item.detected.parts for item in usable}
        aliases = {item.path: list_aliases(item) for item in usable}
        for path in paths:
            said = {"name": names[path], "title": names[path], "source": str(path)}
            more = {
                "fingerprint": stamps[path][0],
                "size_bytes": stamps[path][1],
                "parts": parts.get(path, ()),
                "aliases": aliases.get(path, ()),
            }
            with sorting.collect_problems(path):
                text = ModelText.model_validate({**said, **texts[path]})
                row = make_model_row(text, self._families[text.family], self._general)
                rows.append(row.model_copy(update=more))
        return tuple(rows)

    def _describe_file(self, item: FoundItem) -> dict[str, object]:
        metadata = item.metadata
        only = messages.ONLY_A_DENOISER + " " if item.detected.kind == "denoiser" else ""
        return {
            "family": item.detected.family,
            "prediction_type": item.detected.prediction_type,
            "zero_terminal_snr": item.detected.zero_terminal_snr,
            "licence": metadata.licence,
            "description": (only + metadata.description).strip(),
        }

    def _has_family(self, item: FoundItem, sorting: _SortedItems) -> bool:
        family = item.detected.family
        if family in self._families:
            return True
        reason = item.detected.reason
        if family is not None:
            reason = messages.of_unsupported_family(family, reason)
        sorting.problems.append(Problem.of(item.path, reason))
        return False

    def _build_controlnets(self, sorting: _SortedItems) -> tuple[ControlNetRow, ...]:
        items = sorted(sorting.list_items("controlnet"), key=lambda item: item.path.parts)
        shipped = self._shipped.of(ControlNetRow)
        rows: list[ControlNetRow] = []
        usable = [item for item in items if item.file is None or self._has_family(item, sorting)]
        names = self._assign_names(
            ControlNetRow.what, _map_fingerprints(usable), (row.name for row in shipped)
        )
        for item in usable:
            family = self._families.get(item.detected.family or "")
            name, source = names[item.path], str(item.path)
            with sorting.collect_problems(item.path):
                row = (
                    make_controlnet_row(source, self._families, {}, name)
                    if family is None
                    else ControlNetRow(name=name, title=name, family=family, source=source)
                )
                rows.append(row.model_copy(update=make_stamp(item)))
        return (*shipped, *rows)

    def _build_upscalers(
        self, sorting: _SortedItems, models_dirs: Sequence[Path]
    ) -> tuple[UpscalerRow, ...]:
        items = {item.path: item for item in sorting.list_items("upscaler")}
        fingerprints = _map_fingerprints(items.values())

        def assign(paths: Iterable[Path], taken: Iterable[str]) -> Mapping[Path, str]:
            return self._assign_names(
                UpscalerRow.what, {path: fingerprints[path] for path in paths}, taken
            )

        rows = add_files(self._shipped.of(UpscalerRow), list(items), models_dirs, assign)
        stamped: list[UpscalerRow] = []
        for row in rows:
            item = items.get(row.file)
            if item is None:
                stamped.append(row)
            else:
                own = make_stamp(item) if row.address is None else {"fingerprint": item.fingerprint}
                stamped.append(row.model_copy(update=own))
        return tuple(stamped)

    def _build_face_restorers(
        self, sorting: _SortedItems, detectors: Sequence[tuple[Path, str]]
    ) -> tuple[FaceRestorerRow, ...]:
        stamps: dict[Path, str] = {}
        for path, fingerprint in detectors:
            with sorting.collect_problems(path):
                if find_detector([path]):
                    check_onnx(path, MAX_DETECTOR_BYTES)
                    stamps[path] = fingerprint
        detector = find_detector(stamps)
        items = sorting.list_items("face_restorer")
        if detector is None:
            reason = messages.NEEDS_FACE_DETECTOR
            sorting.problems += (Problem.of(item.path, reason) for item in items)
        names = self._assign_names(FaceRestorerRow.what, _map_fingerprints(items))
        return tuple(
            FaceRestorerRow(
                name=names[item.path],
                title=names[item.path],
                source=str(item.path),
                detector=detector,
                fingerprint=combine_fingerprints(item, detector and stamps[detector]),
                size_bytes=item.size_bytes,
                aliases=list_aliases(item),
            )
            for item in items
        )


def _read_metadata(file: FoundFile, known: InspectedFile, sorting: _SortedItems) -> SidecarMetadata:
    """Return the metadata of a file and its sidecars. An unreadable sidecar becomes a problem."""

    def on_refused(path: Path, reason: str) -> None:
        text = messages.usable_without(reason[:_MAX_SIDECAR_REASON], file.path.name)
        sorting.problems.append(Problem.of(path, text))

    return read_sidecar((path for path, _time in file.sidecars), on_refused).fill_from(
        known.metadata
    )


def _map_fingerprints(items: Iterable[FoundItem]) -> dict[Path, str]:
    return {item.path: item.fingerprint for item in items}

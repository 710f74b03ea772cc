"""The catalog as the Models tab lists it: kinds, filters and descriptions.

Texts come from strangers (file names and what is written in files), so whoever puts them on a page
has to escape them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from paintdiff.byte_sizes import format_byte_size
from paintdiff.config.presets import make_unknown_name_error
from paintdiff.models.catalog.disk_usage import (
    Removal,
    find_place,
    has_hub_token,
    is_from_hub,
    is_shipped,
    measure_size,
    plan_removal,
)
from paintdiff.models.registry.adapter_rows import (
    EmbeddingRow,
    FittingRow,
    IpAdapterRow,
    LoraRow,
    TinyAutoencoderRow,
    VaeRow,
)
from paintdiff.models.registry.base_rows import SourceRow, WeightsRow
from paintdiff.models.registry.controlnet_rows import ControlNetRow
from paintdiff.models.registry.face_restorer_rows import FaceRestorerRow
from paintdiff.models.registry.model_rows import ModelRow
from paintdiff.models.registry.upscaler_rows import UpscalerRow
from paintdiff.ui.model_browser import messages

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.catalog.disk_usage import LoadedSummary
    from paintdiff.models.hub.downloads import DownloadState
    from paintdiff.ui.common.context import PageContext

ALL = "all"

GOING_ON = ("waiting", "running")
"""The states of a download that hasn't ended."""


@dataclass(frozen=True)
class ListingKind:
    """One kind of weights.

    `rows` returns its rows from a catalog; a `rare` kind is only offered if it has any.
    """

    row_class: type[WeightsRow]
    rare: bool = False

    @property
    def name(self) -> str:
        """Return its identifier, for instance "ip_adapter"."""
        return self.row_class.what.casefold().replace(" ", "_").replace("-", "_")

    @property
    def singular(self) -> str:
        """Return its title for one, for instance "IP-Adapter"."""
        what = self.row_class.what
        return what[0].upper() + what[1:]

    @property
    def plural(self) -> str:
        """Return its title for several."""
        return f"{self.singular}s"

    def rows(self, catalog: Catalog) -> Sequence[WeightsRow]:
        """Return those of a catalog; models on this machine come first."""
        rows = catalog.rows(self.row_class)
        return sorted(rows, key=lambda row: isinstance(row, ModelRow) and not row.is_here)


KINDS: Mapping[str, ListingKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ListingKind(ModelRow),
            ListingKind(LoraRow),
            ListingKind(EmbeddingRow),
            ListingKind(VaeRow),
            ListingKind(ControlNetRow),
            ListingKind(UpscalerRow),
            ListingKind(IpAdapterRow, rare=True),
            ListingKind(TinyAutoencoderRow, rare=True),
            ListingKind(FaceRestorerRow, rare=True),
        )
    }
)
"""The kinds, in the order in which they are listed."""

Found = tuple[ListingKind, WeightsRow]


@dataclass(frozen=True)
class ListingItem:
    """One row of the catalog, described; "" means unknown.

    `where` is a path as visitors may see it, or says that it isn't here; `cannot` says why it can't
    be used here. `words` are trigger words besides its own tag; `preview` is when its preview
    picture was written (0 without one). `loaded` is its memory. `fetch` is the size of a download,
    "" if none is possible; `fetching` means that one is running; `removal` is what Delete would
    remove.
    """

    kind: ListingKind
    row: WeightsRow
    family: str
    size: str
    where: str
    needs: str
    source: str
    cannot: str
    words: tuple[str, ...]
    preview: int
    loaded: LoadedSummary | None
    is_default: bool
    is_pinned: bool
    fetch: str
    fetching: bool
    removal: Removal | None


class ModelListing:
    """The listing of the catalog's current content."""

    def __init__(self, context: PageContext) -> None:
        self._context = context

    @property
    def _catalog(self) -> Catalog:
        return self._context.engine.manager.catalog

    def row(self, kind: object, name: object) -> WeightsRow:
        """Return the row that a page names by kind and name.

        Raises:
            UnknownNameError: There is no such row.
        """
        of_kind = KINDS.get(kind) if isinstance(kind, str) else None
        if of_kind is None:
            raise make_unknown_name_error("kind", str(kind), tuple(KINDS))
        rows = {row.name: row for row in of_kind.rows(self._catalog)}
        found = rows.get(name) if isinstance(name, str) else None
        if found is None:
            raise make_unknown_name_error(of_kind.singular, str(name), rows)
        return found

    def find(self, words: str) -> dict[str, list[Found]]:
        """Return, by kind, the rows that contain all of the words; models first.

        Within a kind they are in the catalog's order, but rows too large for this machine come
        last.
        """
        wanted = words.casefold().split()
        catalog, titles = self._catalog, self.family_titles()
        budget_bytes = self._context.engine.manager.memory.budget_bytes()
        return {
            kind.name: [
                (kind, row)
                for row in sorted(
                    kind.rows(catalog), key=lambda row: _is_too_large(row, budget_bytes)
                )
                if not wanted or _has_all(wanted, kind, row, titles)
            ]
            for kind in KINDS.values()
        }

    def describe(self, found: Sequence[Found]) -> list[ListingItem]:
        """Describe some rows. This reads their files, so pass few at a time."""
        loaded = {
            (each.what, each.name): each for each in self._context.engine.manager.cache.loaded()
        }
        fetching = self.list_fetching()
        return [
            self._item(kind, row, loaded.get((row.what, row.name)), fetching=row.source in fetching)
            for kind, row in found
        ]

    def list_downloads(self) -> list[DownloadState]:
        """Return the downloads to show: the newest of each repository."""
        downloads = self._context.downloads
        states = () if downloads is None else downloads.all()
        return list({each.hub_id: each for each in states}.values())

    def list_fetching(self) -> frozenset[str]:
        """Return the Hugging Face ids that are being downloaded."""
        return frozenset(each.hub_id for each in self.list_downloads() if each.state in GOING_ON)

    def family_titles(self) -> dict[str, str]:
        """Return the families' titles, by name."""
        return {name: family.title for name, family in self._catalog.families().items()}

    def _item(
        self, kind: ListingKind, row: WeightsRow, loaded: LoadedSummary | None, *, fetching: bool
    ) -> ListingItem:
        context = self._context
        place = find_place(row)
        cannot = self._cannot(row, place)
        removal = plan_removal(row, context.models_dirs) if context.can_manage else ""
        return ListingItem(
            kind=kind,
            row=row,
            family=self._family(row),
            size=_size_text(row),
            where=self._where(row, place),
            needs=_describe_needs(row),
            source=_source(row),
            cannot=cannot,
            words=trigger_words(row),
            preview=_preview_stamp(row),
            loaded=loaded,
            is_default=kind.name == "model" and row.name == context.default_model,
            is_pinned=kind.name == "model" and row.name == context.pinned_model,
            fetch="" if cannot or fetching else self._fetch(row, place),
            fetching=fetching,
            removal=removal if isinstance(removal, Removal) else None,
        )

    def _fetch(self, row: WeightsRow, place: Path | None) -> str:
        """Return the size of a download, "" if the page can't start one."""
        context = self._context
        if context.downloads is None or not context.can_manage:
            return ""
        if not isinstance(row, ModelRow) or not is_from_hub(row) or place is not None:
            return ""
        return format_byte_size(row.download_bytes) if row.download_bytes else messages.EVERYTHING

    def _cannot(self, row: WeightsRow, place: Path | None) -> str:
        """Return why it can't be used on this machine, "" if it probably can."""
        if isinstance(row, UpscalerRow) and row.address is not None:
            return ""  # is fetched when it is first used
        if place is None and not is_from_hub(row):
            return messages.no_longer_exists(self._context.shown_path(Path(row.source)))
        if isinstance(row, IpAdapterRow) and row.image_encoder is None:
            return messages.NO_IMAGE_ENCODER
        if not isinstance(row, ModelRow):
            return ""
        budget_bytes = self._context.engine.manager.memory.budget_bytes()
        if _is_too_large(row, budget_bytes):
            return messages.needs_more_memory(
                format_byte_size(row.least_memory_bytes), format_byte_size(budget_bytes)
            )
        if place is None and row.gated and not has_hub_token():
            return messages.GATED
        return ""

    def _where(self, row: WeightsRow, place: Path | None) -> str:
        if is_shipped(row):
            return messages.COMES_WITH_THE_APP
        if place is not None:
            return self._context.shown_path(place)
        if is_from_hub(row):
            return messages.on_hugging_face(_format_size(int(getattr(row, "download_bytes", 0))))
        if isinstance(row, UpscalerRow) and row.address is not None:
            return messages.on_the_internet(_format_size(row.size_bytes))
        return messages.missing_from(self._context.shown_path(Path(row.source)))

    def _family(self, row: WeightsRow) -> str:
        titles = self.family_titles()
        return ", ".join(titles.get(name, name) for name in _fitting_families(row))


def _is_too_large(row: WeightsRow, budget_bytes: int) -> bool:
    return isinstance(row, ModelRow) and row.least_memory_bytes > budget_bytes


def _fitting_families(row: WeightsRow) -> tuple[str, ...]:
    """Return the names of the families that a row fits; () if unknown or irrelevant."""
    if isinstance(row, FittingRow):
        return row.families
    return (row.family.name,) if isinstance(row, SourceRow) else ()


def trigger_words(row: WeightsRow) -> tuple[str, ...]:
    """Return the trigger words of a LoRA or an embedding, besides its own tag."""
    if not isinstance(row, (LoraRow, EmbeddingRow)):
        return ()
    return tuple(word.strip() for word in row.trigger_words if word.strip())


def _has_all(
    wanted: Sequence[str], kind: ListingKind, row: WeightsRow, titles: Mapping[str, str]
) -> bool:
    families = _fitting_families(row)
    named = (row.name, row.title, kind.singular, *families, *trigger_words(row))
    text = " ".join((*named, *(titles.get(name, "") for name in families))).casefold()
    return all(word in text for word in wanted)


def _size_text(row: WeightsRow) -> str:
    return _format_size(measure_size(row))


def _format_size(size_bytes: int) -> str:
    return format_byte_size(size_bytes) if size_bytes else ""


def _describe_needs(row: WeightsRow) -> str:
    if isinstance(row, ModelRow) and row.least_memory_bytes:
        return messages.of_memory(format_byte_size(row.least_memory_bytes))
    if isinstance(row, (ModelRow, UpscalerRow)) or row.what == "ControlNet":
        size_bytes = measure_size(row)
        return messages.of_memory_or_more(format_byte_size(size_bytes)) if size_bytes else ""
    return ""


def _source(row: WeightsRow) -> str:
    """Return the source of a row; "" if only its place on disk is known."""
    if isinstance(row, UpscalerRow) and row.address is not None:
        return row.address
    if is_from_hub(row):
        revision = getattr(row, "revision", "")
        return messages.at_commit(row.source, revision)
    return "PaintDiffusion" if is_shipped(row) else ""


def _preview_stamp(row: WeightsRow) -> int:
    """Return when the row's preview picture was written, in nanoseconds; 0 if it has none."""
    if not isinstance(row, (LoraRow, EmbeddingRow)) or row.preview is None:
        return 0
    try:
        return row.preview.stat().st_mtime_ns
    except OSError:
        return 0

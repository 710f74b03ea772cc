"""The catalog as the Models tab lists it: kinds, what a filter finds, and each thing in words.

Whatever is said here is text of strangers (names of files, what is written in them), so it has to
be escaped by who puts it onto a page.
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

if TYPE_CHECKING:
    from paintdiff.models.catalog.catalog import Catalog
    from paintdiff.models.catalog.disk_usage import LoadedSummary
    from paintdiff.models.hub.downloads import DownloadState
    from paintdiff.ui.common.context import PageContext

ALL = "all"

GOING_ON = ("waiting", "running")
"""The states of a download that hasn't ended."""

GATED = (
    "This model is gated: accept its licence on Hugging Face, then start the app with your "
    "token in HF_TOKEN."
)


@dataclass(frozen=True)
class ListingKind:
    """One kind of weights. A `rare` kind is only offered where there is one."""

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
    """One thing of the catalog, in words; "" where there is nothing to say.

    `where` is a path as visitors may see it or says that it is elsewhere, `cannot` why it can't be
    used here. `words` are what a click puts into a prompt besides its own tag; `preview`, when its
    picture was written (0 for none). `loaded` is what it holds of the memory. `fetch` says what a
    download would bring, "" if there is none to be had; `fetching`, that it is on its way;
    `removal` is what could be deleted.
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
    """What the catalog of `parts` has now."""

    def __init__(self, parts: PageContext) -> None:
        self._parts = parts

    @property
    def _catalog(self) -> Catalog:
        return self._parts.engine.manager.catalog

    def row(self, kind: object, name: object) -> WeightsRow:
        """What a page calls by its kind and name. Raises UnknownNameError for anything else."""
        of_kind = KINDS.get(kind) if isinstance(kind, str) else None
        if of_kind is None:
            raise make_unknown_name_error("kind", str(kind), tuple(KINDS))
        rows = {row.name: row for row in of_kind.rows(self._catalog)}
        found = rows.get(name) if isinstance(name, str) else None
        if found is None:
            raise make_unknown_name_error(of_kind.singular, str(name), rows)
        return found

    def found(self, words: str) -> dict[str, list[Found]]:
        """By kind, the rows in which all of the words occur; models first. Within a kind they are
        in the catalog's order, but what this machine hasn't the memory for comes last."""
        wanted = words.casefold().split()
        catalog, titles = self._catalog, self.family_titles()
        budget_bytes = self._parts.engine.manager.memory.budget_bytes()
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

    def items(self, found: Sequence[Found]) -> list[ListingItem]:
        """All that is said about some rows. It looks at their files, so ask for few at a time."""
        loaded = {
            (each.what, each.name): each for each in self._parts.engine.manager.cache.loaded()
        }
        fetching = self.fetching()
        return [
            self._item(kind, row, loaded.get((row.what, row.name)), fetching=row.source in fetching)
            for kind, row in found
        ]

    def downloads(self) -> list[DownloadState]:
        """The downloads to speak of: of each repository the newest."""
        downloads = self._parts.downloads
        states = () if downloads is None else downloads.all()
        return list({each.hub_id: each for each in states}.values())

    def fetching(self) -> frozenset[str]:
        """The hub ids that are on their way."""
        return frozenset(each.hub_id for each in self.downloads() if each.state in GOING_ON)

    def family_titles(self) -> dict[str, str]:
        """What the families are called."""
        return {name: family.title for name, family in self._catalog.families().items()}

    def _item(
        self, kind: ListingKind, row: WeightsRow, loaded: LoadedSummary | None, *, fetching: bool
    ) -> ListingItem:
        parts = self._parts
        place = find_place(row)
        cannot = self._cannot(row, place)
        removal = plan_removal(row, parts.models_dirs) if parts.may_manage else ""
        return ListingItem(
            kind=kind,
            row=row,
            family=self._family(row),
            size=_size_text(row),
            where=self._where(row, place),
            needs=_needs(row),
            source=_source(row),
            cannot=cannot,
            words=trigger_words_of(row),
            preview=_preview_stamp(row),
            loaded=loaded,
            is_default=kind.name == "model" and row.name == parts.default_model,
            is_pinned=kind.name == "model" and row.name == parts.pinned_model,
            fetch="" if cannot or fetching else self._fetch(row, place),
            fetching=fetching,
            removal=removal if isinstance(removal, Removal) else None,
        )

    def _fetch(self, row: WeightsRow, place: Path | None) -> str:
        """What a download would bring, "" if the page can't start one."""
        parts = self._parts
        if parts.downloads is None or not parts.may_manage:
            return ""
        if not isinstance(row, ModelRow) or not is_from_hub(row) or place is not None:
            return ""
        return format_byte_size(row.download_bytes) if row.download_bytes else "everything"

    def _cannot(self, row: WeightsRow, place: Path | None) -> str:
        """Why it can't be used on this machine, "" if it can as far as can be told."""
        if isinstance(row, UpscalerRow) and row.address is not None:
            return ""  # is fetched when it is first used
        if place is None and not is_from_hub(row):
            return f"{self._parts.shown_path(Path(row.source))} no longer exists."
        if isinstance(row, IpAdapterRow) and row.image_encoder is None:
            return "Its image encoder is missing. Put it beside the file."
        if not isinstance(row, ModelRow):
            return ""
        budget_bytes = self._parts.engine.manager.memory.budget_bytes()
        if _is_too_large(row, budget_bytes):
            return (
                f"Needs {format_byte_size(row.least_memory_bytes)} of memory; "
                f"{format_byte_size(budget_bytes)} is available here."
            )
        if place is None and row.gated and not has_hub_token():
            return GATED
        return ""

    def _where(self, row: WeightsRow, place: Path | None) -> str:
        if is_shipped(row):
            return "comes with the app"
        if place is not None:
            return self._parts.shown_path(place)
        if is_from_hub(row):
            return f"on Hugging Face{_to_fetch(int(getattr(row, 'download_bytes', 0)))}"
        if isinstance(row, UpscalerRow) and row.address is not None:
            return f"on the internet{_to_fetch(row.size_bytes)} on first use"
        return f"missing from {self._parts.shown_path(Path(row.source))}"

    def _family(self, row: WeightsRow) -> str:
        titles = self.family_titles()
        return ", ".join(titles.get(name, name) for name in _families_of(row))


def _is_too_large(row: WeightsRow, budget_bytes: int) -> bool:
    return isinstance(row, ModelRow) and row.least_memory_bytes > budget_bytes


def _families_of(row: WeightsRow) -> tuple[str, ...]:
    """The names of the families that a row fits; none if nobody knows or it doesn't matter."""
    if isinstance(row, FittingRow):
        return row.families
    return (row.family.name,) if isinstance(row, SourceRow) else ()


def trigger_words_of(row: WeightsRow) -> tuple[str, ...]:
    """What calls a LoRA or an embedding up, besides its own tag."""
    if not isinstance(row, (LoraRow, EmbeddingRow)):
        return ()
    return tuple(word.strip() for word in row.trigger_words if word.strip())


def _has_all(
    wanted: Sequence[str], kind: ListingKind, row: WeightsRow, titles: Mapping[str, str]
) -> bool:
    families = _families_of(row)
    named = (row.name, row.title, kind.singular, *families, *trigger_words_of(row))
    text = " ".join((*named, *(titles.get(name, "") for name in families))).casefold()
    return all(word in text for word in wanted)


def _size_text(row: WeightsRow) -> str:
    size_bytes = measure_size(row)
    return format_byte_size(size_bytes) if size_bytes else ""


def _to_fetch(size_bytes: int) -> str:
    return f", {format_byte_size(size_bytes)} to download" if size_bytes else ""


def _needs(row: WeightsRow) -> str:
    if isinstance(row, ModelRow) and row.least_memory_bytes:
        return f"{format_byte_size(row.least_memory_bytes)} of memory"
    if isinstance(row, (ModelRow, UpscalerRow)) or row.what == "ControlNet":
        size_bytes = measure_size(row)
        return f"{format_byte_size(size_bytes)} of memory or more" if size_bytes else ""
    return ""


def _source(row: WeightsRow) -> str:
    """Where it is from; "" if all that is known is where it lies."""
    if isinstance(row, UpscalerRow) and row.address is not None:
        return row.address
    if is_from_hub(row):
        revision = getattr(row, "revision", "")
        return f"{row.source}, commit {revision[:8]}" if revision else row.source
    return "PaintDiffusion" if is_shipped(row) else ""


def _preview_stamp(row: WeightsRow) -> int:
    """When the row's preview picture was written, in nanoseconds; 0 if it has none."""
    if not isinstance(row, (LoraRow, EmbeddingRow)) or row.preview is None:
        return 0
    try:
        return row.preview.stat().st_mtime_ns
    except OSError:
        return 0

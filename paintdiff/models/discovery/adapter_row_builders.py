"""Builds rows of adapters, VAEs, embeddings and language models from what was discovered.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paintdiff.models.discovery.inspection import InspectedFile
from paintdiff.models.discovery.scanning import FoundFile, FoundFolder
from paintdiff.models.discovery.sidecars import SidecarMetadata
from paintdiff.models.formats.tensor_inventory import DetectedWeights, Kind
from paintdiff.models.registry.adapter_rows import (
    EmbeddingRow,
    IpAdapterRow,
    LoraRow,
    TinyAutoencoderRow,
    VaeRow,
)
from paintdiff.models.registry.base_rows import GENERAL_STEMS, WeightsRow, get_display_name
from paintdiff.models.registry.families import Family
from paintdiff.models.registry.language_model_rows import (
    LanguageModelRow,
    make_language_model_rows,
)

# A VAE's shapes don't tell its family, but the names of well-known ones do. The first entry that a
# name contains counts.
_TELLING_NAMES: Mapping[str, tuple[str, ...]] = {
    "taesdxl": ("sdxl", "sdxl-refiner", "pixart"),
    "taesd3": ("sd3",),
    "taef1": ("flux", "z-image"),
    "taesd": ("sd1", "sd2"),
    "sdxl": ("sdxl", "sdxl-refiner", "pixart"),
    "xl_vae": ("sdxl", "sdxl-refiner", "pixart"),
    "sd3": ("sd3",),
    "flux": ("flux", "z-image"),
    "vae-ft-": ("sd1", "sd2"),
    "kl-f8": ("sd1", "sd2"),
    "840000": ("sd1", "sd2"),
    "560000": ("sd1", "sd2"),
}


@dataclass(frozen=True)
class FoundItem:
    """A file, or a component's folder (`file` is None then), that becomes a row."""

    path: Path
    detected: DetectedWeights
    metadata: SidecarMetadata
    size_bytes: int
    fingerprint: str
    preview: Path | None
    file: FoundFile | None = None


@dataclass(frozen=True)
class RowContext:
    """What rows depend on besides their item: the families, and the image encoders of a scan."""

    families: Mapping[str, Family]
    encoders: Sequence[FoundItem] = ()


@dataclass(frozen=True)
class AdapterKind:
    """A kind of weights whose rows each follow from one item.

    Other programs write sidecars for the kinds that are `described`.
    """

    row_class: type[WeightsRow]
    detected_as: Kind
    make_row: Callable[[FoundItem, str, RowContext], WeightsRow]
    described: bool = False


def make_file_item(file: FoundFile, known: InspectedFile, metadata: SidecarMetadata) -> FoundItem:
    """Return the item of an inspected file. `metadata` is the file's own and its sidecars'."""
    fingerprint, found = file.fingerprint, known.detected
    return FoundItem(file.path, found, metadata, file.size_bytes, fingerprint, file.preview, file)


def make_folder_item(folder: FoundFolder, found: DetectedWeights) -> FoundItem:
    """Return the item of a component's folder."""
    fingerprint = folder.fingerprint
    return FoundItem(
        folder.path, found, SidecarMetadata(), folder.size_bytes, fingerprint, folder.preview
    )


def make_stamp(item: FoundItem) -> dict[str, object]:
    """Return a row's fields that identify the state of its files, and its aliases."""
    return {
        "fingerprint": item.fingerprint,
        "size_bytes": item.size_bytes,
        "aliases": list_aliases(item),
    }


def list_aliases(item: FoundItem) -> tuple[str, ...]:
    """List the name given in training, and the folder's name if the file's own is too general."""
    general = item.file is not None and item.path.stem.lower() in GENERAL_STEMS
    names = (item.metadata.name, item.path.parent.name if general else "")
    return tuple(filter(None, names))


def combine_fingerprints(item: FoundItem, other: str | None) -> str:
    """Return the fingerprint of an item loaded together with a second file, if any."""
    return item.fingerprint if other is None else f"{item.fingerprint}+{other}"


def make_lora_row(item: FoundItem, name: str, context: RowContext) -> LoraRow:
    """Return a LoRA's row. Its family is None if it isn't among `families`."""
    metadata = item.metadata
    return LoraRow.model_validate(
        {
            **_make_common_fields(item, name, metadata),
            "family": context.families.get(item.detected.family or ""),
            "trigger_words": metadata.trigger_words,
            "weight": metadata.weight,
            "preview": item.preview,
        }
    )


def make_embedding_row(item: FoundItem, name: str, _context: RowContext) -> EmbeddingRow:
    """Return an embedding's row."""
    metadata = item.metadata
    return EmbeddingRow.model_validate(
        {
            **_make_common_fields(item, name, metadata),
            "widths": item.detected.widths,
            "trigger_words": metadata.trigger_words,
            "preview": item.preview,
        }
    )


def make_vae_row(item: FoundItem, name: str, _context: RowContext) -> VaeRow:
    """Return a VAE's row."""
    return VaeRow.model_validate(
        {
            **_make_common_fields(item, name, item.metadata),
            "families": _select_families(item),
            "latent_channels": item.detected.latent_channels,
        }
    )


def make_tiny_row(item: FoundItem, name: str, _context: RowContext) -> TinyAutoencoderRow:
    """Return a tiny autoencoder's row."""
    return TinyAutoencoderRow.model_validate(
        {
            **_make_common_fields(item, name, item.metadata),
            "families": _select_families(item),
            "latent_channels": item.detected.latent_channels,
            "parts": item.detected.parts,
        }
    )


def make_ip_adapter_row(item: FoundItem, name: str, context: RowContext) -> IpAdapterRow:
    """Return an IP-Adapter's row, with the nearest image encoder of matching widths."""
    wanted = item.detected.widths
    fitting = [each for each in context.encoders if _fits(wanted, each.detected.widths)]
    fitting.sort(key=lambda each: -len(_find_common_parts(each.path, item.path)))
    return IpAdapterRow.model_validate(
        {
            **_make_common_fields(item, name, item.metadata),
            "image_encoder": fitting[0].path if fitting else None,
            "fingerprint": combine_fingerprints(item, fitting[0].fingerprint if fitting else None),
        }
    )


def make_language_model_row(item: FoundItem, name: str, _context: RowContext) -> LanguageModelRow:
    """Return a language model's row.

    Raises:
        ModelNotFoundError: One of its files is missing.
    """
    [row] = make_language_model_rows(str(item.path))
    return row.model_copy(update={"name": name, "title": name, **make_stamp(item)})


def _fits(wanted: tuple[int, ...], widths: tuple[int, ...]) -> bool:
    """Return whether an encoder has all wanted widths (0: any width)."""
    pairs = list(zip(wanted, widths, strict=False))
    return any(wanted) and all(want in (0, width) for want, width in pairs)


def _find_common_parts(one: Path, other: Path) -> list[str]:
    pairs = zip(one.parts, other.parts, strict=False)
    shared: list[str] = []
    for left, right in pairs:
        if left != right:
            break
        shared.append(left)
    return shared


def _select_families(item: FoundItem) -> tuple[str, ...]:
    """Return the families that the tensors fit, fewer if the name is a well-known one."""
    name, known = get_display_name(item.path).lower(), item.detected.families
    for telling, families in _TELLING_NAMES.items():
        if telling in name:
            return tuple(family for family in known if family in families) or known
    return known


def _make_common_fields(item: FoundItem, name: str, metadata: SidecarMetadata) -> dict[str, object]:
    """Return the fields that all these rows share."""
    return {
        "name": name,
        "title": name,
        "source": str(item.path),
        "families": item.detected.families,
        "description": metadata.description,
        "licence": metadata.licence,
        **make_stamp(item),
    }


ADAPTER_KINDS = (
    AdapterKind(LoraRow, "lora", make_lora_row, described=True),
    AdapterKind(EmbeddingRow, "embedding", make_embedding_row, described=True),
    AdapterKind(VaeRow, "vae", make_vae_row),
    AdapterKind(TinyAutoencoderRow, "tiny_autoencoder", make_tiny_row),
    AdapterKind(IpAdapterRow, "ip_adapter", make_ip_adapter_row),
    AdapterKind(LanguageModelRow, "language_model", make_language_model_row),
)
"""A new kind costs a function above and a row here."""
